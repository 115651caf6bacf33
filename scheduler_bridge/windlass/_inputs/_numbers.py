"""Columns of numbers: doubles, amounts, int32 and prices. Whole columns at once; rows are walked to find a fault."""

from __future__ import annotations

import marshal
import math
import numbers
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

from ..legacy._amounts import LARGEST, SMALL, Cut
from ._side import F64, Column, Side

NUMBER = "a finite number (int, float, numpy number, Decimal or Fraction; no bool, no str)"
AMOUNT = f"a number from 0 to {LARGEST:g} (int, float, numpy number, Decimal or Fraction; no bool, no str)"
PRICE_MAX = 9.2e12
_PLAIN = {int, float}
_KINDS = (int, float, np.integer, np.floating, Decimal, numbers.Real)
_NO_KINDS = (bool, np.bool_, np.timedelta64)  # numbers by inheritance only


def is_number(value: Any) -> bool:
    """Whether a value counts as a number here (NaN and infinities do)."""
    return isinstance(value, _KINDS) and not isinstance(value, _NO_KINDS)


def to_double(value: Any) -> float:
    """A number as a double; infinite where it is too large for one."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
    except ValueError:  # a signalling NaN
        return math.nan


def doubles(side: Side, field: str, column: Column, allowed: str = NUMBER) -> F64:
    """The column as doubles, NaN where absent; a NaN that was given is a fault."""
    values = column.values
    if isinstance(values, np.ndarray) and values.dtype.kind == "O":
        values = values.tolist()
    if isinstance(values, np.ndarray):
        return _array_doubles(side, field, column, allowed)
    floats = _floats(values)
    if floats is not None:
        return _no_nan(side, field, values, floats, allowed)
    kinds = set(map(type, values))
    none = type(None) in kinds
    kinds.discard(type(None))
    if none and not column.none_ok:
        raise side.fault(values.index(None), field, None, allowed)
    converted = values  # a fault tells the value as given
    if not kinds <= _PLAIN:
        if any(not issubclass(kind, _KINDS) or issubclass(kind, _NO_KINDS) for kind in kinds):
            row = next(i for i, value in enumerate(values) if value is not None and not is_number(value))
            raise side.fault(row, field, values[row], allowed)
        converted = [None if value is None else to_double(value) for value in values]
    try:
        found: F64 = np.array(converted, dtype=np.float64)
    except OverflowError:
        found = np.array([math.nan if value is None else to_double(value) for value in values], dtype=np.float64)
    return _no_nan(side, field, values, found, allowed)


_FLOAT = np.dtype([("kind", "S1"), ("value", "<f8")])
_BEFORE_FLOATS = 5  # bytes of a list


def _floats(values: list[Any]) -> F64 | None:
    """A list of nothing but floats; None of any other.

    `marshal`, in version 2 of its format, writes what a value is before each, so both are seen in one go, in half the
    time that it takes to ask each for its type and to copy it. Anything else is of other length, or of other kind.
    """
    if not values or type(values[0]) is not float:
        return None
    try:
        packed = marshal.dumps(values, 2)
    except ValueError:  # what it can't write
        return None
    if len(packed) != _BEFORE_FLOATS + _FLOAT.itemsize * len(values):
        return None
    found = np.frombuffer(packed, _FLOAT, offset=_BEFORE_FLOATS)
    return found["value"].astype(np.float64) if bool((found["kind"] == b"g").all()) else None


def _no_nan(side: Side, field: str, values: list[Any], found: F64, allowed: str) -> F64:
    """What was found, where each NaN in it stands for a None among the values."""
    gone = np.isnan(found)
    if gone.any():
        for row in np.flatnonzero(gone).tolist():
            if values[row] is not None:
                raise side.fault(row, field, plain(values[row]), allowed)
    return found


def _array_doubles(side: Side, field: str, column: Column, allowed: str) -> F64:
    values = column.values
    if values.dtype.kind not in "iuf" or values.ndim != 1:
        row = 0
        if column.absent is not None and not column.absent.all():
            row = int(np.argmin(column.absent))
        raise side.fault(row if len(values) else None, field, values[row].tolist() if len(values) else None, allowed)
    found: F64 = values.astype(np.float64)
    gone = np.isnan(found)
    if gone.any():
        given = gone if column.absent is None else gone & ~column.absent
        if given.any():
            raise side.fault(int(np.argmax(given)), field, math.nan, allowed)
    if column.absent is not None:
        found[column.absent] = math.nan
    return found


def all_amounts(side: Side, cut: Cut, kind: str) -> dict[str, npt.NDArray[np.int64] | None]:
    """`amounts` of each dimension; of plain numbers in one go, since calls cost more than rows do, and the more where
    another thread wants the GIL."""
    plain = {name: _plain_doubles(column) for name, column in side.dims.items()} if side.count else {}
    at_once = {name: values for name, values in plain.items() if values is not None}
    cut_ones = cut.columns(list(at_once.values()), kind) if at_once else None
    found = {} if cut_ones is None else dict(zip(at_once, cut_ones, strict=True))
    return {
        name: found[name] if name in found else amounts(side, name, column, cut, kind)
        for name, column in side.dims.items()
    }


def amounts(side: Side, field: str, column: Column, cut: Cut, kind: str) -> npt.NDArray[np.int64] | None:
    """The column in units of 1/10,000; None where no row has a value."""
    given = doubles(side, field, column, AMOUNT)
    if np.isnan(given).all():
        return None
    check_range(side, field, column, given)
    return cut(given, kind)


def _plain_doubles(column: Column) -> F64 | None:
    """A column of nothing but floats; None of any other."""
    values = column.values
    if type(values) is list:
        return _floats(values)
    plain = type(values) is np.ndarray and values.dtype == np.float64 and values.ndim == 1 and column.absent is None
    return values if plain else None


def check_range(side: Side, field: str, column: Column, found: F64) -> None:
    """Amounts are from 0 (what is -1e-7 or more counts as 0) to 9.2e14."""
    wrong = (found < -SMALL) | (found > LARGEST)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise side.fault(row, field, plain(column.values[row]), AMOUNT)


def plain(value: Any) -> Any:
    """A numpy scalar as Python's own."""
    return value.tolist() if isinstance(value, np.generic) else value


