"""One suite for every way of staging: the same calls, the same expectations.

`stager` is each way in turn; `folder` is where a test may write, and is looked through for leftovers afterwards.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import windlass
from windlass import Transfer
from windlass._native_stage import ENGINE_VARIABLE, engine_in_process

WAYS = ("legacy", "uring", "threads", "daemon", "bridge")


@dataclass
class Stager:
    """A way of staging. `stage` is its `stage(transfers, progress=..., on_error=...)`."""

    way: str
    stage: Callable[..., windlass.StageReport]
    engines: frozenset[str]
    rooted: bool = False  # what lies outside of `roots` is refused
    symlinks: str = "keep"  # what trees do where nothing is said
    roots: Callable[[list[Any]], Stager] | None = None  # the same way with these roots

    def one(self, source: Any, target: Any, **fields: Any) -> windlass.TransferReport:
        """Stages one transfer that must be done."""
        report = self.stage([Transfer(source, target, **fields)])
        assert report.ok
        return report.transfers[0]

    def failed(self, source: Any, target: Any, **fields: Any) -> windlass.StageError:
        """Stages one transfer that must fail; its error."""
        report = self.stage([Transfer(source, target, **fields)], on_error="report")
        assert not report.ok
        assert report.transfers[0].state == "failed"
        return report.transfers[0].error


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[windlass.LocalNode]:
    with windlass.LocalNode(config={"stage.roots": [str(tmp_path_factory.getbasetemp())]}) as node:
        yield node


@pytest.fixture(scope="session")
def bridge_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., windlass.StageReport]]:
    """`bridge.stage` to the one node of a bridge."""
    roots = [str(tmp_path_factory.getbasetemp())]
    with windlass.Bridge("tcp://127.0.0.1:0") as bridge:
        settings = {"stage.roots": roots, "bridge.address": bridge.address, "node.name": "n1"}
        with windlass.LocalNode(config=settings):
            deadline = time.monotonic() + 30
            while "n1" not in bridge.nodes():
                assert time.monotonic() < deadline, "the node has not registered"
                time.sleep(0.01)
            yield partial(bridge.stage, "n1")


@pytest.fixture(params=WAYS)
def stager(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stager]:
    way = request.param
    if way in ("daemon", "bridge"):
        with ExitStack() as open_nodes:
            if way == "bridge":
                stage = request.getfixturevalue("bridge_stage")
            else:
                stage = open_nodes.enter_context(request.getfixturevalue("node").client()).stage

            def own_node(roots: list[Any]) -> Stager:
                settings = {"stage.roots": [os.fspath(root) for root in roots]}
                own = open_nodes.enter_context(windlass.LocalNode(config=settings))
                return by_daemon(way, open_nodes.enter_context(own.client()).stage)

            yield replace(by_daemon(way, stage), roots=own_node)
        return
    if way == "legacy":
        yield in_process(way, windlass.legacy.stage, frozenset({"legacy"}))
        return
    monkeypatch.setenv(ENGINE_VARIABLE, way)
    if way == "uring" and engine_in_process() != "uring":
        pytest.skip("io_uring is denied here")
    yield in_process(way, windlass.stage, frozenset({way, "reflink"}))


def by_daemon(way: str, stage: Callable[..., windlass.StageReport]) -> Stager:
    return Stager(way, stage, frozenset({"uring", "threads", "reflink"}), rooted=True, symlinks="refuse")


def in_process(way: str, stage: Callable[..., windlass.StageReport], engines: frozenset[str]) -> Stager:
    plain = Stager(way, stage, engines)
    return replace(plain, roots=lambda roots: replace(plain, stage=partial(stage, roots=roots), rooted=True))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    assert leftovers(tmp_path) == []


def leftovers(folder: Path) -> list[str]:
    return [
        os.path.join(top, name)
        for top, folders, files in os.walk(folder)
        for name in folders + files
        if name.startswith(".windlass-")
    ]


def written(path: Path, content: bytes, mode: int | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    if mode is not None:
        path.chmod(mode)
    return path


def told(path: Path) -> dict[str, Any]:
    """A tree as it is: {relative path: content, link text, or None for what has neither}."""
    found: dict[str, Any] = {}
    for top, folders, files in os.walk(path):
        for name in folders + files:
            full = Path(top, name)
            key = str(full.relative_to(path))
            if full.is_symlink():
                found[key] = ("link", os.readlink(full))
            else:
                found[key] = full.read_bytes() if full.is_file() else None
    return found
