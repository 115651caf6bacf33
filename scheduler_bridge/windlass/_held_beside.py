"""Offers as a session sees them that others hold parts of: records less what is held, closed where all of it is."""

from __future__ import annotations

from typing import Any

import msgpack

from . import _inputs
from ._grant import Grant
from ._inputs._session import Book, OfferBatch, number_of

BY_STATE = "node.state"  # the node takes no new tasks
BY_OFFER = "node.offer"  # what the node says of the offer now can't be matched on
BY_GRANT = "node.grant"  # another holds the whole offer, or a part of it where this session wants it whole
ABOUT_BYTES_MAX = 1024  # as proto/limits.hpp
_ABOUT = ("tenant", "group", "avoid")


def closed(record: dict[str, Any], why: str) -> dict[str, Any]:
    """A record that lets nobody in: a condition that no task's tags meet."""
    return {**record, "only": {**(record.get("only") or {}), why: {"in": []}}}


def less_what_is_held(
    records: list[dict[str, Any]], held: list[Grant], book: Book, whole: bool
) -> list[dict[str, Any]]:
    """The records, with what is held on them taken off; `whole`: the session gives offers away as wholes."""
    by_offer: dict[str, list[Grant]] = {}
    for grant in held:
        by_offer.setdefault(grant.offer, []).append(grant)
    return [_less(record, own, book, whole) if (own := by_offer.get(record["name"])) else record for record in records]


def _less(record: dict[str, Any], held: list[Grant], book: Book, whole: bool) -> dict[str, Any]:
    if whole or any(grant.exclusive for grant in held):
        return closed(record, BY_GRANT)
    batch = OfferBatch(_inputs.read_side("offers", [record], book.options.dimensions), book)
    units, shares = batch.units(0), batch.shares(0)
    for grant in held:
        for name, amount in grant.amounts.items():
            if name in units:
                units[name] = max(units[name] - amount, 0)
        for kind, taken in grant.devices.items():
            own = shares.get(kind, [])
            for number, share in taken:
                if number < len(own):
                    own[number] = max(own[number] - share, 0)
    return batch.record(0, units, shares)


def about_of(seen: dict[str, Any]) -> dict[str, Any]:
    """What a grant keeps of its task for the day when it comes back; nothing where that is too long to be kept."""
    about = {key: seen[key] for key in _ABOUT if seen[key]}
    return about if not about or len(msgpack.packb(about)) <= ABOUT_BYTES_MAX else {}


def as_running(grant: Grant, record: dict[str, Any] | None) -> dict[str, Any]:
    """A task that came back, as `match` takes tasks that were placed earlier: it counts for groups and quotas."""
    tenant, group, avoid = (grant.about.get(key) for key in _ABOUT)
    record = record or {}
    return {
        "node": record.get("node") or grant.offer,
        "tenant": tenant if isinstance(tenant, str) else "",
        "group": group if isinstance(group, str) and group else None,
        "avoid": [each for each in avoid if isinstance(each, str) and each] if isinstance(avoid, list) else [],
        "resources": {name: number_of(units) for name, units in grant.amounts.items()},
        "devices": {kind: number_of(sum(share for _, share in own)) for kind, own in grant.devices.items() if own},
        "labels": record.get("labels") or {},
    }