def integers(side: Side, field: str, column: Column, low: int, high: int) -> npt.NDArray[np.int64]:
    """The column as ints, 0 where absent; an integral float counts as an int. `low` and `high` lie within 2^53."""
    allowed = f"an int from {low} to {high}"
    found = doubles(side, field, column, allowed)
    gone = np.isnan(found)
    wrong = ~gone & ((found < low) | (found > high) | (np.rint(found) != found))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise side.fault(row, field, plain(column.values[row]), allowed)
    return np.where(gone, 0.0, found).astype(np.int64)


def prices(side: Side, field: str, column: Column, required_by: str | None) -> npt.NDArray[np.int64] | None:
    """Prices in 10^-6, -1 where absent; None where no row has one."""
    allowed = f"a price from 0 to {PRICE_MAX:g}"
    found = doubles(side, field, column, allowed)
    gone = np.isnan(found)
    if required_by is not None and gone.any():
        raise side.fault(int(np.argmax(gone)), field, None, f"{allowed}, which {required_by} needs of each offer")
    wrong = ~gone & ~((found >= 0.0) & (found <= PRICE_MAX))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise side.fault(row, field, plain(column.values[row]), allowed)
    if gone.all():
        return None
    return np.where(gone, -1, price_units(np.where(gone, 0.0, found)))


def price_units(found: F64) -> npt.NDArray[np.int64]:
    """rint(price * 1e6) in double arithmetic, an integral number exactly."""
    whole = np.rint(found)
    return np.where(whole == found, whole.astype(np.int64) * 1_000_000, np.rint(found * 1e6).astype(np.int64))


def integer(value: Any) -> int | None:
    """An int of any size from a value that is one (integral floats count), None otherwise."""
    if isinstance(value, _NO_KINDS):
        return None
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, _KINDS):
        number: Any = value
        try:
            whole = int(number)
        except (ValueError, OverflowError):
            return None
        return whole if whole == number else None
    return None
