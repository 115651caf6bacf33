"""What windlassd holds back: bytes a second by kind of transfer, and callers that bring more than fits.

Nothing here is judged by how fast it is: of what is limited no more may have come than the time allows, and that holds
on any machine; of what is not limited, it has ended while the limited goes on.
"""

from __future__ import annotations

import os
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import windlass
from support import eventually

MIB = 1 << 20
RATE = 2 * MIB


def payload(path: Path, size: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.urandom(size))
    return path


class Allowed:
    """So much may have come by now at a rate: with its burst, and what each thread has begun."""

    def __init__(self, rate: int) -> None:
        self._rate, self._begun = rate, time.monotonic()

    def __int__(self) -> int:
        return int(self._rate * (time.monotonic() - self._begun) * 1.05 + self._rate / 2)


@pytest.mark.parametrize(("limited", "free"), [("result", "input"), ("input", "result")])
def test_a_limit_of_one_kind_is_held_and_slows_no_other(
    nodes: Callable[..., windlass.LocalNode], tmp_path: Path, limited: str, free: str
):
    node = nodes({"stage.roots": [tmp_path], f"stage.bandwidth_max_{limited}": f"{RATE}", "stage.threads": 3})
    source = payload(tmp_path / "source", 64 * MIB)
    with node.client() as client:
        allowed = Allowed(RATE)
        slow = [
            client.submit_stage([windlass.Transfer(source, tmp_path / f"slow{number}", kind=limited)])
            for number in range(2)  # which share it
        ]
        ended = 0
        while (moved := sum(future.progress().bytes for future in slow)) < 4 * MIB or ended < 3:
            assert moved <= int(allowed), "more has come than the limit allows"
            if ended < 3:
                quick = windlass.Transfer(source, tmp_path / f"quick{ended}", kind=free, durability="none")
                assert client.stage([quick]).ok
                ended += 1
        assert not any(future.done() for future in slow), "three times as much of the other kind has passed it by"
        assert all(future.cancel() for future in slow)


def test_the_limit_of_all_holds_over_those_of_the_kinds(nodes: Callable[..., windlass.LocalNode], tmp_path: Path):
    node = nodes({"stage.roots": [tmp_path], "stage.bandwidth_max": f"{RATE}", "stage.bandwidth_max_result": "1GiB"})
    source = payload(tmp_path / "source", 16 * MIB)
    with node.client() as client:
        allowed = Allowed(RATE)
        futures = [
            client.submit_stage([windlass.Transfer(source, tmp_path / kind, kind=kind)]) for kind in ("input", "result")
        ]
        while (moved := sum(future.progress().bytes for future in futures)) < 4 * MIB:
            assert moved <= int(allowed)
        assert all(future.cancel() for future in futures)


def test_trees_and_many_files_are_held_to_it_too(nodes: Callable[..., windlass.LocalNode], tmp_path: Path):
    node = nodes({"stage.roots": [tmp_path], "stage.bandwidth_max_input": f"{RATE}"})
    for number in range(100):
        payload(tmp_path / "tree" / str(number % 7) / str(number), 40_000)
    transfers = [windlass.Transfer(tmp_path / "tree", tmp_path / "copy")]
    transfers += [
        windlass.Transfer(tmp_path / "tree" / str(number % 7) / str(number), tmp_path / "files" / str(number))
        for number in range(100)
    ]
    with node.client() as client:
        allowed = Allowed(RATE)
        future = client.submit_stage(transfers)
        while not future.done():
            assert future.progress().bytes <= int(allowed)
        assert future.result().bytes == 2 * 100 * 40_000 <= int(allowed)


# ---- Backpressure ----------------------------------------------------------------------------------------------------

BUDGET = 512 * 1024


def in_flight(node: windlass.LocalNode) -> float:
    with urllib.request.urlopen(f"{node.http_url}/metrics", timeout=10) as page:
        lines = page.read().decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("windlass_stage_bytes_in_flight "))


def test_many_callers_of_a_small_daemon_wait_and_are_all_served(
    nodes: Callable[..., windlass.LocalNode], tmp_path: Path
):
    """A call is taken whole or told when to come again: `stage` comes again by itself, `submit_stage` says so."""
    callers, calls, files = 8, 4, 5
    config = {"stage.roots": [tmp_path], "stage.bytes_in_flight_max": str(BUDGET), "stage.queue_max": 2 * files}
    node = nodes(config)
    sources = [payload(tmp_path / "sources" / str(number), MIB + number) for number in range(files)]
    told: Counter[str] = Counter()
    wrong: list[object] = []

    def transfers(caller: int, call: int) -> list[windlass.Transfer]:
        top = tmp_path / "to" / str(caller) / str(call)
        return [windlass.Transfer(source, top / source.name, durability="none") for source in sources]

    def call_again_and_again(caller: int) -> None:
        try:
            with node.client() as client:
                for call in range(calls):
                    try:
                        futures = [client.submit_stage(transfers(caller, call))]
                        assert futures[0].result(60).ok
                        told["taken"] += 1
                    except windlass.ResourceExhausted as full:
                        assert full.retryable and full.retry_after > 0 and "stage.queue_max" in str(full)
                        told["refused"] += 1
                        assert client.stage(transfers(caller, call)).ok
        except BaseException as failure:
            wrong.append(failure)

    threads = [threading.Thread(target=call_again_and_again, args=(caller,)) for caller in range(callers)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert in_flight(node) <= BUDGET
    assert not wrong, wrong
    assert told["refused"] > 0 and told.total() == callers * calls
    for caller in range(callers):
        for call in range(calls):
            for transfer, source in zip(transfers(caller, call), sources, strict=True):
                assert Path(transfer.target).read_bytes() == source.read_bytes()
    eventually(lambda: in_flight(node) == 0, what="nothing is held")


def test_who_waits_for_room_waits_until_the_deadline_and_no_longer(
    nodes: Callable[..., windlass.LocalNode], tmp_path: Path
):
    node = nodes({"stage.roots": [tmp_path], "stage.queue_max": 1, "stage.bandwidth_max": f"{RATE}"})
    source = payload(tmp_path / "source", 64 * MIB)
    with node.client() as client, node.client() as other:
        slow = client.submit_stage([windlass.Transfer(source, tmp_path / "slow")])
        eventually(lambda: slow.progress().bytes, what="it is under way")
        with pytest.raises(windlass.ResourceExhausted):
            other.submit_stage([windlass.Transfer(source, tmp_path / "other")]).result(10)
        begun = time.monotonic()
        report = other.stage([windlass.Transfer(source, tmp_path / "late", deadline=1.0)], on_error="report")
        assert report.transfers[0].state == "expired" and time.monotonic() - begun >= 0.9
        assert not slow.done() and slow.cancel()
    assert not (tmp_path / "late").exists()
