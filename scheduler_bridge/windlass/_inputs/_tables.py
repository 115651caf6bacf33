"""Columns: mappings of columns, numpy structured arrays, pandas DataFrames and Arrow tables.

pandas and pyarrow are never imported here: who passes their tables has them loaded.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ._rows import finish
from ._side import DIMENSIONS_MAX, FIELDS, Column, Side, check_keys, fault
from ._width import Width


def is_frame(given: Any) -> bool:
    """Whether this is a pandas DataFrame."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(given, pandas.DataFrame)


def is_arrow(given: Any) -> bool:
    """Whether this is an Arrow table or record batch."""
    arrow = sys.modules.get("pyarrow")
    return arrow is not None and isinstance(given, arrow.Table | arrow.RecordBatch)


def is_column(value: Any) -> bool:
    """Whether a value of a mapping can be a column."""
    if isinstance(value, str | bytes | bytearray | Mapping):
        return False
    return isinstance(value, Sequence | np.ndarray) or _is_series(value) or _is_arrow_array(value)


def _is_series(value: Any) -> bool:
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, pandas.Series | pandas.Index | pandas.api.extensions.ExtensionArray)


def _is_arrow_array(value: Any) -> bool:
    arrow = sys.modules.get("pyarrow")
    return arrow is not None and isinstance(value, arrow.Array | arrow.ChunkedArray)


def read_mapping(side_name: str, given: Mapping[Any, Any], dimensions: list[str] | None) -> Side:
    """A mapping of columns of one length."""
    if type(given) is dict and dimensions is None and (plain := _plain_side(side_name, given)) is not None:
        return plain
    columns: dict[str, Column] = {}
    width = Width(side_name)
    count: int | None = None
    ignored = 0  # rows, where no column is looked at
    for key, value in given.items():
        if value is None:
            continue
        if not _wanted(side_name, key, given, dimensions):
            ignored = len(value) if is_column(value) else ignored
            continue
        if not is_column(value):
            raise fault(side_name, str(key), value, "a column (a sequence or an array), as the other fields are")
        columns[key] = _column_of(side_name, key, value)
        width.take(key, columns[key])
        length = len(columns[key].values)
        if count is not None and length != count:
            raise fault(side_name, str(key), length, f"columns of one length, {count} as the ones before")
        count = length
    return _side_of(side_name, columns, ignored if count is None else count, dimensions)


def _plain_side(side_name: str, given: dict[Any, Any]) -> Side | None:
    """The most usual mapping, names in a list and amounts in arrays of doubles, read in few steps; None where anything
    is otherwise, right or wrong."""
    names = given.get("name")
    if type(names) is not list or not names or len(given) > DIMENSIONS_MAX:
        return None
    table, count = FIELDS[side_name], len(names)
    dims: dict[str, Column] = {}
    for key in given:
        value = given[key]
        if key == "name":
            continue
        if type(key) is not str or not key or key in table or type(value) is not np.ndarray:
            return None
        if value.dtype != np.float64 or value.shape != (count,):
            return None
        dims[key] = Column(value)
    side = Side(side_name, count, {}, {key: dims[key] for key in sorted(dims)})
    side.read_names_later(names.copy)
    return side


def read_structured(side_name: str, given: np.ndarray[Any, Any], dimensions: list[str] | None) -> Side:
    """A numpy structured array."""
    if given.ndim != 1:
        raise fault(side_name, "name", f"an array of {given.ndim} dimensions", "a structured array of one dimension")
    columns: dict[str, Column] = {}
    width = Width(side_name)
    for key in given.dtype.names or ():
        columns[key] = _array_column(given[key])
        width.take(key, columns[key])
    return _side_of(side_name, columns, len(given), dimensions)


def read_frame(side_name: str, given: Any, dimensions: list[str] | None) -> Side:
    """A pandas DataFrame; None, NaN and NA are absent."""
    columns: dict[str, Column] = {}
    width = Width(side_name)
    for position, key in enumerate(given.columns):
        if key in columns:
            raise fault(side_name, str(key), "two columns", "one column of a name")
        if _wanted(side_name, key, given.columns, dimensions):
            columns[key] = _series_column(given.iloc[:, position])
            width.take(key, columns[key])
    return _side_of(side_name, columns, len(given), dimensions)


def read_arrow(side_name: str, given: Any, dimensions: list[str] | None) -> Side:
    """An Arrow table or record batch; null is absent."""
    columns: dict[str, Column] = {}
    width = Width(side_name)
    names = given.schema.names  # made anew each time
    for position, key in enumerate(names):
        if key in columns:
            raise fault(side_name, str(key), "two columns", "one column of a name")
        if _wanted(side_name, key, names, dimensions):
            columns[key] = _arrow_column(given.column(position))
            width.take(key, columns[key])
    return _side_of(side_name, columns, given.num_rows, dimensions)


