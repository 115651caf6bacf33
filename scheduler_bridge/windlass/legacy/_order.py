"""The exclusive loop where amounts and prices alone decide: offers sorted once by score, the first that fits taken.

A score is the offer's weighted sum less the task's, so the order of offers is the same for every task.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .._problem import I64, Problem
from ._scores import Answer, Limbs, Scores

_FIRST_CHUNK = 128


def place_in_order(problem: Problem, turns: list[int], scores: Scores, answer: Answer) -> None:
    """Fills the answer. Serves the policies of weighted sums, and no constraints."""
    Sorted(problem, scores, answer).run(turns)


class Sorted:
    """Offers in the order of their scores; used ones are crossed out and swept away from time to time."""

    def __init__(self, problem: Problem, scores: Scores, answer: Answer) -> None:
        self.problem, self.scores, self.answer = problem, scores, answer
        self.sums = scores.sums(problem.offer_amounts, problem.offers)
        limbs = Limbs.of(self.sums)
        keys: list[npt.NDArray[Any]] = [limbs.low, limbs.high]
        if problem.policy == "cost" and problem.price is not None:
            keys.append(problem.price)
        offers = np.lexsort(keys)  # stable: equal ones in the order given
        if problem.max_price is not None and problem.price is not None:
            offers = offers[problem.price[offers] <= problem.max_price]
        changes = np.zeros(len(offers), dtype=bool)
        for key in keys:
            changes[1:] |= key[offers[1:]] != key[offers[:-1]]
        self.block = np.cumsum(changes)  # equal scores have equal numbers
        self.offers = offers
        self.columns: dict[int, I64] = {}
        self.alive = np.ones(len(offers), dtype=bool)
        self.left = len(offers)
        self.resume: dict[tuple[tuple[int, int], ...], int] = {}
        swap = problem.ties == "swap_remove"
        self.place = np.arange(problem.offers) if swap else None  # an offer's place in the list of free ones
        self.list = list(range(problem.offers)) if swap else []

    def run(self, turns: list[int]) -> None:
        """Takes the tasks in turn."""
        sums = self.scores.sums(self.problem.task_amounts, self.problem.tasks)
        wanted = wants(self.problem)
        for task in turns:
            if self.left == 0:
                break
            at = self._find(wanted[task])
            if at < 0:
                continue
            score = self.sums[int(self.offers[at])] - sums[task]
            if self.scores.limit is not None and score > self.scores.limit:
                continue
            self._take(task, at, score)

    def _find(self, want: tuple[tuple[int, int], ...] | None) -> int:
        """The place of the offer to take, -1 where none fits."""
        if want is None:
            return -1
        begin, size = self.resume.get(want, 0), _FIRST_CHUNK
        while begin < len(self.alive):
            fits = self._fits(want, begin, begin + size)
            first = int(fits.argmax())
            if fits[first]:
                self.resume[want] = begin + first
                return begin + first if self.place is None else self._lowest(want, begin + first)
            begin += size
            size *= 4
        self.resume[want] = len(self.alive)
        return -1

    def _fits(
        self, want: tuple[tuple[int, int], ...], begin: int, end: int
    ) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        fits = self.alive[begin:end]
        for dimension, amount in want:
            column = self.columns.get(dimension)
            if column is None:
                given = self.problem.offer_amounts[dimension]
                assert given is not None  # wants() leaves out tasks that ask for what no offer has
                column = self.columns[dimension] = given[self.offers]
            fits = fits & (column[begin:end] >= amount)
        return fits

    def _lowest(self, want: tuple[tuple[int, int], ...], first: int) -> int:
        """Among those that fit with the score of `first`, the one with the lowest place in the list."""
        assert self.place is not None
        end = int(np.searchsorted(self.block, self.block[first], side="right"))
        if end == first + 1:
            return first
        among = np.flatnonzero(self._fits(want, first, end)) + first
        return int(among[self.place[self.offers[among]].argmin()])

    def _take(self, task: int, at: int, score: int) -> None:
        offer = int(self.offers[at])
        self.answer.offer_index[task] = offer
        self.answer.scores[task] = score
        if self.problem.policy == "cost" and self.problem.price is not None:
            self.answer.prices[task] = int(self.problem.price[offer])
        self.alive[at] = False
        self.left -= 1
        if self.place is not None:
            place, last = int(self.place[offer]), self.list.pop()
            if last != offer:
                self.list[place] = last
                self.place[last] = place
        if self.left * 2 < len(self.alive) and len(self.alive) > 4 * _FIRST_CHUNK:
            self._sweep()

    def _sweep(self) -> None:
        keep = self.alive
        before = np.concatenate(([0], np.cumsum(keep)))
        self.resume = {want: int(before[at]) for want, at in self.resume.items()}
        self.offers, self.block = self.offers[keep], self.block[keep]
        self.columns = {dimension: column[keep] for dimension, column in self.columns.items()}
        self.alive = np.ones(self.left, dtype=bool)


def wants(problem: Problem) -> list[tuple[tuple[int, int], ...] | None]:
    """Per task what it asks for: (dimension, amount) where that is more than 0; None where no offer has any of it."""
    found: list[list[tuple[int, int]] | None] = [[] for _ in range(problem.tasks)]
    for dimension, column in enumerate(problem.task_amounts):
        if column is None:
            continue
        nobody = problem.offer_amounts[dimension] is None
        for task, amount in enumerate(column.tolist()):
            if amount:
                want = found[task]
                if nobody:
                    found[task] = None
                elif want is not None:
                    want.append((dimension, amount))
    return [None if want is None else tuple(want) for want in found]
