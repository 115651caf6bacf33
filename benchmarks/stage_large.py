"""How fast does a node take in large files: cold source, and each file synced and renamed before it counts?

A case is `COUNTxSIZE`, `+xxh3` where the bytes must be verified too. Every peer does the same: it writes beside the
target, syncs the file's data and renames it (durability `file`); under `+xxh3` it also takes the checksum of what it
wrote. Before each run the source is put out of the page cache; after it every target is compared with its source.
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

UNIT, BETTER = "MB/s", "more"
CASES = ("1x4GiB", "8x512MiB", "1x4GiB+xxh3", "8x512MiB+xxh3")
QUICK_CASES = ("1x256MiB", "8x32MiB", "1x256MiB+xxh3")
ROUNDS = 3
_UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_PIECE = 16 << 20


def parse_case(case: str) -> tuple[int, int, bool]:
    """`8x512MiB+xxh3` -> (8, 536870912, True)."""
    found = re.fullmatch(r"(\d+)x(\d+)(KiB|MiB|GiB)(\+xxh3)?", case)
    if not found:
        raise ValueError(f"case {case!r}: expected COUNTxSIZE, such as 8x512MiB or 1x4GiB+xxh3")
    count, size, unit, checksum = found.groups()
    return int(count), int(size) * _UNITS[unit], checksum is not None


def run(
    case: str, *, rounds: int, quick: bool, who: list[str] | None, folder: Path | None, say: Callable[[str], None]
) -> list[Row]:
    del quick
    count, size, checksum = parse_case(case)
    with contextlib.ExitStack() as stack:
        top = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="windlass-bench-", dir=folder)))
        if shutil.disk_usage(top).free < 3 * count * size:
            raise CannotRun(
                f"case {case!r} needs {3 * count * size >> 20} MiB free in {top.parent}; --folder chooses another"
            )
        say(f"{case}: making the source")
        work = _Work(top, count, size)
        peers = [*_ours(work, checksum, stack), *_peers(work, checksum)]
        if who:
            peers = [peer for peer in peers if peer.who.startswith(tuple(who))]
        for peer in peers:
            peer.before = work.cold
            peer.check = work.checker(peer.who)
            peer.after = work.clear
        rows = measure(case, peers, rounds, say)
    gib = count * size / (1 << 30)
    return [rates(_per_gib(row, gib), count * size, 1e6) for row in rows]


def _per_gib(row: Row, gib: float) -> Row:
    return row if "absent" in row else {**row, "cpu_s_per_gib": row["cpu_s"] / gib, "peer": row["who"] != "fio-copy"}


class _Work:
    """The sources, the targets, and what is done to them between runs."""

    def __init__(self, top: Path, count: int, size: int) -> None:
        (top / "source").mkdir()
        self.top = top
        self.size = size
        self.targets = top / "target"
        self.sources = [top / "source" / f"file-{number}" for number in range(count)]
        for source in self.sources:
            copies.fill(source, size)
        self.pairs = [(source, self.targets / source.name) for source in self.sources]

    def cold(self) -> None:
        self.targets.mkdir()
        for source in self.sources:
            copies.forget(source)

    def clear(self) -> None:
        shutil.rmtree(self.targets, ignore_errors=True)

    def checker(self, who: str) -> Callable[[Any], None]:
        def check(answer: Any) -> None:
            del answer
            left = sorted(path.name for path in self.targets.iterdir())
            if left != sorted(source.name for source in self.sources):
                raise WrongAnswer(f"{who} left {left}")
            for source, target in self.pairs:
                same = target.stat().st_size == self.size if who == "fio-copy" else _equal(source, target)
                if not same:
                    raise WrongAnswer(f"{who}: {target.name} is not its source")

        return check


def _equal(one: Path, other: Path) -> bool:
    with open(one, "rb", buffering=0) as a, open(other, "rb", buffering=0) as b:
        while True:
            piece = a.read(_PIECE)
            if piece != b.read(_PIECE):
                return False
            if not piece:
                return True


def _ours(work: _Work, checksum: bool, stack: contextlib.ExitStack) -> Iterator[Peer]:
    transfers = [
        windlass.Transfer(source, target, checksum="xxh3" if checksum else None) for source, target in work.pairs
    ]
    yield Peer("windlass:inproc", lambda: windlass.stage(transfers))
    try:
        node = stack.enter_context(windlass.LocalNode(config={"stage.roots": [str(work.top)]}))
    except windlass.WindlassError as error:
        yield Peer("windlass:ipc", absent=f"no daemon: {error}")
        return
    client = stack.enter_context(node.client())
    yield Peer("windlass:ipc", lambda: client.stage(transfers), pids=[node.pid])


def _peers(work: _Work, checksum: bool) -> Iterator[Peer]:
    library = copies.xxh3_library() if checksum else None
    if checksum and library is None:
        why = "no libxxhash to take checksums with"
        yield from (Peer(who, absent=why) for who in (*copies.PEERS, "fio-copy", "glommio"))
        return
    for who, copy in copies.PEERS.items():
        program = copies.PROGRAMS.get(who)
        if program is not None and shutil.which(program) is None:
            yield Peer(who, absent=f"no {program} program")
            continue
        yield Peer(who, _copier(copy, work, library))
    yield _fio(work, checksum)
    yield _glommio(work, checksum)


def _glommio(work: _Work, checksum: bool) -> Peer:
    program = copies.GLOMMIO_COPY
    if not program.exists():
        return Peer("glommio", absent="benchmarks/build_peers did not build it: it needs cargo")
    command = [str(program), *(["--xxh3"] if checksum else []), *(str(path) for pair in work.pairs for path in pair)]
    return Peer("glommio", lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))


def _copier(copy: Callable[[Path, Path], None], work: _Work, library: ctypes.CDLL | None) -> Callable[[], None]:
    def run() -> None:
        for source, target in work.pairs:
            part = target.with_name(f".{target.name}.part")
            copy(source, part)
            copies.sync(part)
            if library is not None:
                copies.xxh3(library, part)
            os.rename(part, target)

    return run


def _fio(work: _Work, checksum: bool) -> Peer:
    if shutil.which("fio") is None:
        return Peer("fio-copy", absent="no fio program")
    if checksum:
        return Peer("fio-copy", absent="fio moves bytes without looking at them")
    command = copies.fio_command(work.pairs, work.size)
    return Peer("fio-copy", lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))
