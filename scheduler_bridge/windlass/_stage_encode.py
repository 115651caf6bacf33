"""From Transfers to the body of a STAGE message (proto/protocol.md), every field checked.

The same body goes to the library, the daemon and `legacy`. Optional keys stand in it only where the caller gave them,
so a server that does not serve one can refuse it by name and serves everybody else.
"""

from __future__ import annotations

import datetime
import math
import operator
import os
import re
import time
from collections.abc import Callable, Iterable
from typing import Any

from ._errors import InvalidTransfer
from ._stage_paths import wire_source, wire_target
from ._stage_transfer import Transfer

TRANSFERS_MAX = 10_000
CHECKSUM_DIGITS = {"xxh3": 16, "crc32c": 8, "crc64nvme": 16, "sha256": 64, "md5": 32}

_INT64_MAX = 2**63 - 1
_CHOICES = {
    "decompress": ("gzip", "zstd", "auto"),
    "kind": ("input", "result"),
    "durability": ("none", "file", "full"),
    "symlinks": ("keep", "skip", "refuse"),
}
_HEX = re.compile(r"[0-9a-f]+")


class StageRequest:
    """The checked transfers of one call. Deadlines are held as moments, so a body made later tells what remains."""

    def __init__(self, transfers: Iterable[Transfer], *, relative: bool = True, cache: bool = True) -> None:
        """`relative` False refuses relative paths (Bridge); `cache` False drops cache and pin (in process)."""
        self.transfers = _listed(transfers)
        self.deadlines: list[float | None] = []  # of time.monotonic()
        self._wire: list[dict[str, Any]] = []
        cwd: bytes | None = None
        for row, transfer in enumerate(self.transfers):
            if relative and cwd is None:
                cwd = _cwd()
            self._wire.append(_fields(row, transfer, cwd if relative else None, cache))
            self.deadlines.append(_checked(row, transfer, "deadline", _moment))

    def body(self, *, detach: bool = False) -> dict[str, Any]:
        """The body of STAGE, with the milliseconds that remain now until each deadline."""
        now = time.monotonic()
        body = []
        for fields, deadline in zip(self._wire, self.deadlines, strict=True):
            remaining = {} if deadline is None else {"deadline_ms": math.floor((deadline - now) * 1000)}
            body.append({**fields, **remaining})
        return {"transfers": body, "detach": detach}

    @property
    def deadline(self) -> float | None:
        """The last moment (time.monotonic()) at which a transfer may still begin; None: there is no such."""
        known = [moment for moment in self.deadlines if moment is not None]
        return max(known) if known and len(known) == len(self.deadlines) else None


def encode_transfers(
    transfers: Iterable[Transfer], *, detach: bool = False, relative: bool = True, cache: bool = True
) -> dict[str, Any]:
    """The body of STAGE for these transfers; InvalidTransfer where one is malformed."""
    return StageRequest(transfers, relative=relative, cache=cache).body(detach=detach)


def _listed(transfers: Iterable[Transfer]) -> list[Transfer]:
    if isinstance(transfers, Transfer):
        raise InvalidTransfer("transfers is one Transfer; give a list of them")
    try:
        listed = list(transfers)
    except TypeError:
        raise InvalidTransfer(f"transfers is of type {type(transfers).__name__}; give a list of Transfer") from None
    for row, transfer in enumerate(listed):
        if not isinstance(transfer, Transfer):
            raise InvalidTransfer(f"transfers[{row}] is of type {type(transfer).__name__}; give a windlass.Transfer")
    if len(listed) > TRANSFERS_MAX:
        raise InvalidTransfer(
            f"{len(listed)} transfers in one call; it takes {TRANSFERS_MAX}: make several, or stage a folder"
        )
    return listed


def _cwd() -> bytes | None:
    try:
        return os.getcwdb()
    except OSError:
        return None  # it was removed: then a relative path means nothing


def _fields(row: int, transfer: Transfer, cwd: bytes | None, cache: bool) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "source": _checked(row, transfer, "source", lambda path: wire_source(path, cwd)),
        "target": _checked(row, transfer, "target", lambda path: wire_target(path, cwd)),
    }
    for name, check in _OPTIONAL.items():
        value = _checked(row, transfer, name, check)
        if value is not None:
            fields[name] = value
    for name in ("cache", "pin", "tree_atomic"):
        if _checked(row, transfer, name, _flag) and (cache or name == "tree_atomic"):
            fields[name] = True
    if "range" in fields and "decompress" in fields:
        raise _refusal(
            row, transfer, "range", transfer.range, "a range cannot be decompressed; leave out one of the two"
        )
    return fields


