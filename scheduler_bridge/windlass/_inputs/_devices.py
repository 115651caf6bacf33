"""Devices: of offers a list of free shares per kind, of tasks one share per kind. A kind is a dimension."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._errors import InvalidArgument
from .._problem import I64
from ..legacy._amounts import SMALL, Cut
from ._encoder import Encoder
from ._labels import is_list, mapping_items
from ._numbers import amounts, doubles, plain
from ._side import DIMENSIONS_MAX, Column, Side
from ._width import keys_of, too_many

SHARE = "a free share of a device, from 0 to 1"
REQUEST = "0, a share up to 1 of one device, or a whole number of devices"
WHOLE = 10_000


class _Flat(Side):
    """All shares of one kind as one column; a fault names the offer's row."""

    def __init__(self, side: Side, owners: list[int], count: int) -> None:
        super().__init__(side.side, count)
        self.outer, self.owners = side, owners

    def fault(self, row: int | None, field_name: str, value: Any, allowed: str) -> InvalidArgument:
        return self.outer.fault(None if row is None else self.owners[row], field_name, value, allowed)


class Devices:
    """`task_amounts` and `offer_amounts` (the sums) by kind; shares of each device behind `begin`."""

    def __init__(self, tasks: Side, offers: Side, cut: Cut) -> None:
        asked = _kinds(tasks, tasks.listed("devices"), REQUEST)
        had = _kinds(offers, offers.listed("devices"), f"a list of shares per kind, each {SHARE}")
        self.kinds = sorted(set(asked) | set(had))
        self.task_amounts: dict[str, I64 | None] = {}
        self.offer_amounts: dict[str, I64 | None] = {}
        self.begin: dict[str, I64] = {}
        self.shares: dict[str, I64] = {}
        for kind in self.kinds:
            self.task_amounts[kind] = requests(tasks, f"devices.{kind}", asked.get(kind), cut)
            begin, shares = _shares(offers, kind, had.get(kind), cut)
            self.begin[kind], self.shares[kind] = begin, shares
            ends = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(shares)))
            self.offer_amounts[kind] = np.ascontiguousarray(ends[begin[1:]] - ends[begin[:-1]])

    def taken(self, rows: Sequence[int]) -> Devices:
        """Those of some offers."""
        made = copy.copy(self)
        made.task_amounts, made.offer_amounts, made.begin, made.shares = {}, {}, {}, {}
        for kind in self.kinds:
            own = [self.shares[kind][slice(*self.begin[kind][row : row + 2])] for row in rows]
            made.shares[kind] = np.concatenate([*own, self.shares[kind][:0]])
            made.begin[kind] = np.cumsum([0, *map(len, own)], dtype=np.int64)
        return made

    def encode(self, encoder: Encoder, dimensions: list[str]) -> None:
        """Puts down every kind."""
        if self.kinds:
            encoder.constraints["devices"] = [
                {
                    "dimension": dimensions.index(kind),
                    "begin": encoder.column(self.begin[kind], np.int64),
                    "shares": encoder.column(self.shares[kind], np.int64),
                }
                for kind in self.kinds
            ]


def _kinds(side: Side, values: list[Any] | None, what: str) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for row, value in enumerate(values or ()):
        if value is None:
            continue
        if isinstance(value, Mapping):
            keys_of(side, [value], fields=False)
        for kind, each in mapping_items(side, row, "devices", value, f"a mapping {{kind: {what}}}"):
            if kind not in found and len(found) == DIMENSIONS_MAX:
                raise too_many(side, f"devices.{kind}")
            found.setdefault(kind, [None] * side.count)[row] = each
    return found


def requests(side: Side, field: str, values: list[Any] | None, cut: Cut) -> I64 | None:
    """Shares that tasks ask for, in units; above one device a whole number of them."""
    if values is None:
        return None
    units = amounts(side, field, Column(values, none_ok=True), cut, "task")
    if units is not None:
        wrong = (units > WHOLE) & (units % WHOLE != 0)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise side.fault(row, field, plain(values[row]), REQUEST)
    return units


def _shares(offers: Side, kind: str, values: list[Any] | None, cut: Cut) -> tuple[I64, I64]:
    counts = np.zeros(offers.count + 1, dtype=np.int64)
    flat: list[Any] = []
    owners: list[int] = []
    for row, each in enumerate(values or ()):
        if each is None:
            continue
        if not is_list(each) or isinstance(each, Mapping):
            raise offers.fault(row, f"devices.{kind}", each, f"a list of shares, each {SHARE}")
        given = each.tolist() if isinstance(each, np.ndarray) else list(each)
        counts[row + 1] = len(given)
        flat += given
        owners += [row] * len(given)
    side = _Flat(offers, owners, len(flat))
    found = doubles(side, f"devices.{kind}", Column(flat), SHARE)
    wrong = (found < -SMALL) | (found > 1.0 + SMALL)
    if wrong.any():
        at = int(np.argmax(wrong))
        raise side.fault(at, f"devices.{kind}", plain(flat[at]), SHARE)
    return np.cumsum(counts), cut(found, "share")
