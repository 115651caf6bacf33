"""Constraints as on the wire (proto/protocol.md, "Constraints") while they are made: columns, keys, sets by number."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Hashable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt


class Numbers:
    """Gives each new thing the next number, from 0."""

    def __init__(self) -> None:
        self.all: dict[Any, int] = {}

    def of(self, thing: Hashable) -> int:
        """The number of a thing."""
        return self.all.setdefault(thing, len(self.all))

    def of_all(self, things: Sequence[Hashable]) -> list[int]:
        """The numbers of things; quick where all are known."""
        found = list(map(self.all.get, things))
        return [self.of(thing) for thing in things] if None in found else found  # type: ignore[return-value]

    def listed(self) -> list[Any]:
        """The things by number."""
        return list(self.all)


class KeptNumbers(Numbers):
    """Numbers of things that come and go: what is forgotten leaves its number to another, the lowest first."""

    SPARE = 1024  # things that may be here though nobody has them, besides as many as are had

    def __init__(self) -> None:
        super().__init__()
        self.end = 0  # above all numbers
        self._free: list[int] = []  # a heap of those below `end` that nothing has
        self._look_at = self.SPARE

    def full(self, rows: int) -> bool:
        """Whether it is to be looked which of the things are had; a few for each of the rows may be here unlooked."""
        return len(self.all) > max(self._look_at, 2 * rows)

    def of(self, thing: Hashable) -> int:
        found = self.all.get(thing)
        if found is None:
            found = heapq.heappop(self._free) if self._free else self.end
            self.end = max(self.end, found + 1)
            self.all[thing] = found
        return found

    def keep(self, had: Collection[Hashable]) -> None:
        """Forgets all other things. To be looked at again after as many more."""
        self.all = {thing: number for thing, number in self.all.items() if thing in had}
        taken = set(self.all.values())
        self.end = max(taken, default=-1) + 1
        self._free = [number for number in range(self.end) if number not in taken]
        self._look_at = 2 * len(self.all) + self.SPARE

    def listed(self) -> list[Any]:
        found = [""] * self.end
        for thing, number in self.all.items():
            found[number] = thing
        return found


class Encoder:
    """Collects `constraints` and the columns they refer to."""

    def __init__(self) -> None:
        self.constraints: dict[str, Any] = {}
        self.columns: list[npt.NDArray[Any]] = []
        self.keys = Numbers()  # of labels and tags

    def column(self, values: npt.ArrayLike, dtype: type = np.int32) -> int:
        """Adds a column; answers its number."""
        self.columns.append(np.ascontiguousarray(values, dtype=dtype))
        return len(self.columns) - 1

    def sets(self, sets: Sequence[Any], of: npt.ArrayLike) -> dict[str, Any]:
        """What a field is whose rows share few values."""
        return {"sets": list(sets), "of": self.column(of)}


class Sets:
    """Rows' values to numbers of distinct ones, -1 for nothing.

    `parse(row, value)` checks a value and answers its canonical, hashable form, None where it asks for nothing. Values
    that look the same as an earlier one (`look`) are not parsed again.
    """

    def __init__(self, values: Sequence[Any] | None, count: int, parse: Callable[[int, Any], Hashable | None]) -> None:
        self.numbers = Numbers()
        self._count = count
        if values is None:  # as in most fields of most calls
            return
        self.of = [-1] * count
        seen: dict[Hashable, int] = {}
        for row, value in enumerate(values):
            if value is None:
                continue
            look = _look(value)
            number = seen.get(look) if look is not None else None
            if number is None:
                parsed = parse(row, value)
                number = -1 if parsed is None else self.numbers.of(parsed)
                if look is not None:
                    seen[look] = number
            self.of[row] = number

    @cached_property
    def of(self) -> list[int]:
        """The number of each row's value."""
        return [-1] * self._count

    def taken(self, rows: Sequence[int]) -> Sets:
        """The values of some rows, and no others."""
        made = Sets(None, len(rows), lambda *_: None)
        if self:
            values = self.all
            made.of = [-1 if (own := self.of[row]) < 0 else made.numbers.of(values[own]) for row in rows]
        return made

    def __bool__(self) -> bool:
        return bool(self.numbers.all)

    @property
    def all(self) -> list[Any]:
        """The distinct values in the order of their numbers."""
        return list(self.numbers.all)


_PLAIN = {str, int, float, bool, type(None)}


def _look(value: Any) -> Hashable | None:
    """What is equal for equal plain mappings and sequences (1 and True apart); None where that is not cheap to tell."""
    if type(value) is dict:
        items: tuple[Any, ...] = tuple(value.items())
        values = tuple(value.values())
    elif type(value) in (list, tuple):
        items = values = tuple(value)
    else:
        return None
    kinds = tuple(map(type, values))
    return (items, kinds) if _PLAIN.issuperset(kinds) else None