def _checked(row: int, transfer: Transfer, name: str, check: Callable[[Any], Any]) -> Any:
    value = getattr(transfer, name)
    try:
        return check(value)
    except ValueError as why:
        raise _refusal(row, transfer, name, value, str(why)) from None


def _refusal(row: int, transfer: Transfer, name: str, value: Any, why: str) -> InvalidTransfer:
    return InvalidTransfer(
        f"transfers[{row}].{name} = {value!r}: {why}", source=transfer.source, target=transfer.target
    )


def _integer(value: Any, lowest: int, highest: int, what: str) -> int:
    if isinstance(value, bool):
        raise ValueError(f"{what} is an int, not a bool")
    try:
        number = operator.index(value)
    except TypeError:
        raise ValueError(f"{what} is an int, not of type {type(value).__name__}") from None
    if not lowest <= number <= highest:
        raise ValueError(f"{what} lies between {lowest} and {highest}")
    return number


def _range(value: Any) -> list[int] | None:
    if value is None:
        return None
    if isinstance(value, (str, bytes)):
        raise ValueError("give (first byte, length)")
    try:
        first, length = value
    except (TypeError, ValueError):
        raise ValueError("give (first byte, length)") from None
    first = _integer(first, 0, _INT64_MAX, "the first byte")
    length = _integer(length, 0, _INT64_MAX, "the length")
    if first + length > _INT64_MAX:
        raise ValueError("the range ends beyond what a file can hold")
    return [first, length]


def _checksum(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError(f"give a str such as 'xxh3' or 'sha256:HEX', not a {type(value).__name__}")
    name, colon, digits = value.partition(":")
    if name not in CHECKSUM_DIGITS:
        raise ValueError(f"unknown checksum; there are {', '.join(CHECKSUM_DIGITS)}")
    if not colon:
        return name
    digits = digits.lower()
    if len(digits) != CHECKSUM_DIGITS[name] or not _HEX.fullmatch(digits):
        raise ValueError(f"a {name} has {CHECKSUM_DIGITS[name]} hex digits")
    return f"{name}:{digits}"


def _choice(name: str) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        if value is not None and (not isinstance(value, str) or value not in _CHOICES[name]):
            raise ValueError(f"give one of {', '.join(_CHOICES[name])}")
        return value

    return check


def _kind(value: Any) -> str | None:
    if _choice("kind")(value) is None:
        raise ValueError("give 'input' or 'result'")
    return None if value == "input" else str(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, (bool, int)) or value not in (0, 1):
        raise ValueError("give True or False")
    return bool(value)


def _priority(value: Any) -> int | None:
    return _integer(value, -(2**31), 2**31 - 1, "the priority") or None


def _moment(value: Any) -> float | None:
    """The moment of a deadline in time.monotonic()."""
    if value is None:
        return None
    if isinstance(value, datetime.datetime):
        if value.utcoffset() is None:
            raise ValueError("the datetime has no time zone; give an aware one, or seconds from now")
        seconds = (value - datetime.datetime.now(datetime.timezone.utc)).total_seconds()
    elif isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"give seconds from now or an aware datetime, not a {type(value).__name__}")
    else:
        seconds = float(value)
    if not math.isfinite(seconds):
        raise ValueError("the number of seconds is not finite; None stands for no deadline")
    return time.monotonic() + max(-1e9, min(seconds, 1e9))


def _optional_integer(lowest: int, highest: int, what: str) -> Callable[[Any], int | None]:
    return lambda value: None if value is None else _integer(value, lowest, highest, what)


_OPTIONAL: dict[str, Callable[[Any], Any]] = {
    "range": _range,
    "size": _optional_integer(0, _INT64_MAX, "the size"),
    "checksum": _checksum,
    "mode": _optional_integer(0, 0o777, "the mode (permission bits alone)"),
    "priority": _priority,
    "decompress": _choice("decompress"),
    "kind": _kind,
    "durability": _choice("durability"),
    "symlinks": _choice("symlinks"),
}
