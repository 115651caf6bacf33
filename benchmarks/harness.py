"""What all benchmarks share: rounds in which the peers take turns, checked answers, rows.

A `Peer` is one way to answer a case's question. Each round runs every peer once, in an order that turns from round to
round; a peer whose first run took more than 30 s is not run again. Times are wall seconds by the monotonic clock; CPU
seconds are this process's, its ended children's, and those of the processes named in `Peer.pids`.
"""

from __future__ import annotations

import gc
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ONCE_ABOVE_S = 30.0
Row = dict[str, Any]


class WrongAnswer(Exception):
    """A peer's answer is not the oracle's: an error, not a fast one."""


class CannotRun(Exception):
    """The machine lacks what the case needs; the message says what."""


@dataclass
class Peer:
    """`run` is timed, `check` raises WrongAnswer, `before` and `after` are not timed."""

    who: str
    run: Callable[[], Any] = lambda: None
    check: Callable[[Any], None] = lambda answer: None
    before: Callable[[], None] = lambda: None
    after: Callable[[], None] = lambda: None
    pids: Iterable[int] = ()
    absent: str | None = None
    once: bool = False


@dataclass
class _Runs:
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def measure(case: str, peers: list[Peer], rounds: int, say: Callable[[str], None] | None = None) -> list[Row]:
    """One row per peer, in the order given."""
    tell = say or (lambda text: None)
    runs = {peer.who: _Runs() for peer in peers}
    present = [peer for peer in peers if peer.absent is None]
    for turn in range(rounds):
        shift = turn % max(1, len(present))
        for peer in present[shift:] + present[:shift]:
            had = runs[peer.who].wall
            if had and (peer.once or had[0] > ONCE_ABOVE_S):
                continue
            tell(f"{case}: round {turn + 1} of {rounds}, {peer.who}")
            _one(peer, runs[peer.who])
    return [_row(case, peer, runs[peer.who]) for peer in peers]


def _one(peer: Peer, runs: _Runs) -> None:
    peer.before()
    try:
        gc.collect()
        cpu = _cpu_seconds(peer.pids)
        begin = time.perf_counter()
        answer = peer.run()
        runs.wall.append(time.perf_counter() - begin)
        runs.cpu.append(_cpu_seconds(peer.pids) - cpu)
        peer.check(answer)
    finally:
        peer.after()


def _row(case: str, peer: Peer, runs: _Runs) -> Row:
    if peer.absent is not None:
        return {"case": case, "who": peer.who, "absent": peer.absent}
    return {
        "case": case,
        "who": peer.who,
        "median": statistics.median(runs.wall),
        "min": min(runs.wall),
        "max": max(runs.wall),
        "runs": len(runs.wall),
        "cpu_s": statistics.median(runs.cpu),
    }


def rates(row: Row, amount: float, unit: float) -> Row:
    """Turns a row of seconds into one of `amount / unit` per second; the CPU seconds stay."""
    if "absent" in row:
        return row
    scale = amount / unit
    return {
        **row,
        "median": scale / row["median"],
        "min": scale / row["max"],
        "max": scale / row["min"],
        "seconds": row["median"],
    }


def _cpu_seconds(pids: Iterable[int]) -> float:
    total = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        used = resource.getrusage(who)
        total += used.ru_utime + used.ru_stime
    return total + sum(process_cpu_seconds(pid) for pid in pids)


def process_cpu_seconds(pid: int) -> float:
    """User and system time of a running process, from its /proc/PID/stat; 0 where it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    cpu = ""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                cpu = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": os.uname().release,
        "python": sys.version.split()[0],
        "load_average": os.getloadavg()[0],
    }


def commit() -> str:
    """The checkout's commit, with a plus sign where files differ from it; "unknown" outside a checkout."""
    root = Path(__file__).resolve().parent.parent
    try:
        head = _git(root, "rev-parse", "--short=12", "HEAD")
        return head + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()
