"""What a placement adds to the fragmentation of devices: free shares that the call's own tasks could not use."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .._problem import I64, Problem
from ._holds import WHOLE, Kind
from ._rules import Cache
from ._scores import Limbs, Scores

SHAPES = 64  # part of the definition
_CHUNK = 256  # offers at a time
Demand = tuple[tuple[int, int], ...]  # (dimension, amount) above 0
Mask = npt.NDArray[np.bool_]


@dataclass
class _Known:
    """What is known of a demand: per offer what it adds, as of the offer's version in `seen`."""

    limbs: Limbs
    seen: I64


class Fragmentation:
    """Looks at `free` (amounts) and `kinds` (devices) as they stand; is told of each placement and undoing."""

    def __init__(
        self,
        problem: Problem,
        scores: Scores,
        asked: list[list[tuple[int, int]]],
        free: list[I64 | None],
        kinds: dict[int, Kind],
    ) -> None:
        self.offers = problem.offers
        self.scores, self.asked, self.free, self.kinds = scores, asked, free, kinds
        counts = Counter(tuple(each) for each in asked if any(d in kinds for d, _ in each))
        shapes = sorted(counts, key=lambda demand: -counts[demand])[:SHAPES]  # stable: the first seen first
        self.counts = np.array([counts[shape] for shape in shapes], dtype=np.int64)
        self.total = int(self.counts.sum())
        self.wanted: dict[int, I64] = {}  # by dimension what each shape asks for
        for number, shape in enumerate(shapes):
            for dimension, amount in shape:
                self.wanted.setdefault(dimension, np.zeros(len(shapes), dtype=np.int64))[number] = amount
        self.version: I64 = np.zeros(problem.offers, dtype=np.int64)
        self.known = Cache()

    def changed(self, offer: int) -> None:
        """What is free of the offer is no longer what it was."""
        self.version[offer] += 1

    def added(self, task: int) -> Limbs:
        """Per offer what the task would add to its score there; 0 for those that it does not fit."""
        demand = tuple(self.asked[task])
        known: _Known | None = self.known.get(demand)
        if known is None:
            zeros = Limbs(np.zeros(self.offers, dtype=np.int64), np.zeros(self.offers, dtype=np.uint64))
            known = self.known.keep(demand, _Known(zeros, np.full(self.offers, -1, dtype=np.int64)))
        stale = known.seen != self.version
        if self.total and stale.any():
            rows = np.flatnonzero(stale & self._fits(demand))
            for begin in range(0, len(rows), _CHUNK):
                chunk = rows[begin : begin + _CHUNK]
                for offer, value in zip(chunk.tolist(), self._increases(demand, chunk), strict=True):
                    known.limbs.set(offer, value)
            known.seen[:] = self.version
        return known.limbs

    def _fits(self, demand: Demand) -> Mask:
        fits = np.ones(self.offers, dtype=bool)
        for dimension, amount in demand:
            column = self.free[dimension]
            if dimension in self.kinds:
                fits &= self.kinds[dimension].passes(amount)
            else:
                fits &= False if column is None else column >= amount
        return fits

    def _increases(self, demand: Demand, rows: npt.NDArray[np.intp]) -> list[int]:
        """What the demand adds to each of some offers that it fits."""
        amounts, shares = self._as_they_stand(rows)
        before = self._weighed(amounts, shares)
        for dimension, amount in demand:
            if dimension in shares:
                shares[dimension] = _taken(shares[dimension], amount)
            elif dimension in amounts:
                amounts[dimension] = amounts[dimension] - amount
        after = self._weighed(amounts, shares)
        increases = [0] * len(rows)
        for dimension, had in before.items():
            weight, divisor = self.scores.weights[dimension], self.total * self.scores.scale[dimension]
            for at, (new, old) in enumerate(zip(after[dimension], had, strict=True)):
                increases[at] += weight * (((new - old) << 40) // divisor) if divisor else 0
        return increases

    def _as_they_stand(self, rows: npt.NDArray[np.intp]) -> tuple[dict[int, I64], dict[int, I64]]:
        """Amounts [rows] by dimension and shares [rows, devices] by kind, of what shapes ask for."""
        amounts: dict[int, I64] = {}
        shares: dict[int, I64] = {}
        for dimension in self.wanted:
            column = self.free[dimension]
            if dimension not in self.kinds:
                amounts[dimension] = np.zeros(len(rows), dtype=np.int64) if column is None else column[rows]
                continue
            kind = self.kinds[dimension]
            own = [kind.shares[kind.begin[offer] : kind.begin[offer + 1]] for offer in rows.tolist()]
            table = np.zeros((len(rows), max(1, *map(len, own))), dtype=np.int64)  # nobody can use a share of 0
            for at, each in enumerate(own):
                table[at, : len(each)] = each
            shares[dimension] = table
        return amounts, shares

    def _weighed(self, amounts: dict[int, I64], shares: dict[int, I64]) -> dict[int, list[int]]:
        """By kind and offer: over all shapes count x the free units that the shape could not use."""
        usable: Any = True
        for dimension, wanted in self.wanted.items():
            if dimension not in shares:
                usable = usable & (amounts[dimension][:, None] >= wanted)
                continue
            table = shares[dimension]
            part = table.max(axis=1)[:, None] >= wanted
            whole = (table == WHOLE).sum(axis=1)[:, None] >= wanted // WHOLE
            usable = usable & np.where(wanted <= WHOLE, part, whole)
        sums = {}
        for dimension, table in shares.items():
            wanted = self.wanted[dimension]
            small = table[:, :, None] < np.minimum(wanted, WHOLE)
            lost = np.where(usable, (table[:, :, None] * small).sum(axis=1), table.sum(axis=1)[:, None])
            lost[:, wanted == 0] = 0
            safe = table.shape[1] * WHOLE * self.total < 1 << 62
            sums[dimension] = ((lost if safe else lost.astype(object)) @ self.counts).tolist()
        return sums


def _taken(table: I64, amount: int) -> I64:
    """The shares after a request has been served from each row."""
    left = table.copy()
    if amount <= WHOLE:
        chosen = np.where(table >= amount, table, 2 * WHOLE).argmin(axis=1)  # the least free, the first of equals
        left[np.arange(len(table)), chosen] -= amount
        return left
    whole = table == WHOLE
    left[whole & (whole.cumsum(axis=1) <= amount // WHOLE)] = 0
    return left
