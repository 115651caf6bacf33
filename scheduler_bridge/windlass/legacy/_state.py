"""The general loop: what is free at each moment, and one task's turn against all offers at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .._problem import I64, Problem
from ._order import wants
from ._scores import Answer, Dots, Limbs, Scores

Mask = npt.NDArray[np.bool_]


class State:
    """What has been placed so far. `turn` takes a task, `undo` gives it back."""

    def __init__(self, problem: Problem, scores: Scores, answer: Answer) -> None:
        self.problem, self.scores, self.answer = problem, scores, answer
        self.packing = problem.mode == "packing"
        self.free = [
            column.copy() if self.packing and column is not None else column for column in problem.offer_amounts
        ]
        self.taken: Mask = np.zeros(problem.offers, dtype=bool)
        self.used = [0] * problem.offers  # tasks that each offer holds
        self.dots = Dots(problem, scores) if problem.policy == "dot_product" else None
        self.sums = scores.sums(problem.offer_amounts, problem.offers) if self.dots is None else []
        self.task_sums = scores.sums(problem.task_amounts, problem.tasks) if self.dots is None else []
        self.limbs = Limbs.of(self.sums)
        self.asked = _asked(problem)
        self.wants = wants(problem)
        self.price = problem.price.copy() if problem.policy == "cost" and problem.price is not None else None
        self.affordable = (
            problem.price <= problem.max_price if problem.max_price is not None and problem.price is not None else None
        )
        self.swap = problem.ties == "swap_remove"
        self.place: I64 = np.arange(problem.offers, dtype=np.int64)
        self.list = list(range(problem.offers))

    def turn(self, task: int) -> bool:
        """Places the task at its best offer, if one qualifies."""
        among = self.qualified(task)
        if not len(among):
            return False
        factors = self.dots.factors(self.asked[task]) if self.dots is not None else []
        limbs = self.limbs if self.dots is None else self.dots.limbs(factors)
        if self.price is not None:
            price = self.price[among]
            among = among[price == price.min()]
        among = limbs.least(among)
        offer = int(among[self.place[among].argmin()] if self.swap else among[0])
        if self.dots is None:
            score = self.sums[offer] - self.task_sums[task]
        else:
            score = self.dots.score(factors, offer)
        if self.scores.limit is not None and score > self.scores.limit:
            return False
        self.put(task, offer, score)
        return True

    def qualified(self, task: int) -> npt.NDArray[np.intp]:
        """The offers that are free, fit, and meet every condition, in their order."""
        want = self.wants[task]
        if want is None:
            return np.zeros(0, dtype=np.intp)
        fits = ~self.taken
        for dimension, amount in want:
            column = self.free[dimension]
            if column is not None:
                fits &= column >= amount
        if self.affordable is not None:
            fits &= self.affordable
        return np.flatnonzero(fits)

    def put(self, task: int, offer: int, score: int) -> None:
        """Books a placement."""
        self.answer.offer_index[task] = offer
        self.answer.scores[task] = score
        if self.price is not None:
            self.answer.prices[task] = int(self.price[offer])
        self.used[offer] += 1
        if self.packing:
            self._spend(task, offer, -1)
            return
        self.taken[offer] = True
        if self.swap:
            at, last = int(self.place[offer]), self.list.pop()
            if last != offer:
                self.list[at] = last
                self.place[last] = at

    def undo(self, task: int) -> None:
        """Takes back the latest placement that is not undone yet; it must be this task's."""
        offer = self.answer.offer_index[task]
        self.answer.offer_index[task] = -1
        self.answer.scores[task] = 0
        self.answer.prices[task] = 0
        self.used[offer] -= 1
        if self.packing:
            self._spend(task, offer, 1)
            return
        self.taken[offer] = False
        if self.swap:
            at = int(self.place[offer])
            if at < len(self.list):
                moved = self.list[at]
                self.place[moved] = len(self.list)
                self.list.append(moved)
                self.list[at] = offer
            else:
                self.list.append(offer)

    def _spend(self, task: int, offer: int, sign: int) -> None:
        """Takes the task's amounts off the offer (-1) or gives them back (1)."""
        for dimension, amount in self.asked[task]:
            column = self.free[dimension]
            if column is None:
                continue
            column[offer] += sign * amount
            if self.dots is not None:
                self.dots.set(offer, dimension, int(column[offer]))
        if self.dots is None:
            self.sums[offer] += sign * self.task_sums[task]
            self.limbs.set(offer, self.sums[offer])
        if self.price is not None and self.problem.price is not None:
            self.price[offer] = 0 if self.used[offer] else self.problem.price[offer]


def _asked(problem: Problem) -> list[list[tuple[int, int]]]:
    """Per task (dimension, amount) where that is more than 0."""
    found: list[list[tuple[int, int]]] = [[] for _ in range(problem.tasks)]
    for dimension, column in enumerate(problem.task_amounts):
        if column is not None:
            for task in np.flatnonzero(column).tolist():
                found[task].append((dimension, int(column[task])))
    return found
