"""What a session held at one moment, and a call told in those terms: for explanations, `shortfall` and `legacy`.

Tasks of earlier calls become entries of `running` and what they hold is taken off the offers, so that a call of a
session is a call of `match`, but for used offers and prices that are paid.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import _inputs
from ._explain import Explainer, Explanation
from ._inputs._session import UNIT, Book, OfferBatch, TaskBatch
from ._problem import I32, I64, Placement, Problem
from ._result import MatchResult
from ._session_table import View
from .legacy._state import State

if TYPE_CHECKING:
    from ._shortfall import Shortfall


class Offer(NamedTuple):
    """An offer of the session: its number, and the batch and row that say what it is."""

    number: int
    batch: OfferBatch
    row: int


class Placed(NamedTuple):
    """A task that holds its place: its offer's name, what it asked for, the devices it was given."""

    offer: Any
    batch: TaskBatch
    row: int
    devices: dict[str, tuple[int, ...]]


class Took(NamedTuple):
    """What a task has taken of an offer: amounts, and [device, share] by kind, in units."""

    name: Any
    offer: Any
    units: dict[str, int]
    devices: dict[str, list[list[int]]]
    about: dict[str, Any]


class Snapshot:
    """A session as it stood. Cheap to make: nothing is copied before the session changes."""

    def __init__(self, book: Book, offers: View[OfferBatch], tasks: View[TaskBatch], scale: dict[str, int]) -> None:
        self.book, self.scale = book, scale
        self._offers, self._tasks = offers, tasks
        self.exclusive = book.options.mode == "exclusive"

    @cached_property
    def offers(self) -> dict[Any, Offer]:
        """By name, in tie order."""
        columns, found = self._offers.columns, {}
        for slot in self._offers.slots().tolist():
            batch = self._offers.batch_of(slot)
            found[columns.names[slot]] = Offer(int(columns.number[slot]), batch, int(columns.row[slot]))
        return found

    @cached_property
    def tasks(self) -> dict[Any, Placed]:
        """By name, in the order placed."""
        columns, found = self._tasks.columns, {}
        offers = {offer.number: name for name, offer in self.offers.items()}
        for slot in self._tasks.slots().tolist():
            row, batch, devices = int(columns.row[slot]), self._tasks.batch_of(slot), columns.notes[slot] or {}
            found[columns.names[slot]] = Placed(offers[int(columns.on[slot])], batch, row, devices)
        return found

    @cached_property
    def names(self) -> list[Any]:
        """Of the offers, in tie order."""
        return list(self.offers)

    @cached_property
    def tasks_on(self) -> dict[Any, list[Any]]:
        """{offer name: task names}, offers without tasks left out."""
        found: dict[Any, list[Any]] = {}
        for name, placed in self.tasks.items():
            found.setdefault(placed.offer, []).append(name)
        return found

    def free(self, name: Any) -> tuple[dict[str, int], dict[str, list[int]]]:
        """What is free of an offer, in units: amounts, and shares of devices."""
        offer = self.offers[name]
        units, shares = offer.batch.units(offer.row), offer.batch.shares(offer.row)
        for task in self.tasks_on.get(name, ()):
            placed = self.tasks[task]
            for dimension, amount in placed.batch.units(placed.row).items():
                if dimension in units:
                    units[dimension] -= amount
            asked = placed.batch.shares(placed.row)
            for kind, numbers in placed.devices.items():
                for number in numbers:
                    shares[kind][number] -= min(asked[kind], UNIT)
        return (
            {dimension: max(amount, 0) for dimension, amount in units.items()},
            {kind: [max(share, 0) for share in own] for kind, own in shares.items()},
        )

    def _of(self, name: Any) -> tuple[Offer, dict[str, int], dict[str, list[int]]]:
        """An offer as a call looks at it: as given where it is free or used as a whole, else what is free of it."""
        offer = self.offers[name]
        if self.exclusive:
            return offer, offer.batch.units(offer.row), offer.batch.shares(offer.row)
        return offer, *self.free(name)

    def has(self, name: str) -> bool:
        """Whether some offer has any of a dimension or kind."""
        return name in self.scale and self._offers.some(lambda batch: batch.amounts.get(name, batch.sums.get(name)))

    def inputs(self, batch: TaskBatch, free_only: bool = False) -> _inputs.Inputs:
        """A call on these offers as one of `match`; with `free_only` without those that are used."""
        names = [name for name in self.names if not (free_only and self.exclusive and name in self.tasks_on)]
        free = [self._of(name) for name in names]
        rows = [offer.batch.record(offer.row, units, shares) for offer, units, shares in free]
        running = [*(self.book.options.running or ()), *self._entries()]
        scale = {name: amount for name, amount in self.scale.items() if amount}
        options = dataclasses.replace(self.book.options, running=running, scale=scale)
        found = _inputs.compose(batch.side, rows, names, options, self.book.cut)
        asked: dict[str, I64] = {**batch.amounts, **batch.asked}
        found.problem.task_amounts = [asked.get(name) for name in found.problem.dimensions]
        found.problem.offer_amounts = [  # to the unit, which a double may not tell
            column
            if column is None or name in self.book.kinds
            else np.array([units.get(name, 0) for _, units, _ in free], dtype=np.int64)
            for name, column in zip(found.problem.dimensions, found.problem.offer_amounts, strict=True)
        ]
        return found

    def _entries(self) -> list[dict[str, Any]]:
        found = []
        for placed in self.tasks.values():
            offer = self.offers[placed.offer]
            entry = placed.batch.running(placed.row)
            entry["node"] = offer.batch.node(offer.row)
            entry["labels"] = offer.batch.label_items(offer.row)
            found.append(entry)
        return found

    def prepare(self, problem: Problem, state: State) -> None:
        """What a call of `match` can't be told: used offers, and prices that are paid."""
        for index, name in enumerate(self.names):
            count = len(self.tasks_on.get(name, ()))
            if not count:
                continue
            state.used[index] = count
            if self.exclusive:
                state.taken[index] = True
            elif state.price is not None:
                state.price[index] = 0


