"""One side of a call as columns, whatever form it was given in, and how a fault in it is told."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .._errors import InvalidArgument

F64 = npt.NDArray[np.float64]

FIELDS: dict[str, frozenset[str]] = {
    "tasks": frozenset(
        [
            "name",
            "resources",
            "priority",
            "labels",
            "tags",
            "prefer",
            "tenant",
            "group",
            "max_per",
            "avoid",
            "gang",
            "devices",
            "inputs",
        ]
    ),
    "offers": frozenset(["name", "resources", "labels", "only", "node", "devices", "price", "staged"]),
}
ALL_FIELDS = FIELDS["tasks"] | FIELDS["offers"]
DIMENSIONS_MAX = 256


@dataclass
class Column:
    """One field of all rows.

    `values` is a list or an array. An absent value is None in a list (where `none_ok`; elsewhere None is a fault), and
    a True of `absent` beside an array.
    """

    values: Any
    none_ok: bool = False
    absent: npt.NDArray[np.bool_] | None = None

    def is_absent(self) -> bool:
        """Whether no row has a value."""
        if self.absent is not None:
            return bool(self.absent.all())
        return not isinstance(self.values, np.ndarray) and all(value is None for value in self.values)


@dataclass
class Side:
    """`fields` holds the table's fields that were given, `dims` the amounts by dimension."""

    side: str
    count: int
    fields: dict[str, Column] = field(default_factory=dict)
    dims: dict[str, Column] = field(default_factory=dict)
    names_checked: bool = False
    _names: list[Any] | range = field(default_factory=list)
    _read_names: Callable[[], list[Any]] | None = None

    @property
    def names(self) -> list[Any] | range:
        """By row; read when first asked for, which may be while others work."""
        if self._read_names is not None:
            self.names = self._read_names()
            if len(self._names) != self.count:
                raise fault(self.side, "name", len(self._names), f"the {self.count} names that there were before")
        return self._names

    @names.setter
    def names(self, names: list[Any] | range) -> None:
        self._names, self._read_names = names, None

    @property
    def is_named(self) -> bool:
        """Whether there are names to be checked; rows without are known by their numbers."""
        return not self.names_checked and (self._read_names is not None or not isinstance(self._names, range))

    def read_names_later(self, read: Callable[[], list[Any]]) -> None:
        """`read` answers them all, in a list of our own."""
        self._read_names = read

    def fault(self, row: int | None, field_name: str, value: Any, allowed: str) -> InvalidArgument:
        """The error for one value; `allowed` says what would have been right."""
        name = self.names[row] if row is not None and row < len(self.names) else None
        return fault(self.side, field_name, value, allowed, row=row, name=name)

    def listed(self, field_name: str) -> list[Any] | None:
        """A field as a list with None where absent; None where no row has it."""
        column = self.fields.get(field_name)
        if column is None:
            return None
        values = _values(column)
        if column.absent is None and not column.none_ok and has_none(values):
            row = next(i for i, value in enumerate(values) if value is None)
            raise self.fault(row, field_name, None, "a value for each row of a column")
        return None if all(value is None for value in values) else values

    def records(self) -> list[dict[str, Any]]:
        """The rows as mappings with `name`, `resources` and the other fields that they have."""
        rows: list[dict[str, Any]] = [{"name": name, "resources": {}} for name in self.names]
        for name, column in self.dims.items():
            for row, value in zip(rows, _values(column), strict=True):
                if value is not None:
                    row["resources"][name] = value
        for name, column in self.fields.items():
            for row, value in zip(rows, _values(column), strict=True):
                if value is not None and name != "name":
                    row[name] = value
        return rows


def _values(column: Column) -> list[Any]:
    values = column.values.tolist() if isinstance(column.values, np.ndarray) else column.values
    if column.absent is None:
        return list(values)
    return [None if gone else value for value, gone in zip(values, column.absent, strict=True)]


def has_none(values: Iterable[Any]) -> bool:
    """Whether some value is None; by types, for a value's own `==` may answer anything."""
    return type(None) in set(map(type, values))


def fault(
    side: str, field_name: str, value: Any, allowed: str, *, row: int | None = None, name: Any = None
) -> InvalidArgument:
    """An InvalidArgument whose message names everything it carries."""
    return InvalidArgument(
        f"{where(side, row, name)}: {field_name} is {_shown(value)}; allowed is {allowed}",
        side=side,
        row=row,
        name=name,
        field=field_name,
        value=value,
    )


def where(side: str, row: int | None, name: Any) -> str:
    """The beginning of a fault's message."""
    return side if row is None else f"{side} row {row}" + ("" if name is None else f" ({_shown(name)})")


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:  # a caller's own repr must not hide the fault
        text = f"a {type(value).__name__}"
    return text if len(text) <= 120 else text[:117] + "..."


def misspelt(side: Side, row: int | None, field_name: Any, value: Any) -> InvalidArgument:
    """The error for a field beside `resources` that the table does not know."""
    table = sorted(FIELDS[side.side])
    near = difflib.get_close_matches(str(field_name), table, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return side.fault(row, str(field_name), value, f"beside `resources` only {', '.join(table)}{hint}")


def check_names(side: Side) -> None:
    """Names are hashable, not None, NaN or empty, and unique. Again it does nothing."""
    if not side.names_checked and not isinstance(side.names, range):
        _check_names(side, side.names)
    side.names_checked = True


def _check_names(side: Side, names: list[Any]) -> None:
    if list(map(type, names)).count(str) != len(names) and not set(map(type, names)) <= {str, int}:
        for row, name in enumerate(names):
            _check_name(side, row, name)
    seen = set(names)
    if "" in seen:
        raise side.fault(names.index(""), "name", "", "any hashable but None, NaN and what is empty")
    if len(seen) == len(names):
        return
    first: dict[Any, int] = {}
    for row, name in enumerate(names):
        if name in first:
            raise side.fault(row, "name", name, f"a name that no other row has (row {first[name]} has it too)")
        first[name] = row


def _check_name(side: Side, row: int, name: Any) -> None:
    if not is_name(name):
        raise side.fault(row, "name", name, "any hashable but None, NaN and what is empty")


def is_name(name: Any) -> bool:
    """Whether a value may be a name (or a node)."""
    if name is None:
        return False
    try:
        hash(name)
        if not bool(name == name):
            return False
    except TypeError:  # unhashable, or a missing value that answers no question (pandas.NA)
        return False
    try:
        return len(name) > 0
    except TypeError:
        return True


def text(value: str) -> str:
    """The characters of a str as a plain one: a str enum's member prints as something else."""
    return str.__str__(value)


def check_keys(keys: Iterable[Any], side: Side, row_of: Any) -> list[str]:
    """Keys as a sorted list; each must be a non-empty str. `row_of(key)` finds the row and value to blame."""
    keys = list(keys)
    for key in keys:
        if not isinstance(key, str) or not key:
            row, value = row_of(key)
            raise side.fault(row, str(key), value, f"a non-empty str as the key, not {_shown(key)}")
    return sorted(keys)
