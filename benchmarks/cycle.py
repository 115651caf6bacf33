"""How long does one loop of a scheduler take: get offers, get tasks, match, prepare payloads?

A case is `NODESxTASKSxOFFERS`. Nodes are daemons on this machine, payloads are real files of it, cold before each run.
There is one row per step and peer, and one for the whole loop. Ours and `legacy` must place as `windlass.legacy`, and
every staged file must have the digest of its source. `python` is the loop that teams have today; it syncs nothing, the
others do.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import windlass

from benchmarks import shapes
from benchmarks.harness import Peer, Row, WrongAnswer, measure
from benchmarks.match import digest
from examples.cluster_cycle import cycle, files, inputs, today
from examples.cluster_cycle.cluster import wait_for

UNIT, BETTER = "s per step", "less"
CASES = ("3x20Kx20K",)
QUICK_CASES = ("3x2Kx2K",)
ROUNDS = 3
STEPS = ("get offers", "get tasks", "match", "prepare payloads")
_SEED = 3
_MANY = 10_000  # tasks from which on the payloads are 300 files


def parse_case(case: str) -> tuple[int, int, int]:
    """`3x20Kx20K` -> (3, 20000, 20000)."""
    found = re.fullmatch(r"(\d+)x(\d+K?)x(\d+K?)", case)
    if not found or found[1] == "0":
        raise ValueError(f"case {case!r}: expected NODESxTASKSxOFFERS, such as 3x20Kx20K")
    nodes, tasks, offers = (
        int(word.removesuffix("K")) * (1000 if word.endswith("K") else 1) for word in found.groups()
    )
    return nodes, tasks, offers


def run(
    case: str, *, rounds: int, quick: bool, who: list[str] | None, folder: Path | None, say: Callable[[str], None]
) -> list[Row]:
    nodes, tasks, offers = parse_case(case)
    with contextlib.ExitStack() as stack:
        top = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="windlass-bench-", dir=folder)))
        say(f"{case}: the oracle")
        work = _Work(top, nodes, tasks, offers)
        slow = "takes more than 30 s, left out by --quick" if quick and tasks * offers > 100_000_000 else None
        peers = [
            Peer("legacy", lambda: work.steps(work.offers_today, _match_legacy, work.stage_legacy)),
            Peer("python", lambda: work.steps(work.offers_today, _match_python, work.stage_python), absent=slow),
        ]
        peers = [_ours(work, stack), *peers]
        if who:
            peers = [peer for peer in peers if peer.who.startswith(tuple(who))]
        timings: dict[str, list[dict[str, float]]] = {}
        for peer in peers:
            peer.before, peer.after = work.cold, work.clear
            peer.check = work.checker(peer.who, timings)
        rows = measure(case, peers, rounds, say)
    return [part for row in rows for part in _parts(row, timings)]


def _parts(row: Row, timings: dict[str, list[dict[str, float]]]) -> list[Row]:
    if "absent" in row:
        return [row]
    parts = []
    for step in STEPS:
        seconds = [run[step] for run in timings[row["who"]]]
        figures = {"median": statistics.median(seconds), "min": min(seconds), "max": max(seconds)}
        parts.append({**row, "step": step, **figures})
        del parts[-1]["cpu_s"]
    return [*parts, {**row, "step": "whole loop"}]


class _Work:
    """Inputs, expected answers, and what happens between runs."""

    def __init__(self, top: Path, nodes: int, tasks: int, offers: int) -> None:
        self.top = top
        self.nodes = [f"node-{number + 1}" for number in range(nodes)]
        self.tasks_file = top / "tasks.csv"
        inputs.write_csv(self.tasks_file, shapes.tasks(tasks, _SEED))
        self.offer_files, _ = inputs.write_node_offers(shapes.offers(offers, _SEED), self.nodes, top)
        count, bytes_max = (300, 400 << 20) if tasks >= _MANY else (24, 64 << 20)
        self.sources = files.choose(count, bytes_max)
        self.digests = {source: files.digest(source) for source in self.sources}
        self.exact = windlass.legacy.match_tasks_to_offers(cycle.get_tasks(self.tasks_file), self.offers_today())
        self.targets = top / "targets"

    def offers_today(self) -> list[Row]:
        return today.get_offers(self.offer_files)

    def steps(self, get_offers: Any, match: Any, stage: Any) -> tuple[dict[str, str], list[Any], dict[str, float]]:
        """One loop; answers the placements, the payloads and the seconds by step."""
        seconds: dict[str, float] = {}

        def timed(step: str, work: Callable[[], Any]) -> Any:
            begin = time.perf_counter()
            answer = work()
            seconds[step] = time.perf_counter() - begin
            return answer

        offers = timed("get offers", get_offers)
        tasks = timed("get tasks", lambda: cycle.get_tasks(self.tasks_file))
        placed = timed("match", lambda: match(tasks, offers))
        wanted = cycle.payloads(placed, self.sources, self.digests, self.targets)
        timed("prepare payloads", lambda: stage(wanted))
        return placed, wanted, seconds

    def stage_legacy(self, wanted: list[cycle.Payload]) -> None:
        windlass.legacy.stage([windlass.Transfer(item.source, item.target) for item in wanted])

    def stage_python(self, wanted: list[cycle.Payload]) -> None:
        today.stage([(item.source, item.target) for item in wanted], synced=False)

    def cold(self) -> None:
        files.forget(self.sources)

    def clear(self) -> None:
        shutil.rmtree(self.targets, ignore_errors=True)

    def checker(self, who: str, timings: dict[str, list[dict[str, float]]]) -> Callable[[Any], None]:
        def check(answer: Any) -> None:
            placed, wanted, seconds = answer
            if who != "python" and digest(placed) != digest(self.exact):
                raise WrongAnswer(f"{who} places otherwise than windlass.legacy")
            for item in wanted:
                if files.digest(item.target) != item.digest:
                    raise WrongAnswer(f"{who}: {item.target} is not {item.source}")
            timings.setdefault(who, []).append(seconds)

        return check


def _match_legacy(tasks: list[Row], offers: list[Row]) -> dict[str, str]:
    return windlass.legacy.match_tasks_to_offers(tasks, offers)


def _match_python(tasks: list[Row], offers: list[Row]) -> dict[str, str]:
    return today.match(tasks, offers, float("inf"), lambda done, total: None)


def _ours(work: _Work, stack: contextlib.ExitStack) -> Peer:
    """A daemon per node that dials the bridge in this process, and one that matches."""
    bridge = stack.enter_context(windlass.Bridge("tcp://127.0.0.1:0"))
    roots = [root for root in files.ROOTS if Path(root).is_dir()]
    daemons = []
    try:
        for node in work.nodes:
            config = {
                "node.name": node,
                "bridge.address": bridge.address,
                "offers.file": str(work.offer_files[node]),
                "stage.roots": [*roots, str(work.top)],
            }
            daemons.append(stack.enter_context(windlass.LocalNode(config=config)))
        daemons.append(stack.enter_context(windlass.LocalNode()))
    except windlass.WindlassError as error:
        return Peer("windlass", absent=f"no daemon: {error}")
    client = stack.enter_context(daemons[-1].client())
    offers = len(work.offers_today())
    wait_for("the nodes to report their offers", lambda: len(bridge.offers()) == offers)

    def stage(wanted: list[cycle.Payload]) -> None:
        cycle.stage(bridge, wanted, cycle.Cycle(), lambda done, total: None)

    def loop() -> Any:
        return work.steps(
            lambda: cycle.get_offers(bridge), lambda tasks, offers: cycle.match(client, tasks, offers), stage
        )

    return Peer("windlass", loop, pids=[daemon.pid for daemon in daemons if daemon.pid])
