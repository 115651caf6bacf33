"""What the demo breaks on purpose, to show what then happens."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import windlass

from .cluster import Supervisor

_HELD_S = 0.2


@contextlib.contextmanager
def killed_with_a_request(name: str, supervisor: Supervisor) -> Iterator[None]:
    """While the block runs, the daemon stops in its tracks, holds whatever it was asked, and is killed by SIGKILL."""

    def kill() -> None:
        time.sleep(_HELD_S)
        supervisor.kill(name)

    with supervisor.holding(name):
        supervisor.pause(name)
        thread = threading.Thread(target=kill)
        thread.start()
        try:
            yield
        finally:
            thread.join()


class NodeKill:
    """Kills a node's daemon once a quarter of the bytes is there, and watches how soon it serves again."""

    def __init__(self, node: str, bridge: windlass.Bridge, supervisor: Supervisor) -> None:
        self.node = node
        self.back_after_s: float | None = None  # from the daemon's new start until the bridge has it alive
        self.killed = False
        self._bridge = bridge
        self._supervisor = supervisor
        self._was: Any = None

    def progress(self, done: float, total: float) -> None:
        """Called while staging runs."""
        if not self.killed and done > total / 4:
            self._was = self._bridge.nodes()[self.node]["incarnation"]
            self.killed = True
            self._supervisor.kill(self.node)
        elif self.killed and self.back_after_s is None:
            self.look()

    def look(self) -> None:
        starts = [begin for node, begin in self._supervisor.restarts if node == self.node]
        record = self._bridge.nodes().get(self.node)
        if starts and record and record["state"] == "alive" and record["incarnation"] != self._was:
            self.back_after_s = time.time() - starts[-1]
