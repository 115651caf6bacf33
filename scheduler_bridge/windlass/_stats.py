"""Counts of this process that users look at: `windlass.stats()`."""

from __future__ import annotations

import threading
from collections import defaultdict

_lock = threading.Lock()
_counts: dict[str, dict[str, int]] = {"fallbacks": defaultdict(int)}


def count(group: str, name: str, by: int = 1) -> int:
    """Adds to one count and answers its new value. Any thread."""
    with _lock:
        _counts.setdefault(group, defaultdict(int))[name] += by
        return _counts[group][name]


def stats() -> dict[str, dict[str, int]]:
    """A copy of all counts of this process: ``{"fallbacks": {"match": n, "stage": n}, ...}``."""
    with _lock:
        copy = {group: dict(names) for group, names in _counts.items()}
    for name in ("match", "stage"):
        copy["fallbacks"].setdefault(name, 0)
    return copy
