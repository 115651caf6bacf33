"""What a node tells of grants, in a LOAD or in answer to a GRANT, checked before the book looks at it."""

from __future__ import annotations

from typing import Any, NamedTuple

from ._fields import items, maps, odd_field, text, whole
from ._wire import ID_BYTES


class Refused(NamedTuple):
    """One grant that a node does not give, and why."""

    row: int  # in the GRANT
    code: int
    message: str


class GrantsTold(NamedTuple):
    """The RESULT of a GRANT: what it does not name is held."""

    version: int
    refused: list[Refused]
    unknown: set[bytes]  # of those to be renewed


def read_granted(body: dict[str, Any], count: int) -> GrantsTold:
    """The RESULT of a GRANT of so many, or Odd: what cannot be read might be held or not."""
    refused = []
    for each in maps(body, "refused"):
        row = whole(each, "grant", None)
        if row >= count:
            raise odd_field("grant", row, f"beneath {count}, as were asked for")
        refused.append(Refused(row, whole(each, "code"), text(each, "message", "refused without words")))
    unknown = items(body, "unknown")
    for each in unknown:
        if not is_id(each):
            raise odd_field("unknown", each, "the id of a grant")
    return GrantsTold(whole(body, "version"), refused, set(unknown))


def listed_fault(listed: Any) -> str | None:
    """What is wrong with the grants that a LOAD lists."""
    if not isinstance(listed, list):
        return "grants are a list"
    for each in listed:
        if not isinstance(each, dict) or not is_id(each.get("id")) or not isinstance(each.get("offer"), str):
            return "a grant has an id of 16 bytes and the name of an offer"
        if not _are_units(each.get("amounts", {})) or type(each.get("lease_ms", 0)) is not int:
            return "a grant's amounts and its lease are integers"
        if not _are_devices(each.get("devices", {})) or not isinstance(each.get("about", {}), dict):
            return "a grant's devices are [number, share] in lists by kind, and what it is about is a map"
    return None


def is_id(value: Any) -> bool:
    """Whether this may be the id of a grant."""
    return type(value) is bytes and len(value) == ID_BYTES


def _are_units(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(k, str) and type(v) is int for k, v in value.items())


def _are_devices(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(kind, str)
        and isinstance(shares, list)
        and all(
            isinstance(share, list) and len(share) == 2 and all(type(part) is int and part >= 0 for part in share)
            for share in shares
        )
        for kind, shares in value.items()
    )