class SessionInputs(_inputs.Inputs):
    """What a SessionResult knows at once. Its problem has no offers' amounts."""

    names_of: Any = None  # a Snapshot

    @property
    def offer_names(self) -> Any:
        """In tie order at the call's start."""
        return self.names_of.names


class SessionResult(MatchResult):
    """A MatchResult of a session: offers count in tie order as they stood when the call began."""

    def __init__(
        self, inputs: SessionInputs, batch: TaskBatch, snapshot: Snapshot, placement: Placement, checker: Any
    ) -> None:
        inputs.names_of = snapshot
        super().__init__(inputs, placement, checker)
        self._batch, self._snapshot = batch, snapshot
        self._told: dict[Any, Explanation] = {}  # what no turn played again could tell
        self.placed_rows: I32 = np.zeros(0, dtype=np.int32)
        self.placed_devices: list[dict[str, tuple[int, ...]]] | None = None

    @cached_property
    def _explainer(self) -> Explainer:
        inputs = self._snapshot.inputs(self._batch)
        explainer = Explainer(inputs, self._placement)
        self._snapshot.prepare(inputs.problem, explainer.state)
        return explainer

    def take(self, names: list[Any], offers: Iterable[Any], rows: I32) -> list[dict[str, tuple[int, ...]]] | None:
        """What was placed, in the order placed. Answers the devices of each task; None where no task asks for any."""
        self.assignments = dict(zip(names, offers, strict=True))
        self.placed_rows = rows
        if self._batch.asked:
            given = self._devices_of(rows)
            self.placed_devices = [{kind: tuple(each) for kind, each in own.items()} for own in given]
        return self.placed_devices

    def placed(self, about_of: Callable[[dict[str, Any]], dict[str, Any]]) -> Iterable[Took]:
        """What each task that was placed takes; `about_of` shortens what others are to know of it."""
        rows, batch = self.placed_rows, self._batch
        if self.placed_devices is None:
            shares: Iterable[dict[str, list[list[int]]]] = ({} for _ in rows)
        else:
            shares = map(_shares_of, self.placed_devices, batch.shares_of(rows))
        abouts = batch.abouts(rows.tolist(), about_of)
        return map(Took, self.assignments, self.assignments.values(), batch.units_of(rows), shares, abouts)

    def gangs_of(self, names: Iterable[Any]) -> dict[Any, Any]:
        """{task: the one of `names` whose gang it is in} of the other tasks that are placed."""
        groups = self._batch.groups
        if groups.gangs is None:
            return {}
        gang = {row: (groups.tenant(row), each) for row, each in enumerate(groups.gangs) if each is not None}
        lacking = {gang[self._row(name)]: name for name in names if self._row(name) in gang}
        return {
            name: lacking[gang[row]]
            for name in self.assignments
            if (row := self._row(name)) in gang and gang[row] in lacking and name not in names
        }

    def refuse(self, refused: dict[Any, str], blocked: dict[Any, Any]) -> None:
        """Placements that did not hold: `refused` tells why, `blocked` which member of its gang was refused."""
        where = self.offer_index.copy()
        offers = {name: self.assignments[name] for name in refused}
        gone = [self._row(name) for name in (*refused, *blocked)]
        where[gone] = -1
        self._placement = dataclasses.replace(self._placement, offer_index=where)
        self.assignments = {
            task: offer for task, offer in self.assignments.items() if task not in refused and task not in blocked
        }
        for name in ("by_offer", "unmatched", "_explainer"):
            self.__dict__.pop(name, None)
        total = self._problem.offers
        for name, why in refused.items():
            reasons = {"grant": {"short": 1, "alone": 1}}
            self._told[name] = Explanation(name, reasons, offers[name], [why], offers=total)
        for name, member in blocked.items():
            self._told[name] = Explanation(name, blocked_by=member, offers=total)

    def explain(self, task: Any) -> Explanation | None:
        """Why a task was not placed, computed now; None where it was."""
        return self._told.get(task) or super().explain(task)

    def shortfall(self, catalogue: Any) -> Shortfall:
        """As of `match`, beside what the session's offers have left."""
        from ._shortfall import shortfall

        order = self._placement.order
        unmatched = order[self.offer_index[order] < 0].tolist()
        return shortfall(self._snapshot.inputs(self._batch, free_only=True), unmatched, catalogue, self._checker)


def _shares_of(devices: dict[str, tuple[int, ...]], asked: dict[str, int]) -> dict[str, list[list[int]]]:
    return {kind: [[number, min(asked[kind], UNIT)] for number in numbers] for kind, numbers in devices.items()}


def warnings_of(batch: TaskBatch, snapshot: Snapshot) -> list[str]:
    """What looks like a mistake in what was asked."""
    asked = {**batch.amounts, **batch.asked}
    return [
        f"tasks ask for {name!r}, which no offer has"
        for name, column in asked.items()
        if column.any() and not snapshot.has(name)
    ]
