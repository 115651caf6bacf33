"""The options of a call, checked and in the engine's units."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._errors import InvalidArgument
from ..legacy._amounts import Cut
from ._numbers import PRICE_MAX, is_number, price_units, to_double
from ._side import ALL_FIELDS, DIMENSIONS_MAX, Side, fault

MODES = ("exclusive", "packing")
POLICIES = ("best_fit", "worst_fit", "dot_product", "cost", "fragmentation")
TIES = ("stable", "swap_remove")
WEIGHT = "0, or a number from 2**-16 to 16384"
SCORE_MAX = 2.0**46
AMOUNT_MAX = 9.2e14


@dataclass
class Options:
    """What a call was asked beside its rows."""

    mode: str
    policy: str
    ties: str
    normalize: bool
    weights: dict[str, int]  # rint(w x 2^16)
    scale: dict[str, int]  # units
    max_score: float | None
    max_price: int | None  # 10^-6
    quotas: Any
    running: Any
    locality: int  # rint(locality_weight x 2^16)
    dimensions: list[str] | None


def read_options(
    *,
    cut: Cut,
    mode: str,
    policy: str,
    ties: str,
    weights: Any,
    normalize: Any,
    scale: Any,
    max_score: Any,
    max_price: Any,
    quotas: Any,
    running: Any,
    locality_weight: Any,
    dimensions: Any,
) -> Options:
    """All options, checked alone and against each other."""
    for name, value, allowed in (("mode", mode, MODES), ("policy", policy, POLICIES), ("ties", ties, TIES)):
        if not isinstance(value, str) or value not in allowed:
            raise _fault(name, value, " or ".join(map(repr, allowed)))
    if not isinstance(normalize, bool | np.bool_):
        raise _fault("normalize", normalize, "True or False")
    if ties == "swap_remove" and mode != "exclusive":
        raise _fault("ties", ties, "'swap_remove' only with mode='exclusive'")
    if policy in ("dot_product", "fragmentation") and not normalize:
        raise _fault("normalize", normalize, f"True with policy={policy!r}")
    if policy == "cost" and max_score is not None:
        raise _fault("max_score", max_score, "None with policy='cost'")
    return Options(
        mode=mode,
        policy=policy,
        ties=ties,
        normalize=bool(normalize),
        weights={name: weight("weights." + name, value) for name, value in _mapping("weights", weights)},
        scale={name: _scale(name, value, cut) for name, value in _mapping("scale", scale)},
        max_score=_max_score(max_score),
        max_price=_max_price(max_price),
        quotas=quotas,
        running=running,
        locality=weight("locality_weight", locality_weight),
        dimensions=_dimensions(dimensions),
    )


def _fault(field: str, value: Any, allowed: str) -> InvalidArgument:
    return fault("options", field, value, allowed)


def _mapping(field: str, value: Any) -> list[tuple[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, Mapping):
        raise _fault(field, value, "a mapping {dimension: number}")
    for key in value:
        if not isinstance(key, str) or not key:
            raise _fault(field, key, "a non-empty str as each key")
    return [(key, each) for key, each in value.items() if each is not None]


def weight(field: str, value: Any, side: Side | None = None, row: int | None = None) -> int:
    """rint(w x 2^16) of a weight that is allowed; of the options, or of a row."""
    number = to_double(value) if is_number(value) else math.nan
    if number != 0.0 and not 2.0**-16 <= number <= 16384.0:
        raise _fault(field, value, WEIGHT) if side is None else side.fault(row, field, value, WEIGHT)
    return round(number * 65536.0)


def _scale(name: str, value: Any, cut: Cut) -> int:
    number = to_double(value) if is_number(value) else math.nan
    units = int(cut(np.array([number]), "offer")[0]) if 0.0 < number <= AMOUNT_MAX else 0
    if units <= 0:
        raise _fault("scale." + name, value, f"an amount from 0.0001 to {AMOUNT_MAX:g}")
    return units


def _max_score(value: Any) -> float | None:
    if value is None:
        return None
    number = to_double(value) if is_number(value) else math.nan
    if not abs(number) <= SCORE_MAX:
        raise _fault("max_score", value, "a number from -2**46 to 2**46")
    return number


def _max_price(value: Any) -> int | None:
    if value is None:
        return None
    number = to_double(value) if is_number(value) else math.nan
    if not 0.0 <= number <= PRICE_MAX:
        raise _fault("max_price", value, f"a price from 0 to {PRICE_MAX:g}")
    return int(price_units(np.array([number]))[0])


def _dimensions(value: Any) -> list[str] | None:
    if value is None:
        return None
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise _fault("dimensions", value, "a list of names")
    names = list(value)
    for name in names:
        if not isinstance(name, str) or not name:
            raise _fault("dimensions", name, "non-empty str names")
        if name in ALL_FIELDS:
            raise _fault("dimensions", name, f"no field of the table ({', '.join(sorted(ALL_FIELDS))})")
    if len(set(names)) > DIMENSIONS_MAX:
        raise _fault("dimensions", len(names), f"at most {DIMENSIONS_MAX} names")
    return list(dict.fromkeys(names))
