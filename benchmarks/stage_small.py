"""How fast does a node take in trees of small files, synced before any of them counts?

A case is `COUNTxSIZE`: so many files in folders of 500. Every peer does the same: it copies the tree beside the target,
syncs the file system once and renames the top (durability `file`); ours publishes each file by a rename of its own.
Before each run the source's pages are put out of the page cache; after it every target is compared with its source.
Each run has a target of its own and nothing is removed before the last: ext4 without a journal passes over inodes freed
in the last minutes one by one, so that whoever came later would pay for what was removed before.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import windlass

from benchmarks.harness import CannotRun, Peer, Row, WrongAnswer, measure, rates
from benchmarks.peers import copies

UNIT, BETTER = "files/s", "more"
CASES = ("50000x4KiB", "20000x64KiB")
QUICK_CASES = ("5000x4KiB", "2000x64KiB")
ROUNDS = 3
_UNITS = {"KiB": 1 << 10, "MiB": 1 << 20}
_FILES_IN_FOLDER = 500
_BLOCK = 4096
_PEERS_MOST = 6


def parse_case(case: str) -> tuple[int, int]:
    """`50000x4KiB` -> (50000, 4096)."""
    found = re.fullmatch(r"(\d+)x(\d+)(KiB|MiB)", case)
    if not found:
        raise ValueError(f"case {case!r}: expected COUNTxSIZE, such as 50000x4KiB")
    count, size, unit = found.groups()
    return int(count), int(size) * _UNITS[unit]


def run(
    case: str, *, rounds: int, quick: bool, who: list[str] | None, folder: Path | None, say: Callable[[str], None]
) -> list[Row]:
    del quick
    count, size = parse_case(case)
    with contextlib.ExitStack() as stack:
        top = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="windlass-bench-", dir=folder)))
        trees = _PEERS_MOST * rounds + 2
        if shutil.disk_usage(top).free < trees * count * max(size, _BLOCK):
            raise CannotRun(f"case {case!r} needs more room in {top.parent}; --folder chooses another")
        say(f"{case}: making the source")
        work = _Work(top, count, size)
        peers = [*_ours(work, stack), *_peers(work)]
        if who:
            peers = [peer for peer in peers if peer.who.startswith(tuple(who))]
        for peer in peers:
            peer.before = work.cold
            peer.check = work.checker(peer.who)
            peer.after = work.next
        rows = measure(case, peers, rounds, say)
    return [rates(row, count, 1) for row in rows]


class _Work:
    """The source, the target, and what is done to them between runs."""

    def __init__(self, top: Path, count: int, size: int) -> None:
        self.top = top
        self.count = count
        self.source = top / "source"
        self.run = 0
        self.files = [self.source / f"folder-{n // _FILES_IN_FOLDER}" / f"file-{n}" for n in range(count)]
        block = os.urandom(size)
        for number, path in enumerate(self.files):
            if number % _FILES_IN_FOLDER == 0:
                path.parent.mkdir(parents=True)
            path.write_bytes(number.to_bytes(8, "little") + block[8:])
        sync_all(top)

    @property
    def target(self) -> Path:
        return self.top / f"target-{self.run}"

    @property
    def part(self) -> Path:
        return self.top / f"target-{self.run}.part"

    def cold(self) -> None:
        for path in self.files:
            copies.forget(path)

    def next(self) -> None:
        self.run += 1
        sync_all(self.top)  # what one peer leaves to be written is not the next one's work

    def checker(self, who: str) -> Callable[[Any], None]:
        def check(answer: Any) -> None:
            del answer
            found = sum(len(files) for _, _, files in os.walk(self.target))
            if found != self.count:
                raise WrongAnswer(f"{who} left {found} files of {self.count}")
            for path in self.files:
                if (self.target / path.relative_to(self.source)).read_bytes() != path.read_bytes():
                    raise WrongAnswer(f"{who}: {path.name} is not its source")

        return check


def sync_all(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syncfs(fd) != 0:
            raise OSError(ctypes.get_errno(), "syncfs", str(path))
    finally:
        os.close(fd)


def _ours(work: _Work, stack: contextlib.ExitStack) -> Iterator[Peer]:
    def transfers() -> list[windlass.Transfer]:
        return [windlass.Transfer(work.source, work.target)]

    yield Peer("windlass:inproc", lambda: windlass.stage(transfers()))
    try:
        node = stack.enter_context(windlass.LocalNode(config={"stage.roots": [str(work.top)]}))
    except windlass.WindlassError as error:
        yield Peer("windlass:ipc", absent=f"no daemon: {error}")
        return
    pid = node.pid
    assert pid is not None
    client = stack.enter_context(node.client())
    yield Peer("windlass:ipc", lambda: client.stage(transfers()), pids=[pid])


def _with_copytree(work: _Work) -> None:
    shutil.copytree(work.source, work.part)


def _with_cp(work: _Work) -> None:
    subprocess.run(["cp", "-r", "--reflink=auto", "--", work.source, work.part], check=True)


def _with_rsync(work: _Work) -> None:
    subprocess.run(["rsync", "-aW", "--inplace", "--", f"{work.source}/", work.part], check=True)


def _with_tar(work: _Work) -> None:
    work.part.mkdir()
    with subprocess.Popen(["tar", "-C", work.source, "-cf", "-", "."], stdout=subprocess.PIPE) as reader:
        subprocess.run(["tar", "-C", work.part, "-xf", "-"], stdin=reader.stdout, check=True)
    if reader.returncode != 0:
        raise WrongAnswer("tar failed")


_PEERS = {"cp": _with_cp, "rsync": _with_rsync, "copytree": _with_copytree, "tar": _with_tar}


def _peers(work: _Work) -> Iterator[Peer]:
    for who, copy in _PEERS.items():
        if who != "copytree" and shutil.which(who) is None:
            yield Peer(who, absent=f"no {who} program")
            continue
        yield Peer(who, _durable(copy, work))


def _durable(copy: Callable[[_Work], None], work: _Work) -> Callable[[], None]:
    def run() -> None:
        copy(work)
        sync_all(work.part)
        os.rename(work.part, work.target)

    return run
