"""What a matcher is asked and what it answers, without names: the one form between inputs, engines, wire and legacy.

A `Problem` is made from the caller's inputs once (`_inputs`), given to a *backend* (in process, a client's daemon,
`legacy`), which answers a `Placement`; `MatchResult` puts the names back. Rows, dimensions and label keys are numbers
here; the meaning of each field is that of the MATCH message in proto/protocol.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]


@dataclass
class Problem:
    """Columns are contiguous and little-endian; nobody writes to them after the problem was made."""

    mode: str
    policy: str
    ties: str
    normalize: bool
    tasks: int
    offers: int
    dimensions: list[str]
    task_amounts: list[I64 | None]  # per dimension [tasks], None: all zero; units of 1/10,000
    offer_amounts: list[I64 | None]  # per dimension [offers]
    weights: list[int]  # per dimension rint(w x 2^16)
    scale: list[int]  # per dimension M_d in units, 0: the largest offer
    max_score: float | None = None
    max_price: int | None = None  # 10^-6
    priority: I32 | None = None  # [tasks], None: all 0
    price: I64 | None = None  # [offers] 10^-6, -1: none
    constraints: dict[str, Any] | None = None  # as on the wire; columns by number into `columns`
    columns: list[npt.NDArray[Any]] = field(default_factory=list)  # what `constraints` refers to


@dataclass
class Placement:
    """All arrays are per task; `order` lists the tasks in the order they were taken, placed and unplaced alike."""

    offer_index: I32
    order: I32
    score_high: I64  # upper half of the 128-bit score, two's complement
    score_low: U64
    price_added: I64 | None = None
    device_begin: I64 | None = None  # [tasks + 1] into the two below
    device_dimension: I32 | None = None
    device_index: I32 | None = None
    engine: str = ""
    offer_number: I64 | None = None  # sessions: the offer's number, -1 where none


Backend = Callable[[Problem], Placement]
