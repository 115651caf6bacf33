"""The same loop with numpy's inner scan, and compiled by numba. Making arrays of the records counts too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def _table(records: Sequence[dict[str, Any]], dimensions: Sequence[str]) -> Floats:
    rows = [[record["resources"][dim] for record in records] for dim in dimensions]
    return np.array(rows, dtype=np.float64).reshape(len(dimensions), len(records))


def _top(offers: Floats) -> Floats:
    top = offers.max(axis=1, initial=0.0)
    top[top == 0.0] = 1.0
    return top


def match_numpy(
    tasks: Sequence[dict[str, Any]], offers: Sequence[dict[str, Any]], weights: dict[str, float]
) -> dict[str, str]:
    dimensions = list(weights)
    wanted, free = _table(tasks, dimensions), _table(offers, dimensions)
    top = _top(free)
    row = np.arange(len(offers))
    count = len(offers)
    placed: dict[str, str] = {}
    for number, task in enumerate(tasks):
        if count == 0:
            break
        left = free[:, :count] - wanted[:, number, None]
        score = np.zeros(count)
        for d, dim in enumerate(dimensions):
            score += weights[dim] * left[d] / top[d]
        score[(left < 0).any(axis=0)] = np.inf
        best = int(score.argmin())
        if score[best] == np.inf:
            continue
        placed[offers[int(row[best])]["name"]] = task["name"]
        count -= 1
        free[:, best] = free[:, count]
        row[best] = row[count]
    return placed


def numba_matcher() -> Callable[..., dict[str, str]]:
    """Compiles on the first call; raises ImportError where numba is not installed."""
    import numba

    scan = numba.njit(nogil=True)(_scan)

    def match(
        tasks: Sequence[dict[str, Any]], offers: Sequence[dict[str, Any]], weights: dict[str, float]
    ) -> dict[str, str]:
        dimensions = list(weights)
        wanted, free = _table(tasks, dimensions), _table(offers, dimensions)
        weight = np.array([weights[dim] for dim in dimensions])
        taken = scan(
            np.ascontiguousarray(wanted.T), np.ascontiguousarray(free.T), weight, _top(free), np.arange(len(offers))
        )
        names = enumerate(taken.tolist())
        return {offers[offer]["name"]: tasks[task]["name"] for task, offer in names if offer >= 0}

    return match


def _scan(wanted: Floats, free: Floats, weight: Floats, top: Floats, row: Any) -> Any:
    """By task the row of its offer, -1 where none. Plain loops: numba compiles them."""
    count = free.shape[0]
    dimensions = free.shape[1]
    taken = np.full(wanted.shape[0], -1, dtype=np.int64)
    for task in range(wanted.shape[0]):
        best = -1
        best_score = np.inf
        for position in range(count):
            score = 0.0
            fits = True
            for d in range(dimensions):
                left = free[position, d] - wanted[task, d]
                if left < 0.0:
                    fits = False
                    break
                score += weight[d] * left / top[d]
            if fits and score < best_score:
                best = position
                best_score = score
        if best >= 0:
            taken[task] = row[best]
            count -= 1
            row[best] = row[count]
            for d in range(dimensions):
                free[best, d] = free[count, d]
    return taken
