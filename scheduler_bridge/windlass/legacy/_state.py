"""The general loop: what is free at each moment, and one task's turn against all offers at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .._problem import I64, Problem
from ._fragmentation import Fragmentation
from ._holds import Avoid, Kind, MaxPer, Quotas
from ._rules import Checks, Domains, Labels, Locality, Mask, Only, Prefer
from ._scores import OF_PRODUCTS, Answer, Dots, Limbs, Scores


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
        self.dots = Dots(problem, scores) if problem.policy in OF_PRODUCTS else None
        self.sums = scores.sums(problem.offer_amounts, problem.offers) if self.dots is None else []
        self.task_sums = scores.sums(problem.task_amounts, problem.tasks) if self.dots is None else []
        self.limbs = Limbs.of(self.sums)
        self.asked = _asked(problem)
        self.price = problem.price.copy() if problem.policy == "cost" and problem.price is not None else None
        self.affordable = (
            problem.price <= problem.max_price if problem.max_price is not None and problem.price is not None else None
        )
        constraints = problem.constraints or {}
        keys, domains = constraints.get("keys", []), Domains(problem)
        self.labels, self.only = Labels(problem, domains, keys), Only(problem, keys)
        self.prefer, self.locality = Prefer(problem, domains), Locality(problem)
        self.max_per, self.avoid = MaxPer(problem, domains, keys), Avoid(problem)
        self.kinds = {kind.dimension: kind for kind in (Kind(problem, each) for each in constraints.get("devices", ()))}
        self.quotas = Quotas(problem, self.asked)
        self.fragmentation = (
            Fragmentation(problem, scores, self.asked, self.free, self.kinds)
            if problem.policy == "fragmentation" and self.kinds
            else None
        )
        self.swap = problem.ties == "swap_remove"
        self.place: I64 = np.arange(problem.offers, dtype=np.int64)
        self.list = list(range(problem.offers))

    def turn(self, task: int) -> bool:
        """Places the task at its best offer, if one qualifies."""
        if not self.quotas.allows(task):
            return False
        among = np.flatnonzero(self.qualified(task))
        if not len(among):
            return False
        factors = self.dots.factors(self.asked[task]) if self.dots is not None else []
        limbs, steps = self.compared(task, factors)
        if self.price is not None:
            price = self.price[among]
            among = among[price == price.min()]
        among = limbs.least(among)
        offer = int(among[self.place[among].argmin()] if self.swap else among[0])
        score = self.sums[offer] - self.task_sums[task] if self.dots is None else self.dots.score(factors, offer)
        if steps is not None:
            score += int(steps[offer]) * self.scores.unit
        if self.fragmentation is not None:
            score += self.fragmentation.added(task).value(offer)
        if self.scores.limit is not None and score > self.scores.limit:
            return False
        self.put(task, offer, score)
        return True

    def compared(self, task: int, factors: list[tuple[int, int]]) -> tuple[Limbs, I64 | None]:
        """What orders the offers for a task (their scores, but for a constant), and the steps of penalty in it."""
        limbs = self.limbs if self.dots is None else self.dots.limbs(factors)
        steps, more = self.prefer.steps(task), self.locality.steps(task)
        if steps is not None and more is not None:
            steps = steps + more
        elif steps is None:
            steps = more
        if steps is not None:
            limbs = limbs.plus(steps, self.scores.unit)
        if self.fragmentation is not None:
            limbs = limbs.added(self.fragmentation.added(task))
        return limbs, steps

    def qualified(self, task: int) -> Mask:
        """The offers that are free, fit, and meet every condition but quotas and `max_score`."""
        fits = ~self.taken
        for _, passes in self.checks(task):
            fits &= passes
        return fits

    def checks(self, task: int) -> Checks:
        """(reason, the offers that pass) for everything but `taken`, quotas and `max_score`."""
        for dimension, amount in self.asked[task]:
            kind = self.kinds.get(dimension)
            if kind is not None:
                yield "device." + kind.name, kind.passes(amount)
                continue
            column = self.free[dimension]
            passes = np.zeros(self.problem.offers, dtype=bool) if column is None else column >= amount
            yield "resource." + self.problem.dimensions[dimension], passes
        yield from self.labels.checks(task)
        yield from self.only.checks(task)
        yield from self.max_per.checks(task)
        yield from self.avoid.checks(task)
        if self.affordable is not None:
            yield "max_price", self.affordable

    def put(self, task: int, offer: int, score: int) -> None:
        """Books a placement."""
        self.answer.offer_index[task] = offer
        self.answer.scores[task] = score
        if self.price is not None:
            self.answer.prices[task] = int(self.price[offer])
        self.used[offer] += 1
        self._book(task, offer, 1)
        if self.kinds:
            self.answer.devices[task] = tuple(self._take_devices(task, offer))
        if self.fragmentation is not None:
            self.fragmentation.changed(offer)
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
        self._book(task, offer, -1)
        if self.kinds:
            given, self.answer.devices[task] = self.answer.devices[task], ()
            for dimension, amount in self.asked[task] if self.packing else ():
                if dimension in self.kinds:
                    self.kinds[dimension].give(offer, amount, [at for d, at in given if d == dimension])
        if self.fragmentation is not None:
            self.fragmentation.changed(offer)
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

    def _take_devices(self, task: int, offer: int) -> Iterator[tuple[int, int]]:
        for dimension, amount in self.asked[task]:
            kind = self.kinds.get(dimension)
            if kind is not None:
                chosen = kind.take(offer, amount)
                if not self.packing:  # a used offer stays as it was given, for who asks why it did not do
                    kind.give(offer, amount, chosen)
                yield from ((dimension, at) for at in chosen)

    def _book(self, task: int, offer: int, by: int) -> None:
        self.max_per.book(task, offer, by)
        self.avoid.book(task, offer, by)
        self.quotas.book(task, by)

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
