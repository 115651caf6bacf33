"""Rows: sequences of mappings or of objects, and {name: mapping}.

Like rows are read a field at a time (one attribute or key read per row and field, in C); unlike rows one at a time.
"""

from __future__ import annotations

import keyword
import types
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from operator import itemgetter
from typing import Any

import numpy as np

from ._numbers import is_number
from ._side import DIMENSIONS_MAX, FIELDS, Column, Side, check_keys, fault, has_none, misspelt
from ._width import keys_of, too_many

_NO_ROW = (str, bytes, bytearray, int, float, complex, list, set, frozenset, np.ndarray, np.generic, type(None))
_METHODS = (types.FunctionType, types.BuiltinFunctionType, types.MethodDescriptorType, classmethod, staticmethod)


def read_rows(side_name: str, rows: list[Any], dimensions: list[str] | None, names: list[Any] | None = None) -> Side:
    """The side whose rows are these; `names` where they stand outside of them."""
    side = Side(side_name, len(rows))
    is_mapping: dict[type, bool] = {}
    for kind in set(map(type, rows)):
        if issubclass(kind, Mapping):
            is_mapping[kind] = True
        elif issubclass(kind, _NO_ROW) or kind is tuple:
            row = next(i for i, value in enumerate(rows) if type(value) is kind)
            raise fault(side_name, "name", rows[row], "a mapping or an object with attributes as a row", row=row)
        else:
            is_mapping[kind] = False
    if not rows:
        return side
    kinds = set(is_mapping.values())
    if kinds == {True}:
        if _like_mappings(side, rows, dimensions, names, set(is_mapping) == {dict}):
            return side
    elif kinds == {False} and _like_objects(side, rows, dimensions, set(is_mapping)):
        return side
    _unlike(side, rows, dimensions, names)
    return side


def _like_mappings(
    side: Side, rows: list[Any], dimensions: list[str] | None, names: list[Any] | None, plain: bool
) -> bool:
    """Reads mappings that all have `resources`, or none; False where some have."""

    def fetch(key: str) -> list[Any]:
        if plain:  # a defaultdict would grow
            try:
                return list(map(itemgetter(key), rows))
            except KeyError:
                pass
        return [row.get(key) for row in rows]

    union = keys_of(side, rows, fields=True, all_count=dimensions is None)
    _name(side, "name" in union, fetch, names)
    keys = check_keys(union, side, lambda key: next((i, row[key]) for i, row in enumerate(rows) if key in row))
    table = FIELDS[side.side]
    columns = {key: Column(fetch(key), none_ok=True) for key in keys if key in table and key != "name"}
    given = columns.get("resources")
    if given is not None and has_none(given.values):
        if any(value is not None for value in given.values):
            return False
        del columns["resources"]
    others = [key for key in keys if key not in table]
    if "resources" not in columns and dimensions is not None:
        others = [key for key in others if key in dimensions]
    finish(side, columns, ((key, Column(fetch(key), none_ok=True)) for key in others), dimensions)
    return True


def _like_objects(side: Side, rows: list[Any], dimensions: list[str] | None, kinds: set[type]) -> bool:
    """Reads objects that all have `resources`, or none; False where some have."""
    wanted = FIELDS[side.side] | set(dimensions or ())
    present = _attributes(rows, kinds, wanted)

    def fetch(key: str) -> list[Any]:
        try:
            return _reader(key)(rows)
        except AttributeError:
            return [getattr(row, key, None) for row in rows]

    _name(side, "name" in present, fetch, None)
    columns = {
        key: Column(fetch(key), none_ok=True) for key in sorted(present) if key in FIELDS[side.side] and key != "name"
    }
    given = columns.get("resources")
    if given is not None and has_none(given.values):
        if any(value is not None for value in given.values):
            return False
        del columns["resources"]
    others: list[str] = []
    if "resources" not in columns:
        if dimensions is None:
            raise _no_dimensions(side, 0, rows[0])
        others = [key for key in dimensions if key in present]
    finish(side, columns, ((key, Column(fetch(key), none_ok=True)) for key in others), dimensions)
    return True


@lru_cache(maxsize=512)
def _reader(key: str) -> Callable[[list[Any]], list[Any]]:
    """Reads one attribute of all rows. With the name in its code Python remembers where the attribute lies, which
    halves the time of `operator.attrgetter`."""
    if key.isascii() and key.isidentifier() and not keyword.iskeyword(key):
        return eval(f"lambda rows: [row.{key} for row in rows]", {"__builtins__": {}})  # type: ignore[no-any-return]
    return lambda rows: [getattr(row, key) for row in rows]


def _attributes(rows: list[Any], kinds: set[type], wanted: set[str] | frozenset[str]) -> set[str]:
    """Those of the wanted attributes that some row may have; methods of a class are none."""
    present: set[str] = set()
    for kind in kinds:
        if hasattr(kind, "__getattr__"):
            return set(wanted)
        present |= {key for key in wanted if hasattr(kind, key) and not isinstance(getattr(kind, key), _METHODS)}
    if not any("__dict__" in base.__dict__ for kind in kinds for base in kind.__mro__):
        return present
    try:
        present |= wanted & set().union(*map(vars, rows))
    except TypeError:  # some have no __dict__
        present |= {key for row in rows if hasattr(row, "__dict__") for key in wanted & set(vars(row))}
    return present


