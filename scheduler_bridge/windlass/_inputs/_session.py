"""Batches of a session: offers and tasks given at different times, under numbers that hold while any of them has
what they stand for (`_session_had`).

A batch is checked and kept in columns of its own, so that what the caller does to its rows later changes nothing.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from .._problem import I32, I64
from ..legacy._amounts import Cut
from ..legacy._amounts import cut as legacy_cut
from ._devices import Devices
from ._encoder import KeptNumbers
from ._groups import NODE, Groups, read_quotas, read_running
from ._labels import Labels
from ._locality import Locality
from ._numbers import all_amounts, integers, plain, prices
from ._options import Options
from ._side import DIMENSIONS_MAX, Side, is_name

UNIT = 10_000


class Book:
    """The session's options and the number of each name that crosses to its backend."""

    def __init__(self, options: Options, cut: Cut) -> None:
        self.cut = cut
        self.quotas = read_quotas(options.quotas, cut)
        if options.running is not None and isinstance(options.running, Iterable):
            options = dataclasses.replace(options, running=list(options.running))
        self.running = read_running(options.running, cut)
        self.options = options
        self.dimensions: list[str] = list(options.dimensions or ())
        self._known = set(self.dimensions)
        self.kinds = {kind for entry in self.running for kind in entry["devices"] or ()}
        self.keys, self.nodes, self.tenants, self.groups = KeptNumbers(), KeptNumbers(), KeptNumbers(), KeptNumbers()
        self.ids = KeptNumbers()  # of what offers have staged
        self.told: dict[str, int] = {}  # of an id: so many of its numbers all who hold it were told of; 1 where absent
        self.tenants.of("")

    def check(self, side: Side, dims: Iterable[str], kinds: Iterable[str]) -> None:
        """A kind of device is no amount, at any time; and no more than 256 names in all."""
        dims, kinds = list(dims), list(kinds)
        if not kinds and not self.kinds and self._known.issuperset(dims):
            return
        own = set(self.dimensions) - self.kinds
        for name in dims:
            if name in self.kinds or name in kinds:
                values = side.dims[name].values
                row = next((row for row, value in enumerate(values) if value is not None), None)
                raise self._both(side, row, name, None if row is None else plain(values[row]))
        for kind in kinds:
            if kind in own:
                values = side.listed("devices") or ()
                row = next((row for row, value in enumerate(values) if value and kind in value), None)
                raise self._both(side, row, f"devices.{kind}", None if row is None else values[row][kind])
        names = dict.fromkeys([*self.dimensions, *dims, *kinds])
        if len(names) > DIMENSIONS_MAX:
            allowed = f"at most {DIMENSIONS_MAX} dimensions in the life of a session, device kinds included"
            raise side.fault(None, list(names)[DIMENSIONS_MAX], len(names), allowed)

    def _both(self, side: Side, row: int | None, name: str, value: Any) -> Exception:
        kind = name.removeprefix("devices.")
        return side.fault(row, name, value, f"{kind!r} either as an amount or under `devices` in one session")

    def learn(self, dims: Iterable[str], kinds: Iterable[str]) -> bool:
        """Numbers what is new; whether anything was."""
        dims, kinds = list(dims), list(kinds)
        if not kinds and self._known.issuperset(dims):
            return False
        before = len(self.dimensions)
        self.dimensions = list(dict.fromkeys([*self.dimensions, *dims, *kinds]))
        self.kinds |= set(kinds)
        self._known = set(self.dimensions)
        return len(self.dimensions) > before

    def id_number(self, name: str, variant: int = 0) -> int:
        """The number of an id that offers have staged, in the so-manieth size that one call gives it."""
        return self.ids.of((name, variant) if variant else name)

    def id_numbers(self, name: str) -> list[int]:
        """All numbers of an id that whoever has it staged is told of."""
        return [self.id_number(name, variant) for variant in range(self.told.get(name, 1))]


class _Asked(NamedTuple):
    """What a side asks for or has beside amounts."""

    labels: Labels
    devices: Devices
    groups: Groups
    locality: Locality


def _asked(tasks: Side, offers: Side, cut: Cut) -> _Asked:
    if not (tasks.fields.keys() | offers.fields.keys()) - {"priority", "price"}:
        return _nothing_asked(tasks.count, offers.count)
    return _Asked(
        Labels(tasks, offers), Devices(tasks, offers, cut), Groups(tasks, offers, cut), Locality(tasks, offers)
    )


