"""A session's names and what it knows of each, in columns: a change touches its own rows alone, and a view is free.

Rows lie in slots in the order in which they came. What goes leaves its slot empty until half of them are.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from ._problem import I32, I64


class Batch(Protocol):
    """Rows that came together."""

    count: int

    def taken(self, rows: I32) -> Any:
        """Some of the rows, as a batch of the same kind."""


B = TypeVar("B", bound=Batch)

Slots = Sequence[int] | npt.NDArray[np.intp]

_GONE = -1  # in place of a batch's number
_PACK_ABOVE = 64  # slots
_BATCHES = 32  # that may have no rows left before it is looked
_ROWS = 1024  # of batches that may be kept though they are gone, beside three for each that is here
_LOOKED_AT = 8  # rows, before all are


class _Columns(NamedTuple):
    """By slot, with room for more."""

    names: list[Any]
    notes: list[Any]  # what the owner keeps of a row that is no number
    number: I64  # of offers it ascends
    batch: I32  # the number of a batch, _GONE where the slot is empty
    row: I32  # in its batch
    on: I64  # a number that the owner keeps with a row: of a task its offer's


class View(Generic[B]):
    """A table as it stood. Nothing is copied until the table changes what it shows."""

    def __init__(self, columns: _Columns, count: int, batches: dict[int, B]) -> None:
        self.columns, self.count = columns, count
        self._batches = batches  # the table's own; what it drops goes to `kept`
        self.kept: dict[int, B] = {}

    def slots(self) -> npt.NDArray[np.intp]:
        """Those that are not empty."""
        return np.flatnonzero(self.columns.batch[: self.count] != _GONE)

    def batch_of(self, slot: int) -> B:
        """The batch that a row came with."""
        number = int(self.columns.batch[slot])
        found = self._batches.get(number)
        return self.kept[number] if found is None else found

    def by_batch(self) -> Iterable[tuple[B, I32]]:
        """Each batch that has rows left, with the rows."""
        for part in self.slots_by_batch():
            yield self.batch_of(int(part[0])), self.columns.row[part]

    def slots_by_batch(self) -> Iterable[npt.NDArray[np.intp]]:
        """The slots of each batch that has rows left."""
        slots = self.slots()
        batches = self.columns.batch[slots]
        order = np.argsort(batches, kind="stable")
        parts = np.split(slots[order], np.flatnonzero(np.diff(batches[order])) + 1)
        return [part for part in parts if len(part)]

    def some(self, column_of: Callable[[B], I64 | None]) -> bool:
        """Whether a column of the batches holds anything but 0 in some row that is here. Ends at the first."""
        for slot in range(min(self.count, _LOOKED_AT)):
            column = column_of(self.batch_of(slot)) if self.columns.batch[slot] != _GONE else None
            if column is not None and column[self.columns.row[slot]]:
                return True
        here, rows = self.columns.batch[: self.count], self.columns.row[: self.count]
        for number, batch in [*self._batches.items(), *self.kept.items()]:
            column = column_of(batch)
            if column is not None and column.any() and column[rows[here == number]].any():
                return True
        return False


class Table(Generic[B]):
    """The rows as they are. One thread at a time; views may be read by others."""

    def __init__(self) -> None:
        self.slot_of: dict[Any, int] = {}
        self.batches: dict[int, B] = {}  # those that have rows left, and some that have had
        self._next_batch = 0
        self._look_at = _BATCHES
        self._rows = 0  # of all batches
        self._count = 0  # of slots
        self._views: weakref.WeakSet[View[B]] = weakref.WeakSet()
        self._columns = _room(0)

    def __len__(self) -> int:
        return len(self.slot_of)

    def __contains__(self, name: object) -> bool:
        return name in self.slot_of

    def first_of(self, names: Iterable[Any]) -> int | None:
        """The position of the first name that is here."""
        if self.slot_of.keys().isdisjoint(names):
            return None
        return next(at for at, name in enumerate(names) if name in self.slot_of)

    def view(self) -> View[B]:
        """The table as it is now."""
        made = View(self._columns, self._count, self.batches)
        self._views.add(made)
        return made

    def numbers(self, slots: Slots) -> I64:
        """The numbers of rows."""
        return self._columns.number[np.asarray(slots, dtype=np.intp)]

    def found(self, names: Iterable[Any]) -> list[int]:
        """The slots of those of the names that are here."""
        return [slot for slot in map(self.slot_of.get, names) if slot is not None]

    def has_numbers(self, numbers: I64) -> bool:
        """Whether all of them are numbers of rows, or were lately."""
        own = self._columns.number[: self._count]
        slots = np.minimum(np.searchsorted(own, numbers), max(self._count - 1, 0))
        return not len(numbers) or bool(self._count and np.array_equal(own[slots], numbers))

    def names_of(self, numbers: I64) -> Iterable[Any]:
        """The names of offers, by number."""
        own = self._columns.number[: self._count]
        if self._count and own[-1] - own[0] == self._count - 1:  # none is missing between them
            slots = numbers - own[0]
        else:
            slots = np.searchsorted(own, numbers)
        return map(self._columns.names.__getitem__, slots.tolist())

    def note(self, slot: int) -> Any:
        """What is kept of a row."""
        return self._columns.notes[slot]

    def on(self, slots: Slots) -> I64:
        """What is kept under `on`."""
        return self._columns.on[np.asarray(slots, dtype=np.intp)]

    def slots_on(self, numbers: I64) -> list[int]:
        """The tasks on these offers."""
        columns, count = self._columns, self._count
        here = (columns.batch[:count] != _GONE) & np.isin(columns.on[:count], numbers)
        return np.flatnonzero(here).tolist()

    def append(
        self,
        names: list[Any],
        numbers: I64,
        batch: B,
        rows: npt.NDArray[Any],
        *,
        on: I64 | None = None,
        notes: Any = None,
    ) -> None:
        """New rows of one batch, last in order."""
        begin, end = self._count, self._count + len(names)
        if end > len(self._columns.number):
            self._move(_room(max(end, 2 * begin)), slice(0, begin))
        columns = self._columns
        columns.names.extend(names)
        columns.notes.extend([None] * len(names) if notes is None else notes)
        columns.number[begin:end], columns.row[begin:end] = numbers, rows
        columns.batch[begin:end] = self._new_batch(batch, len(names))
        columns.on[begin:end] = -1 if on is None else on
        self.slot_of.update(zip(names, range(begin, end), strict=True))
        self._count = end
        self._tidy_batches()

    def replace(self, slots: Slots, batch: B) -> None:
        """Rows are those of a new batch from now on, in its order."""
        self._change("batch", "row")
        at = np.asarray(slots, dtype=np.intp)
        self._columns.batch[at] = self._new_batch(batch, len(slots))
        self._columns.row[at] = np.arange(len(slots), dtype=np.int32)
        self._tidy_batches()

    def set_note(self, slot: int, note: Any) -> None:
        """Keeps something else of a row."""
        self._change("notes")
        self._columns.notes[slot] = note

    def drop(self, slots: Sequence[int]) -> None:
        """Rows go."""
        self._change("batch")
        at = np.asarray(slots, dtype=np.intp)
        names = self._columns.names
        for slot in slots:
            del self.slot_of[names[slot]]
        self._columns.batch[at] = _GONE
        self._tidy_batches()
        if self._count > _PACK_ABOVE and len(self.slot_of) * 2 < self._count:
            self._pack()

    def _pack(self) -> None:
        kept = np.flatnonzero(self._columns.batch[: self._count] != _GONE)
        self._move(_room(len(kept)), kept)
        self._count = len(kept)
        self.slot_of = dict(zip(self._columns.names, range(len(kept)), strict=True))

    def _move(self, into: _Columns, slots: Any) -> None:
        """Into columns of our own, which no view shows."""
        chosen = range(*slots.indices(self._count)) if isinstance(slots, slice) else slots.tolist()
        into.names.extend(map(self._columns.names.__getitem__, chosen))
        into.notes.extend(map(self._columns.notes.__getitem__, chosen))
        for name in ("number", "batch", "row", "on"):
            getattr(into, name)[: len(chosen)] = getattr(self._columns, name)[slots]
        self._columns = into

    def _change(self, *names: str) -> None:
        """Makes columns our own that a view shows."""
        for name in names:
            column = getattr(self._columns, name)
            if any(getattr(view.columns, name) is column for view in self._views):
                self._columns = self._columns._replace(**{name: column.copy()})

    def _new_batch(self, batch: B, rows: int) -> int:
        number = self._next_batch
        if rows:
            self._next_batch += 1
            self.batches[number] = batch
            self._rows += batch.count
        return number

    def _tidy_batches(self) -> None:
        """Looks what is left of batches once there are twice as many as there were, or most of their rows are gone."""
        if self._rows > 4 * len(self.slot_of) + _ROWS:
            self._narrow()
        if len(self.batches) >= self._look_at:
            self._drop_empty()

    def _narrow(self) -> None:
        """Rows that are left of a batch that has lost most of its own come into one of their own."""
        self._drop_empty()
        for part in self.view().slots_by_batch():
            batch = self.batches[int(self._columns.batch[part[0]])]
            if 2 * len(part) < batch.count:
                self._change("batch", "row")
                self._columns.batch[part] = self._new_batch(batch.taken(self._columns.row[part]), len(part))
                self._columns.row[part] = np.arange(len(part), dtype=np.int32)
        self._drop_empty()

    def _drop_empty(self) -> None:
        """Lets batches go that have no rows left."""
        left = set(np.unique(self._columns.batch[: self._count]).tolist())
        for number in self.batches.keys() - left:
            for view in self._views:
                view.kept[number] = self.batches[number]
            self._rows -= self.batches.pop(number).count
        self._look_at = max(_BATCHES, 2 * len(self.batches))


def _room(slots: int) -> _Columns:
    def column(dtype: type) -> Any:
        return np.empty(slots, dtype=dtype)

    return _Columns([], [], column(np.int64), column(np.int32), column(np.int32), column(np.int64))
