"""The matcher in Python: the same answers as the engine's, bit for bit; what runs when there is no engine to ask."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._problem import Placement, Problem
from ._amounts import cut
from ._order import place_in_order
from ._scores import Answer, Scores
from ._state import State


def match(
    tasks: Any,
    offers: Any,
    *,
    mode: str = "exclusive",
    policy: str = "best_fit",
    ties: str = "stable",
    weights: Any = None,
    normalize: bool = True,
    scale: Any = None,
    max_score: Any = None,
    max_price: Any = None,
    quotas: Any = None,
    running: Any = None,
    locality_weight: Any = 1.0,
    dimensions: Any = None,
) -> Any:
    """`windlass.match`, computed here in Python, always."""
    from .._match import solve

    return solve(
        tasks,
        offers,
        backend=place,
        fallback=False,
        cut=cut,
        mode=mode,
        policy=policy,
        ties=ties,
        weights=weights,
        normalize=normalize,
        scale=scale,
        max_score=max_score,
        max_price=max_price,
        quotas=quotas,
        running=running,
        locality_weight=locality_weight,
        dimensions=dimensions,
    )


def match_tasks_to_offers(tasks: Any, offers: Any, **options: Any) -> dict[Any, Any]:
    """`windlass.match_tasks_to_offers`, computed here in Python, always."""
    from .._match import offers_to_tasks

    return offers_to_tasks(match, tasks, offers, options)


def place(problem: Problem) -> Placement:
    """The Python backend: serves every problem that the inputs can make."""
    scores = Scores(problem)
    answer = Answer(problem)
    turns = turns_of(problem)
    if problem.mode == "exclusive" and problem.policy != "dot_product" and not problem.constraints:
        place_in_order(problem, turns, scores, answer)
    else:
        state = State(problem, scores, answer)
        for task in turns:
            state.turn(task)
    return answer.placement(turns, with_devices=False)


def turns_of(problem: Problem) -> list[int]:
    """Tasks by priority, higher first, equal ones in the order given."""
    if problem.priority is None:
        return list(range(problem.tasks))
    return np.argsort(-problem.priority.astype(np.int64), kind="stable").tolist()
