"""Sessions of a bridge over the nodes of `grant_world`, without socket, clock or thread.

The desk is the bridge's own; what stands in for the bridge's thread delivers at once what a session sends.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from typing import Any

from grant_world import World
from windlass._bridge_core import BridgeCore
from windlass._bridge_session import BridgeSession
from windlass._grant_desk import Desk
from windlass._grants import Asking, Grant


class Loop:
    """One process, one thread."""

    pid = os.getpid()

    def refuse_dead(self) -> None: ...

    def refuse_own_thread(self) -> None: ...


class Thread:
    """As much of a BridgeThread as a Desk uses."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.lock = threading.Lock()
        self.loop = Loop()

    @property
    def core(self) -> BridgeCore:
        return self._world.core

    def ask_grants(self, grants: list[Grant], incarnations: dict[str, str], on_end: Callable[[], None]) -> Asking:
        asking = self.core.grants.ask(grants, incarnations, on_end)
        self._world.send(asking.sends)
        self._world.deliver_all()
        return asking

    def release_grants(self, ids: Iterable[bytes]) -> None:
        self._world.send(self.core.grants.release(ids))

    def take_forgotten(self) -> None: ...

    def forget_from_finalizer(self, owner: object) -> None:
        self.forget_grants(owner)

    def forget_grants(self, owner: object) -> None:
        self._world.send(self.core.grants.forget(owner))


def session_of(world: World, **options: Any) -> BridgeSession:
    """A session on the nodes of the world."""
    return BridgeSession(Desk(Thread(world)), options, world)  # type: ignore[arg-type]