def _no_dimensions(side: Side, row: int, value: Any) -> Exception:
    names = [key for key in dir(value) if not key.startswith("_") and key not in FIELDS[side.side]]
    found = [key for key in names if is_number(getattr(value, key, None))]
    listed = ", ".join(found) if found else "none"
    return side.fault(
        row,
        "dimensions",
        None,
        f"dimensions=[...] naming the attributes that are amounts (numbers here: {listed}), or a `resources` mapping",
    )


def _name(side: Side, are_named: bool, fetch: Callable[[str], list[Any]], outer: list[Any] | None) -> None:
    """Names that rows alone have are read last."""
    if are_named and outer is None:
        side.read_names_later(lambda: fetch("name"))
    else:
        _set_names(side, fetch("name") if are_named else None, outer)


def _set_names(side: Side, own: list[Any] | None, outer: list[Any] | None) -> None:
    if outer is None:
        if own is None:
            raise fault(side.side, "name", None, "a name for each row", row=0)
        side.names = own
    else:
        side.names = outer
        for row, name in enumerate(own or ()):
            if name is not None and not _same(name, outer[row]):
                raise side.fault(row, "name", name, "the name under which the row stands, or none")


def _same(left: Any, right: Any) -> bool:
    try:
        return bool(left == right)
    except (TypeError, ValueError):
        return False


def _unlike(side: Side, rows: list[Any], dimensions: list[str] | None, names: list[Any] | None) -> None:
    """Any mix of mappings and objects, with and without `resources`, a row at a time."""
    table = FIELDS[side.side]

    def field_of(row: Any, key: str) -> Any:
        if isinstance(row, Mapping):
            return row.get(key)
        return None if isinstance(getattr(type(row), key, None), _METHODS) else getattr(row, key, None)

    own = [field_of(row, "name") for row in rows]
    _set_names(side, None if names is not None and all(name is None for name in own) else own, names)
    keys_of(side, [row for row in rows if isinstance(row, Mapping)], fields=True, all_count=dimensions is None)
    dims: dict[str, list[Any]] = {}
    for i, row in enumerate(rows):
        for key, value in _dims_of(side, i, row, field_of(row, "resources"), dimensions).items():
            if value is None:
                continue
            if key not in dims and len(dims) == DIMENSIONS_MAX:
                raise too_many(side, key)
            dims.setdefault(key, [None] * len(rows))[i] = value
    for key in sorted(table - {"name", "resources"}):
        values = [field_of(row, key) for row in rows]
        if any(value is not None for value in values):
            side.fields[key] = Column(values, none_ok=True)
    side.dims = {key: Column(values, none_ok=True) for key, values in sorted(dims.items())}


def _dims_of(side: Side, i: int, row: Any, resources: Any, dimensions: list[str] | None) -> Mapping[str, Any]:
    table = FIELDS[side.side]
    if isinstance(row, Mapping):
        check_keys(row, side, lambda key: (i, row[key]))
    if resources is None:
        if isinstance(row, Mapping):
            return {k: v for k, v in row.items() if k not in table and (dimensions is None or k in dimensions)}
        if dimensions is None:
            raise _no_dimensions(side, i, row)
        return {key: getattr(row, key, None) for key in dimensions}
    if isinstance(row, Mapping):
        for key, value in row.items():
            if key not in table and value is not None:
                raise misspelt(side, i, key, value)
    _check_resources(side, i, resources, dimensions)
    return resources  # type: ignore[no-any-return]


def _check_resources(side: Side, row: int, resources: Any, dimensions: list[str] | None) -> None:
    if not isinstance(resources, Mapping):
        raise side.fault(row, "resources", resources, "a mapping {dimension: amount}")
    keys_of(side, [resources], fields=False)
    check_keys(resources, side, lambda key: (row, resources[key]))
    if dimensions is not None:
        for key, value in resources.items():
            if key not in dimensions and value is not None:
                raise side.fault(row, key, value, f"in `resources` only what `dimensions` names: {dimensions}")


def finish(
    side: Side, columns: dict[str, Column], others: Iterable[tuple[str, Column]], dimensions: list[str] | None
) -> None:
    """Sets fields and dimensions from a side's columns: the table's, and the others, all or none with `resources`."""
    given = columns.pop("resources", None)
    side.fields = columns
    if given is None:
        side.dims = dict(others)
        return
    for key, column in others:
        values = column.values
        for row, value in enumerate(values):
            if value is not None and (column.absent is None or not column.absent[row]):
                raise misspelt(side, row, key, value)
    side.fields = {**columns, "resources": given}
    resources = side.listed("resources") or []
    del side.fields["resources"]
    side.dims = _resource_columns(side, resources, dimensions)


def _resource_columns(side: Side, resources: list[Any], dimensions: list[str] | None) -> dict[str, Column]:
    if set(map(type, resources)) - {dict}:
        for row, value in enumerate(resources):
            if value is not None:
                _check_resources(side, row, value, None)
        resources = [{} if value is None else dict(value) for value in resources]
    union = keys_of(side, resources, fields=False)
    keys = check_keys(union, side, lambda key: next((i, r[key]) for i, r in enumerate(resources) if key in r))
    dims: dict[str, Column] = {}
    for key in keys:
        try:
            values = list(map(itemgetter(key), resources))
        except KeyError:
            values = [row.get(key) for row in resources]
        if dimensions is not None and key not in dimensions:
            for row, value in enumerate(values):
                if value is not None:
                    _check_resources(side, row, resources[row], dimensions)
            continue
        dims[key] = Column(values, none_ok=True)
    return dims
