"""How long does it take to match N tasks to M offers, from the caller's records to the caller's dict?

Cases are written `10Kx2K` or `200x100`. Every peer gets the same records and pays for what it makes of them. Ours is
`windlass:FORM:PATH`; its answer must be that of `windlass.legacy` to the last task. The peers work in floats and must
agree with one another; how many of their placements are the exact ones is the column `exact_share`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import windlass

from benchmarks import shapes
from benchmarks.harness import Peer, Row, WrongAnswer, measure
from benchmarks.peers import arrays, fenzo, loop

UNIT, BETTER = "s", "less"
CASES = ("10Kx2K", "20Kx20K")
QUICK_CASES = CASES
ROUNDS = 5
SEED = 20
FORMS = ("objects", "mappings", "columns")
PATHS = ("inproc", "ipc", "tcp")
_SLOW_PAIRS = 100_000_000  # pairs of task and offer above which the plain loops take more than 30 s
_SMALL_PAIRS = 20_000_000
_FENZO_PAIRS = 1_000_000


def parse_case(case: str) -> tuple[int, int]:
    """`10Kx2K` -> (10000, 2000)."""
    found = re.fullmatch(r"(\d+)(K?)x(\d+)(K?)", case)
    if not found:
        raise ValueError(f"case {case!r}: expected TASKSxOFFERS, such as 10Kx2K or 200x100")
    tasks, tasks_unit, offers, offers_unit = found.groups()
    return int(tasks) * (1000 if tasks_unit else 1), int(offers) * (1000 if offers_unit else 1)


def run(
    case: str, *, rounds: int, quick: bool, who: list[str] | None, folder: Path | None, say: Callable[[str], None]
) -> list[Row]:
    del folder
    tasks, offers = (
        make(count, SEED) for make, count in zip((shapes.tasks, shapes.offers), parse_case(case), strict=True)
    )
    say(f"{case}: the oracle")
    exact = windlass.legacy.match_tasks_to_offers(tasks, offers)
    with contextlib.ExitStack() as stack:
        peers = [
            *_ours(tasks, offers, exact, stack),
            *_peers(tasks, offers, quick),
            _fenzo(tasks, offers, quick, stack),
        ]
        if who:
            peers = [peer for peer in peers if peer.who.startswith(tuple(who))]
        told = _compare_floats(peers)
        rows = measure(case, peers, rounds, say)
    for row in rows:
        row["digest"] = digest(exact)
        if row["who"] in told:
            row["exact_share"] = _share(told[row["who"]], exact)
    return rows


def digest(placed: dict[Any, Any]) -> str:
    """Of {offer: task}, whatever the order: the same for the same placements."""
    pairs = "\n".join(sorted(f"{offer}\t{task}" for offer, task in placed.items()))
    return hashlib.sha256(pairs.encode()).hexdigest()[:16]


def _share(placed: dict[str, str], exact: dict[str, str]) -> float:
    same = sum(1 for offer, task in exact.items() if placed.get(offer) == task)
    return same / max(1, len(exact))


def _ours(tasks: list[Row], offers: list[Row], exact: dict[str, str], stack: contextlib.ExitStack) -> Iterator[Peer]:
    forms = {
        "objects": (loop.rows(tasks), loop.rows(offers), {"dimensions": list(shapes.DIMENSIONS)}),
        "mappings": (tasks, offers, {}),
        "columns": (shapes.columns(tasks), shapes.columns(offers), {}),
    }
    paths, pids = _paths(stack)
    for path in PATHS:
        for form in FORMS:
            name = f"windlass:{form}:{path}"
            if isinstance(paths[path], str):
                yield Peer(name, absent=paths[path])
                continue
            yield Peer(
                name, _call(paths[path], *forms[form]), _checker(name, exact), pids=() if path == "inproc" else pids
            )


def _paths(stack: contextlib.ExitStack) -> tuple[dict[str, Any], list[int]]:
    """By path a function like `match_tasks_to_offers`, or why there is none; and the daemon's pid."""
    here = windlass.match_tasks_to_offers
    inproc = here if _answers(here) else "no libwindlass: make build"
    try:
        node = stack.enter_context(windlass.LocalNode(config={"local.listen": "127.0.0.1:0"}))
    except windlass.WindlassError as error:
        return {"inproc": inproc, "ipc": f"no daemon: {error}", "tcp": f"no daemon: {error}"}, []
    ipc = stack.enter_context(node.client())
    tcp = stack.enter_context(windlass.Client(node.tcp_address))
    return {"inproc": inproc, "ipc": ipc.match_tasks_to_offers, "tcp": tcp.match_tasks_to_offers}, [node.pid]


def _answers(match: Any) -> bool:
    """False where `windlass.legacy` answered in its place."""
    before = _fallbacks()
    match([{"name": 0, "cpu": 1}], [{"name": 0, "cpu": 1}])
    return _fallbacks() == before


def _fallbacks() -> int:
    return windlass.stats()["fallbacks"]["match"]


def _call(match: Any, tasks: Any, offers: Any, options: dict[str, Any]) -> Callable[[], dict[str, str]]:
    return lambda: match(tasks, offers, **options)


