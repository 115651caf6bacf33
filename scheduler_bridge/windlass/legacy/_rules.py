"""What does not change while tasks are placed: labels, tags, preferences and where inputs lie.

Each rule answers, for a task, which offers pass (`checks`, by reason) or how many steps of penalty each has (`steps`).
A column of numbers into few sets keeps the work per set, not per offer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from .._problem import I64, Problem

Mask = npt.NDArray[np.bool_]
Checks = Iterator[tuple[str, Mask]]
_INT = re.compile(r"([+-]?)0*([0-9]+)", re.ASCII)
_DIGITS_MAX = 19  # of an int64, leading zeros aside
_CACHE_MAX = 512


class Cache(dict[Any, Any]):
    """A dictionary that forgets everything when it is full."""

    def keep(self, key: Any, value: Any) -> Any:
        """Stores and answers a value."""
        if len(self) >= _CACHE_MAX:
            self.clear()
        self[key] = value
        return value


class Rows:
    """A `{"sets", "of"}` field; `at(row)` is the row's set, or what stands for none."""

    def __init__(self, problem: Problem, name: str, nothing: Any) -> None:
        found = (problem.constraints or {}).get(name)
        self.sets: list[Any] = [] if found is None else found["sets"]
        self.of: npt.NDArray[np.int32] | None = None if found is None else problem.columns[found["of"]]
        self.nothing = nothing
        self._of_list: list[int] = [] if self.of is None else self.of.tolist()

    def number(self, row: int) -> int:
        """The number of the row's set, -1 for none."""
        return self._of_list[row] if self._of_list else -1

    def at(self, row: int) -> Any:
        """The row's set."""
        number = self.number(row)
        return self.nothing if number < 0 else self.sets[number]


def holds(condition: dict[str, Any], value: str | None) -> bool:
    """Whether a label's value (None: the key is missing) meets a condition."""
    if value is None:
        return not (condition.keys() & {"in", "min", "max"}) and condition.get("exists") is not True
    if condition.get("exists") is False:
        return False
    if "in" in condition and value not in condition["in"]:
        return False
    if "not_in" in condition and value in condition["not_in"]:
        return False
    if "min" not in condition and "max" not in condition:
        return True
    found = _INT.fullmatch(value)
    if found is None or len(found[2]) > _DIGITS_MAX:
        return False
    number = int(found[1] + found[2])
    if not -(2**63) <= number < 2**63:
        return False
    return bool(condition.get("min", number) <= number <= condition.get("max", number))


class Domains:
    """Per label key, each offer's value by number (the last stands for: no such label)."""

    def __init__(self, problem: Problem) -> None:
        self.offers = problem.offers
        self.labels = Rows(problem, "offer_labels", {})
        self._keys: dict[int, tuple[list[str | None], npt.NDArray[np.int32]]] = {}

    def of(self, key: int) -> tuple[list[str | None], npt.NDArray[np.int32]]:
        """(the values, the last being None; each offer's number among them)."""
        if key not in self._keys:
            numbers: dict[str, int] = {}
            per_set = [numbers.setdefault(s[key], len(numbers)) if key in s else -1 for s in self.labels.sets]
            values: list[str | None] = [*numbers, None]
            table = np.array([*per_set, -1], dtype=np.int32)
            table[table < 0] = len(values) - 1
            if self.labels.of is None:
                of = np.full(self.offers, len(values) - 1, dtype=np.int32)
            else:
                of = table[self.labels.of]
            self._keys[key] = values, of
        return self._keys[key]

    def passing(self, key: int, condition: dict[str, Any]) -> Mask:
        """Which offers meet a condition on a label."""
        values, of = self.of(key)
        return np.array([holds(condition, value) for value in values], dtype=bool)[of]


class Labels:
    """The conditions of tasks on offers' labels."""

    def __init__(self, problem: Problem, domains: Domains, keys: list[str]) -> None:
        self.rows = Rows(problem, "task_labels", {})
        self.domains, self.keys = domains, keys
        self.cache = Cache()

    def checks(self, task: int) -> Checks:
        """One check per key."""
        number = self.rows.number(task)
        if number < 0:
            return
        found = self.cache.get(number)
        if found is None:
            conditions = self.rows.sets[number].items()
            found = [(f"label.{self.keys[key]}", self.domains.passing(key, each)) for key, each in conditions]
            self.cache.keep(number, found)
        yield from found


class Only:
    """The conditions of offers on tasks' tags."""

    def __init__(self, problem: Problem, keys: list[str]) -> None:
        self.rows = Rows(problem, "offer_only", {})
        self.tags = Rows(problem, "task_tags", {})
        self.keys = keys
        self.cache = Cache()

    def checks(self, task: int) -> Checks:
        """One check per key that some offer's `only` names."""
        if self.rows.of is None:
            return
        number = self.tags.number(task)
        found = self.cache.get(number)
        if found is None:
            found = self.cache.keep(number, list(self._checks(self.tags.at(task))))
        yield from found

    def _checks(self, tags: dict[int, str]) -> Checks:
        failing: dict[int, list[int]] = {}
        for number, conditions in enumerate(self.rows.sets):
            for key, condition in conditions.items():
                if not holds(condition, tags.get(key)):
                    failing.setdefault(key, []).append(number)
        for key, numbers in failing.items():
            passes = np.ones(len(self.rows.sets) + 1, dtype=bool)  # the last: no `only`
            passes[numbers] = False
            yield f"only.{self.keys[key]}", passes[self.rows.of]


class Prefer:
    """What preferences that do not hold cost, in steps of 2^-16."""

    def __init__(self, problem: Problem, domains: Domains) -> None:
        self.rows = Rows(problem, "prefer", [])
        self.domains = domains
        self.cache = Cache()

    def steps(self, task: int) -> I64 | None:
        """Per offer, or None for nothing."""
        number = self.rows.number(task)
        if number < 0:
            return None
        found = self.cache.get(number)
        if found is None:
            found = np.zeros(self.domains.offers, dtype=np.int64)
            for conditions, weight in self.rows.sets[number]:
                passes = np.ones(self.domains.offers, dtype=bool)
                for key, condition in conditions.items():
                    passes &= self.domains.passing(key, condition)
                found[~passes] += weight
            self.cache.keep(number, found)
        return found


class Locality:
    """What bytes that are not staged cost, in steps of 2^-16."""

    def __init__(self, problem: Problem) -> None:
        constraints = problem.constraints or {}
        self.offers = problem.offers
        self.rows = Rows(problem, "inputs", [])
        self.staged = Rows(problem, "staged", [])
        self.sets = [frozenset(each) for each in self.staged.sets]
        self.weight = constraints.get("locality", 0)
        self.bytes: list[int] = problem.columns[constraints["inputs"]["bytes"]].tolist() if self.rows.sets else []
        self.cache = Cache()

    def steps(self, task: int) -> I64 | None:
        """Per offer, or None for nothing."""
        number = self.rows.number(task)
        if number < 0 or not self.weight:
            return None
        if number not in self.cache:
            self.cache.keep(number, self._steps(self.rows.sets[number]))
        return self.cache[number]  # type: ignore[no-any-return]

    def _steps(self, inputs: list[int]) -> I64 | None:
        total = sum(self.bytes[each] for each in inputs)
        if total == 0:
            return None
        per_set = [
            sum(self.bytes[each] for each in inputs if each not in held) * self.weight // total
            for held in (*self.sets, frozenset())
        ]
        table = np.array(per_set, dtype=np.int64)
        return np.full(self.offers, table[-1]) if self.staged.of is None else table[self.staged.of]
