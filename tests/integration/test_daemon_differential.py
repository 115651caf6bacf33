"""The oracle and a real windlassd answer alike, over ipc and tcp, on the random calls of tests/match.

A failure names its seed. `WINDLASS_SEED` begins elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import windlass
from windlass._match import solve

from tests.match import cases, support

BASE = int(os.environ.get("WINDLASS_SEED", "0"))
PLAIN, CONSTRAINED = 1000, 8


@pytest.fixture(scope="module")
def matchers() -> Iterator[dict[str, Any]]:
    """{path: matcher}, without a way out: what the daemon, which has two matchers, cannot answer fails here."""

    def through(client: windlass.Client) -> Any:
        return lambda tasks, offers, **options: solve(tasks, offers, backend=client.place, fallback=False, **options)

    config = {"match.threads": 2}
    with windlass.LocalNode(config=config) as node, node.client() as ipc, windlass.Client(node.tcp_address) as tcp:
        yield {"ipc": through(ipc), "tcp": through(tcp)}


def campaign(matchers: dict[str, Any], kind: str, constraint: str | None, seeds: range, size: int = 9) -> int:
    placed = 0
    for seed in seeds:
        tasks, offers, options = cases.case(seed, kind, constraint, size)
        try:
            placed += max(support.compare(tasks, offers, options, matchers), 0)
        except Exception as error:
            replay = f"cases.case({seed}, {kind!r}, {constraint!r}, {size})"
            raise AssertionError(f"{replay} with options {options}: {type(error).__name__}: {error}") from error
    return placed


@pytest.mark.parametrize("kind", cases.KINDS)
def test_amounts_and_options(matchers: dict[str, Any], kind: str):
    assert campaign(matchers, kind, None, range(BASE, BASE + PLAIN)) > 100


@pytest.mark.parametrize("constraint", cases.CONSTRAINTS)
@pytest.mark.parametrize("kind", cases.KINDS)
def test_constraints(matchers: dict[str, Any], kind: str, constraint: str):
    campaign(matchers, kind, constraint, range(BASE, BASE + CONSTRAINED))


@pytest.mark.parametrize("kind", cases.KINDS)
def test_two_at_once(matchers: dict[str, Any], kind: str):
    """Over both paths at the same moment, so large that each waits for a matcher."""
    at_once = {"at once": support.twice_at_once(matchers["ipc"], matchers["tcp"])}
    for constraint in (None, "all"):
        campaign(at_once, kind, constraint, range(BASE + 30_000, BASE + 30_004), size=180)


@pytest.mark.slow
@pytest.mark.parametrize("kind", cases.KINDS)
def test_long(matchers: dict[str, Any], kind: str):
    campaign(matchers, kind, None, range(BASE + 10_000, BASE + 11_000), size=14)
    campaign(matchers, kind, "all", range(BASE + 20_000, BASE + 20_100), size=20)