def _wanted(side_name: str, key: Any, keys: Iterable[Any], dimensions: list[str] | None) -> bool:
    """Whether a column is looked at: all are, but those that `dimensions` leaves out."""
    return dimensions is None or key in FIELDS[side_name] or key in dimensions or "resources" in keys


def _side_of(side_name: str, columns: dict[str, Column], count: int, dimensions: list[str] | None) -> Side:
    side = Side(side_name, count)
    name = columns.pop("name", None)
    if name is None:
        side.names = range(count)
    else:
        side.fields = {"name": name}
        if name.absent is not None and name.absent.any():
            row = int(np.argmax(name.absent))
            raise fault(side_name, "name", None, "any hashable but None, NaN and what is empty", row=row)
        side.names = name.values.tolist() if isinstance(name.values, np.ndarray) else list(name.values)
    keys = check_keys(columns, side, lambda key: (None, key))
    table = FIELDS[side_name]
    others = [(key, columns[key]) for key in keys if key not in table]
    if "resources" not in columns and dimensions is not None:
        others = [(key, column) for key, column in others if key in dimensions]
    finish(side, {key: columns[key] for key in keys if key in table}, others, dimensions)
    return side


def _column_of(side_name: str, key: Any, value: Any) -> Column:
    if _is_arrow_array(value):
        return _arrow_column(value)
    if _is_series(value):
        array = value.to_numpy()
        return Column(array if array.dtype.kind in "iufb" else array.tolist())
    if isinstance(value, np.ndarray):
        if value.ndim == 0:
            raise fault(
                side_name, str(key), value.tolist(), "a column (a sequence or an array), as the other fields are"
            )
        return _array_column(value)
    return Column(value if isinstance(value, list) else list(value))


def _array_column(array: np.ndarray[Any, Any]) -> Column:
    if array.dtype.names:  # a nested record is a mapping per row
        parts = {key: _array_column(array[key]).values for key in array.dtype.names}
        lists = [part.tolist() if isinstance(part, np.ndarray) else part for part in parts.values()]
        return Column([dict(zip(parts, row, strict=True)) for row in zip(*lists, strict=True)])
    if array.ndim > 1:
        return Column(list(array))
    if array.dtype == np.longdouble:
        return Column(array.astype(np.float64))
    if isinstance(array, np.ma.MaskedArray):
        return Column(array.data, absent=np.ma.getmaskarray(array))
    if array.dtype.kind in "mM":  # `tolist` would make bare ints of nanoseconds
        return Column(list(array))
    return Column(array if array.dtype.kind in "iufb" else array.tolist())


def _series_column(series: Any) -> Column:
    missing = series.isna().to_numpy(dtype=bool)
    absent = missing if missing.any() else None
    dtype = series.dtype
    if isinstance(dtype, np.dtype) and dtype.kind in "iufb":
        return Column(series.to_numpy(), absent=absent)
    kind = getattr(dtype, "kind", "O")
    if kind == "f":
        doubles = series.to_numpy(dtype=np.float64, na_value=np.nan)
        missing = missing | np.isnan(doubles)  # pandas tells NaN and NA apart in these; both are absent
        return Column(doubles, absent=missing if missing.any() else None)
    if kind in "iu":
        filled = series if absent is None else series.fillna(0)
        return Column(filled.to_numpy(dtype=np.int64 if kind == "i" else np.uint64), absent=absent)
    values = series.tolist()
    if absent is not None:
        values = [None if gone else value for value, gone in zip(values, missing, strict=True)]
    return Column(values, none_ok=True)


def _arrow_column(array: Any) -> Column:
    import pyarrow
    import pyarrow.types as types

    if types.is_dictionary(array.type):
        decode = array.dictionary_decode if hasattr(array, "dictionary_decode") else None
        array = decode() if decode is not None else array.cast(array.type.value_type)
    absent = array.is_null().to_numpy(zero_copy_only=False) if isinstance(array, pyarrow.Array) else None
    if absent is None:
        absent = array.is_null().to_numpy()
    if types.is_integer(array.type) or types.is_floating(array.type):
        if absent.any():
            array = array.fill_null(pyarrow.scalar(0, array.type))
            return Column(_arrow_numbers(array), absent=absent)
        return Column(_arrow_numbers(array))
    return Column(_pythonic(array), none_ok=True)


def _arrow_numbers(array: Any) -> np.ndarray[Any, Any]:
    import pyarrow

    if isinstance(array, pyarrow.Array):
        return np.asarray(array.to_numpy(zero_copy_only=False))
    return np.asarray(array.to_numpy())


def _pythonic(array: Any) -> list[Any]:
    try:
        return list(array.to_pylist(maps_as_pydicts="strict"))
    except TypeError:  # pyarrow before 13
        return list(array.to_pylist())
    except KeyError:  # a map that has a key twice stays a list of pairs, which is refused where it stands
        return [_pythonic_value(value) for value in array]


def _pythonic_value(value: Any) -> Any:
    try:
        return value.as_py(maps_as_pydicts="strict")
    except KeyError:
        return value.as_py()
