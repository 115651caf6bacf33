"""The four steps as the loops that teams have today do them, in plain Python."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.peers import copies, loop

Record = dict[str, Any]
Pair = tuple[Path, Path]


class Stopped(Exception):
    """The plain loop took longer than it was given; `share` of the tasks were done."""

    def __init__(self, share: float) -> None:
        super().__init__(f"stopped at {share:.0%}")
        self.share = share


def get_offers(files: dict[str, Path]) -> list[Record]:
    """Asks each node in turn; here a node's answer is the file that its daemon reports from."""
    offers = []
    for path in files.values():
        offers += json.loads(path.read_text())
    return offers


def match(
    tasks: list[Record], offers: list[Record], budget_s: float, progress: Callable[[int, int], None]
) -> dict[str, str]:
    """{offer: task} by the nested loop in floats. Raises Stopped once `budget_s` is over."""
    dimensions = sorted({dim for record in [*tasks, *offers] for dim in record["resources"]})
    end = time.monotonic() + budget_s

    def look(done: int, total: int) -> None:
        progress(done, total)
        if time.monotonic() > end:
            raise Stopped(done / total)

    full_tasks, full_offers = _complete(tasks, dimensions), _complete(offers, dimensions)
    return loop.match_mappings(full_tasks, full_offers, dict.fromkeys(dimensions, 1.0), look)


def _complete(records: list[Record], dimensions: list[str]) -> list[Record]:
    blank = dict.fromkeys(dimensions, 0.0)
    return [{"name": record["name"], "resources": {**blank, **record["resources"]}} for record in records]


def stage(pairs: list[Pair], synced: bool) -> None:
    """One file after another through a buffer of 16 MiB; `synced` also waits until each is on the disk."""
    for source, target in pairs:
        target.parent.mkdir(parents=True, exist_ok=True)
        copies.python_16mib(source, target)
        if synced:
            copies.sync(target)
