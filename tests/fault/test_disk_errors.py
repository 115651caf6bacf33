"""A disk that fails or hangs, at each of its answers in turn: one clear error, nothing torn, nothing left, the daemon
heard all the while, and the next transfer works."""

from __future__ import annotations

import errno
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import windlass
from windlass import Code, Transfer
from windlass._native_stage import ENGINE_VARIABLE, engine_in_process

from .conftest import leftovers, noise
from .passthrough import Passthrough, mounted

SIZE = (2 << 20) + 777
CODES = {errno.EIO: Code.DATA_LOSS, errno.ENOSPC: Code.RESOURCE_EXHAUSTED, errno.EDQUOT: Code.RESOURCE_EXHAUSTED}
OPERATIONS_MAX = 500  # of one transfer


@pytest.fixture
def faulty(tmp_path: Path) -> Iterator[Passthrough]:
    with mounted(tmp_path) as made:
        yield made


@pytest.fixture(params=["uring", "threads"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(ENGINE_VARIABLE, request.param)
    if engine_in_process() != request.param:
        pytest.skip("io_uring is denied here")
    return str(request.param)


def content(size: int = SIZE) -> bytes:
    return noise(size, 5)


class Case:
    """One transfer, what it finds, and what may be found after it."""

    def __init__(self, faulty: Passthrough, plain: Path, kind: str) -> None:
        self.faulty, self.kind = faulty, kind
        top = {"read": plain, "write": faulty.path, "tree": faulty.path, "whole": faulty.path}[kind]
        beneath = plain if kind == "read" else faulty.beneath
        source = plain if kind == "write" else faulty.beneath
        self.parts = {"": SIZE} if kind in ("read", "write") else {"/a": 3000, "/sub/b": 70_000, "/sub/c": 0}
        for part, size in self.parts.items():
            path = Path(f"{source}/source{part}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content(size))
        self.seen = beneath / "in" / "target"  # around the faults
        self.transfer = Transfer(
            (plain if kind == "write" else faulty.path) / "source",
            top / "in" / "target",
            checksum="xxh3",
            durability="file" if kind == "read" else "full",
            tree_atomic=kind == "whole",
        )
        self.next = replace(self.transfer, durability="none")
        self.olds = {part: b"old" for part in self.parts if part in ("", "/a")}

    def begin(self) -> None:
        if self.seen.is_dir():
            shutil.rmtree(self.seen)
        for part, old in self.olds.items():
            path = Path(f"{self.seen}{part}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(old)

    def look(self, done: bool) -> None:
        now: set[bool] = set()
        for part, size in self.parts.items():
            path = Path(f"{self.seen}{part}")
            found = path.read_bytes() if path.exists() else None
            assert found in (self.olds.get(part), content(size)), f"{path} is torn"
            now.add(found == content(size))
        assert not done or now == {True}
        assert self.kind != "whole" or len(now) == 1, "the tree is in part new"
        assert leftovers(self.seen.parent) == []


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        *[(kind, errno.EIO) for kind in ("read", "write", "tree", "whole")],
        *[("write", error) for error in (errno.ENOSPC, errno.EDQUOT)],
    ],
)
def test_each_answer_of_the_disk_may_be_an_error(
    faulty: Passthrough, tmp_path: Path, engine: str, kind: str, error: int
) -> None:
    case = Case(faulty, tmp_path, kind)
    failed = 0
    for nth in range(1, OPERATIONS_MAX):
        case.begin()
        faulty.fail("any", nth, error)
        end = windlass.stage([case.transfer], on_error="report").transfers[0]
        struck = faulty.struck()
        faulty.release()
        case.look(end.state == "done")
        if end.state != "done":
            assert struck and end.state == "failed" and end.error is not None
            assert end.error.code == CODES[error], f"at answer {nth}: {end.error}"
            failed += 1
        assert windlass.stage([case.next]).ok, f"the next one, after answer {nth}"
        case.look(True)
        if not struck:
            break
    assert failed > 5


@pytest.mark.parametrize("at", [0, 1 << 20, SIZE - 1])
@pytest.mark.parametrize("kind", ["read", "write"])
def test_an_error_at_a_certain_byte(faulty: Passthrough, tmp_path: Path, engine: str, kind: str, at: int) -> None:
    case = Case(faulty, tmp_path, kind)
    case.begin()
    faulty.fail(kind, 1, errno.EIO, at)
    with pytest.raises(windlass.StageError) as caught:
        windlass.stage([case.transfer])
    assert faulty.struck()
    assert caught.value.code == Code.DATA_LOSS
    assert str(case.transfer.source if kind == "read" else case.transfer.target) in str(caught.value)
    case.look(False)


@pytest.mark.parametrize("kind", ["read", "write"])
def test_each_read_and_write_may_be_cut_short(faulty: Passthrough, tmp_path: Path, engine: str, kind: str) -> None:
    case = Case(faulty, tmp_path, kind)
    for size in (1, 511, 4096, 70_001):
        for nth in range(1, OPERATIONS_MAX):
            case.begin()
            faulty.cut_short(kind, nth, size)
            assert windlass.stage([case.transfer]).ok
            struck = faulty.struck()
            case.look(True)
            if not struck:
                break
        assert nth > 3


@pytest.mark.parametrize("error", [errno.EINTR, errno.EAGAIN])
@pytest.mark.parametrize("kind", ["read", "write"])
def test_each_read_and_write_may_have_to_be_asked_for_again(
    faulty: Passthrough, tmp_path: Path, engine: str, kind: str, error: int
) -> None:
    case = Case(faulty, tmp_path, kind)
    for nth in range(1, OPERATIONS_MAX):
        case.begin()
        faulty.fail(kind, nth, error)
        end = windlass.stage([case.transfer]).transfers[0]
        struck = faulty.struck()
        case.look(True)
        assert end.retries == 0, "it was the request that was made again, not the transfer"
        if not struck:
            break
    assert nth > 3


@pytest.mark.parametrize("kind", ["write", "tree"])
def test_what_the_disk_says_only_at_the_close_is_heard(
    faulty: Passthrough, tmp_path: Path, engine: str, kind: str
) -> None:
    """Network file systems tell of a full quota when the file is closed, and where nothing is synced only then."""
    case = Case(faulty, tmp_path, kind)
    case.begin()
    faulty.fail("flush", 1, errno.EDQUOT)
    with pytest.raises(windlass.ResourceExhausted):
        windlass.stage([case.next])
    faulty.release()
    case.look(False)


class Watch:
    """What the bridge and a client see of a node, all the time that a test does something else."""

    def __init__(self, bridge: windlass.Bridge, node: windlass.LocalNode) -> None:
        self._bridge, self._node = bridge, node
        self._stop = threading.Event()
        self._wrong: list[str] = []
        self._beats = 0
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        last, heard = None, time.monotonic()
        with self._node.client() as client:
            while not self._stop.wait(0.02):
                seen = self._bridge.nodes()["n"]
                if seen.state != "alive":
                    self._wrong.append(f"the bridge calls it {seen.state}")
                if seen.load.sequence != last:
                    last, heard, self._beats = seen.load.sequence, time.monotonic(), self._beats + 1
                if time.monotonic() - heard > 2.0:
                    self._wrong.append(f"no beat for {time.monotonic() - heard:.1f} s")
                if client.load().age_seconds > 2.0:
                    self._wrong.append("the load is old")

    @property
    def beats(self) -> int:
        return self._beats

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        assert not self._wrong, self._wrong[:5]


@contextmanager
def cluster(
    faulty: Passthrough, tmp_path: Path, **config: object
) -> Iterator[tuple[windlass.Bridge, windlass.LocalNode]]:
    with windlass.Bridge("tcp://127.0.0.1:0", beat=0.1, suspect_after=3.0, dead_after=10.0) as bridge:
        settings = {
            "stage.roots": [str(tmp_path)],
            "bridge.address": bridge.address,
            "bridge.beat": "100ms",
            "node.name": "n",
            **{name.replace("__", "."): value for name, value in config.items()},
        }
        with windlass.LocalNode(config=settings) as node:
            until("it has registered", lambda: "n" in bridge.nodes() and bridge.offers())
            try:
                yield bridge, node
            finally:
                faulty.release()  # no process ends while it waits for a disk


def until(what: str, condition: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.005)


@pytest.mark.parametrize(
    ("kind", "step"),
    [
        ("read", 1),
        ("write", 1),
        ("tree", 4),
        ("whole", 4),
        pytest.param("tree", 1, marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
        pytest.param("whole", 1, marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
    ],
)
def test_each_answer_of_the_disk_may_be_late(
    faulty: Passthrough, tmp_path: Path, engine: str, kind: str, step: int
) -> None:
    """A tree keeps all threads, and it takes a second to see that they hang; so others are staged less often there."""
    case = Case(faulty, tmp_path, kind)
    (tmp_path / "other").write_bytes(b"other")
    with (
        cluster(faulty, tmp_path, stage__engine=engine) as (bridge, node),
        Watch(bridge, node),
        node.client() as client,
    ):
        tree = kind in ("tree", "whole")
        for nth in range(1, OPERATIONS_MAX, step):
            case.begin()
            faulty.stall("any", nth)
            future = client.submit_stage([case.transfer])
            until("it stalls or ends", lambda f=future: faulty.struck() or f.done())
            struck = faulty.struck()
            if not tree or nth % 8 == 1 or step == 1:
                other = client.stage([Transfer(tmp_path / "other", tmp_path / "another", durability="none")])
                assert other.ok, "a transfer elsewhere"
            assert bridge.nodes()["n"].state == "alive"
            faulty.release()
            assert future.result(30).ok
            case.look(True)
            if not struck:
                break
    assert nth > 10


@pytest.mark.parametrize(
    ("operation", "seconds"),
    [
        *[(operation, 3) for operation in ("write", "getattr")],
        *[
            pytest.param(operation, 60, marks=[pytest.mark.slow, pytest.mark.timeout(600)])
            for operation in ("read", "write", "fsync", "rename", "getattr", "statfs")
        ],
    ],
)
def test_a_disk_that_hangs_for_long_stops_nobody_else(
    faulty: Passthrough, tmp_path: Path, engine: str, operation: str, seconds: int
) -> None:
    case = Case(faulty, tmp_path, "read" if operation == "read" else "write")
    case.begin()
    (tmp_path / "other").write_bytes(b"other")
    with cluster(faulty, tmp_path, stage__engine=engine) as (bridge, node), node.client() as client:
        with Watch(bridge, node) as watch:
            faulty.stall(operation, 1)
            future = client.submit_stage([case.transfer])
            until("it stalls", faulty.struck)
            ends = time.monotonic() + seconds
            turns = 0
            while time.monotonic() < ends:
                assert not future.done()
                assert client.stage([Transfer(tmp_path / "other", tmp_path / "another")]).ok
                assert bridge.stage("n", [Transfer(tmp_path / "other", tmp_path / "third")]).ok
                turns += 1
            assert turns > 0 and watch.beats > seconds * 2
            faulty.release()
            assert future.result(30).ok
        case.look(True)
        assert client.stage([case.transfer]).ok


@pytest.mark.timeout(300)
@pytest.mark.parametrize("operation", ["any", "write", "getattr"])
def test_however_many_wait_for_disks_that_hang_others_are_served(
    faulty: Passthrough, tmp_path: Path, engine: str, operation: str
) -> None:
    """More than there are threads, of two disks, in calls of their own and in one with files of a disk that works."""
    (tmp_path / "plain").write_bytes(b"plain" * 1000)
    (tmp_path / "second").mkdir()
    with mounted(tmp_path / "second") as second, cluster(faulty, tmp_path, stage__engine=engine) as (bridge, node):
        disks = [faulty, second]
        for disk in disks:
            (disk.beneath / "source").write_bytes(b"source" * 1000)
        with ExitStack() as stack:
            for disk in disks:
                stack.callback(disk.release)
                disk.hang(operation)
            client = stack.enter_context(node.client())
            futures = [
                client.submit_stage([Transfer(tmp_path / "plain", disk.path / f"to{number}")])
                for number in range(12)
                for disk in disks
            ]
            futures += [
                client.submit_stage([Transfer(disk.path / "source", tmp_path / f"from{number}{disk is second}")])
                for number in range(6)
                for disk in disks
            ]
            mixed = [
                Transfer(tmp_path / "plain", top / "mixed" / str(number))
                for number in range(10)
                for top in (faulty.path, tmp_path / "here")
            ]
            futures.append(client.submit_stage(mixed))
            with Watch(bridge, node):
                for turn in range(10):
                    assert client.stage([Transfer(tmp_path / "plain", tmp_path / f"other{turn}")]).ok
                here = tmp_path / "here/mixed"
                until(
                    "the others of the call have their names", lambda: here.is_dir() and len(list(here.iterdir())) == 10
                )
            assert not any(future.done() for future in futures)
            for disk in disks:
                disk.release()
            assert all(future.result(60).ok for future in futures)
        for disk in disks:
            for number in range(12):
                assert (disk.beneath / f"to{number}").read_bytes() == b"plain" * 1000


def test_what_hangs_may_be_cancelled_and_ends_when_the_disk_answers(
    faulty: Passthrough, tmp_path: Path, engine: str
) -> None:
    case = Case(faulty, tmp_path, "write")
    case.begin()
    with cluster(faulty, tmp_path, stage__engine=engine) as (_, node), node.client() as client:
        faulty.stall("write", 2)
        future = client.submit_stage([case.transfer])
        until("it stalls", faulty.struck)
        assert future.cancel()
        assert client.stage([Transfer(tmp_path / "source", tmp_path / "another")]).ok
        assert not future.done()
        faulty.release()
        until("it is cancelled", future.cancelled)
        case.look(False)


@pytest.mark.parametrize(
    "operation", ["write", *[pytest.param(operation, marks=pytest.mark.slow) for operation in ("read", "fsync")]]
)
def test_sigterm_ends_what_hangs_within_ten_seconds(
    faulty: Passthrough, tmp_path: Path, engine: str, operation: str
) -> None:
    case = Case(faulty, tmp_path, "read" if operation == "read" else "write")
    case.begin()
    with cluster(faulty, tmp_path, stage__engine=engine) as (bridge, node), node.client() as client:
        faulty.stall(operation, 1)
        future = client.submit_stage([case.transfer])
        until("it stalls", faulty.struck)
        begun = time.monotonic()
        node.signal(signal.SIGTERM)
        with pytest.raises(windlass.Unavailable) as caught:
            future.result(20)
        assert caught.value.retryable
        until("the bridge knows", lambda: bridge.nodes().get("n") is None or bridge.nodes()["n"].state != "alive")
        assert time.monotonic() - begun < 10
        faulty.release()
        until("the process is gone", lambda: node.pid is None)
        node.start()
        with node.client() as again:
            assert again.stage([case.transfer]).ok
        case.look(True)
