"""How fast does a Python thread go on while another one matches?

A thread counts; a row is its counts per millisecond. Cases are what the main thread does meanwhile: nothing (`idle`),
wait for native code that burns one core without the GIL (`busy`), match in this process (`inproc`), or by the daemon
(`ipc`). A run is many short windows, of the case and of `busy` in turn, and `share_of_busy` is the median of the ratios
of neighbours: how fast a machine counts changes from second to second. `ran_of_busy` compares likewise what part of the
time the counter was on a processor at all, which is what a GIL that is held takes from it; the rest of the difference
is what two threads at work take from each other in caches and shared cores. Peers match in this process: the plain loop
(`python`), and the loop in Rust that holds the GIL (`rust-gil`) or releases it.
"""

from __future__ import annotations

import contextlib
import hashlib
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import windlass

from benchmarks import columns, shapes
from benchmarks.harness import Peer, Row, WrongAnswer, measure
from benchmarks.match_scale import expected
from benchmarks.peers import loop
from benchmarks.scale_worker import digest

UNIT, BETTER = "counts/ms", "more"
CASES = ("idle", "busy", "inproc", "ipc")
QUICK_CASES = CASES
ROUNDS = 5
SEED = 20
WINDOW_S = 0.3  # how long a window is at least
WINDOWS = 9  # of the case in a run, with one more of `busy`
_BURN_S = 0.1  # one piece of native work

Work = Callable[[], None]


class Counted(NamedTuple):
    """What the counter came to in a window: counts per ms, and the part of the time that it ran."""

    rate: float
    ran: float


def parse_case(case: str) -> str:
    if case not in CASES:
        raise ValueError(f"case {case!r}: expected one of {', '.join(CASES)}")
    return case


def run(
    case: str, *, rounds: int, quick: bool, who: list[str] | None, folder: Path | None, say: Callable[[str], None]
) -> list[Row]:
    del folder
    burn = burner()
    found: dict[str, list[list[Counted]]] = {}
    with contextlib.ExitStack() as stack:
        peers = []
        for peer, work in _works(case, burn, quick, stack):
            if who and not peer.who.startswith(tuple(who)):
                continue
            if peer.absent is None:
                peer.run = _run(work, burn)
                peer.check = found.setdefault(peer.who, []).append
            peers.append(peer)
        rows = measure(case, peers, rounds, say)
    for row in rows:
        if "absent" not in row:
            windows = [window for run in found[row["who"]] for window in run[1::2]]
            rates = [window.rate for window in windows]
            row.update(median=statistics.median(rates), min=min(rates), max=max(rates))
            row["ran"] = statistics.median(window.ran for window in windows)
            row["share_of_busy"] = _share(found[row["who"]], 0)
            row["ran_of_busy"] = _share(found[row["who"]], 1)
    return rows


def _share(runs: list[list[Counted]], which: int) -> float:
    """The median of the windows' ratios to those of `busy` before and after them."""
    ratios = []
    for run in runs:
        told = [window[which] for window in run]
        ratios += [2 * told[at] / (told[at - 1] + told[at + 1]) for at in range(1, len(told), 2)]
    return statistics.median(ratios)


def _run(work: Work, burn: Work) -> Callable[[], list[Counted]]:
    """Windows of `busy` and of the case in turn; the first and the last are of `busy`."""

    def measured() -> list[Counted]:
        found = [count_beside(burn)]
        for _ in range(WINDOWS):
            found += [count_beside(work), count_beside(burn)]
        return found

    return measured


def count_beside(work: Work, window: float | None = None) -> Counted:
    """What a thread counts while `work` is done, again and again until the window is over."""
    counted, ran, stop = [0], [0.0], [False]

    def count() -> None:
        while not stop[0]:
            counted[0] += 1
        ran[0] = time.thread_time()

    counter = threading.Thread(target=count)
    begin = time.perf_counter()
    counter.start()
    try:
        while time.perf_counter() - begin < (WINDOW_S if window is None else window):
            work()
    finally:
        stop[0] = True
        counter.join()
    took = time.perf_counter() - begin
    return Counted(counted[0] / took / 1000, ran[0] / took)


def burner() -> Work:
    """Native work of about `_BURN_S` that holds no GIL: a key derived by many rounds of SHA-256."""
    rounds = 20_000
    begin = time.perf_counter()
    hashlib.pbkdf2_hmac("sha256", b"w", b"w", rounds)
    rounds = max(1, int(rounds * _BURN_S / (time.perf_counter() - begin)))

    def burn() -> None:
        hashlib.pbkdf2_hmac("sha256", b"w", b"w", rounds)

    return burn


def _works(case: str, burn: Work, quick: bool, stack: contextlib.ExitStack) -> Iterator[tuple[Peer, Work]]:
    if case == "idle":
        yield Peer("windlass"), lambda: time.sleep(_BURN_S)
    elif case == "busy":
        yield Peer("windlass"), burn
    elif case == "inproc":
        yield Peer("windlass"), _ours(windlass.match, quick)
        yield from _peers(quick)
    else:
        try:
            node = stack.enter_context(windlass.LocalNode())
        except windlass.WindlassError as error:
            yield Peer("windlass", absent=f"no daemon: {error}"), burn
            return
        client = stack.enter_context(node.client())
        yield Peer("windlass", pids=[node.pid] if node.pid else []), _ours(client.match, quick)


def _ours(match: Any, quick: bool) -> Work:
    """Matches columns; the answer is checked once, before it is measured."""
    size, count = ("20Kx20K", 20_000) if quick else ("100Kx100K", 100_000)
    tasks, offers = columns.make("continuous", count, count, SEED)
    if digest(match(tasks, offers)) != expected(f"{size}:continuous"):
        raise WrongAnswer("windlass answers otherwise than the scalar engine")
    return lambda: match(tasks, offers)


def _peers(quick: bool) -> Iterator[tuple[Peer, Work]]:
    count = 2_000 if quick else 20_000
    tasks, offers = shapes.tasks(count, SEED), shapes.offers(count, SEED)
    weights = dict.fromkeys(shapes.DIMENSIONS, 1.0)
    few = tasks[:1000], offers[:1000]
    yield Peer("python"), lambda: _drop(loop.match_mappings(*few, weights))
    try:
        import windlass_rust_twins as twins
    except ImportError:
        why = "not built: benchmarks/build_peers needs cargo"
        yield from ((Peer(name, absent=why), time.time) for name in ("rust-gil", "rust-released"))  # type: ignore[misc]
        return
    rows, flat = (loop.rows(tasks), loop.rows(offers)), tuple(weights.values())
    yield Peer("rust-gil"), lambda: _drop(twins.match_flat_gil(*rows, flat))
    yield Peer("rust-released"), lambda: _drop(twins.match_flat(*rows, flat))


def _drop(answer: object) -> None:
    del answer
