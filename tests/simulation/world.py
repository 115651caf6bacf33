"""The world's clock, chance, network weather and record of what happened. Everything random comes from one seed, and
nothing reads a real clock: the same seed is the same run, which `trace` (a hash of all that happened) shows.
"""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, NoReturn

MS = 1000  # times are microseconds
SECOND = 1000 * MS


class Broken(AssertionError):
    """An invariant does not hold."""


class World:
    def __init__(self, seed: int, tell: Callable[[str], None] | None = None) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self._bits = self.chance.getrandbits
        self.now = 3600 * SECOND
        self._tell = tell
        self._queue: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._order = itertools.count()
        self._happened: list[bytes] = []

    @property
    def trace(self) -> str:
        return hashlib.blake2b(b"".join(self._happened), digest_size=16).hexdigest()

    def note(self, what: str, *parts: bytes) -> None:
        """Something happened: it goes into the trace, and is told where someone listens."""
        self._happened.append(f"{self.now} {what}\n".encode())
        self._happened += parts
        if self._tell is not None:
            self._tell(f"{self.now / SECOND:12.6f} {what}")

    def at(self, when: int, act: Callable[..., None], *arguments: Any) -> None:
        heappush(self._queue, (when, next(self._order), act, arguments))

    def after(self, delay: int, act: Callable[..., None], *arguments: Any) -> None:
        heappush(self._queue, (self.now + delay, next(self._order), act, arguments))

    def between(self, first: int, last: int) -> int:
        """What chance.randrange answers, sooner."""
        width = last - first
        drawn = self._bits(width.bit_length())
        while drawn >= width:
            drawn = self._bits(width.bit_length())
        return first + drawn

    def run_until(self, end: int) -> None:
        queue = self._queue
        while queue and queue[0][0] <= end:
            when, _, act, arguments = heappop(queue)
            if when > self.now:
                self.now = when
            act(*arguments)
        self.now = end

    def demand(self, holds: bool, invariant: str) -> None:
        """For where a sentence costs nothing; elsewhere broken()."""
        if not holds:
            self.broken(invariant)

    def broken(self, invariant: str) -> NoReturn:
        raise Broken(invariant)

    def bytes(self, count: int) -> bytes:
        return self.chance.randbytes(count)


class Weather:
    """What the network between the nodes and the bridge does; changed by the world as it goes."""

    def __init__(self) -> None:
        self.loss = 0.0
        self.double = 0.0
        self.reorder = 0.0
        self.delay_max = 2 * MS
        self.cut: set[tuple[str, str]] = set()  # (node, "up" or "down"): nothing gets through that way

    def clear(self) -> None:
        self.__init__()  # type: ignore[misc]

    def draw(self, chance: random.Random, nodes: list[str]) -> str:
        """A new kind of weather; says which."""
        self.clear()
        kind = chance.choice(["calm", "lossy", "slow", "doubling", "shuffled", "cut", "cut", "one-way", "foul"])
        if kind in ("lossy", "foul"):
            self.loss = chance.choice([0.05, 0.3])
        if kind in ("slow", "foul", "shuffled"):
            self.delay_max = chance.choice([50, 500, 4000]) * MS
        if kind in ("doubling", "foul"):
            self.double = 0.4
        if kind in ("shuffled", "foul"):
            self.reorder = 0.5
        if kind in ("cut", "one-way"):
            ways = ["up", "down"] if kind == "cut" else [chance.choice(["up", "down"])]
            self.cut = {(node, way) for node in chance.sample(nodes, chance.randint(1, len(nodes))) for way in ways}
        return kind
