"""What outlives a process and what does not: killed ones, forked ones, interrupted ones; and life without a library."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import pytest
import windlass
from conftest import leftovers, written
from windlass import Transfer
from windlass._native_stage import ENGINE_VARIABLE
from windlass.legacy._publish import is_dead, temporary_name


def run_python(code: str, *arguments: object, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
    )


COPY = """
    import sys, windlass
    stage = windlass.legacy.stage if sys.argv[3] == "legacy" else windlass.stage
    print("begin", flush=True)
    while True:
        stage([windlass.Transfer(sys.argv[1], sys.argv[2], checksum="md5")])
"""


@pytest.mark.parametrize("way", ["legacy", "uring", "threads"])
def test_a_killed_process_leaves_the_old_or_the_new_file(tmp_path: Path, way: str) -> None:
    new = os.urandom(8 << 20)
    source, target = written(tmp_path / "source", new), written(tmp_path / "there/target", b"old")
    for turn in range(6):
        engine = {} if way == "legacy" else {ENGINE_VARIABLE: way}
        child = run_python(COPY, source, target, way, **engine)
        assert child.stdout is not None and child.stdout.readline() == "begin\n"
        time.sleep(0.01 * turn)  # the moment of the kill is the point of the test
        child.kill()
        child.wait()
        assert target.read_bytes() in (b"old", new)
    stage = windlass.legacy.stage if way == "legacy" else windlass.stage
    stage([Transfer(source, target)])
    assert target.read_bytes() == new
    if way == "legacy":
        assert leftovers(tmp_path) == []


def test_only_temporaries_of_dead_processes_are_swept(tmp_path: Path) -> None:
    child = run_python(
        "from windlass.legacy._publish import temporary_name; print(temporary_name().decode(), flush=True)"
    )
    assert child.stdout is not None
    dead = child.stdout.readline().strip()
    child.wait()
    alive = os.fsdecode(temporary_name())
    strange = [".windlass-other", ".windlass-py-elsewhere-1-2-abc", ".windlass-py-x"]
    for name in (dead, alive, *strange):
        written(tmp_path / "to" / name, b"part")
    assert is_dead(dead.encode()) and not is_dead(alive.encode())
    windlass.legacy.stage([Transfer(written(tmp_path / "source", b"x"), tmp_path / "to/target")])
    assert sorted(os.listdir(tmp_path / "to")) == sorted([alive, *strange, "target"])


def test_temporaries_are_for_nobody_else(tmp_path: Path) -> None:
    source = written(tmp_path / "source", os.urandom(4 << 20), 0o777)
    seen: set[int] = set()

    def look(*_: object) -> None:
        seen.update(os.stat(path).st_mode & 0o777 for path in leftovers(tmp_path))

    windlass.legacy.stage([Transfer(source, tmp_path / "target", checksum="sha256")], progress=look)
    assert seen == {0o600}


FORK = """
    import os, sys, windlass
    transfer = windlass.Transfer(sys.argv[1], sys.argv[2])
    windlass.stage([transfer])
    child = os.fork()
    if child == 0:
        windlass.stage([windlass.Transfer(sys.argv[1], sys.argv[2] + "-child")])
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    windlass.stage([transfer])
    print("well")
"""


@pytest.mark.parametrize("engine", ["uring", "threads"])
def test_a_forked_child_stages_with_an_engine_of_its_own(tmp_path: Path, engine: str) -> None:
    source = written(tmp_path / "source", b"x" * 100_000)
    child = run_python(FORK, source, tmp_path / "target", **{ENGINE_VARIABLE: engine})
    output, _ = child.communicate(timeout=60)
    assert (child.returncode, output) == (0, "well\n")
    assert (tmp_path / "target-child").read_bytes() == source.read_bytes()


WITH_STATE = """
    import sys, windlass
    transfer = windlass.Transfer(sys.argv[1], sys.argv[2], checksum="sha256")
    windlass.stage([transfer], state=sys.argv[3], progress=lambda *counts: print(counts[0], flush=True))
