"""A session's batches as constraints (proto/protocol.md, "Constraints").

A single call leaves out what can't matter to it. Here all is put down: what a later call will ask is not known yet.
"""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

from ._encoder import Encoder, Numbers, Sets
from ._groups import wire_running
from ._labels import wire_conditions, wire_labels, wire_prefer
from ._session import Book, OfferBatch, TaskBatch


def encode_offers(batch: OfferBatch | None, book: Book, nodes: npt.ArrayLike = ()) -> Encoder:
    """Of a change; without a batch only which dimensions are kinds of devices. `nodes`: the numbers of the machines."""
    encoder = Encoder()
    encoder.keys = book.keys
    constraints = encoder.constraints
    if batch is not None and batch.count:
        for name, sets, wire in (
            ("offer_labels", batch.labels.offer_labels, wire_labels),
            ("offer_only", batch.labels.offer_only, wire_conditions),
        ):
            if sets:
                constraints[name] = encoder.sets([wire(encoder, each) for each in sets.all], sets.of)
        constraints["node"] = encoder.column(nodes)
        if batch.staged and book.options.locality:
            constraints["staged"] = encoder.sets(_staged(batch.staged, book), batch.staged.of)
    _put_kinds(encoder, book, batch)
    constraints["keys"] = encoder.keys.listed()
    return encoder


def _staged(sets: Sets, book: Book) -> list[list[int]]:
    return [[number for name in each for number in book.id_numbers(name)] for each in sets.all]


def _put_kinds(encoder: Encoder, book: Book, batch: OfferBatch | None) -> None:
    if not book.kinds:
        return
    count = 0 if batch is None else batch.count
    none = np.zeros(count + 1, dtype=np.int64)
    found = []
    for dimension, kind in enumerate(book.dimensions):
        if kind in book.kinds:
            devices = batch.devices if batch is not None else None
            has = devices is not None and kind in devices.begin
            begin = devices.begin[kind] if devices is not None and has else none
            shares = devices.shares[kind] if devices is not None and has else none[:0]
            found.append(
                {
                    "dimension": dimension,
                    "begin": encoder.column(begin, np.int64),
                    "shares": encoder.column(shares, np.int64),
                }
            )
    if found:
        encoder.constraints["devices"] = found


def encode_tasks(batch: TaskBatch, book: Book) -> Encoder:
    """Of a match; quotas and running are told each time. Nothing at all where the tasks ask for amounts alone."""
    encoder = Encoder()
    encoder.keys = book.keys
    constraints = encoder.constraints
    labels, groups = batch.labels, batch.groups
    for name, sets, wire in (
        ("task_labels", labels.task_labels, wire_conditions),
        ("prefer", labels.prefer, wire_prefer),
        ("task_tags", labels.task_tags, wire_labels),
    ):
        if sets:
            constraints[name] = encoder.sets([wire(encoder, each) for each in sets.all], sets.of)
    tenants = groups.all_tenants()
    _put_groups(encoder, batch, book, tenants)
    caps = _caps(tenants, book)
    if caps:
        constraints["quotas"] = caps
    if any(tenants) or caps:
        constraints["tenant"] = encoder.column(book.tenants.of_all(tenants))
    if book.running and (caps or groups.groups is not None or groups.avoid):
        constraints["running"] = [
            wire_running(entry, encoder, book.dimensions, book.nodes, book.tenants, book.groups, all_keys=True)
            for entry in book.running
        ]
    _put_inputs(encoder, batch, book)
    if any(column.any() for column in batch.asked.values()):
        _put_kinds(encoder, book, None)
    if constraints:
        constraints["keys"] = encoder.keys.listed()
    return encoder


def _put_groups(encoder: Encoder, batch: TaskBatch, book: Book, tenants: list[str]) -> None:
    groups = batch.groups
    if groups.gangs is not None:
        gangs = Numbers()
        encoder.constraints["gang"] = encoder.column(
            [-1 if g is None else gangs.of((t, g)) for t, g in zip(tenants, groups.gangs, strict=True)]
        )
    if groups.groups is not None:
        encoder.constraints["group"] = encoder.column(
            [-1 if g is None else book.groups.of((t, g)) for t, g in zip(tenants, groups.groups, strict=True)]
        )
    if groups.max_per:
        sets = [{-1 if k == "node" else encoder.keys.of(k): n for k, n in each} for each in groups.max_per.all]
        encoder.constraints["max_per"] = encoder.sets(sets, groups.max_per.of)
    if groups.avoid:
        names, numbers = groups.avoid.all, Numbers()
        of = [
            -1 if number < 0 else numbers.of(tuple(book.groups.of((tenant, name)) for name in names[number]))
            for tenant, number in zip(tenants, groups.avoid.of, strict=True)
        ]
        encoder.constraints["avoid"] = encoder.sets([list(each) for each in numbers.all], of)


def _caps(tenants: list[str], book: Book) -> list[Any]:
    found: list[Any] = []
    if not book.quotas:
        return found
    for tenant in dict.fromkeys(tenants):
        entry = book.quotas.get(tenant, book.quotas.get("*", {}))
        caps = {number: entry[name] for number, name in enumerate(book.dimensions) if name in entry}
        if caps:
            found.append([book.tenants.of(tenant), caps])
    return found


def _put_inputs(encoder: Encoder, batch: TaskBatch, book: Book) -> None:
    inputs = batch.locality.inputs
    if not inputs or not book.options.locality:
        return
    numbers = input_numbers(batch, book)
    sizes = np.zeros(max(numbers.values()) + 1, dtype=np.int64)
    for (_, size), number in numbers.items():
        sizes[number] = size
    sets = [[numbers[pair] for pair in each] for each in inputs.all]
    encoder.constraints["inputs"] = {"bytes": encoder.column(sizes, np.int64), **encoder.sets(sets, inputs.of)}
    encoder.constraints["locality"] = book.options.locality


def input_numbers(batch: TaskBatch, book: Book) -> dict[tuple[str, int], int]:
    """(id, bytes): its number. Two tasks of one call may disagree on the size of one id. Those that no offer has are
    numbered for this call alone."""
    pairs = dict.fromkeys(pair for each in batch.locality.inputs.all for pair in each)
    sizes: dict[str, int] = {}
    found: dict[tuple[str, int], int] = {}
    for name, size in pairs:
        if name in book.ids.all:
            variant = sizes.get(name, 0)
            sizes[name] = variant + 1
            found[name, size] = book.id_number(name, variant)
    beyond = itertools.count(book.ids.end)
    return {pair: found[pair] if pair in found else next(beyond) for pair in pairs}


def untold_sizes(batch: TaskBatch, book: Book) -> dict[str, int]:
    """Ids to which this call gives more sizes than the offers that have them were told numbers for: how many."""
    sizes = Counter(name for name, _ in dict.fromkeys(pair for each in batch.locality.inputs.all for pair in each))
    return {name: count for name, count in sizes.items() if name in book.ids.all and count > book.told.get(name, 1)}
