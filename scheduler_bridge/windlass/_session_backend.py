"""What a session's backend is asked, without names: the seam of SessionCore to the library, the daemon and legacy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from ._problem import I64, Placement, Problem

if TYPE_CHECKING:
    from ._inputs._session import TaskBatch
    from ._session_state import Snapshot


def _none() -> I64:
    return np.empty(0, dtype=np.int64)


@dataclass
class Change:
    """Offers that come, change or go, and tasks that end; as `windlass_session_change` in windlass.h."""

    dimensions: int  # known so far
    weights: list[int]
    scale: list[int]
    widens: bool = True  # there are dimensions that the backend does not know yet
    numbers: I64 = field(default_factory=_none)  # of offers: those added, then those updated
    adds: int = 0
    amounts: list[I64 | None] = field(default_factory=list)  # per dimension [numbers]
    price: I64 | None = None
    removes: I64 = field(default_factory=_none)  # offers
    releases: I64 = field(default_factory=_none)  # tasks
    rescale: bool = False
    constraints: dict[str, Any] = field(default_factory=dict)
    columns: list[npt.NDArray[Any]] = field(default_factory=list)


@dataclass
class View:
    """The offers as the backend holds them, in tie order."""

    numbers: I64
    free: list[I64]  # per dimension
    scale: I64  # per dimension, M_d
    devices: dict[int, tuple[I64, I64]]  # by kind's dimension: begin [offers + 1], shares


@dataclass
class Ask:
    """A match. `snapshot` and `batch` are for a backend that keeps nothing itself."""

    problem: Problem
    numbers: I64  # of the tasks
    batch: TaskBatch
    snapshot: Snapshot


class SessionBackend(Protocol):
    """One session somewhere. A call that is refused leaves it as it was."""

    is_remote: bool  # what it answers is not trusted

    def require(self) -> None:
        """Raises FailedPrecondition where the session is known to be over. Asks nobody."""

    def apply(self, change: Change) -> None:
        """Applies all of a change or none."""

    def match(self, ask: Ask) -> Placement:
        """Places tasks."""

    def view(self) -> View | None:
        """None where it keeps nothing itself."""

    def close(self) -> None:
        """Ends the session; calling it again does nothing."""
