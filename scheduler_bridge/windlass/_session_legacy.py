"""A session's backend in Python. It keeps nothing: each match is one of `legacy`, told all that the session holds."""

from __future__ import annotations

import numpy as np

from ._problem import Placement
from ._session_backend import Ask, Change, View
from .legacy._scores import Answer, Scores
from .legacy._state import State
from .legacy.match import place_from, turns_of


class LegacySession:
    """Slow, and there where the library is not."""

    is_remote = False

    def require(self) -> None:
        """It is there as long as SessionCore is."""

    def apply(self, change: Change) -> None:
        """SessionCore holds it all."""

    def match(self, ask: Ask) -> Placement:
        problem = ask.snapshot.inputs(ask.batch).problem
        state = State(problem, Scores(problem), Answer(problem))
        ask.snapshot.prepare(problem, state)
        placement = place_from(state, turns_of(problem))
        offers = [offer.number for offer in ask.snapshot.offers.values()]
        placement.offer_number = np.array([*offers, -1], dtype=np.int64)[placement.offer_index]
        if placement.device_dimension is not None:
            numbers = {name: number for number, name in enumerate(ask.problem.dimensions)}
            own = [numbers.get(name, -1) for name in problem.dimensions]
            placement.device_dimension = np.array(own, dtype=np.int32)[placement.device_dimension]
        return placement

    def view(self) -> View | None:
        return None

    def close(self) -> None:
        """Nothing is open."""
