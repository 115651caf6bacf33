"""Which of many offers can be taken where some can not: one odd record is not to keep the others from being used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from . import _inputs
from ._errors import InvalidArgument
from ._inputs._side import where
from ._match import DEFAULTS, cutter

Record = dict[str, Any]
_Each = TypeVar("_Each")

_BY_OPTION = ("policy", "max_price", "dimensions", "scale")  # options that offers may not go with
_WORDS_MAX = 300


def take_all_but(given: list[_Each], take: Callable[[list[_Each]], None]) -> list[tuple[_Each, InvalidArgument]]:
    """Has `take` take all that it can, in their order and in few calls; answers the others, and why.

    `take` takes all that it is given, or raises InvalidArgument and takes nothing.
    """
    if not given:
        return []
    try:
        take(given)
    except InvalidArgument as error:
        if len(given) == 1:
            return [(given[0], error)]
        half = len(given) // 2
        return take_all_but(given[:half], take) + take_all_but(given[half:], take)
    return []


def words_of(error: InvalidArgument) -> str:
    """What is wrong with a record, without where it stood in the call that refused it."""
    text = str(error).removeprefix(f"{where(error.side or '', error.row, error.name)}: ")
    return text if len(text) <= _WORDS_MAX else text[: _WORDS_MAX - 3] + "..."


def fit_for(offers: list[Record], options: Mapping[str, Any]) -> tuple[list[Record], dict[str, str]]:
    """The offers that go with the options of a call of `match`, and by name why the others do not.

    Where none goes with them it is the options that are odd: all are answered, for `match` to say so.
    """
    asked = {name: options[name] for name in _BY_OPTION if options.get(name) is not None}
    if asked.get("policy") != "cost":  # no other looks at what an offer may lack
        asked.pop("policy", None)
    if not asked or not offers:
        return offers, {}
    cut, asked = cutter(), {**DEFAULTS, **asked}
    _inputs.read([], [], cut=cut, **asked)  # a wrong option is told as ever

    def take(part: list[Record]) -> None:
        _inputs.read([], part, cut=cut, **asked)

    left_out = {record["name"]: words_of(error) for record, error in take_all_but(offers, take)}
    if len(left_out) == len(offers):
        return offers, {}
    return [offer for offer in offers if offer["name"] not in left_out], left_out


def warning_of(left_out: Mapping[str, str], whence: str) -> list[str]:
    """What a result says of offers that were left out; `whence`: what tells of all."""
    if not left_out:
        return []
    name, why = next(iter(left_out.items()))
    others = f", and {len(left_out) - 1} more" if len(left_out) > 1 else ""
    return [f"the offer {name!r} is left out{others}: {why}; {whence}"]
