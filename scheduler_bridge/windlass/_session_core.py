"""`SessionCore`: names, records and what is placed, over a backend that does the matching.

Everything is checked here before anything changes, and the backend is asked before anything is booked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _inputs
from ._errors import FailedPrecondition
from ._inputs._encoder import Encoder
from ._inputs._numbers import plain
from ._inputs._session import Book, OfferBatch, TaskBatch, number_of
from ._inputs._session_encode import encode_offers, encode_tasks, untold_sizes
from ._inputs._session_had import tidy
from ._match import DEFAULTS, place_here
from ._match_remote import odd
from ._problem import I64, Placement, Problem
from ._records import Record
from ._session_backend import Ask, Change, SessionBackend, View
from ._session_state import SessionInputs, SessionResult, Snapshot, warnings_of
from ._session_table import Table
from .legacy._amounts import Cut

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
        self.elsewhere: Mapping[Any, Any] = {}  # by name, tasks that hold their place though not in this session
        self._offers: Table[OfferBatch] = Table()  # on: the number of the machine of the offer's own name
        self._tasks: Table[TaskBatch] = Table()  # notes: the devices that a task was given
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
        row = self._offers.first_of(batch.names)
        if row is not None:
            allowed = "a name that the session does not hold; update() changes one"
            raise batch.side.fault(row, "name", batch.names[row], allowed)
        numbers = np.arange(self._next_offer, self._next_offer + batch.count, dtype=np.int64)
        nodes = self._nodes(batch)
        scale = self._take(batch, numbers, nodes, adds=batch.count)
        if not batch.count:
            return
        self._next_offer += batch.count
        own = nodes if batch.nodes is None else None
        self._offers.append(batch.names, numbers, batch, np.arange(batch.count), on=own)
        self._keep(batch, scale)

    def update(self, offers: Any) -> None:
        """Replaces whole records, by name; what is placed there stays."""
        batch = self._batch(offers)
        found = self._offers.found(batch.names)
        if len(found) < batch.count:
            row = next(row for row, name in enumerate(batch.names) if name not in self._offers)
            raise batch.side.fault(row, "name", batch.names[row], "a name that the session holds; add() takes new ones")
        slots = np.array(found, dtype=np.intp)
        numbers = self._offers.numbers(slots)
        scale = self._take(batch, numbers, self._nodes(batch, slots), adds=0)
        if not batch.count:
            return
        if self.book.kinds:
            self._trim(batch, numbers)
        self._offers.replace(slots, batch)
        self._keep(batch, scale)

    def admit(self, offers: Any) -> None:
        """Raises what `add` and `update` would. What has passed neither refuses any more, whatever passes later."""
        batch = self._batch(offers)
        self._scale_with(batch)
        self.book.learn(batch.amounts, batch.devices.kinds)

    def _keep(self, batch: OfferBatch, scale: dict[str, int]) -> None:
        batch.side = _inputs.Side("offers", batch.count)  # what the caller gave is needed no more
        self._scale = scale
        self.version += 1

    def _batch(self, offers: Any) -> OfferBatch:
        _ = self.backend  # a closed session is told before anything else
        batch = OfferBatch(_inputs.read_side("offers", offers, self.book.options.dimensions), self.book)
        self.book.check(batch.side, batch.amounts, batch.devices.kinds)
        self._tidy()
        return batch

    def _nodes(self, batch: OfferBatch, slots: npt.NDArray[np.intp] | None = None) -> I64:
        """The numbers of the machines that offers are on; kept with those that have been here, as most have."""
        if batch.nodes is None and slots is not None:
            own = self._offers.on(slots)
            if own.min(initial=0) >= 0:
                return own
        return np.array(self.book.nodes.of_all(batch.all_nodes()), dtype=np.int64)

    def _take(self, batch: OfferBatch, numbers: I64, nodes: I64, adds: int) -> dict[str, int]:
        """Hands a batch to the backend; answers M_d as it is afterwards."""
        scale = self._scale_with(batch)
        if not batch.count:
            return scale
        self.book.learn(batch.amounts, batch.devices.kinds)
        columns: dict[str, I64] = {**batch.amounts, **batch.sums}
        change = self._change(encode_offers(batch, self.book, nodes))
        change.numbers, change.adds, change.price = numbers, adds, batch.price
        change.amounts = [columns.get(name) for name in self.book.dimensions]
        self._apply(change)
        return scale

    def _scale_with(self, batch: OfferBatch) -> dict[str, int]:
        scale = dict(self._scale)
        fixed = self.book.options.scale
        for name, column in {**batch.amounts, **batch.sums}.items():
            largest = int(column.max(initial=0))
            if not largest:
                continue
            if name not in scale:
                scale[name] = largest
            elif largest > scale[name] << 24:
                for row in np.flatnonzero(column > scale[name] << 24).tolist():
                    if name in fixed:
                        dims = batch.side.dims
                        value = plain(dims[name].values[row]) if name in dims else None
                        allowed = f"at most 2**24 times the scale, {number_of(fixed[name])}"
                        raise batch.side.fault(row, name, value, allowed)
                    if column[row] > scale[name] << 24:
                        scale[name] = int(column[row])
        return scale

    def _trim(self, batch: OfferBatch, numbers: I64) -> None:
        """What tasks hold of devices that an offer has no longer is forgotten."""
        rows = dict(zip(numbers.tolist(), range(batch.count), strict=True))
        slots = self._tasks.slots_on(numbers)
        for slot, offer in zip(slots, self._tasks.on(slots).tolist(), strict=True):
            held = self._tasks.note(slot)
            if not held:
                continue
            shares = batch.shares(rows[offer])
            devices = {
                kind: tuple(each for each in own if each < len(shares.get(kind, ()))) for kind, own in held.items()
            }
            if devices != held:
                self._tasks.set_note(slot, devices)

    def remove(self, names: Iterable[Any]) -> int:
        """Lets offers go, their tasks with them; answers how many were found."""
        _ = self.backend
        slots = self._offers.found(checked_names(names, "offers"))
        if not slots:
            return 0
        change = self._change(None)
        change.removes = self._offers.numbers(slots)
        self._apply(change)
        gone = self._tasks.slots_on(change.removes)
        if gone:
            self._tasks.drop(gone)
        self._offers.drop(slots)
        self.version += 1
        return len(slots)

    def rescale(self) -> None:
        """Measures from now on against the largest records present."""
        change = self._change(None)
        change.rescale = True
        self._apply(change)
        self._scale = self._largest()
        self.version += 1

    def _largest(self) -> dict[str, int]:
        scale: dict[str, int] = {}
        for batch, rows in self._offers.view().by_batch():
            for name, column in {**batch.amounts, **batch.sums}.items():
                largest = int(column[rows].max())
                if largest:
                    scale[name] = max(scale.get(name, 0), largest)
        return {**scale, **self.book.options.scale}

    # ---- Tasks -------------------------------------------------------------------------------------------------------

    def match(self, tasks: Any) -> SessionResult:
        """Places tasks on what is left, and keeps what they take until `release`."""
        return self.place(self.read(tasks))

    def read(self, tasks: Any) -> TaskBatch:
        """Tasks in any form, which may be one that can be read once only."""
        _ = self.backend
        return TaskBatch(_inputs.read_side("tasks", tasks, self.book.options.dimensions), self.book)

    def place(self, batch: TaskBatch) -> SessionResult:
        """`match` of tasks that were read before."""
        _ = self.backend
        side = batch.side
        row = self._tasks.first_of(side.names)
        if row is None and self.elsewhere:
            row = next((at for at, name in enumerate(side.names) if name in self.elsewhere), None)
        if row is not None:
            allowed = "a name that no task has that is still placed; release() ends one"
            raise side.fault(row, "name", side.names[row], allowed)
        self.book.check(side, batch.amounts, batch.kinds)
        self.book.learn(batch.amounts, batch.kinds)
        self._tidy()
        encoder = encode_tasks(batch, self.book)
        self._tell_sizes(batch)
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
            offers=len(self._offers),
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
        placed = placement.order[placement.offer_index[placement.order] >= 0]
        if not len(placed):
            return
        assert placement.offer_number is not None  # every backend of a session tells
        on, order = placement.offer_number[placed], placed.tolist()
        if self.backend.is_remote and not self._offers.has_numbers(on):
            raise odd("offer_number names an offer that does not exist")
        names = list(map(batch.names.__getitem__, order))
        notes = result.take(names, self._offers.names_of(on), placed)
        self._tasks.append(names, numbers[placed], batch, placed, on=on, notes=notes)
        self.version += 1

    def _tell_sizes(self, batch: TaskBatch) -> None:
        """Where this call gives an id another size for the first time, who holds the id is told of its new number."""
        fresh = untold_sizes(batch, self.book)
        if not fresh:
            return
        given = [
            kept.record_as_given(row)
            for kept, rows in self._offers.view().by_batch()
            if kept.staged and any(not fresh.keys().isdisjoint(each) for each in kept.staged.all)
            for row in rows.tolist()
        ]
        before, self.book.told = self.book.told, {**self.book.told, **fresh}
        try:
            self._retell(given)
        except BaseException:
            self.book.told = before
            raise

    def _retell(self, given: list[dict[str, Any]]) -> None:
        again = OfferBatch(_inputs.read_side("offers", given, self.book.options.dimensions), self.book)
        slots = np.array(self._offers.found(again.names), dtype=np.intp)
        change = self._change(encode_offers(again, self.book, self._nodes(again, slots)))
        columns: dict[str, I64] = {**again.amounts, **again.sums}
        change.numbers, change.price = self._offers.numbers(slots), again.price
        change.amounts = [columns.get(name) for name in self.book.dimensions]
        self._apply(change)

    def release(self, names: Iterable[Any]) -> int:
        """Ends tasks; answers how many were found."""
        _ = self.backend
        slots = self._tasks.found(checked_names(names, "tasks"))
        if not slots:
            return 0
        change = self._change(None)
        change.releases = self._tasks.numbers(slots)
        self._apply(change)
        self._tasks.drop(slots)
        self.version += 1
        return len(slots)

    # ---- What is told ------------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """The session as it stands."""
        return Snapshot(self.book, self._offers.view(), self._tasks.view(), self._scale)

    def offers(self) -> list[SessionOffer]:
        """The offers as they stand, in tie order."""
        view = self.backend.view()
        snapshot = self.snapshot()
        free = {name: snapshot.free(name) for name in snapshot.names} if view is None else self._free_of(view, snapshot)
        if free.keys() != snapshot.offers.keys():
            raise odd("other offers are there than were added")
        found = []
        for name, offer in snapshot.offers.items():
            record = SessionOffer(offer.batch.record(offer.row, *free[name]))
            record.tasks = snapshot.tasks_on.get(name, [])
            found.append(record)
        return found

    def _free_of(self, view: View, snapshot: Snapshot) -> dict[Any, tuple[dict[str, int], dict[str, list[int]]]]:
        known = len(self.book.dimensions)
        if not self._offers.has_numbers(view.numbers) or not len(view.free) <= known > max(view.devices, default=-1):
            raise odd("offers or dimensions are there that do not exist")
        found = {}
        amounts = {name: view.free[d].tolist() for d, name in enumerate(self.book.dimensions) if d < len(view.free)}
        kinds = {
            self.book.dimensions[d]: (begin.tolist(), shares.tolist()) for d, (begin, shares) in view.devices.items()
        }
        for at, name in enumerate(self._offers.names_of(view.numbers)):
            offer = snapshot.offers.get(name)
            if offer is None or not offer.batch.amounts.keys() <= amounts.keys():
                raise odd("an offer is there that does not exist, or a dimension is missing")
            units = {dimension: amounts[dimension][at] for dimension in offer.batch.amounts}
            shares = {kind: own[begin[at] : begin[at + 1]] for kind, (begin, own) in kinds.items()}
            found[name] = units, {kind: own for kind, own in shares.items() if own}
        return found

    def _tidy(self) -> None:
        """Before anything is numbered: what is numbered and not told yet would be forgotten."""
        offers, tasks = self._offers, self._tasks
        rows = len(offers) + len(tasks)
        tidy(self.book, lambda: offers.view().by_batch(), lambda: tasks.view().by_batch(), offers.slot_of, rows)

    # ---- The backend -------------------------------------------------------------------------------------------------

    def _change(self, encoder: Encoder | None) -> Change:
        encoder = encode_offers(None, self.book) if encoder is None else encoder
        options, names = self.book.options, self.book.dimensions
        return Change(
            dimensions=len(names),
            weights=[options.weights.get(name, 65536) for name in names],
            scale=[options.scale.get(name, 0) for name in names],
            widens=len(names) > self._known,
            amounts=[None] * len(names),
            constraints=encoder.constraints,
            columns=encoder.columns,
        )

    def _apply(self, change: Change) -> None:
        self.backend.apply(change)
        self._known = change.dimensions


def checked_names(names: Iterable[Any], side: str) -> Iterable[Any]:
    """Names as a call takes them, each once."""
    if isinstance(names, str | bytes | Mapping) or not isinstance(names, Iterable):
        raise _inputs.fault(side, "name", names, "a list of names")
    return dict.fromkeys(names)
