"""What stands between the sessions of a bridge and its book of grants: the lock, the wait, and whose is what.

Any thread but the bridge's own.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ._bridge_thread import BridgeThread
from ._grant import Asking, Grant
from ._loop import Turn
from ._nodes import Reported


class Seen(NamedTuple):
    """The nodes as they stand; `beside` by node what others hold there, and `dropped` what this session has lost."""

    nodes: list[Reported]
    beside: dict[str, list[Grant]]
    dropped: list[Grant]


class Desk:
    """One for a bridge. `placing` is held from a look to the booking of what was placed, by one session at a time."""

    def __init__(self, thread: BridgeThread) -> None:
        self._thread = thread
        self.placing = threading.RLock()

    def look(self, owner: object, known: Mapping[str, int]) -> Seen:
        """The nodes that are not dead; of those that have not changed since `known` only that."""
        self._thread.loop.refuse_dead()
        self._thread.take_forgotten()
        with self._thread.lock:
            core = self._thread.core
            nodes = core.nodes.reported(known, owner)
            changed = [node.name for node in nodes if known.get(node.name) != node.change]
            return Seen(nodes, {name: core.grants.beside(name, owner) for name in changed}, core.grants.dropped(owner))

    def ask(self, grants: list[Grant], incarnations: dict[str, str]) -> Answers:
        """Books grants and has the nodes asked for them."""
        self._thread.loop.refuse_own_thread()
        answers = Answers()
        answers.asking = self._thread.ask_grants(grants, incarnations, answers.ended.set)
        return answers

    def release(self, ids: Iterable[bytes]) -> None:
        """Gives grants back, waiting for nothing."""
        self._thread.release_grants(ids)

    def claim(self, owner: object, ids: list[bytes]) -> list[bytes]:
        """As `GrantBook.claim`."""
        self._thread.loop.refuse_dead()
        self._thread.take_forgotten()
        with self._thread.lock:
            return self._thread.core.grants.claim(owner, ids)

    def give_up(self, ids: list[bytes]) -> None:
        """As `GrantBook.give_up`."""
        with self._thread.lock:
            self._thread.core.grants.give_up(ids)

    def forget(self, owner: object) -> None:
        """Gives back all that a session holds; in a forked child nothing."""
        if os.getpid() == self._thread.loop.pid:
            self._thread.forget_grants(owner)

    def forget_from_finalizer(self, owner: object) -> None:
        """The same, later, and without a lock."""
        if os.getpid() == self._thread.loop.pid:
            self._thread.forget_from_finalizer(owner)

    def turn(self) -> Turn:
        """What a session's calls hold, one at a time."""
        return Turn(self._thread.loop)


class Answers:
    """Of the nodes, to one call."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.asking: Asking | None = None

    def wait(self) -> dict[bytes, str]:
        """Why, by the id of each grant that was refused. Ends at the latest when the bridge does."""
        self.ended.wait()
        assert self.asking is not None
        return self.asking.refused