@lru_cache(maxsize=16)
def _nothing_asked(tasks: int, offers: int) -> _Asked:
    """Of so many rows; nobody writes to it."""
    sides = Side("tasks", tasks), Side("offers", offers)
    return _Asked(Labels(*sides), Devices(*sides, legacy_cut), Groups(*sides, legacy_cut), Locality(*sides))


class OfferBatch:
    """Offers as they were given in one call."""

    def __init__(self, side: Side, book: Book) -> None:
        none = Side("tasks", 0)
        options = book.options
        self.side = side  # for faults, while the call lasts
        self.names = list(side.names)
        self.count = side.count
        columns = all_amounts(side, book.cut, "offer")
        self.amounts: dict[str, I64] = {name: column for name, column in columns.items() if column is not None}
        self.labels, self.devices, _, locality = _asked(none, side, book.cut)
        self.sums: dict[str, I64] = {k: v for k, v in self.devices.offer_amounts.items() if v is not None}
        self.staged = locality.staged
        self.nodes = side.listed("node")
        for row, node in enumerate(self.nodes or ()):
            if node is not None and not is_name(node):
                raise side.fault(row, "node", node, NODE)
        self.price = self._price(side, options)

    def taken(self, rows: I32) -> OfferBatch:
        """Some of the offers, in a batch of their own."""
        made, chosen = copy.copy(self), rows.tolist()
        made.side, made.count = Side("offers", len(chosen)), len(chosen)
        made.names = [self.names[row] for row in chosen]
        made.amounts, made.sums = _rows_of(self.amounts, rows), _rows_of(self.sums, rows)
        made.labels, made.devices = self.labels.taken(chosen), self.devices.taken(chosen)
        made.staged = self.staged.taken(chosen)
        made.nodes = None if self.nodes is None else [self.nodes[row] for row in chosen]
        made.price = None if self.price is None else self.price[rows]
        return made

    @staticmethod
    def _price(side: Side, options: Options) -> I64 | None:
        needed = "policy='cost'" if options.policy == "cost" else "max_price" if options.max_price is not None else None
        column = side.fields.get("price")
        if column is not None:
            return prices(side, "price", column, needed)
        if needed is not None and side.count:
            raise side.fault(0, "price", None, f"a price of each offer, which {needed} needs")
        return None

    def all_nodes(self) -> list[Any]:
        """The machine of each offer."""
        return self.names if self.nodes is None else [self.node(row) for row in range(self.count)]

    def node(self, row: int) -> Any:
        """The machine that an offer is on."""
        node = self.nodes[row] if self.nodes is not None else None
        return self.names[row] if node is None else node

    def label_items(self, row: int) -> dict[str, str]:
        """An offer's labels as text."""
        number = self.labels.offer_labels.of[row]
        return {} if number < 0 else dict(self.labels.offer_labels.all[number])

    def units(self, row: int) -> dict[str, int]:
        """An offer's record in units, without its devices."""
        return {name: int(column[row]) for name, column in self.amounts.items()}

    def shares(self, row: int) -> dict[str, list[int]]:
        """The record of an offer's devices, in units, kinds without any left out."""
        found = {}
        for kind in self.devices.kinds:
            begin = self.devices.begin[kind]
            own = self.devices.shares[kind][int(begin[row]) : int(begin[row + 1])].tolist()
            if own:
                found[kind] = own
        return found

    def record_as_given(self, row: int) -> dict[str, Any]:
        """An offer as `match` takes it."""
        return self.record(row, self.units(row), self.shares(row))

    def record(self, row: int, units: dict[str, int], shares: dict[str, list[int]]) -> dict[str, Any]:
        """An offer as `match` takes it, with these amounts in place of its own."""
        made: dict[str, Any] = {"name": self.names[row], "resources": {d: number_of(v) for d, v in units.items()}}
        if self.nodes is not None and self.nodes[row] is not None:
            made["node"] = self.nodes[row]
        labels = self.label_items(row)
        if labels:
            made["labels"] = labels
        only = self.labels.offer_only.of[row]
        if only >= 0:
            made["only"] = {key: dict(condition) for key, condition in self.labels.offer_only.all[only]}
        if shares:
            made["devices"] = {kind: [number_of(share) for share in own] for kind, own in shares.items()}
        if self.price is not None and self.price[row] >= 0:
            price = int(self.price[row])
            made["price"] = price // 1_000_000 if price % 1_000_000 == 0 else price / 1e6
        staged = self.staged.of[row]
        if staged >= 0:
            made["staged"] = list(self.staged.all[staged])
        return made


