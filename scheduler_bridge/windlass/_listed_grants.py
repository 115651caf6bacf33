"""The grants that a node lists in a LOAD, checked before the book looks at them."""

from __future__ import annotations

from typing import Any

from ._wire import ID_BYTES


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
