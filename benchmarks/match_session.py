"""What does a session save when few offers change and few tasks come?

A case is `SHARE%ofOFFERS+TASKS`. A run of `windlass` sends the changed offers to its session and matches the tasks
there; a run of `scratch` matches them against all offers as columns. Both must place alike. Between runs the tasks are
released.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import windlass

from benchmarks import columns, shapes
from benchmarks.harness import Peer, Row, WrongAnswer, measure

UNIT, BETTER = "s", "less"
CASES = ("1%of100K+1K",)
QUICK_CASES = ("1%of20K+200",)
ROUNDS = 5
SEED = 20


def parse_case(case: str) -> tuple[int, int, int]:
    """`1%of100K+1K` -> (1000 changed offers, 100000 offers, 1000 tasks)."""
    found = re.fullmatch(r"(\d+)%of(\d+)(K?)\+(\d+)(K?)", case)
    if not found or not 0 < int(found[1]) <= 100:
        raise ValueError(f"case {case!r}: expected SHARE%ofOFFERS+TASKS, such as 1%of100K+1K")
    offers, tasks = (int(number) * (1000 if unit else 1) for number, unit in (found.groups()[1:3], found.groups()[3:5]))
    return offers * int(found[1]) // 100, offers, tasks


def run(
    case: str, *, rounds: int, quick: bool, who: list[str] | None, folder: Path | None, say: Callable[[str], None]
) -> list[Row]:
    del quick, folder
    say(f"{case}: the session begins")
    work = _Work(*parse_case(case))
    with work.session:
        peers = [
            Peer("windlass", work.by_session, work.check_session, before=work.change, after=work.release),
            Peer("scratch", work.by_scratch, work.check_scratch),
        ]
        if who:
            peers = [peer for peer in peers if peer.who.startswith(tuple(who))]
        return measure(case, peers, rounds, say)


class _Work:
    """The offers as both see them."""

    def __init__(self, changed: int, offers: int, tasks: int) -> None:
        self.offers = {"name": list(range(offers)), **columns.make("continuous", 1, offers, SEED)[1]}
        self.tasks = {"name": list(range(tasks)), **columns.make("continuous", tasks, 1, SEED)[0]}
        self.scale = {dim: float(self.offers[dim].max()) for dim in shapes.DIMENSIONS}
        self.draw = np.random.RandomState(SEED + 1)
        self.changed = changed
        self.changes: dict[str, Any] = {}
        self.session = windlass.Session(self.offers, scale=self.scale)

    def change(self) -> None:
        """Draws which offers change, and to what; `scratch` sees it from now on."""
        rows = self.draw.choice(len(self.offers["name"]), self.changed, replace=False)
        self.changes = {"name": rows.tolist()}
        for dim in shapes.DIMENSIONS:
            self.changes[dim] = self.scale[dim] * self.draw.random_sample(self.changed)
            self.offers[dim][rows] = self.changes[dim]

    def by_session(self) -> dict[Any, Any]:
        self.session.update(self.changes)
        return self.session.match(self.tasks).assignments

    def by_scratch(self) -> dict[Any, Any]:
        return windlass.match(self.tasks, self.offers, scale=self.scale).assignments

    def check_session(self, placed: dict[Any, Any]) -> None:
        if placed != self.by_scratch():
            raise WrongAnswer("the session places otherwise than a call with all its offers")

    def check_scratch(self, placed: dict[Any, Any]) -> None:
        few = dict(itertools.islice(placed.items(), 5))
        first = {key: column[:5] for key, column in self.tasks.items()}
        exact = windlass.legacy.match(first, self.offers, scale=self.scale)
        if few != exact.assignments and len(placed) == len(self.tasks["name"]):
            raise WrongAnswer("the first tasks are not where windlass.legacy places them")

    def release(self) -> None:
        self.session.release(self.tasks["name"])