def _checker(who: str, exact: dict[str, str]) -> Callable[[dict[str, str]], None]:
    before = _fallbacks()

    def check(placed: dict[str, str]) -> None:
        if _fallbacks() != before:
            raise WrongAnswer(f"{who}: windlass.legacy answered in its place")
        if digest(placed) != digest(exact):
            raise WrongAnswer(f"{who}: {_share(placed, exact):.2%} of the placements are those of windlass.legacy")

    return check


def _peers(tasks: list[Row], offers: list[Row], quick: bool) -> Iterator[Peer]:
    weights = dict.fromkeys(shapes.DIMENSIONS, 1.0)
    task_rows, offer_rows = loop.rows(tasks), loop.rows(offers)
    cores = len(os.sched_getaffinity(0))
    pairs = len(tasks) * len(offers)
    slow = "takes more than 30 s, left out by --quick" if quick and pairs > _SLOW_PAIRS else None
    large = "for the small case only: every task pays for sending all offers" if pairs > _SMALL_PAIRS else None
    yield Peer("python", lambda: loop.match_mappings(tasks, offers, weights), absent=slow)
    yield Peer("python-slots", lambda: loop.match_slots(task_rows, offer_rows, weights), absent=slow)
    yield Peer("python-threads", lambda: loop.match_threads(task_rows, offer_rows, weights, cores), absent=slow)
    yield Peer("python-processes", lambda: loop.match_processes(task_rows, offer_rows, weights, cores), absent=large)
    yield Peer("numpy", lambda: arrays.match_numpy(tasks, offers, weights))
    yield _numba(tasks, offers, weights)
    yield from _rust(tasks, offers, task_rows, offer_rows, weights)


def _numba(tasks: list[Row], offers: list[Row], weights: dict[str, float]) -> Peer:
    try:
        match = arrays.numba_matcher()
    except ImportError:
        return Peer("numba", absent="numba is not installed")
    match(tasks[:1], offers[:1], weights)  # compiles
    return Peer("numba", lambda: match(tasks, offers, weights))


def _rust(tasks: Any, offers: Any, task_rows: Any, offer_rows: Any, weights: dict[str, float]) -> Iterator[Peer]:
    try:
        import windlass_rust_twins as twins
    except ImportError:
        why = "not built: benchmarks/build_peers needs cargo"
        yield from (Peer(who, absent=why) for who in ("rust", "rust-flat", "rust-rayon"))
        return
    pairs = list(weights.items())
    flat = tuple(weights[dim] for dim in ("cpu", "memory", "gpu"))
    yield Peer("rust", lambda: twins.match_maps(tasks, offers, pairs))
    yield Peer("rust-flat", lambda: twins.match_flat(task_rows, offer_rows, flat))
    yield Peer("rust-rayon", lambda: twins.match_rayon(task_rows, offer_rows, flat))


def _fenzo(tasks: list[Row], offers: list[Row], quick: bool, stack: contextlib.ExitStack) -> Peer:
    """The process begins with the peer's first run, so that nobody waits for it who did not ask for it."""
    if fenzo.ABSENT or (quick and len(tasks) * len(offers) > _FENZO_PAIRS):
        return Peer("fenzo", absent=fenzo.ABSENT or "takes minutes, left out by --quick")
    begun: list[fenzo.Fenzo] = []
    pids: list[int] = []

    def before() -> None:
        if not begun:
            begun.append(stack.enter_context(fenzo.opened(tasks, offers)))
            pids.append(begun[0].pid)

    def check(placed: dict[str, str]) -> None:
        if not placed:
            raise WrongAnswer("fenzo places nothing")
        free = {offer["name"]: offer["resources"] for offer in offers}
        asked = {task["name"]: task["resources"] for task in tasks}
        for offer, task in placed.items():
            if any(asked[task][dim] > free[offer][dim] + 1e-6 for dim in shapes.DIMENSIONS):
                raise WrongAnswer(f"fenzo puts {task} on {offer}, which is too small")

    return Peer("fenzo", lambda: begun[0].match(), check, before=before, pids=pids)


def _compare_floats(peers: list[Peer]) -> dict[str, dict[str, str]]:
    """Lets each float peer's answer be checked against the first float peer's; answers what each said, by name."""
    told: dict[str, dict[str, str]] = {}

    def checker(who: str) -> Callable[[dict[str, str]], None]:
        def check(placed: dict[str, str]) -> None:
            first = next((known for known in told if known != "fenzo"), who)
            told[who] = placed
            if digest(placed) != digest(told[first]):
                raise WrongAnswer(f"{who} differs from {first}, and both are the same loop in floats")

        return check

    for peer in peers:
        if peer.absent is None and peer.who == "fenzo":  # its own order of ties, and no digest to hold it to
            peer.check = _both(peer.check, lambda placed: told.update(fenzo=placed))
        elif peer.absent is None and not peer.who.startswith("windlass"):
            peer.check = checker(peer.who)
    return told


def _both(
    first: Callable[[dict[str, str]], None], second: Callable[[dict[str, str]], None]
) -> Callable[[dict[str, str]], None]:
    def check(placed: dict[str, str]) -> None:
        first(placed)
        second(placed)

    return check
