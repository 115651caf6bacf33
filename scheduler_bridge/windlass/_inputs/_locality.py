"""Inputs of tasks and what offers' nodes hold of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ._encoder import Encoder, Numbers, Sets
from ._labels import is_list, mapping_items
from ._numbers import integer
from ._side import Side, text

BYTES = "a size in bytes as an int from 0, all of a task below 2**63"
_LIMIT = 2**63


def _inputs(side: Side, row: int, value: Any) -> tuple[tuple[str, int], ...] | None:
    found = []
    total = 0
    for name, each in mapping_items(side, row, "inputs", value, f"a mapping {{id: {BYTES}}}"):
        number = integer(each)
        if number is None or number < 0:
            raise side.fault(row, f"inputs.{name}", each, BYTES)
        total += number
        if total >= _LIMIT:
            raise side.fault(row, f"inputs.{name}", each, BYTES)
        found.append((name, number))
    return tuple(sorted(found)) or None


def _staged(side: Side, row: int, value: Any) -> tuple[str, ...] | None:
    if not isinstance(value, Mapping) and not is_list(value):
        raise side.fault(row, "staged", value, "a list of ids, or a mapping whose keys are ids")
    names = list(value)
    for name in names:
        if not isinstance(name, str) or not name:
            raise side.fault(row, "staged", name, "ids that are non-empty str")
    return tuple(sorted(set(map(text, names)))) or None


class Locality:
    """`inputs` and `staged`, checked; `encode` puts them down where some task has bytes to bring."""

    def __init__(self, tasks: Side, offers: Side) -> None:
        self.inputs = Sets(tasks.listed("inputs"), tasks.count, lambda row, value: _inputs(tasks, row, value))
        self.staged = Sets(offers.listed("staged"), offers.count, lambda row, value: _staged(offers, row, value))

    def encode(self, encoder: Encoder, weight: int) -> None:
        """`weight` is rint(locality_weight x 2^16)."""
        if not self.inputs or not weight:
            return
        numbers = Numbers()  # of (id, bytes): two tasks may disagree on the size of one id
        sets = [[numbers.of(pair) for pair in each] for each in self.inputs.all]
        by_name: dict[str, list[int]] = {}
        for (name, _), number in numbers.all.items():
            by_name.setdefault(name, []).append(number)
        sizes = encoder.column([size for _, size in numbers.all], np.int64)
        encoder.constraints["inputs"] = {"bytes": sizes, **encoder.sets(sets, self.inputs.of)}
        encoder.constraints["locality"] = weight
        if self.staged:
            held = [[number for name in each for number in by_name.get(name, ())] for each in self.staged.all]
            encoder.constraints["staged"] = encoder.sets(held, self.staged.of)
