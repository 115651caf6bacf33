"""How many dimensions a side may have, told at the first too many: there may be a million, and the rest is not read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .._errors import InvalidArgument
from ._side import DIMENSIONS_MAX, FIELDS, Column, Side

_STEP = 512  # rows whose keys are taken together
_NONE: frozenset[str] = frozenset()


class Width:
    """Counts columns while they are read. What is absent in all rows counts for nothing."""

    def __init__(self, side: str) -> None:
        self._side, self._table = side, FIELDS[side]
        self._open: list[Column] = []  # not looked into yet
        self._count = 0  # of those that were, with something in them

    def take(self, key: Any, column: Column) -> None:
        """One more column; InvalidArgument where it is one too many."""
        if key in self._table:
            return
        self._open.append(column)
        if self._count + len(self._open) <= DIMENSIONS_MAX:
            return
        self._count += sum(not each.is_absent() for each in self._open)
        self._open.clear()
        if self._count > DIMENSIONS_MAX:
            raise too_many(Side(self._side, 0), key)


def keys_of(side: Side, rows: Sequence[Mapping[Any, Any]], *, fields: bool, all_count: bool = True) -> set[Any]:
    """The keys of mappings, those of absent values too.

    `fields`: they are rows, which have fields of the table beside their dimensions. Without `all_count` other keys are
    ignored, and may be any number, in rows without `resources`.
    """
    table = FIELDS[side.side] if fields else _NONE
    few = DIMENSIONS_MAX + len(table)
    found: set[Any] = set()
    checked = False
    for begin in range(0, len(rows), _STEP):
        part = rows[begin : begin + _STEP]
        if not checked and max(map(len, part)) > few:
            checked = _check(side, rows, table, all_count)
        found.update(*part)
        if not checked and len(found) > few:
            checked = _check(side, rows, table, all_count)
    return found


def _check(side: Side, rows: Sequence[Mapping[Any, Any]], table: frozenset[str], all_count: bool) -> bool:
    seen: set[Any] = set()
    for row in rows:
        if not all_count and row.get("resources") is None:
            continue
        for key, value in row.items():
            if value is None or key in table or key in seen:
                continue
            seen.add(key)
            if len(seen) > DIMENSIONS_MAX:
                raise too_many(side, key)
    return True


def too_many(side: Side, name: Any) -> InvalidArgument:
    """The error for the first dimension of too many."""
    allowed = f"at most {DIMENSIONS_MAX} dimensions, device kinds included; this one is too many"
    return side.fault(None, str(name), DIMENSIONS_MAX + 1, allowed)
