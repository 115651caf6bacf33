"""Staging through a real windlassd by Client, aio.Client and Bridge: progress, cancel, refusals, sudden ends."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from pathlib import Path

import pytest
import windlass
from support import eventually, fallbacks

MIB = 1 << 20


@pytest.fixture
def slow(nodes: Callable[..., windlass.LocalNode], tmp_path: Path) -> windlass.LocalNode:
    """A daemon that takes long enough over some MiB to be interrupted."""
    return nodes({"stage.roots": [tmp_path], "stage.bandwidth_max": "2MiB"})


def payload(folder: Path, name: str = "source", size: int = 3 * MIB) -> Path:
    path = folder / name
    path.write_bytes(os.urandom(size))
    return path


def no_leftovers(folder: Path) -> bool:
    return not [name for name in os.listdir(folder) if name.startswith(".windlass-")]


def test_files_are_staged_and_reported(node: windlass.LocalNode, tmp_path: Path):
    one, two = payload(tmp_path, "one"), payload(tmp_path, "two", 7)
    told: list[tuple] = []
    with node.client() as client:
        report = client.stage(
            [
                windlass.Transfer(one, tmp_path / "to" / "one", checksum="xxh3"),
                windlass.Transfer(two, tmp_path / "to" / "two", mode=0o640),
            ],
            progress=lambda *counts: told.append(counts),
        )
    assert report.ok and report.files == 2 and report.bytes == 3 * MIB + 7
    assert (tmp_path / "to" / "one").read_bytes() == one.read_bytes()
    assert (tmp_path / "to" / "two").stat().st_mode & 0o777 == 0o640
    assert report.transfers[0].checksum.startswith("xxh3:")
    assert told[-1][0] == report.bytes and told[-1][2] == 2
    assert told == sorted(told, key=lambda counts: counts[0])


def test_what_fails_says_why(node: windlass.LocalNode, tmp_path: Path):
    source = payload(tmp_path)
    with node.client() as client:
        report = client.stage(
            [
                windlass.Transfer(tmp_path / "missing", tmp_path / "a"),
                windlass.Transfer("/etc/hostname", tmp_path / "b"),
                windlass.Transfer(source, tmp_path / "c"),
            ],
            on_error="report",
        )
        assert [transfer.state for transfer in report.transfers] == ["failed", "failed", "done"]
        assert [transfer.error.code.name for transfer in report.transfers[:2]] == ["NOT_FOUND", "PERMISSION_DENIED"]
        with pytest.raises(windlass.NotFound) as failed:
            client.stage([windlass.Transfer(tmp_path / "missing", tmp_path / "a")])
        assert isinstance(failed.value, windlass.StageError)
        assert failed.value.report.transfers[0].state == "failed"
        with pytest.raises(windlass.InvalidTransfer):
            client.stage([windlass.Transfer(source, tmp_path / "d", mode=-1)])


def test_what_is_not_served_is_refused_by_name(node: windlass.LocalNode, tmp_path: Path):
    with node.client() as client, pytest.raises(windlass.Unimplemented):
        client.stage([windlass.Transfer("http://localhost/x", tmp_path / "a")])


def test_progress_and_cancel_in_the_middle(slow: windlass.LocalNode, tmp_path: Path):
    source = payload(tmp_path, size=64 * MIB)
    with slow.client() as client:
        future = client.submit_stage([windlass.Transfer(source, tmp_path / "target")])
        eventually(lambda: 0 < future.progress().bytes < 64 * MIB, what="it is under way")
        assert not future.done()
        assert future.cancel()
        with pytest.raises(CancelledError):
            future.result(10)
        assert future.report is not None and future.report.transfers[0].state == "cancelled"
    assert not (tmp_path / "target").exists()
    assert no_leftovers(tmp_path)


def test_submitted_calls_tell_of_progress_in_a_thread_of_the_library(slow: windlass.LocalNode, tmp_path: Path):
    source = payload(tmp_path, size=2 * MIB)
    told: list[tuple] = []
    threads: set[int] = set()

    def progress(*counts) -> None:
        told.append(counts)
        threads.add(threading.get_ident())

    with slow.client() as client:
        assert client.submit_stage([windlass.Transfer(source, tmp_path / "target")], progress=progress).result(30).ok
        assert told[-1] == (2 * MIB, 2 * MIB, 1, 1) and told == sorted(told, key=lambda counts: counts[0])
        assert threading.get_ident() not in threads

        def fails(*_) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            client.submit_stage([windlass.Transfer(source, tmp_path / "other")], progress=fails).result(30)
        with pytest.raises(windlass.InvalidTransfer):
            client.submit_stage([windlass.Transfer(source, tmp_path / "third")], progress=7)


def test_an_exception_in_progress_cancels_and_comes_out(slow: windlass.LocalNode, tmp_path: Path):
    source = payload(tmp_path, size=64 * MIB)
    with slow.client() as client, pytest.raises(ZeroDivisionError):
        client.stage([windlass.Transfer(source, tmp_path / "target")], progress=lambda *_: 1 // 0)
    assert not (tmp_path / "target").exists()


def test_closing_the_client_cancels_what_it_submitted(slow: windlass.LocalNode, tmp_path: Path):
    source = payload(tmp_path, size=64 * MIB)
    client = slow.client()
    future = client.submit_stage([windlass.Transfer(source, tmp_path / "target")])
    client.close()
    assert future.cancelled()
    assert no_leftovers(tmp_path)


def test_ctrl_c_cancels_the_transfer(slow: windlass.LocalNode, tmp_path: Path):
    source = payload(tmp_path, size=64 * MIB)
    code = (
        "import sys, windlass\n"
        "with windlass.Client(sys.argv[1]) as client:\n"
        "    transfer = windlass.Transfer(sys.argv[2], sys.argv[3])\n"
        "    client.stage([transfer], progress=lambda *counts: print(*counts, flush=True))\n"
    )
    arguments = [sys.executable, "-c", code, slow.address, str(source), str(tmp_path / "target")]
    python = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    python.stdout.readline()
    python.send_signal(signal.SIGINT)
    _, errors = python.communicate(timeout=20)
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert no_leftovers(tmp_path), "the daemon had ended it before the program did"
    assert not (tmp_path / "target").exists()


@pytest.mark.slow
def test_the_transfers_of_a_client_that_is_gone_are_cancelled(slow: windlass.LocalNode, tmp_path: Path):
    source = payload(tmp_path, size=256 * MIB)
    code = (
        "import os, sys, windlass\n"
        "client = windlass.Client(sys.argv[1])\n"
        "client.submit_stage([windlass.Transfer(sys.argv[2], sys.argv[3])])\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code, slow.address, str(source), str(tmp_path / "target")], timeout=20)
    with slow.client() as client:
        assert client.load().queue["stage"] or client.load().bytes_in_flight or not no_leftovers(tmp_path)
        eventually(lambda: no_leftovers(tmp_path), 60.0, "it is cancelled")
    assert not (tmp_path / "target").exists()


def test_detached_transfers_go_on_after_the_client(slow: windlass.LocalNode, tmp_path: Path):
    source = payload(tmp_path, size=4 * MIB)
    with slow.client() as client:
        future = client.submit_stage([windlass.Transfer(source, tmp_path / "target")], detach=True)
    assert future.cancelled()
    eventually(lambda: (tmp_path / "target").exists(), what="it is published")
    assert (tmp_path / "target").read_bytes() == source.read_bytes()


def test_cancelling_a_task_cancels_the_transfer(slow: windlass.LocalNode, tmp_path: Path):
    source = payload(tmp_path, size=64 * MIB)

    async def main() -> None:
        async with windlass.aio.Client(slow.address) as client:
            future = await client.submit_stage([windlass.Transfer(source, tmp_path / "target")])

            async def wait() -> None:
                await future

            task = asyncio.create_task(wait())
            while not future.progress().bytes:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert future.cancelled() and future.report.transfers[0].state == "cancelled"
            small = payload(tmp_path, "small", 10)
            assert (await client.stage([windlass.Transfer(small, tmp_path / "small-target")])).ok

    asyncio.run(main())
    assert not (tmp_path / "target").exists()


def test_sigkill_ends_futures_unavailable_and_the_next_daemon_stages_again(slow: windlass.LocalNode, tmp_path: Path):
    source = payload(tmp_path, size=64 * MIB)
    (tmp_path / "old").write_bytes(b"old")
    with slow.client() as client:
        transfers = [
            windlass.Transfer(source, tmp_path / "target"),
            windlass.Transfer(source, tmp_path / "old"),
        ]
        future = client.submit_stage(transfers)
        eventually(lambda: future.progress().bytes, what="it is under way")
        slow.kill()
        with pytest.raises(windlass.Unavailable) as ended:
            future.result(10)
        assert ended.value.retryable and isinstance(ended.value, windlass.StageError)
        assert not (tmp_path / "target").exists()
        assert (tmp_path / "old").read_bytes() == b"old"
        before = fallbacks("stage")
        with pytest.raises(windlass.Unavailable):
            client.stage(transfers)
        assert fallbacks("stage") == before, "never unasked"
        slow.restart()
        small = payload(tmp_path, "small", MIB)
        assert client.stage([windlass.Transfer(small, tmp_path / "target")]).ok


def test_a_missing_daemon_falls_back_where_asked(node: windlass.LocalNode, tmp_path: Path):
    source = payload(tmp_path)
    node.kill()
    with node.client(stage_fallback="legacy") as client:
        before = fallbacks("stage")
        report = client.stage([windlass.Transfer(source, tmp_path / "target")])
        assert report.transfers[0].engine == "legacy" and fallbacks("stage") == before + 1
    assert (tmp_path / "target").read_bytes() == source.read_bytes()


def test_the_fallback_may_stand_in_the_configuration(nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    node = nodes({"stage.roots": [str(tmp_path)], "stage.fallback": "legacy"})
    transfers = [windlass.Transfer(payload(tmp_path), tmp_path / "target")]
    with node.client() as client:
        assert client.stage(transfers).transfers[0].engine != "legacy", "there is a daemon"
    node.kill()
    with node.client() as client:
        assert client.stage(transfers).transfers[0].engine == "legacy"
    with windlass.Client(node.address) as client, pytest.raises(windlass.Unavailable):
        client.stage(transfers)
    monkeypatch.setenv("WINDLASS_STAGE__FALLBACK", "legacy")
    with windlass.Client(node.address) as client:
        assert client.stage(transfers).transfers[0].engine == "legacy"


def test_a_drained_daemon_finishes_what_is_short(slow: windlass.LocalNode, tmp_path: Path):
    source = payload(tmp_path, size=4 * MIB)
    with slow.client() as client:
        future = client.submit_stage([windlass.Transfer(source, tmp_path / "target")])
        slow.signal(signal.SIGTERM)
        assert future.result(10).ok
    assert slow.terminate() == 0 or slow.pid is None


def test_a_drained_daemon_parks_what_is_long(nodes, tmp_path: Path):
    state = tmp_path.parent / f"{tmp_path.name}-state"
    config = {"stage.roots": [tmp_path], "stage.bandwidth_max": "24MiB", "state.path": str(state)}
    node = nodes(config)
    transfer = windlass.Transfer(payload(tmp_path, size=300 * MIB), tmp_path / "target")
    with node.client() as client:
        future = client.submit_stage([transfer])
        node.signal(signal.SIGTERM)
        with pytest.raises(windlass.Unavailable) as caught:
            future.result(15)
        assert caught.value.retryable
    eventually(lambda: node.pid is None, 5.0, what="windlassd has ended")
    assert not (tmp_path / "target").exists()
    with nodes({**config, "stage.bandwidth_max": "10GiB"}).client() as client:
        report = client.stage([transfer])
    assert report.ok and report.transfers[0].resumed_bytes > 0
    assert (tmp_path / "target").read_bytes() == (tmp_path / "source").read_bytes()


# ---- The bridge ------------------------------------------------------------------------------------------------------


@pytest.fixture
def worker(nodes: Callable[..., windlass.LocalNode], bridge: windlass.Bridge, tmp_path: Path) -> windlass.LocalNode:
    config = {"node.name": "worker", "bridge.address": bridge.address, "stage.roots": [tmp_path]}
    node = nodes({**config, "stage.bandwidth_max": "2MiB"})
    eventually(lambda: bridge.offers(), what="the node has reported")
    return node


def test_the_bridge_stages_at_a_node(bridge: windlass.Bridge, worker: windlass.LocalNode, tmp_path: Path):
    source = payload(tmp_path)
    told: list[tuple] = []
    transfer = windlass.Transfer(source, tmp_path / "target")
    report = bridge.stage("worker", [transfer], progress=lambda *counts: told.append(counts))
    assert report.ok and told[-1][0] == 3 * MIB
    future = bridge.submit_stage("worker", [windlass.Transfer(source, tmp_path / "again")])
    assert future.result(10).ok
    with pytest.raises(windlass.InvalidTransfer):
        bridge.stage("worker", [windlass.Transfer("relative", tmp_path / "x")])
    with pytest.raises(windlass.NotFound):
        bridge.stage("nobody", [transfer])


def test_the_bridge_cancels_at_a_node(bridge: windlass.Bridge, worker: windlass.LocalNode, tmp_path: Path):
    source = payload(tmp_path, size=64 * MIB)
    future = bridge.submit_stage("worker", [windlass.Transfer(source, tmp_path / "target")])
    eventually(lambda: future.progress().bytes, what="it is under way")
    assert future.cancel()
    with pytest.raises(CancelledError):
        future.result(10)
    assert no_leftovers(tmp_path)
    assert not (tmp_path / "target").exists()


def test_closing_the_bridge_cancels_what_runs(bridge: windlass.Bridge, worker: windlass.LocalNode, tmp_path: Path):
    source = payload(tmp_path, size=64 * MIB)
    future = bridge.submit_stage("worker", [windlass.Transfer(source, tmp_path / "target")])
    bridge.close()
    assert future.cancelled()
    assert future.report.transfers[0].state == "cancelled"


def test_a_killed_node_ends_its_futures(bridge: windlass.Bridge, worker: windlass.LocalNode, tmp_path: Path):
    source = payload(tmp_path, size=64 * MIB)
    future = bridge.submit_stage("worker", [windlass.Transfer(source, tmp_path / "target")])
    eventually(lambda: future.progress().bytes, what="it is under way")
    worker.kill()
    with pytest.raises(windlass.Unavailable) as ended:
        future.result(10)
    assert ended.value.retryable and ended.value.report.transfers[0].state == "failed"
    assert not (tmp_path / "target").exists()
    assert bridge.nodes()["worker"].state == "dead"
    with pytest.raises(windlass.Unavailable):
        bridge.stage("worker", [windlass.Transfer(source, tmp_path / "target")])


def test_a_node_that_starts_anew_ends_the_futures_of_the_old(
    bridge: windlass.Bridge, worker: windlass.LocalNode, tmp_path: Path
):
    source = payload(tmp_path, size=64 * MIB)
    future = bridge.submit_stage("worker", [windlass.Transfer(source, tmp_path / "target")])
    worker.kill()
    worker.start()
    with pytest.raises(windlass.Unavailable):
        future.result(5)
    eventually(lambda: bridge.nodes()["worker"].state == "alive", 3.0)
    small = payload(tmp_path, "small", 100)
    assert bridge.stage("worker", [windlass.Transfer(small, tmp_path / "target")]).ok


def test_the_async_bridge_does_the_same(nodes: Callable[..., windlass.LocalNode], tmp_path: Path):
    source = payload(tmp_path, size=100)

    async def main() -> None:
        async with windlass.aio.Bridge("tcp://127.0.0.1:0", beat=0.1, suspect_after=0.5, dead_after=2.0) as bridge:
            nodes({"node.name": "n", "bridge.address": bridge.address, "stage.roots": [tmp_path]})
            while not await bridge.offers():
                await asyncio.sleep(0.01)
            assert (await bridge.nodes())["n"].state == "alive"
            result = await bridge.match([{"name": "t", "resources": {}}])
            assert result.assignments == {"t": "n"}
            assert (await bridge.stage("n", [windlass.Transfer(source, tmp_path / "target")])).ok
            assert (await (await bridge.submit_stage("n", [windlass.Transfer(source, tmp_path / "two")]))).ok

    asyncio.run(main())
