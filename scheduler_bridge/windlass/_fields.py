"""The fields of an answer, each of the type that the protocol gives it. What is nil counts as absent.

No answer is trusted: a field of another type is an `Odd` that names it, never another exception. Any thread.
"""

from __future__ import annotations

import math
from typing import Any


class Odd(ValueError):
    """A field that the protocol does not allow so; the message says which, and what is there."""


def odd_field(name: str, value: Any, wanted: str) -> Odd:
    told = repr(value)
    return Odd(f"{name} is {told if len(told) <= 80 else told[:77] + '...'}, and not {wanted}")


def whole(body: dict[str, Any], name: str, default: int | None = 0) -> int:
    """An integer from 0 on; without a default it has to be there."""
    value = body.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise odd_field(name, value, "a whole number from 0 on")
    return value


def number(body: dict[str, Any], name: str, default: float = 0.0) -> float:
    """A finite number from 0 on."""
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value) or value < 0:
        raise odd_field(name, value, "a number from 0 on")
    return float(value)


def text(body: dict[str, Any], name: str, default: str = "") -> str:
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, str):
        raise odd_field(name, value, "a text")
    return value


def flag(body: dict[str, Any], name: str) -> bool:
    """False where it is absent."""
    value = body.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise odd_field(name, value, "true or false")
    return value


def mapping(body: dict[str, Any], name: str) -> dict[Any, Any] | None:
    value = body.get(name)
    if value is not None and not isinstance(value, dict):
        raise odd_field(name, value, "a map")
    return value


def items(body: dict[str, Any], name: str) -> list[Any]:
    """A list, empty where it is absent."""
    value = body.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise odd_field(name, value, "a list")
    return value


def maps(body: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """A list of maps, empty where it is absent."""
    found = items(body, name)
    for at, each in enumerate(found):
        if not isinstance(each, dict):
            raise odd_field(f"{name}[{at}]", each, "a map")
    return found
