"""Which of the things that a session has numbered its offers and tasks still have: the rest is forgotten.

A session lives for months, and keys, nodes, tenants, groups and ids of inputs come and go all the while. What no offer
here and no task placed has, the backend has not either, so its number may stand for something else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable
from typing import Any, TypeVar

from .._problem import I32
from ._encoder import Sets
from ._session import Book, OfferBatch, TaskBatch

_Batch = TypeVar("_Batch", OfferBatch, TaskBatch)
Rows = Callable[[], Iterable[tuple[_Batch, I32]]]  # of each batch those that are here


def tidy(book: Book, offers: Rows[OfferBatch], tasks: Rows[TaskBatch], own_nodes: Collection[Any], rows: int) -> None:
    """Has the book forget where it is time to. `own_nodes`: the names of the offers, each its own machine where none is
    given; `rows`: how many offers and tasks there are."""
    if book.keys.full(rows):
        book.keys.keep(_keys(offers()))
    if book.nodes.full(rows):
        book.nodes.keep(_nodes(offers()).union(own_nodes))
    if book.ids.full(rows):
        names = {name for batch, here in offers() for each in _used(batch.staged, here) for name in each}
        book.told = {name: count for name, count in book.told.items() if name in names}
        sized = {(name, variant) for name, count in book.told.items() for variant in range(1, count)}
        book.ids.keep(names | sized)
    if book.tenants.full(rows) or book.groups.full(rows):
        tenants, groups = _tenants_and_groups(tasks())
        book.tenants.keep(tenants)
        book.groups.keep(groups)


def _used(sets: Sets, rows: I32) -> list[Any]:
    """The values of these rows, each once."""
    if not sets:
        return []
    everything = sets.all
    return [everything[number] for number in set(map(sets.of.__getitem__, rows.tolist())) if number >= 0]


def _keys(offers: Iterable[tuple[OfferBatch, I32]]) -> set[Hashable]:
    return {
        key
        for batch, rows in offers
        for sets in (batch.labels.offer_labels, batch.labels.offer_only)
        for each in _used(sets, rows)
        for key, _ in each
    }


def _nodes(offers: Iterable[tuple[OfferBatch, I32]]) -> set[Hashable]:
    return {batch.node(row) for batch, rows in offers if batch.nodes is not None for row in rows.tolist()}


def _tenants_and_groups(tasks: Iterable[tuple[TaskBatch, I32]]) -> tuple[set[Hashable], set[Hashable]]:
    tenants: set[Hashable] = {""}
    found: set[Hashable] = set()
    for batch, rows in tasks:
        groups = batch.groups
        if groups.tenants is None and groups.groups is None and not groups.avoid:
            continue
        avoided = groups.avoid.all
        for row in rows.tolist():
            tenant, avoid = groups.tenant(row), groups.avoid.of[row]
            tenants.add(tenant)
            if groups.groups is not None and groups.groups[row] is not None:
                found.add((tenant, groups.groups[row]))
            if avoid >= 0:
                found.update((tenant, name) for name in avoided[avoid])
    return tenants, found
