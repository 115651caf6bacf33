"""Why a task was not placed: its turn is played again from what was asked and answered, so every path tells the same.

Nothing is computed before somebody asks. Questions in the order in which tasks were taken cost one pass in all.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ._problem import Placement
from .legacy._scores import Answer, Scores
from .legacy._state import State
from .legacy.match import gangs_of, turns_of

if TYPE_CHECKING:
    from ._inputs import Inputs

_WORDS = {
    "taken": "used before",
    "avoid": "on a node with a group to avoid",
    "max_price": "over max_price",
    "max_score": "over max_score",
    "quota": "barred by the tenant's quota",
    "grant": "refused by the node",  # of a bridge's session alone
}
_WORDS_OF = {
    "resource": "short of {}",
    "device": "short of {} devices",
    "label": "without the right label {}",
    "only": "not open to the task's tag {}",
    "max_per": "full for the group per {}",
}


@dataclass(frozen=True)
class Explanation:
    """Why one task was not placed.

    `reasons` is {reason: {"short": offers that fail it, "alone": those of them that fail nothing else}}; `lacks` says
    in words what `nearest` fails; `blocked_by` names the member that keeps a gang out.
    """

    task: Any
    reasons: dict[str, dict[str, int]] = field(default_factory=dict)
    nearest: Any = None
    lacks: list[str] = field(default_factory=list)
    blocked_by: Any = None
    offers: int = 0

    def __str__(self) -> str:
        if self.blocked_by is not None:
            return f"{self.task!r} was not placed: its gang waits for {self.blocked_by!r}, which found no place."
        if not self.offers:
            return f"{self.task!r} was not placed: there are no offers."
        parts = [
            f"{count['short']} {_words(reason)} ({count['alone']} of them fail nothing else)"
            for reason, count in self.reasons.items()
        ]
        told = f"{self.task!r} was not placed: of {self.offers} offers " + ", ".join(parts) + "."
        if self.lacks:
            told += f" Nearest is {self.nearest!r}: " + "; ".join(self.lacks) + "."
        return told


def _words(reason: str) -> str:
    kind, _, name = reason.partition(".")
    return _WORDS.get(reason) or _WORDS_OF[kind].format(name)


class Explainer:
    """Answers for one call. Any thread, one at a time."""

    def __init__(self, inputs: Inputs, placement: Placement) -> None:
        self.inputs, self.placement = inputs, placement
        problem = inputs.problem
        self.state = State(problem, Scores(problem), Answer(problem))
        self.order: list[int] = placement.order.tolist()
        self.where: list[int] = placement.offer_index.tolist()
        self.position = {task: at for at, task in enumerate(self.order)}
        self.at = 0  # so many of `order` are played
        self.gangs = self._gangs()
        self.lock = threading.Lock()

    def _gangs(self) -> dict[int, list[int]]:
        members: dict[int, list[int]] = {}
        for gang in gangs_of(self.inputs.problem, turns_of(self.inputs.problem)).values():
            members.update(dict.fromkeys(gang, gang))
        return members

    def explain(self, task: int) -> Explanation | None:
        """Of a task by row; None where it was placed."""
        if self.where[task] >= 0:
            return None
        with self.lock:
            gang = self.gangs.get(task, [task])
            self._play_to(min(self.position[member] for member in gang))
            played = []
            tried = task
            for tried in gang:
                if not self.state.turn(tried):
                    break
                played.append(tried)
            try:
                if tried != task:
                    names = self.inputs.task_names
                    return Explanation(names[task], blocked_by=names[tried], offers=self.inputs.problem.offers)
                return self._explain(task)
            finally:
                for member in reversed(played):
                    self.state.undo(member)

    def _play_to(self, position: int) -> None:
        while self.at < position:
            task = self.order[self.at]
            if self.where[task] >= 0:
                self.state.put(task, self.where[task], 0)
            self.at += 1
        while self.at > position:
            self.at -= 1
            task = self.order[self.at]
            if self.where[task] >= 0:
                self.state.undo(task)

    def _explain(self, task: int) -> Explanation:
        offers = self.inputs.problem.offers
        failing: dict[str, npt.NDArray[np.bool_]] = {}
        if self.state.taken.any():
            failing["taken"] = self.state.taken
        for reason, passes in self.state.checks(task):
            failing[reason] = ~passes
        failing["max_score"] = self._over_score(task, failing)
        counts = np.zeros(offers, dtype=np.int64)
        for fails in failing.values():
            counts += fails
        reasons = {
            reason: {"short": int(fails.sum()), "alone": int((fails & (counts == 1)).sum())}
            for reason, fails in failing.items()
            if fails.any()
        }
        lacks = []
        if self.state.quotas.short(task) and offers:
            reasons["quota"] = {"short": offers, "alone": int((counts == 0).sum())}
            lacks.append(_words("quota"))
        nearest = None
        if offers:
            offer = self._nearest(task, counts)
            nearest = self.inputs.offer_names[offer]
            lacks = [self._lack(task, offer, reason) for reason, fails in failing.items() if fails[offer]] + lacks
        return Explanation(self.inputs.task_names[task], reasons, nearest, lacks, offers=offers)

    def _over_score(self, task: int, failing: dict[str, npt.NDArray[np.bool_]]) -> npt.NDArray[np.bool_]:
        """The offers that fail `max_score` and nothing else."""
        state = self.state
        over = np.zeros(self.inputs.problem.offers, dtype=bool)
        if state.scores.limit is None:
            return over
        passing = np.ones(self.inputs.problem.offers, dtype=bool)
        for fails in failing.values():
            passing &= ~fails
        factors = state.dots.factors(state.asked[task]) if state.dots is not None else []
        limbs, _ = state.compared(task, factors)
        constant = state.task_sums[task] if state.dots is None else 0
        over[limbs.above(state.scores.limit + constant, np.flatnonzero(passing))] = True
        return over

    def _missing(self, task: int) -> list[tuple[int, npt.NDArray[np.int64]]]:
        """Per dimension what each offer lacks, in units."""
        found = []
        for dimension, amount in self.state.asked[task]:
            kind = self.state.kinds.get(dimension)
            if kind is not None:
                lacking = np.where(kind.passes(amount), 0, kind.missing(amount))
            else:
                column = self.state.free[dimension]
                had = np.zeros(self.inputs.problem.offers, dtype=np.int64) if column is None else column
                lacking = np.maximum(amount - had, 0)
            found.append((dimension, lacking))
        return found

    def _nearest(self, task: int, counts: npt.NDArray[np.int64]) -> int:
        among = np.flatnonzero(counts == counts.min())
        missing = [(max(self.state.scores.scale[d], 1), lacking[among]) for d, lacking in self._missing(task)]
        if all(int(lacking.max(initial=0)) < 1 << 34 for _, lacking in missing):
            total = np.zeros(len(among), dtype=np.int64)  # at most 256 terms below 2^54
            for largest, lacking in missing:
                total += (lacking << 20) // largest
            return int(among[total.argmin()])
        sums = [0] * len(among)
        for largest, lacking in missing:
            sums = [total + (each << 20) // largest for total, each in zip(sums, lacking.tolist(), strict=True)]
        return int(among[sums.index(min(sums))])

    def _lack(self, task: int, offer: int, reason: str) -> str:
        kind, _, name = reason.partition(".")
        if kind in ("resource", "device"):
            dimension = self.inputs.problem.dimensions.index(name)
            asked = dict(self.state.asked[task])[dimension]
            lacking = dict(self._missing(task))[dimension]
            return f"{int(lacking[offer]) / 10_000:g} more {name} (asks {asked / 10_000:g})"
        return _words(reason)
