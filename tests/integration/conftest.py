"""Starts real daemons on loopback, keeps their logs, and checks that none crashed."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import windlass
from support import eventually, held, own_threads

CRASHES = {-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, -signal.SIGILL, -signal.SIGFPE}


class Nodes:
    """Makes LocalNodes for one test, and ends them after it."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._nodes: list[windlass.LocalNode] = []

    def __call__(self, config: dict[str, Any] | None = None) -> windlass.LocalNode:
        node = windlass.LocalNode(config=config)
        self._nodes.append(node)
        return node

    def end(self) -> list[str]:
        """Closes all; answers what the logs say of crashes."""
        faults = []
        for number, node in enumerate(self._nodes):
            code = node.terminate()
            log = node.log()
            (self._logs / f"node-{number}.log").write_text(log)
            if code in CRASHES or "AddressSanitizer" in log or "runtime error:" in log:
                faults.append(f"{node.name} ended with {code}:\n{log[-4000:]}")
            node.close()
        return faults


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    """nodes(config) starts a windlassd; its log is kept beside the test's files."""
    logs = tmp_path / "logs"
    logs.mkdir()
    made = Nodes(logs)
    try:
        yield made
    finally:
        faults = made.end()
    assert not faults, "\n".join(faults)


@pytest.fixture
def node(nodes: Callable[..., windlass.LocalNode], tmp_path: Path) -> windlass.LocalNode:
    """One windlassd that may stage beneath the test's folder."""
    return nodes({"stage.roots": [str(tmp_path)]})


@pytest.fixture
def bridge() -> Iterator[windlass.Bridge]:
    """A bridge with short times; nodes that report to it learn them by WELCOME."""
    with windlass.Bridge("tcp://127.0.0.1:0", beat=0.1, suspect_after=0.5, dead_after=2.0) as made:
        yield made


@pytest.fixture
def socket(tmp_path: Path) -> str:
    """An address for a daemon of the test's own."""
    return f"ipc://{tmp_path}/d.sock"


@pytest.fixture
def nothing_is_left() -> Iterator[None]:
    """Fails where a test leaves a descriptor or a thread of ours behind."""
    before = held()
    yield
    assert own_threads() == []
    eventually(lambda: held() <= before, what="no descriptor and no thread is left")
