"""One suite for every way of staging: the same calls, the same expectations.

`stager` is each way in turn; `folder` is where a test may write, and is looked through for leftovers afterwards.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import windlass
from windlass import Transfer
from windlass._native_stage import ENGINE_VARIABLE, engine_in_process

WAYS = ("legacy", "uring", "threads", "daemon")


@dataclass
class Stager:
    """A way of staging. `stage` is its `stage(transfers, progress=..., on_error=...)`."""

    way: str
    stage: Callable[..., windlass.StageReport]
    engines: frozenset[str]
    rooted: bool = False  # what lies outside of `roots` is refused
    symlinks: str = "keep"  # what trees do where nothing is said
    more: dict[str, Any] = field(default_factory=dict)

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


@pytest.fixture(params=WAYS)
def stager(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stager]:
    way = request.param
    if way == "legacy":
        yield Stager(way, windlass.legacy.stage, frozenset({"legacy"}))
    elif way == "daemon":
        with request.getfixturevalue("node").client() as client:
            engines = frozenset({"uring", "threads", "reflink"})
            yield Stager(way, client.stage, engines, rooted=True, symlinks="refuse", more={"client": client})
    else:
        monkeypatch.setenv(ENGINE_VARIABLE, way)
        if way == "uring" and engine_in_process() != "uring":
            pytest.skip("io_uring is denied here")
        yield Stager(way, windlass.stage, frozenset({way, "reflink"}))


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
