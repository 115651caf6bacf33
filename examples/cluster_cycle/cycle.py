"""The scheduler's loop of four steps with Windlass: get offers, get tasks, match, prepare payloads."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import windlass

from . import files, inputs
from .cluster import wait_for

Record = dict[str, Any]
Progress = Callable[[float, float], None]


@dataclass
class Event:
    """Something on the timeline; times are time.time()."""

    lane: str
    name: str
    begin: float
    end: float


@dataclass(frozen=True)
class Payload:
    """One file that a task needs on its node, and the digest that it must have there."""

    task: str
    node: str
    source: Path
    target: Path
    digest: str


@dataclass
class Cycle:
    """What a run of the loop leaves behind."""

    events: list[Event] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    offers: list[Record] = field(default_factory=list)
    tasks: list[Record] = field(default_factory=list)
    placed: dict[str, str] = field(default_factory=dict)  # offer -> task
    staged_again: int = 0
    unavailable: int = 0
    torn: int = 0

    def timed(self, step: str, work: Callable[[], Any]) -> Any:
        begin = time.time()
        tick = time.perf_counter()
        answer = work()
        self.seconds[step] = time.perf_counter() - tick
        self.events.append(Event("scheduler loop", step, begin, time.time()))
        return answer


def get_offers(bridge: windlass.Bridge) -> list[Record]:
    """The live offers, as the nodes last reported them."""
    return bridge.offers()


def get_tasks(path: Path) -> list[Record]:
    return inputs.read_csv(path)


def match(client: windlass.Client, tasks: list[Record], offers: list[Record]) -> dict[str, str]:
    """{offer: task}, by the daemon beside the scheduler."""
    placed: dict[str, str] = client.match_tasks_to_offers(tasks, offers)
    return placed


def payloads(placed: dict[str, str], sources: list[Path], digests: dict[Path, str], folder: Path) -> list[Payload]:
    """Gives one file to each of the first placed tasks, dealt out in turn to the tasks of each node."""
    by_node: dict[str, list[str]] = {}
    for offer, task in placed.items():
        by_node.setdefault(offer.partition("/")[0], []).append(task)
    nodes = sorted(by_node)
    given: list[Payload] = []
    for turn, source in enumerate(sources):
        nodes = [node for node in nodes if by_node[node]]
        if not nodes:
            break
        node = nodes[turn % len(nodes)]
        target = folder / node / "inputs" / f"{turn:04d}-{source.name}"
        given.append(Payload(by_node[node].pop(0), node, source, target, digests[source]))
    return given


def size_of(items: list[Payload]) -> int:
    return sum(item.source.stat().st_size for item in items)


def stage(bridge: windlass.Bridge, wanted: list[Payload], cycle: Cycle, progress: Progress) -> None:
    """Stages every node's files at once. What a node's death cut short is staged again once the node is back."""
    total = size_of(wanted)
    left = wanted
    while left:
        before = total - size_of(left)
        by_node = {node: [item for item in left if item.node == node] for node in sorted({item.node for item in left})}
        running = {node: _submit(bridge, node, items, cycle) for node, items in by_node.items()}
        while not all(future.wait(0.02) for future in running.values()):
            progress(before + sum(future.progress().bytes for future in running.values()), total)
        left = [item for node, items in by_node.items() for item in _ended(running[node], items, cycle)]
        cycle.staged_again += len(left)


def _submit(bridge: windlass.Bridge, node: str, items: list[Payload], cycle: Cycle) -> windlass.StageFuture:
    """Waits for the node to be there; a node that goes away while it is asked is asked again."""
    transfers = [windlass.Transfer(item.source, item.target) for item in items]
    begin = time.time()

    def accepted() -> windlass.StageFuture | None:
        try:
            return bridge.submit_stage(node, transfers) if is_alive(bridge, node) else None
        except windlass.StageError as error:
            if error.code != windlass.Code.UNAVAILABLE:
                raise
            return None

    def ended(_: Any) -> None:
        cycle.events.append(Event(node, "prepare payloads", begin, time.time()))

    future: windlass.StageFuture = wait_for(f"{node} to take {len(items)} files", accepted)
    future.add_done_callback(ended)
    return future


def is_alive(bridge: windlass.Bridge, node: str) -> bool:
    record = bridge.nodes().get(node)
    return record is not None and record["state"] == "alive"


def _ended(future: windlass.StageFuture, items: list[Payload], cycle: Cycle) -> list[Payload]:
    """What has to be staged again; raises whatever is no UNAVAILABLE."""
    error = future.exception()
    if error is None:
        return []
    if not isinstance(error, windlass.StageError) or error.code != windlass.Code.UNAVAILABLE:
        raise error
    cycle.unavailable += 1
    cycle.torn += len(files.torn([(item.target, item.digest) for item in items]))
    if future.report is not None:
        return [item for item, end in zip(items, future.report.transfers, strict=True) if end.state != "done"]
    return items
