"""Large problems as columns, from a seed: the same on every machine (numpy's `RandomState` is frozen).

Kinds, beside `continuous` and `shapes` as in `benchmarks.shapes`, are those that a search finds hard:

- ``all-tie``: every task alike, and every offer.
- ``near``: all sums within a hair of each other, and nearly every offer fits.
- ``none-fits``: each task is short of one dimension of every offer, though in each dimension half of them would do.
- ``correlated``: all dimensions grow together.
- ``grid``: small whole numbers, so that ties abound and dimensions stay apart.
- ``sum-ties``: one weighted sum for all offers, which have different vectors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.shapes import DIMENSIONS, MACHINES

Table = npt.NDArray[np.float64]  # one row per dimension
Make = Callable[[np.random.RandomState, int], Table]
_SUM = 300  # of the dimensions of an offer in `sum-ties`


def make(kind: str, tasks: int, offers: int, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tasks and offers as `windlass.match` takes them; names are row numbers."""
    if kind not in KINDS:
        raise ValueError(f"no kind {kind!r}; there are {', '.join(KINDS)}")
    draw = np.random.RandomState(seed)
    make_tasks, make_offers = KINDS[kind]
    return _columns(make_tasks(draw, tasks)), _columns(make_offers(draw, offers))


def _columns(table: Table) -> dict[str, Any]:
    return {name: np.ascontiguousarray(row, dtype=np.float64) for name, row in zip(DIMENSIONS, table, strict=True)}


def _machines(draw: np.random.RandomState, count: int) -> Table:
    common = np.array([machine[3] for machine in MACHINES], dtype=np.float64)
    pick = draw.choice(len(MACHINES), size=count, p=common / common.sum())
    return np.array([machine[:3] for machine in MACHINES])[pick].T


def _loose_tasks(draw: np.random.RandomState, count: int) -> Table:
    gpu = np.where(draw.random_sample(count) < 0.5, draw.random_sample(count), draw.randint(0, 2, count))
    return np.stack([1 + 23 * draw.random_sample(count), 2 + 94 * draw.random_sample(count), gpu])


def _loose_offers(draw: np.random.RandomState, count: int) -> Table:
    return _machines(draw, count) * (0.1 + 0.9 * draw.random_sample((3, count)))


def _few_tasks(draw: np.random.RandomState, count: int) -> Table:
    shapes = np.stack([draw.choice([1, 4, 8, 12, 16, 32], 12), draw.choice([4, 16, 48, 64], 12), draw.choice(3, 12)])
    popular = 1.0 / (np.arange(12) + 2)
    return shapes[:, draw.choice(12, size=count, p=popular / popular.sum())].astype(np.float64)


def _few_offers(draw: np.random.RandomState, count: int) -> Table:
    table = _machines(draw, count) * draw.choice([0.25, 0.5, 1.0], size=count)
    table[2] = np.floor(table[2])
    return table


def _alike(amount: float) -> Make:
    return lambda draw, count: np.full((3, count), amount)


def _around(amount: float) -> Make:
    return lambda draw, count: amount + draw.randint(0, 50, (3, count)) / 10_000


def _split(low: float, high: float) -> Make:
    """Two dimensions whose sum is low to high, however it is split between them; the third is free."""

    def table(draw: np.random.RandomState, count: int) -> Table:
        whole, share = low + (high - low) * draw.random_sample(count), draw.random_sample(count)
        return np.stack([whole * share, whole * (1 - share), draw.random_sample(count)])

    return table


def _together(low: float, high: float) -> Make:
    def table(draw: np.random.RandomState, count: int) -> Table:
        size = low + (high - low) * draw.random_sample(count)
        return np.stack([size, 4 * size, size / 12]) * (1 + draw.random_sample((3, count)) / 100)

    return table


def _whole(most: int) -> Make:
    return lambda draw, count: draw.randint(1, most + 1, (3, count)).astype(np.float64)


def _one_sum(total: int) -> Make:
    """Three whole numbers from 1 with that sum; three rows hold the largest, so that all dimensions weigh alike."""

    def table(draw: np.random.RandomState, count: int) -> Table:
        cuts = np.sort(draw.randint(0, total - 2, (2, count)), axis=0)
        found = 1.0 + np.stack([cuts[0], cuts[1] - cuts[0], total - 3 - cuts[1]])
        corner = np.full((3, 3), 1.0) + np.eye(3) * (total - 3)
        found[:, : min(3, count)] = corner[:, : min(3, count)]
        return found

    return table


KINDS: dict[str, tuple[Make, Make]] = {
    "continuous": (_loose_tasks, _loose_offers),
    "shapes": (_few_tasks, _few_offers),
    "all-tie": (_alike(1.0), _alike(4.0)),
    "near": (_around(9.99), _around(10.0)),
    "none-fits": (_split(10.001, 11.0), _split(9.0, 10.0)),
    "correlated": (_together(1.0, 48.0), _together(4.0, 96.0)),
    "grid": (_whole(6), _whole(8)),
    "sum-ties": (_one_sum(_SUM // 3), _one_sum(_SUM)),
}
