"""`SessionCore`: names, records and what is placed, over a backend that does the matching.

Everything is checked here before anything changes, and the backend is asked before anything is booked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from . import _inputs
from ._errors import FailedPrecondition
from ._inputs._encoder import Encoder
from ._inputs._numbers import Cut, plain
from ._inputs._session import Book, OfferBatch, TaskBatch, number_of
from ._inputs._session_encode import encode_offers, encode_tasks
from ._match import DEFAULTS, place_here
from ._problem import I64, Placement, Problem
from ._records import Record
from ._session_backend import Ask, Change, SessionBackend, View
from ._session_state import Lent, Offer, Placed, SessionInputs, SessionResult, Snapshot, warnings_of

OpenBackend = Callable[[_inputs.Options], SessionBackend]


class SessionOffer(Record):
    """An offer as it stands, as `match` takes it; `tasks` are the names of the session's tasks that it holds."""

    tasks: list[Any]


class SessionCore:
    """One session. One thread at a time."""

    def __init__(self, open_backend: OpenBackend, cut: Cut, options: dict[str, Any]) -> None:
        for name in options:
            if name not in DEFAULTS:
                raise TypeError(f"session() got an unexpected keyword argument {name!r}")
        checked = _inputs.read_options(cut=cut, **{**DEFAULTS, **options})
        if checked.ties == "swap_remove":
            raise _inputs.fault("options", "ties", checked.ties, "'stable' in a session")
        self.book = Book(checked, cut)
        self.version = 0
        self._offers: Lent[Any, Offer] = Lent()
        self._tasks: Lent[Any, Placed] = Lent()
        self._names: dict[int, Any] = {}  # of offers, by number
        self._on: dict[int, dict[Any, None]] = {}  # tasks, by offer's number
        self._scale: dict[str, int] = dict(checked.scale)  # M_d
        self._next_offer = self._next_task = 0
        self._known = 0  # so many dimensions the backend knows
        self._backend: SessionBackend | None = open_backend(checked)

    @property
    def backend(self) -> SessionBackend:
        """Where the session is kept; FailedPrecondition once it is closed."""
        if self._backend is None:
            raise FailedPrecondition("the session is closed: open a new one")
        self._backend.require()
        return self._backend

    def close(self) -> None:
        backend, self._backend = self._backend, None
        if backend is not None:
            backend.close()

    # ---- Offers ------------------------------------------------------------------------------------------------------

    def add(self, offers: Any) -> None:
        """Takes new offers in, last in tie order."""
        batch = self._batch(offers)
        for row, name in enumerate(batch.names):
            if name in self._offers.now:
                raise batch.side.fault(row, "name", name, "a name that the session does not hold; update() changes one")
        numbers = np.arange(self._next_offer, self._next_offer + batch.count, dtype=np.int64)
        scale = self._take(batch, numbers, adds=batch.count)
        if not batch.count:
            return
        self._next_offer += batch.count
        self._put(batch, numbers.tolist())
        self._scale = scale
        self.version += 1

    def update(self, offers: Any) -> None:
        """Replaces whole records, by name; what is placed there stays."""
        batch = self._batch(offers)
        for row, name in enumerate(batch.names):
            if name not in self._offers.now:
                raise batch.side.fault(row, "name", name, "a name that the session holds; add() takes new ones")
        numbers = np.array([self._offers.now[name].number for name in batch.names], dtype=np.int64)
        scale = self._take(batch, numbers, adds=0)
        if not batch.count:
            return
        for row, number in enumerate(numbers.tolist()):
            if number in self._on:
                self._trim(number, batch.shares(row))
        self._put(batch, numbers.tolist())
        self._scale = scale
        self.version += 1

    def _batch(self, offers: Any) -> OfferBatch:
        _ = self.backend  # a closed session is told before anything else
        batch = OfferBatch(_inputs.read_side("offers", offers, self.book.options.dimensions), self.book)
        self.book.check(batch.side, batch.amounts, batch.devices.kinds)
        return batch

    def _take(self, batch: OfferBatch, numbers: I64, adds: int) -> dict[str, int]:
        """Hands a batch to the backend; answers M_d as it is afterwards."""
        scale = self._scale_with(batch)
        if not batch.count:
            return scale
        self.book.learn(batch.amounts, batch.devices.kinds)
        columns: dict[str, I64] = {**batch.amounts, **batch.sums}
        change = self._change(encode_offers(batch, self.book))
        change.numbers, change.adds, change.price = numbers, adds, batch.price
        change.amounts = [columns.get(name) for name in self.book.dimensions]
        self._apply(change)
        return scale

    def _scale_with(self, batch: OfferBatch) -> dict[str, int]:
        scale = dict(self._scale)
        fixed = self.book.options.scale
        for name, column in {**batch.amounts, **batch.sums}.items():
            if not column.any():
                continue
            if name not in scale:
                scale[name] = int(column.max())
            elif int(column.max()) > scale[name] << 24:
                for row in np.flatnonzero(column > scale[name] << 24).tolist():
                    if name in fixed:
                        dims = batch.side.dims
                        value = plain(dims[name].values[row]) if name in dims else None
                        allowed = f"at most 2**24 times the scale, {number_of(fixed[name])}"
                        raise batch.side.fault(row, name, value, allowed)
                    if column[row] > scale[name] << 24:
                        scale[name] = int(column[row])
        return scale

    def _put(self, batch: OfferBatch, numbers: list[int]) -> None:
        batch.side = _inputs.Side("offers", batch.count)  # what the caller gave is needed no more
        offers = self._offers.change()
        for row, (name, number) in enumerate(zip(batch.names, numbers, strict=True)):
            offers[name] = Offer(number, batch, row)
            self._names[number] = name

    def _trim(self, number: int, shares: dict[str, list[int]]) -> None:
        """What tasks hold of devices that an offer has no longer is forgotten."""
        for name in self._on[number]:
            placed = self._tasks.now[name]
            devices = {
                kind: tuple(each for each in numbers if each < len(shares.get(kind, ())))
                for kind, numbers in placed.devices.items()
            }
            if devices != placed.devices:
                self._tasks.change()[name] = placed._replace(devices=devices)

    def remove(self, names: Iterable[Any]) -> int:
        """Lets offers go, their tasks with them; answers how many were found."""
        _ = self.backend
        found = {name: self._offers.now[name] for name in _names(names, "offers") if name in self._offers.now}
        if not found:
            return 0
        change = self._change(None)
        change.removes = np.array([offer.number for offer in found.values()], dtype=np.int64)
        self._apply(change)
        offers = self._offers.change()
        for name, offer in found.items():
            del offers[name], self._names[offer.number]
            for task in self._on.pop(offer.number, ()):
                del self._tasks.change()[task]
        self.version += 1
        return len(found)

    def rescale(self) -> None:
        """Measures from now on against the largest records present."""
        change = self._change(None)
        change.rescale = True
        self._apply(change)
        self._scale = self._largest()
        self.version += 1

    def _largest(self) -> dict[str, int]:
        scale: dict[str, int] = {}
        rows: dict[int, tuple[OfferBatch, list[int]]] = {}
        for offer in self._offers.now.values():
            rows.setdefault(id(offer.batch), (offer.batch, []))[1].append(offer.row)
        for batch, own in rows.values():
            for name, column in {**batch.amounts, **batch.sums}.items():
                largest = int(column[own].max())
                if largest:
                    scale[name] = max(scale.get(name, 0), largest)
        return {**scale, **self.book.options.scale}

    # ---- Tasks -------------------------------------------------------------------------------------------------------

    def match(self, tasks: Any) -> SessionResult:
        """Places tasks on what is left, and keeps what they take until `release`."""
        _ = self.backend
        side = _inputs.read_side("tasks", tasks, self.book.options.dimensions)
        for row, name in enumerate(side.names):
            if name in self._tasks.now:
                raise side.fault(row, "name", name, "a name that no task has that is still placed; release() ends one")
        batch = TaskBatch(side, self.book)
        self.book.check(side, batch.amounts, batch.kinds)
        self.book.learn(batch.amounts, batch.kinds)
        encoder = encode_tasks(batch, self.book)
        self._tell_ids(batch)
        if len(self.book.dimensions) > self._known:
            self._apply(self._change(None))
        snapshot = self.snapshot()
        problem = self._problem(batch, encoder)
        numbers = np.arange(self._next_task, self._next_task + batch.count, dtype=np.int64)
        self._next_task += batch.count
        placement = self.backend.match(Ask(problem, numbers, batch, snapshot))
        result = self._result(batch, problem, snapshot, placement)
        self._book(batch, numbers, placement, result)
        return result

    def _result(self, batch: TaskBatch, problem: Problem, snapshot: Snapshot, placement: Placement) -> SessionResult:
        options, cut = self.book.options, self.book.cut
        offers = _inputs.Side("offers", problem.offers)
        inputs = SessionInputs(problem, batch.side, offers, options, cut, warnings_of(batch, snapshot))
        return SessionResult(inputs, batch, snapshot, placement, place_here)

    def _problem(self, batch: TaskBatch, encoder: Encoder) -> Problem:
        options = self.book.options
        columns: dict[str, I64] = {**batch.amounts, **batch.asked}
        names = list(self.book.dimensions)
        return Problem(
            mode=options.mode,
            policy=options.policy,
            ties=options.ties,
            normalize=options.normalize,
            tasks=batch.count,
            offers=len(self._offers.now),
            dimensions=names,
            task_amounts=[columns.get(name) for name in names],
            offer_amounts=[None] * len(names),
            weights=[options.weights.get(name, 65536) for name in names],
            scale=[options.scale.get(name, 0) for name in names],
            max_score=options.max_score,
            max_price=options.max_price,
            priority=batch.priority,
            constraints=encoder.constraints or None,
            columns=encoder.columns,
        )

    def _book(self, batch: TaskBatch, numbers: I64, placement: Placement, result: SessionResult) -> None:
        order = placement.order[placement.offer_index[placement.order] >= 0].tolist()
        if not order:
            return
        where = placement.offer_number
        assert where is not None  # every backend of a session tells
        tasks, told = self._tasks.change(), {}
        for row in order:
            number = int(where[row])
            name = batch.names[row]
            devices = result.devices(name) if batch.asked else None
            given = {kind: tuple(each) for kind, each in (devices or {}).items()}
            told[name] = offer = self._names[number]
            tasks[name] = Placed(int(numbers[row]), offer, batch, row, given)
            self._on.setdefault(number, {})[name] = None
        result.assignments = told
        self.version += 1

    def _tell_ids(self, batch: TaskBatch) -> None:
        """Where this call gives an id another size for the first time, who holds the id is told of its new number."""
        asked = {name for each in batch.locality.inputs.all for name, _ in each}
        fresh = {name for name in asked if len(self.book.ids.get(name, ())) > self.book.told.get(name, 1)}
        if not fresh:
            return
        for name in fresh:
            self.book.told[name] = len(self.book.ids[name])
        for kept in {id(offer.batch): offer.batch for offer in self._offers.now.values()}.values():
            if any(fresh.intersection(each) for each in kept.staged.all):
                self._retell(kept)

    def _retell(self, batch: OfferBatch) -> None:
        rows = [(name, offer) for name, offer in self._offers.now.items() if offer.batch is batch]
        again = OfferBatch(
            _inputs.read_side("offers", [batch.record_as_given(o.row) for _, o in rows], self.book.options.dimensions),
            self.book,
        )
        change = self._change(encode_offers(again, self.book))
        columns: dict[str, I64] = {**again.amounts, **again.sums}
        change.numbers, change.price = np.array([o.number for _, o in rows], dtype=np.int64), again.price
        change.amounts = [columns.get(name) for name in self.book.dimensions]
        self._apply(change)

    def release(self, names: Iterable[Any]) -> int:
        """Ends tasks; answers how many were found."""
        _ = self.backend
        found = {name: self._tasks.now[name] for name in _names(names, "tasks") if name in self._tasks.now}
        if not found:
            return 0
        change = self._change(None)
        change.releases = np.array([placed.number for placed in found.values()], dtype=np.int64)
        self._apply(change)
        tasks = self._tasks.change()
        for name, placed in found.items():
            del tasks[name]
            number = self._offers.now[placed.offer].number
            del self._on[number][name]
            if not self._on[number]:
                del self._on[number]
        self.version += 1
        return len(found)

    # ---- What is told ------------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """The session as it stands."""
        return Snapshot(self.book, self._offers.lend(), self._tasks.lend(), self._scale)

    def offers(self) -> list[SessionOffer]:
        """The offers as they stand, in tie order."""
        view = self.backend.view()
        snapshot = self.snapshot()
        free = {name: snapshot.free(name) for name in snapshot.names} if view is None else self._free_of(view)
        found = []
        for name, offer in snapshot.offers.items():
            record = SessionOffer(offer.batch.record(offer.row, *free[name]))
            record.tasks = list(self._on.get(offer.number, ()))
            found.append(record)
        return found

    def _free_of(self, view: View) -> dict[Any, tuple[dict[str, int], dict[str, list[int]]]]:
        found = {}
        amounts = {name: view.free[d].tolist() for d, name in enumerate(self.book.dimensions) if d < len(view.free)}
        kinds = {
            self.book.dimensions[d]: (begin.tolist(), shares.tolist()) for d, (begin, shares) in view.devices.items()
        }
        for at, number in enumerate(view.numbers.tolist()):
            name = self._names[number]
            offer = self._offers.now[name]
            units = {dimension: amounts[dimension][at] for dimension in offer.batch.amounts}
            shares = {kind: own[begin[at] : begin[at + 1]] for kind, (begin, own) in kinds.items()}
            found[name] = units, {kind: own for kind, own in shares.items() if own}
        return found

    # ---- The backend -------------------------------------------------------------------------------------------------

    def _change(self, encoder: Encoder | None) -> Change:
        encoder = encode_offers(None, self.book) if encoder is None else encoder
        options, names = self.book.options, self.book.dimensions
        return Change(
            dimensions=len(names),
            weights=[options.weights.get(name, 65536) for name in names],
            scale=[options.scale.get(name, 0) for name in names],
            amounts=[None] * len(names),
            constraints=encoder.constraints,
            columns=encoder.columns,
        )

    def _apply(self, change: Change) -> None:
        self.backend.apply(change)
        self._known = change.dimensions


def _names(names: Iterable[Any], side: str) -> Iterable[Any]:
    if isinstance(names, str | bytes | Mapping) or not isinstance(names, Iterable):
        raise _inputs.fault(side, "name", names, "a list of names")
    return dict.fromkeys(names)
