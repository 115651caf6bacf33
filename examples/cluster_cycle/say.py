"""Progress: on a terminal a line that is written over, elsewhere a line now and then."""

from __future__ import annotations

import sys
import time

_WIDTH = 24
_EVERY_S = 5.0


class Progress:
    """Lines that stay, and bars that move. One thread at a time."""

    def __init__(self) -> None:
        self._begin = time.monotonic()
        self._last = 0.0
        self._terminal = sys.stdout.isatty()

    def line(self, text: str) -> None:
        clear = "\r\x1b[K" if self._terminal else ""
        print(f"{clear}[{time.monotonic() - self._begin:6.1f} s] {text}", flush=True)
        self._last = time.monotonic()

    def bar(self, text: str, done: float, total: float) -> None:
        """Shows how far something is; call it as often as you like."""
        now = time.monotonic()
        share = min(1.0, done / total) if total else 1.0
        if now - self._last < (0.1 if self._terminal else _EVERY_S):
            return
        self._last = now
        filled = int(share * _WIDTH)
        words = f"[{now - self._begin:6.1f} s] {text} [{'#' * filled}{'.' * (_WIDTH - filled)}] {share:4.0%}"
        print(f"\r\x1b[K{words}" if self._terminal else words, end="" if self._terminal else "\n", flush=True)
