"""Which of the offers that nodes tell of count, and why the others do not.

A record counts where `match` takes it by itself, and beside all those that count already: its name is nobody else's,
nothing is an amount in one and stands under `devices` in another, and there are 256 dimensions at most. Who came first
stays; who contradicts that is left out for as long as it does. So an odd record costs the cluster that record alone.

Decisions only. One thread at a time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from . import _inputs
from ._fit import take_all_but, words_of
from ._inputs._session import Book, OfferBatch
from ._inputs._side import DIMENSIONS_MAX, FIELDS
from ._match import DEFAULTS
from .legacy._amounts import cut

Offer = dict[str, Any]

_BOOK = Book(_inputs.read_options(cut=cut, **DEFAULTS), cut)
_Users = dict[str, dict[str, int]]  # by dimension: how many records of which nodes have it


@dataclass(slots=True)
class _Row:
    """One record as told. `name` is what it is told of by; `why` is what keeps it from counting."""

    record: Any
    name: str
    amounts: Collection[str] = ()
    kinds: Collection[str] = ()
    sound: bool = True  # by itself
    counts: bool = False
    why: str = ""


class Roster:
    """`tell` and `forget` answer the other nodes of whose offers more count by that."""

    def __init__(self) -> None:
        self._rows: dict[str, list[_Row]] = {}
        self._waiting: dict[str, None] = {}  # nodes with sound records that do not count, first come first
        self._names: dict[str, str] = {}  # by offer, whose it is
        self._amounts: _Users = {}
        self._kinds: _Users = {}

    def tell(self, node: str, offers: list[Any]) -> list[str]:
        """These are a node's offers, in place of those before."""
        self._let_go(node)
        rows = self._rows[node] = _rows_of(node, offers)
        self._enter(node, rows)
        return self._look_again(node)

    def forget(self, node: str) -> list[str]:
        """A node is no more."""
        self._let_go(node)
        self._rows.pop(node, None)
        return self._look_again(node)

    def offers(self, node: str) -> list[Offer]:
        """Those of a node that count, as it told them."""
        return [row.record for row in self._rows.get(node, ()) if row.counts]

    def left_out(self, node: str) -> dict[str, str]:
        """By name, why others of a node do not count. What has no name goes by its place."""
        found: dict[str, str] = {}
        for row in self._rows.get(node, ()):
            if not row.counts:
                found.setdefault(row.name, row.why)
        return found

    def _let_go(self, node: str) -> None:
        self._waiting.pop(node, None)
        for row in self._rows.get(node, ()):
            if not row.counts:
                continue
            del self._names[row.name]
            for name, users in self._used_by(row):
                users[name][node] -= 1
                if not users[name][node]:
                    del users[name][node]
                if not users[name]:
                    del users[name]

    def _look_again(self, teller: str) -> list[str]:
        changed = []
        for node in [node for node in self._waiting if node != teller]:
            del self._waiting[node]
            if self._enter(node, self._rows[node]):
                changed.append(node)
        return changed

    def _enter(self, node: str, rows: list[_Row]) -> bool:
        """What is sound and does not count is to count now, if it can; whether any does."""
        entered = False
        for row in rows:
            if row.counts or not row.sound:
                continue
            row.why = self._clash(node, row)
            row.counts = not row.why
            if not row.counts:
                self._waiting[node] = None
                continue
            entered = True
            self._names[row.name] = node
            for name, users in self._used_by(row):
                own = users.setdefault(name, {})
                own[node] = own.get(node, 0) + 1
        return entered

    def _used_by(self, row: _Row) -> Iterator[tuple[str, _Users]]:
        for name in row.amounts:
            yield name, self._amounts
        for name in row.kinds:
            yield name, self._kinds

    def _clash(self, node: str, row: _Row) -> str:
        """What of all that counts already a record contradicts."""
        holder = self._names.get(row.name)
        if holder is not None:
            return f"name is {row.name!r}, as of another offer of node {holder}"
        for name in row.amounts:
            if name in self._kinds:
                return f"{name} is an amount, but stands under `devices` of node {next(iter(self._kinds[name]))}"
        for name in row.kinds:
            if name in self._amounts:
                return f"devices.{name}: {name!r} is an amount of node {next(iter(self._amounts[name]))}"
        fresh = sum(name not in users for name, users in self._used_by(row))
        count = len(self._amounts) + len(self._kinds) + fresh
        if fresh and count > DIMENSIONS_MAX:
            return f"has more dimensions than all offers may have, device kinds included: {count} of {DIMENSIONS_MAX}"
        return ""


def _rows_of(node: str, offers: list[Any]) -> list[_Row]:
    rows = [_row_of(node, place, offer) for place, offer in enumerate(offers)]
    for row, error in take_all_but([row for row in rows if row.sound], _check):
        row.sound, row.why = False, words_of(error)
    for row in rows:
        if row.sound:
            row.amounts, row.kinds = tuple(_amounts_of(row.record)), tuple(_keys_of(row.record.get("devices")))
    return rows


def _row_of(node: str, place: int, offer: Any) -> _Row:
    if not isinstance(offer, dict):
        return _Row(None, f"offer {place}", sound=False, why="is no mapping of fields")
    name = offer.get("name")
    if not isinstance(name, str):
        return _Row(offer, f"offer {place}", sound=False, why="has no name")
    if name != node and not name.startswith(f"{node}/"):
        why = f"is not node {node}'s own: its offers are {node!r}, or begin with {node + '/'!r}"
        return _Row(offer, name, sound=False, why=why)
    return _Row(offer, name)


def _check(rows: list[_Row]) -> None:
    batch = OfferBatch(_inputs.read_side("offers", [row.record for row in rows], None), _BOOK)
    _BOOK.check(batch.side, batch.amounts, batch.devices.kinds)


def _amounts_of(record: Offer) -> Iterator[str]:
    resources = record.get("resources")
    if resources is not None:
        return _keys_of(resources)
    return (key for key in _keys_of(record) if key not in FIELDS["offers"])


def _keys_of(given: dict[str, Any] | None) -> Iterator[str]:
    return (key for key, value in (given or {}).items() if value is not None)
