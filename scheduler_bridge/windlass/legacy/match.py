"""The matcher in Python: the same answers as the engine's, bit for bit; what runs when there is no engine to ask."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._problem import Placement, Problem
from ._amounts import cut
from ._order import place_in_order
from ._scores import OF_PRODUCTS, Answer, Scores
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
    if problem.mode == "exclusive" and problem.policy not in OF_PRODUCTS and not problem.constraints:
        place_in_order(problem, turns, scores, answer)
        return answer.placement(turns, with_devices=False)
    return place_from(State(problem, scores, answer), turns)


def place_from(state: State, turns: list[int]) -> Placement:
    """Takes the turns from a state of things; the general loop."""
    problem, answer = state.problem, state.answer
    members = gangs_of(problem, turns)
    order: list[int] = []
    for task in turns:
        gang = members.get(task)
        if gang is None:
            state.turn(task)
            order.append(task)
        elif gang:
            place_gang(state, gang)
            order += gang
    return answer.placement(order, with_devices=bool(state.kinds) and any(answer.devices))


def turns_of(problem: Problem) -> list[int]:
    """Tasks by priority, higher first, equal ones in the order given."""
    if problem.priority is None:
        return list(range(problem.tasks))
    turns: list[int] = np.argsort(-problem.priority.astype(np.int64), kind="stable").tolist()
    return turns


def gangs_of(problem: Problem, turns: list[int]) -> dict[int, list[int]]:
    """Each member of a gang: the first to all of them in their order, the others to nothing."""
    number = (problem.constraints or {}).get("gang")
    if number is None:
        return {}
    gang_of = problem.columns[number].tolist()
    first: dict[int, int] = {}
    members: dict[int, list[int]] = {}
    for task in turns:
        gang = gang_of[task]
        if gang >= 0:
            members[task] = []
            members[first.setdefault(gang, task)].append(task)
    return members


def place_gang(state: State, gang: list[int]) -> int | None:
    """Places all of a gang or none; answers the member that could not be placed."""
    for count, task in enumerate(gang):
        if not state.turn(task):
            for placed in reversed(gang[:count]):
                state.undo(placed)
            return task
    return None