"""


def test_a_killed_process_is_resumed_by_the_next_that_is_given_its_state(tmp_path: Path) -> None:
    source, target, state = tmp_path / "source", tmp_path / "target", tmp_path / "state"
    written(source, os.urandom(1 << 20) * 300)
    for _ in range(10):
        child = run_python(WITH_STATE, source, target, state)
        assert child.stdout is not None
        done = 0
        while done < 100 << 20 and (line := child.stdout.readline()):
            done = int(line)
        child.kill()
        child.wait()
        if not target.exists():
            break
        target.unlink()  # it was faster than this test could look
    end = windlass.stage([Transfer(source, target, checksum="sha256")], state=state).transfers[0]
    assert end.resumed_bytes >= done - (64 << 20) > 0
    assert target.read_bytes() == source.read_bytes()
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("state", ["", "root/state"])
def test_a_state_that_cannot_be_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    monkeypatch.chdir(tmp_path)
    source = written(tmp_path / "root/source", b"x")
    with pytest.raises(windlass.InvalidTransfer, match="state"):
        windlass.stage([Transfer(source, tmp_path / "root/target")], state=state, roots=[tmp_path / "root"])
    assert os.listdir(tmp_path) == ["root"] and os.listdir(tmp_path / "root") == ["source"]


def test_ctrl_c_ends_a_process_that_stages(tmp_path: Path) -> None:
    source = written(tmp_path / "source", os.urandom(8 << 20))
    child = run_python(COPY, source, tmp_path / "target", "native")
    assert child.stdout is not None and child.stdout.readline() == "begin\n"
    deadline = time.monotonic() + 30
    while not (tmp_path / "target").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    assert child.wait(timeout=30) in (1, -signal.SIGINT, 130)
    assert leftovers(tmp_path) == []
    assert (tmp_path / "target").read_bytes() == source.read_bytes()


def test_without_the_library_legacy_stages_says_so_once_and_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WINDLASS_LIBRARY", str(tmp_path / "nowhere.so"))
    monkeypatch.setattr(windlass._stats, "_counts", {"fallbacks": {"match": 0, "stage": 0}})
    source = written(tmp_path / "source", b"x")
    with caplog.at_level(logging.WARNING, "windlass"):
        ends = [windlass.stage([Transfer(source, tmp_path / f"t{turn}")]).transfers[0] for turn in range(3)]
    assert {end.engine for end in ends} == {"legacy"}
    assert [record.name for record in caplog.records] == ["windlass.stage"]
    assert windlass.stats()["fallbacks"]["stage"] == 3


def test_many_ways_of_staging_keep_few_threads(tmp_path: Path) -> None:
    source = written(tmp_path / "source", b"x")
    windlass.stage([Transfer(source, tmp_path / "target")])
    for number in range(12):
        root = tmp_path / f"root{number}"
        written(root / "source", b"x")
        windlass.stage([Transfer(root / "source", root / "target")], roots=[root])
    assert len(os.listdir("/proc/self/task")) < 40


RIGHTS = """
    import os, sys, windlass
    folder, way = sys.argv[1:]
    stage = windlass.legacy.stage if way == "legacy" else windlass.stage
    path = lambda name: os.path.join(folder, name)
    stage([windlass.Transfer(path("open"), path("closed/before"))])
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
    transfers = [
        windlass.Transfer(path("secret"), path("shared/one")),
        windlass.Transfer(path("open"), path("closed/two")),
        windlass.Transfer(path("open"), path("shared/three")),
        windlass.Transfer(path("tree"), path("shared/tree")),
    ]
    report = stage(transfers, on_error="report")
    print([end.error and end.error.code.name for end in report.transfers])
    print([failure.path for failure in report.transfers[3].error.failures])
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody with fewer rights")
@pytest.mark.parametrize("way", ["legacy", "uring", "threads"])
def test_what_may_not_be_touched_is_permission_denied(way: str) -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o755)
        written(folder / "secret", b"x", 0o600)
        written(folder / "open", b"x", 0o644)
        written(folder / "tree/secret", b"x", 0o600)
        written(folder / "tree/open", b"x", 0o644)
        (folder / "closed").mkdir(mode=0o755)
        (folder / "shared").mkdir()
        (folder / "shared").chmod(0o777)
        child = run_python(RIGHTS, folder, way, **({} if way == "legacy" else {ENGINE_VARIABLE: way}))
        output, _ = child.communicate(timeout=60)
        denied = "'PERMISSION_DENIED'"
        assert output == f"[{denied}, {denied}, None, {denied}]\n['secret']\n"
        assert sorted(os.listdir(folder / "shared")) == ["three", "tree"]
        assert leftovers(folder) == []


def test_a_source_that_changes_once_is_read_again_from_the_start(tmp_path: Path) -> None:
    source = written(tmp_path / "source", bytes(12 << 20))
    new = b"n" * (9 << 20)

    def change(*_: object) -> None:  # the first time it is open, and not read yet
        if source.stat().st_size != len(new):
            written(source, new)

    end = windlass.legacy.stage([Transfer(source, tmp_path / "target", checksum="sha256")], progress=change).transfers[
        0
    ]
    assert (end.retries, end.bytes) == (1, len(new))
    assert (tmp_path / "target").read_bytes() == new


def test_a_source_that_is_replaced_midway_is_read_again(tmp_path: Path) -> None:
    source, other = written(tmp_path / "source", bytes(12 << 20)), written(tmp_path / "other", b"n" * (12 << 20))

    def change(*_: object) -> None:
        if other.exists():
            os.replace(other, source)

    end = windlass.legacy.stage([Transfer(source, tmp_path / "target")], progress=change).transfers[0]
    assert end.retries == 1
    assert (tmp_path / "target").read_bytes() == b"n" * (12 << 20)


def test_a_source_that_changes_each_time_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, reads, plain = written(tmp_path / "source", b"x" * 100), [], os.pread

    def read_and_change(*arguments: int) -> bytes:
        reads.append(arguments)
        os.utime(source, ns=(len(reads), len(reads)))
        return plain(*arguments)

    monkeypatch.setattr(os, "pread", read_and_change)
    report = windlass.legacy.stage([Transfer(source, tmp_path / "target")], on_error="report")
    assert report.transfers[0].error.code == windlass.Code.FAILED_PRECONDITION
    assert len(reads) == 4
    assert os.listdir(tmp_path) == ["source"]
