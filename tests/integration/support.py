"""What the tests of this folder share: waiting by polling, problems to match, what a process holds."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import windlass

T = TypeVar("T")


def eventually(look: Callable[[], T], timeout: float = 10.0, what: str = "") -> T:
    """Looks until the answer is true, and answers it; fails after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() >= deadline:
            raise AssertionError(f"{what or look} did not come true within {timeout} s; last: {found!r}")
        time.sleep(0.005)


def problem(tasks: int, offers: int, seed: int = 1) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Tasks and offers of two dimensions, drawn from the seed."""
    chance = random.Random(seed)

    def rows(count: int, name: str, top: int) -> list[dict[str, Any]]:
        return [
            {
                "name": f"{name}-{row}",
                "resources": {"cpu": chance.randrange(1, top) / 4, "memory": chance.randrange(1, top)},
            }
            for row in range(count)
        ]

    made = rows(tasks, "task", 40)
    for task in made:
        task["priority"] = chance.randrange(3)
    return made, rows(offers, "offer", 64)


def same(one: windlass.MatchResult, other: windlass.MatchResult, tasks: list[dict[str, Any]]) -> bool:
    """The same assignments in the same order, with the same scores."""
    return (
        list(one.assignments.items()) == list(other.assignments.items())
        and one.unmatched == other.unmatched
        and all(one.score(task["name"]) == other.score(task["name"]) for task in tasks)
    )


def fallbacks(kind: str = "match") -> int:
    return windlass.stats()["fallbacks"][kind]


def held() -> tuple[int, int]:
    """Descriptors and threads (the kernel's count) of this process."""
    return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))


def own_threads() -> list[str]:
    """Names of threads that are ours."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("windlass")]