def _rows_of(columns: dict[str, I64], rows: I32) -> dict[str, I64]:
    return {name: column[rows] for name, column in columns.items()}


def _mappings(columns: dict[str, I64], rows: I32) -> list[dict[str, int]]:
    """Rows of columns, without what is 0."""
    parts = [column[rows] for column in columns.values()]
    if not parts:
        return [{} for _ in rows]
    found = [dict(zip(columns, row, strict=True)) for row in zip(*(part.tolist() for part in parts), strict=True)]
    if all(part.all() for part in parts):
        return found
    return [{name: units for name, units in row.items() if units} for row in found]


def number_of(units: int) -> int | float:
    """An amount as a number again."""
    return units // UNIT if units % UNIT == 0 else units / UNIT


class TaskBatch:
    """Tasks as they were given in one call."""

    def __init__(self, side: Side, book: Book) -> None:
        none = Side("offers", 0)
        self.side = side
        self.names = list(side.names)
        self.count = side.count
        columns = all_amounts(side, book.cut, "task")
        self.amounts: dict[str, I64] = {name: column for name, column in columns.items() if column is not None}
        self.labels, devices, self.groups, self.locality = _asked(side, none, book.cut)
        self.kinds = devices.kinds
        self.asked: dict[str, I64] = {k: v for k, v in devices.task_amounts.items() if v is not None}
        self.priority = None
        if "priority" in side.fields:
            column = integers(side, "priority", side.fields["priority"], -(2**31), 2**31 - 1)
            self.priority = column.astype(np.int32)

    def taken(self, rows: I32) -> TaskBatch:
        """Some of the tasks, placed, in a batch of their own: what their places were chosen by is needed no more."""
        made, chosen, offers = copy.copy(self), rows.tolist(), Side("offers", 0)
        made.side, made.count = Side("tasks", len(chosen)), len(chosen)
        made.names = [self.names[row] for row in chosen]
        made.amounts, made.asked = _rows_of(self.amounts, rows), _rows_of(self.asked, rows)
        made.labels, made.locality = Labels(made.side, offers), Locality(made.side, offers)
        made.groups = self.groups.taken(chosen)
        made.priority = None
        return made

    def units(self, row: int) -> dict[str, int]:
        """What a task asks for, in units, without devices; what is 0 left out."""
        return {name: int(column[row]) for name, column in self.amounts.items() if column[row]}

    def shares(self, row: int) -> dict[str, int]:
        """The devices that a task asks for, in units; what is 0 left out."""
        return {kind: int(column[row]) for kind, column in self.asked.items() if column[row]}

    def units_of(self, rows: I32) -> list[dict[str, int]]:
        """As `units`, of many tasks."""
        return _mappings(self.amounts, rows)

    def shares_of(self, rows: I32) -> list[dict[str, int]]:
        """As `shares`, of many tasks."""
        return _mappings(self.asked, rows)

    def about(self, row: int) -> dict[str, Any]:
        """By what others see a task."""
        groups = self.groups
        avoid = groups.avoid.of[row]
        return {
            "tenant": groups.tenant(row),
            "group": groups.groups[row] if groups.groups is not None else None,
            "avoid": list(groups.avoid.all[avoid]) if avoid >= 0 else [],
        }

    def abouts(self, rows: Sequence[int], shorten: Callable[[dict[str, Any]], Any]) -> list[Any]:
        """`shorten(about(row))` of many tasks, made once for those that are alike."""
        groups, found = self.groups, {}
        of = [column for column in (groups.tenants, groups.groups) if column is not None]
        alike = list(zip(*of, groups.avoid.of, strict=True))
        for row in rows:
            if alike[row] not in found:
                found[alike[row]] = shorten(self.about(row))
        return [found[alike[row]] for row in rows]

    def running(self, row: int) -> dict[str, Any]:
        """A task as an entry of `running`, but for the machine it is on."""
        return {
            **self.about(row),
            "resources": {name: number_of(units) for name, units in self.units(row).items()},
            "devices": {kind: number_of(units) for kind, units in self.shares(row).items()},
        }
