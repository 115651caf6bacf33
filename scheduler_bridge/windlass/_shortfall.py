"""Which machines to add so that what was not placed is: proposals by plain rules, each checked by the matcher.

A proposal holds when the matcher places all that can be placed, both beside the offers of the call and on the new
machines alone. Of those that hold the cheapest is cut down until no machine type can be left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import _inputs
from ._inputs import Inputs
from ._problem import Backend
from .legacy._scores import Answer, Scores
from .legacy._state import State

if TYPE_CHECKING:
    from ._inputs import Side

_ROUNDS = 64  # additions to one proposal
_SOLE_TYPES = 8  # types that are tried as the only one where they fit

Counts = dict[int, int]  # type by row: how many


class Shortfall(dict[Any, int]):
    """{type name: how many to add}; `unplaced` lists the tasks that no number of these types would place."""

    def __init__(self, counts: dict[Any, int], unplaced: list[Any]) -> None:
        super().__init__(counts)
        self.unplaced = unplaced

    def __str__(self) -> str:
        added = ", ".join(f"{count} of {name!r}" for name, count in self.items()) or "nothing"
        rest = f"; {len(self.unplaced)} tasks fit no machine of these types" if self.unplaced else ""
        return f"to add: {added}{rest}"


class _Machine:
    """The name of one machine to be added; nothing else is equal to it."""

    def __repr__(self) -> str:
        return "a machine of the catalogue"


def shortfall(inputs: Inputs, unmatched: list[int], catalogue: Any, backend: Backend) -> Shortfall:
    """`unmatched` are rows of tasks in the order taken; `catalogue` is offers in any form, each a machine type."""
    types = _inputs.read_side("offers", catalogue, inputs.options.dimensions)
    rows = types.records()
    for row in rows:
        row.pop("node", None)  # each machine is one of its own
    planner = _Planner(inputs, unmatched, types, rows, backend)
    counts, placeable = planner.plan()
    names = inputs.task_names
    unplaced = [names[task] for task in unmatched if task not in placeable]
    return Shortfall({types.names[k]: count for k, count in sorted(counts.items()) if count}, unplaced)


class _Planner:
    def __init__(
        self, inputs: Inputs, unmatched: list[int], types: Side, rows: list[dict[str, Any]], backend: Backend
    ) -> None:
        self.inputs, self.rows, self.backend = inputs, rows, backend
        self.task_rows = inputs.tasks.records()
        self.offer_rows = inputs.offers.records()
        empty = _inputs.combine(inputs, [self.task_rows[task] for task in unmatched], rows, types.names)
        self.problem = empty.problem
        self.unmatched = unmatched
        self.fits = self._fits()
        price = self.problem.price
        self.price = np.ones(len(rows)) if price is None else np.maximum(price, 0) / 1e6
        self.targets = {task for i, task in enumerate(unmatched) if self.fits[i].any()}

    def _fits(self) -> npt.NDArray[np.bool_]:
        """[unmatched, types]: whether a task fits an empty machine of a type."""
        state = State(self.problem, Scores(self.problem), Answer(self.problem))
        fits = np.zeros((len(self.unmatched), len(self.rows)), dtype=bool)
        for i in range(len(self.unmatched)):
            fits[i] = state.qualified(i)
        return fits

    def plan(self) -> tuple[Counts, set[int]]:
        """The counts of the cheapest proposal that holds, and the tasks that it places."""
        if not self.targets:
            return {}, set()
        best: tuple[int, float, Counts, set[int]] | None = None
        for choice in self._choices():
            counts, placed = self._grow(choice)
            found = (-len(placed), self._cost(counts), counts, placed)
            if best is None or found[:2] < best[:2]:
                best = found
        assert best is not None  # there is one choice at least
        _, _, counts, placed = best
        self.targets = placed
        return self._cut_down(counts), placed

    def _cost(self, counts: Counts) -> float:
        return float(sum(self.price[k] * count for k, count in counts.items()))

    def _choices(self) -> Iterator[npt.NDArray[np.intp]]:
        """Ways to give each task a type: by its share of a machine, by the machine's price, each type where it fits."""
        shares = self._shares()
        by_share = np.where(self.fits, shares * self.price, np.inf)
        yield by_share.argmin(axis=1)
        if self.problem.mode == "packing":
            yield np.where(self.fits, shares, np.inf).argmin(axis=1)
        yield np.where(self.fits, self.price, np.inf).argmin(axis=1)
        if len(self.rows) > 1:
            for k in np.argsort(self.price, kind="stable")[:_SOLE_TYPES].tolist():
                if self.fits[:, k].any():
                    yield np.where(self.fits[:, k], k, by_share.argmin(axis=1))

    def _shares(self) -> npt.NDArray[np.float64]:
        """[unmatched, types]: the largest part of an empty machine that a task takes; all of it in exclusive mode."""
        shares = np.zeros((len(self.unmatched), len(self.rows)))
        for asked, had in zip(self.problem.task_amounts, self.problem.offer_amounts, strict=True):
            if asked is not None and had is not None:
                shares = np.maximum(shares, asked[:, None] / np.maximum(had[None, :], 1))
        return np.ones_like(shares) if self.problem.mode == "exclusive" else shares

    def _needed(self, choice: npt.NDArray[np.intp], tasks: list[int]) -> Counts:
        """The fewest machines of each type that could hold these tasks (numbers among the unmatched)."""
        counts: Counts = {}
        for k in sorted(set(choice[tasks].tolist())):
            own = [i for i in tasks if choice[i] == k]
            if self.problem.mode == "exclusive":
                counts[k] = len(own)
                continue
            counts[k] = 1
            for asked, had in zip(self.problem.task_amounts, self.problem.offer_amounts, strict=True):
                if asked is not None and had is not None and had[k] > 0:
                    total = sum(int(asked[i]) for i in own)
                    counts[k] = max(counts[k], -(-total // int(had[k])))
        return counts

    def _grow(self, choice: npt.NDArray[np.intp]) -> tuple[Counts, set[int]]:
        """Adds machines until all targets are placed, or more machines help no more."""
        number = {task: i for i, task in enumerate(self.unmatched)}
        waiting = [number[task] for task in self.unmatched if task in self.targets]
        counts: Counts = {}
        before: set[int] = set()
        extra = 1  # other tasks may take what was meant for one: where nothing moves, twice as many the next time
        for _ in range(_ROUNDS):
            if extra > 2 * len(self.targets):
                break
            for k, more in self._needed(choice, waiting).items():
                counts[k] = counts.get(k, 0) + more * extra
            left = self._left(counts)
            if not left:
                return counts, set(self.targets)
            extra = extra * 2 if left == before else 1
            before = left
            waiting = sorted(number[task] for task in left)
        return counts, self.targets - self._left(counts)

    def _left(self, counts: Counts) -> set[int]:
        """The targets that find no place with these machines: beside the call's offers, or alone."""
        machines = [self.rows[k] for k, count in sorted(counts.items()) for _ in range(count)]
        names = [_Machine() for _ in machines]
        targets = sorted(self.targets)
        alone = _inputs.combine(self.inputs, [self.task_rows[task] for task in targets], machines, names)
        index = self.backend(alone.problem).offer_index
        left = {task for task, offer in zip(targets, index.tolist(), strict=True) if offer < 0}
        beside = _inputs.combine(
            self.inputs, self.task_rows, self.offer_rows + machines, [*self.inputs.offer_names, *names]
        )
        index = self.backend(beside.problem).offer_index
        return left | {task for task in targets if index[task] < 0}

    def _cut_down(self, counts: Counts) -> Counts:
        """Leaves out whole types, dear ones first, then single machines, as long as all stays placed."""
        dear = sorted(counts, key=lambda k: (-self.price[k] * counts[k], k))
        for k in dear:
            without = {other: count for other, count in counts.items() if other != k}
            if not self._left(without):
                counts = without
        for k in [k for k in dear if k in counts]:
            counts = self._fewest(counts, k)
        return self._leave_out(counts)

    def _fewest(self, counts: Counts, k: int) -> Counts:
        """The fewest of one type that do, by halving."""
        low, high = 0, counts[k]  # `low` does not do (or is none), `high` does
        while high - low > 1:
            middle = (low + high) // 2
            if self._left({**counts, k: middle}):
                low = middle
            else:
                high = middle
        return {**counts, k: high}

    def _leave_out(self, counts: Counts) -> Counts:
        """After the counts have changed a type may have become needless."""
        for k in list(counts):
            without = {other: count for other, count in counts.items() if other != k}
            if not self._left(without):
                return self._leave_out(without)
        return counts
