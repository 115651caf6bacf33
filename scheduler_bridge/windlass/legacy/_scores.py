"""Scores as exact integers: Python ints where one is told, two 64-bit limbs where a column of them is compared."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from .._problem import I64, U64, Placement, Problem

_LOW = (1 << 64) - 1
OF_PRODUCTS = ("dot_product", "fragmentation")  # policies that multiply what is asked and what is free


class Limbs:
    """128-bit two's complement integers: a signed upper and an unsigned lower half per offer."""

    def __init__(self, high: I64, low: U64) -> None:
        self.high = high
        self.low = low

    @classmethod
    def of(cls, values: list[int]) -> Limbs:
        """From Python ints."""
        return cls(
            np.array([value >> 64 for value in values], dtype=np.int64),
            np.array([value & _LOW for value in values], dtype=np.uint64),
        )

    def set(self, index: int, value: int) -> None:
        """Sets one of them."""
        self.high[index] = value >> 64
        self.low[index] = value & _LOW

    def plus(self, steps: I64, unit: int) -> Limbs:
        """Each plus steps x unit, where 0 <= steps < 2^38 and the unit is a power of two or below 2^25."""
        if unit >> 64:
            return Limbs(self.high + steps * (unit >> 64), self.low)
        high, low = _product(steps, unit)
        total = self.low + low
        return Limbs(self.high + high + (total < low), total)

    def added(self, other: Limbs) -> Limbs:
        """Each plus the other's."""
        total = self.low + other.low
        return Limbs(self.high + other.high + (total < other.low), total)

    def value(self, index: int) -> int:
        """One of them as a Python int."""
        return (int(self.high[index]) << 64) + int(self.low[index])

    def least(self, among: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
        """Those of `among` (not empty) that are the smallest, in their order."""
        high = self.high[among]
        found: npt.NDArray[np.intp] = among[high == high.min()]
        if len(found) > 1:
            low = self.low[found]
            found = found[low == low.min()]
        return found

    def above(self, value: int, among: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
        """Those of `among` that are more than a value of at most 2^127."""
        upper, lower = value >> 64, np.uint64(value & _LOW)
        high = self.high[among]
        if upper >= 1 << 63:
            return among[:0]
        found: npt.NDArray[np.intp] = among[(high > upper) | ((high == upper) & (self.low[among] > lower))]
        return found


def _product(steps: I64, unit: int) -> tuple[I64, U64]:
    """steps x unit as limbs."""
    if unit.bit_count() == 1:
        shift = unit.bit_length() - 1
        return steps >> (64 - shift) if shift else np.zeros_like(steps), steps.astype(np.uint64) << np.uint64(shift)
    return np.zeros_like(steps), (steps * unit).astype(np.uint64)


def largest(problem: Problem) -> list[int]:
    """M_d of each dimension: the scale where one is set, else the largest offer."""
    return [
        scale or (0 if column is None else int(column.max(initial=0)))
        for scale, column in zip(problem.scale, problem.offer_amounts, strict=True)
    ]


def one_of(problem: Problem) -> int:
    """What a score of 1 is."""
    if problem.policy in OF_PRODUCTS:
        return 1 << 56
    return 1 << 80 if problem.normalize else 10_000 << 16


def score_limit(problem: Problem) -> int | None:
    """The largest score that `max_score` lets in."""
    if problem.max_score is None:
        return None
    one = one_of(problem)
    return math.floor(Fraction(problem.max_score) * one) + one // 65536


def normalized(amount: int, scale: int) -> int:
    """An amount as dot_product sees it: 2^20 is the scale."""
    return (min(amount, scale) << 20) // scale if scale else 0


class Scores:
    """The scores of one problem. `row(amounts)` is what a task's or an offer's amounts weigh."""

    def __init__(self, problem: Problem) -> None:
        self.policy = problem.policy
        self.one = one_of(problem)
        self.unit = self.one // 65536  # of penalties
        self.scale = largest(problem)
        self.limit = score_limit(problem)
        if problem.policy in OF_PRODUCTS or not problem.normalize:
            self.weights = list(problem.weights)
        else:
            self.weights = [
                (weight << 64) // scale if scale else 0
                for weight, scale in zip(problem.weights, self.scale, strict=True)
            ]
        self.sign = -1 if problem.policy == "worst_fit" else 1

    def sums(self, columns: list[I64 | None], count: int) -> list[int]:
        """The signed weighted sum of each row: a score is the offer's less the task's."""
        sums = [0] * count
        for weight, column in zip(self.weights, columns, strict=True):
            if weight and column is not None:
                signed = self.sign * weight
                sums = [total + signed * amount for total, amount in zip(sums, column.tolist(), strict=True)]
        return sums


class Dots:
    """What `dot_product` compares: per dimension the offers' normalized amounts, and exact sums of products."""

    def __init__(self, problem: Problem, scores: Scores) -> None:
        self.scores = scores
        self.offers = problem.offers
        self.parts: list[I64 | None] = []
        for column, scale, weight in zip(problem.offer_amounts, scores.scale, scores.weights, strict=True):
            if column is None or not scale or not weight:
                self.parts.append(None)
            elif scale < 1 << 43:
                self.parts.append((np.minimum(column, scale) << 20) // scale)
            else:
                self.parts.append(np.array([normalized(v, scale) for v in column.tolist()], dtype=np.int64))

    def set(self, offer: int, dimension: int, amount: int) -> None:
        """After an offer's free amount has changed."""
        part = self.parts[dimension]
        if part is not None:
            part[offer] = normalized(amount, self.scores.scale[dimension])

    def factors(self, amounts: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """(dimension, weight x task) where that is not 0."""
        found = []
        for dimension, amount in amounts:
            factor = self.scores.weights[dimension] * normalized(amount, self.scores.scale[dimension])
            if factor and self.parts[dimension] is not None:
                found.append((dimension, factor))
        return found

    def limbs(self, factors: list[tuple[int, int]]) -> Limbs:
        """The scores of one task against all offers."""
        # A factor is below 2^51 and a part at most 2^20: split in two, neither sum leaves 63 bits.
        upper = np.zeros(self.offers, dtype=np.int64)
        lower = np.zeros(self.offers, dtype=np.int64)
        for dimension, factor in factors:
            part: Any = self.parts[dimension]
            upper += (factor >> 26) * part
            lower += (factor & ((1 << 26) - 1)) * part
        upper += lower >> 26
        lower &= (1 << 26) - 1
        # total = upper x 2^26 + lower, negated: -(upper x 2^26 + lower)
        high = upper >> 38
        low = ((upper & ((1 << 38) - 1)) << 26 | lower).view(np.uint64)
        negated = ~low + np.uint64(1)
        return Limbs(~high + (negated == 0), negated)

    def score(self, factors: list[tuple[int, int]], offer: int) -> int:
        """One score as a Python int."""
        total = 0
        for dimension, factor in factors:
            part: Any = self.parts[dimension]
            total += factor * int(part[offer])
        return -total


class Answer:
    """A Placement while it is made."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.offer_index = [-1] * problem.tasks
        self.scores = [0] * problem.tasks
        self.prices = [0] * problem.tasks
        self.devices: list[tuple[tuple[int, int], ...]] = [()] * problem.tasks

    def placement(self, order: list[int], with_devices: bool) -> Placement:
        """The whole of it, with tasks as they were taken."""
        made = Placement(
            offer_index=np.array(self.offer_index, dtype=np.int32),
            order=np.array(order, dtype=np.int32),
            score_high=np.array([score >> 64 for score in self.scores], dtype=np.int64),
            score_low=np.array([score & _LOW for score in self.scores], dtype=np.uint64),
            engine="legacy",
        )
        if self.problem.policy == "cost":
            made.price_added = np.array(self.prices, dtype=np.int64)
        if with_devices:
            flat = [pair for pairs in self.devices for pair in pairs]
            made.device_begin = np.zeros(self.problem.tasks + 1, dtype=np.int64)
            np.cumsum([len(pairs) for pairs in self.devices], out=made.device_begin[1:])
            made.device_dimension = np.array([dimension for dimension, _ in flat], dtype=np.int32)
            made.device_index = np.array([index for _, index in flat], dtype=np.int32)
        return made
