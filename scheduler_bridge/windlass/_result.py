"""What a call of `match` answers: a Placement with the caller's names, each part made when first looked at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import compress
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ._explain import Explainer, Explanation
from ._problem import I32, Backend, Placement, Problem
from .legacy._scores import one_of

if TYPE_CHECKING:
    from ._inputs import Inputs
    from ._shortfall import Shortfall


_MANY = 4  # of so many names one is looked up, from which on all are laid into an array first


def _named(names: Sequence[Any], rows: I32) -> Iterable[Any]:
    if len(rows) * _MANY < len(names):
        return map(names.__getitem__, rows.tolist())
    laid: list[Any] = np.fromiter(names, object, len(names))[rows].tolist()
    return laid


class MatchResult:
    """Which task is where, and why not.

    `warnings` lists what looks like a mistake in what was asked, such as a dimension that tasks ask for and no offer
    has.
    """

    def __init__(self, inputs: Inputs, placement: Placement, checker: Backend) -> None:
        self._inputs = inputs
        self._placement = placement
        self._checker = checker
        self.warnings: list[str] = inputs.warnings

    def __repr__(self) -> str:
        placed = int((self.offer_index >= 0).sum())
        return f"<MatchResult: {placed} of {self._problem.tasks} tasks placed on {self._problem.offers} offers>"

    @property
    def _problem(self) -> Problem:
        return self._inputs.problem

    @property
    def offer_index(self) -> I32:
        """Per task as given the number of its offer, -1 where none."""
        return self._placement.offer_index

    @property
    def engine(self) -> str:
        """What computed it: "scalar", "avx2", ..., or "legacy"."""
        return self._placement.engine

    @cached_property
    def assignments(self) -> dict[Any, Any]:
        """{task name: offer name} in the order placed."""
        tasks, offers = self.pairs()
        return dict(zip(tasks, offers, strict=True))

    def pairs(self) -> tuple[Iterable[Any], Iterable[Any]]:
        """The names of the tasks that were placed, in the order placed, and those of their offers."""
        order, index, tasks = self._placement.order, self.offer_index, self._inputs.task_names
        placed = order[index[order] >= 0]
        names: Iterable[Any]
        if not bool((placed[1:] > placed[:-1]).all()):
            names = _named(tasks, placed)
        elif len(placed) == len(tasks):  # all, and taken as given, as most often: nothing need be looked up
            names = tasks
        else:
            names = compress(tasks, (index >= 0).tolist())
        return names, _named(self._inputs.offer_names, index[placed])

    @cached_property
    def by_offer(self) -> dict[Any, list[Any]]:
        """{every offer name: [task names in the order placed]}."""
        found: dict[Any, list[Any]] = {name: [] for name in self._inputs.offer_names}
        for task, offer in self.assignments.items():
            found[offer].append(task)
        return found

    @cached_property
    def unmatched(self) -> list[Any]:
        """Names of the tasks that were not placed, in the order taken."""
        order = self._placement.order
        names = self._inputs.task_names
        return [names[task] for task in order[self.offer_index[order] < 0].tolist()]

    @cached_property
    def _rows(self) -> dict[Any, int]:
        return {name: row for row, name in enumerate(self._inputs.task_names)}

    def _row(self, task: Any) -> int:
        try:
            return self._rows[task]
        except KeyError:
            raise KeyError(f"no task of this call is named {task!r}") from None

    def score(self, task: Any) -> Any:
        """The score the task was placed with (under cost: price added, score); None where it was not placed."""
        row = self._row(task)
        if self.offer_index[row] < 0:
            return None
        exact = (int(self._placement.score_high[row]) << 64) + int(self._placement.score_low[row])
        score = exact / one_of(self._problem)  # int / int rounds correctly
        if self._placement.price_added is None:
            return score
        return int(self._placement.price_added[row]) / 1_000_000, score

    def devices(self, task: Any) -> dict[str, list[int]] | None:
        """{kind: [numbers of the offer's devices]} that the task was given; None where it was not placed."""
        row = self._row(task)
        return None if self.offer_index[row] < 0 else self._devices_of(np.array([row]))[0]

    def _devices_of(self, rows: npt.NDArray[Any]) -> list[dict[str, list[int]]]:
        """As `devices`, of tasks by row."""
        found: list[dict[str, list[int]]] = [{} for _ in rows]
        begin, names = self._placement.device_begin, self._problem.dimensions
        if begin is None or self._placement.device_dimension is None or self._placement.device_index is None:
            return found
        for own, first, end in zip(found, begin[rows].tolist(), begin[rows + 1].tolist(), strict=True):
            kinds, numbers = self._placement.device_dimension[first:end], self._placement.device_index[first:end]
            for kind, number in zip(kinds.tolist(), numbers.tolist(), strict=True):
                own.setdefault(names[kind], []).append(number)
        return found

    @cached_property
    def _explainer(self) -> Explainer:
        return Explainer(self._inputs, self._placement)

    def explain(self, task: Any) -> Explanation | None:
        """Why a task was not placed, computed now; None where it was."""
        row = self._row(task)
        return None if self.offer_index[row] >= 0 else self._explainer.explain(row)

    def shortfall(self, catalogue: Any) -> Shortfall:
        """How many machines of each type to add so that every unplaced task that fits one is placed.

        `catalogue` is offers in any form, each a machine type; `price` is optional. The answer is {type name: count},
        its `unplaced` the tasks that these types cannot serve.
        """
        from ._shortfall import shortfall

        order = self._placement.order
        unmatched = order[self.offer_index[order] < 0].tolist()
        return shortfall(self._inputs, unmatched, catalogue, self._checker)
