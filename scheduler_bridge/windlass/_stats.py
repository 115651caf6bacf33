"""Counts of this process that users look at: `windlass.stats()`."""

from __future__ import annotations

import threading
from collections import defaultdict

# What is told even where nothing was counted: who asks need not know whether something has happened yet.
_SEEDS: dict[str, tuple[str, ...]] = {
    "fallbacks": ("match", "stage"),
    "refused": ("handshake", "unknown_key", "revoked_key", "flood", "role"),
}
_lock = threading.Lock()
_counts: dict[str, dict[str, int]] = {group: defaultdict(int, dict.fromkeys(_SEEDS[group], 0)) for group in _SEEDS}


def count(group: str, name: str, by: int = 1) -> int:
    """Adds to one count and answers its new value. Any thread."""
    with _lock:
        _counts.setdefault(group, defaultdict(int))[name] += by
        return _counts[group][name]


def stats() -> dict[str, dict[str, int]]:
    """A copy of all counts of this process: ``{"fallbacks": {"match": n, "stage": n}, "refused": {...}, ...}``."""
    with _lock:
        return {group: dict(names) for group, names in _counts.items()}
