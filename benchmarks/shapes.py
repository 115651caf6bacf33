"""Tasks and offers in shapes like those of a production GPU cluster, from a seed.

A record is ``{"name": str, "resources": {"cpu": cores, "memory": GiB, "gpu": devices}}``. Kinds:

- ``trace``: tasks of some 150 shapes, few of them very popular; offers are what is left free of a dozen machine types.
- ``continuous``: every amount apart, so that no two rows are alike.
- ``shapes``: few shapes on both sides, so that ties abound.
"""

from __future__ import annotations

import random
from typing import Any

DIMENSIONS = ("cpu", "memory", "gpu")
KINDS = ("trace", "continuous", "shapes")

Record = dict[str, Any]

# cores, GiB, devices, how many of a hundred machines are so
MACHINES = (
    (96.0, 384.0, 8.0, 36),
    (104.0, 512.0, 2.0, 25),
    (16.0, 120.0, 2.0, 12),
    (64.0, 512.0, 0.0, 8),
    (128.0, 768.0, 8.0, 5),
    (32.0, 128.0, 4.0, 4),
    (96.0, 768.0, 8.0, 3),
    (64.0, 256.0, 2.0, 3),
    (8.0, 32.0, 1.0, 2),
    (48.0, 368.0, 4.0, 2),
)
_SHAPES = 150


def tasks(count: int, seed: int, kind: str = "trace") -> list[Record]:
    """`count` tasks named ``task-0``...; the same for the same seed, on every machine."""
    draw = random.Random(f"tasks {seed} {kind}")
    if kind == "continuous":
        rows = [_loose_task(draw) for _ in range(count)]
    elif kind in KINDS:
        shapes = [_task_shape(draw) for _ in range(_SHAPES if kind == "trace" else 12)]
        popular = [1.0 / (rank + 2) for rank in range(len(shapes))]
        rows = draw.choices(shapes, popular, k=count)
    else:
        raise ValueError(f"no kind {kind!r}; there are {', '.join(KINDS)}")
    return [_record(f"task-{row}", amounts) for row, amounts in enumerate(rows)]


def offers(count: int, seed: int, kind: str = "trace") -> list[Record]:
    """`count` offers named ``offer-0``...: the free parts of machines."""
    draw = random.Random(f"offers {seed} {kind}")
    if kind not in KINDS:
        raise ValueError(f"no kind {kind!r}; there are {', '.join(KINDS)}")
    common = [machine[3] for machine in MACHINES]
    rows = []
    for machine in draw.choices(MACHINES, common, k=count):
        cpu, memory, gpu, _ = machine
        if kind == "shapes":
            share = draw.choice((0.25, 0.5, 1.0))
            rows.append((cpu * share, memory * share, float(int(gpu * share))))
        elif kind == "trace":
            rows.append(
                (_thousandths(cpu * _free(draw)), _thousandths(memory * _free(draw)), _quarters(gpu * _free(draw)))
            )
        else:
            rows.append((cpu * _free(draw), memory * _free(draw), gpu * _free(draw)))
    return [_record(f"offer-{row}", amounts) for row, amounts in enumerate(rows)]


def flat(records: list[Record]) -> list[Record]:
    """The same records with the amounts beside the name."""
    return [{"name": record["name"], **record["resources"]} for record in records]


def columns(records: list[Record]) -> dict[str, Any]:
    """The same as a mapping of columns: names as a list, amounts as float64 arrays."""
    import numpy as np

    amounts = {dim: np.array([record["resources"].get(dim, 0.0) for record in records]) for dim in DIMENSIONS}
    return {"name": [record["name"] for record in records], **amounts}


def _free(draw: random.Random) -> float:
    return 0.1 + 0.9 * draw.random()


def _task_shape(draw: random.Random) -> tuple[float, float, float]:
    """One shape: CPU only for an eighth of them, else a part of a GPU, one, or rarely several."""
    pick = draw.random()
    if pick < 0.13:
        gpu = 0.0
    elif pick < 0.60:
        gpu = draw.randrange(10, 96) / 100
    elif pick < 0.97:
        gpu = 1.0
    else:
        gpu = draw.choice((2.0, 4.0, 8.0))
    cpu = draw.choice((1.0, 3.152, 4.0, 8.0, 9.81, 11.3, 11.908, 12.0, 12.5, 15.7, 16.0, 18.708, 24.2, 32.0))
    memory = _thousandths(cpu * draw.choice((1.5, 2.0, 3.8, 4.2, 4.0)))
    return cpu, memory, gpu


def _loose_task(draw: random.Random) -> tuple[float, float, float]:
    return 1 + 23 * draw.random(), 2 + 94 * draw.random(), draw.choice((0.0, draw.random(), 1.0))


def _thousandths(value: float) -> float:
    return round(value, 3)


def _quarters(value: float) -> float:
    return int(value * 4) / 4


def _record(name: str, amounts: tuple[float, float, float]) -> Record:
    return {"name": name, "resources": dict(zip(DIMENSIONS, amounts, strict=True))}
