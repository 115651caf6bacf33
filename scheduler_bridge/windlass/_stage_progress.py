"""Telling of progress: at most ten times a second, once more at the end, never decreasing.

`Teller` holds the rules and calls whatever the caller gave: a callable, or a bar for `progress=True`.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TextIO

from ._errors import InvalidTransfer

INTERVAL_SECONDS = 0.1

ProgressCallable = Callable[[int, int | None, int, int | None], Any]
ProgressArgument = ProgressCallable | bool | None


class Counts(NamedTuple):
    """The figures of a PROGRESS message; totals are None while unknown."""

    bytes: int = 0
    bytes_total: int | None = None
    files: int = 0
    files_total: int | None = None


class StageProgress(NamedTuple):
    """What `StageFuture.progress()` answers."""

    bytes: int
    bytes_total: int | None
    files: int
    files_total: int | None
    rate: float
    """Bytes per second since the call was accepted."""
    seconds_left: float | None
    """At that rate; None while it cannot be told."""


def with_rate(counts: Counts, seconds: float) -> StageProgress:
    rate = counts.bytes / seconds if seconds > 0 else 0.0
    left: float | None = None
    if counts.bytes_total is not None:
        remaining = max(counts.bytes_total - counts.bytes, 0)
        left = 0.0 if remaining == 0 else remaining / rate if rate > 0 else None
    return StageProgress(*counts, rate=rate, seconds_left=left)


class Highest:
    """Figures that never decrease: a file read again from the start would take some back."""

    def __init__(self) -> None:
        self.counts = Counts()

    def raised_by(self, new: Counts) -> Counts:
        old = self.counts
        bytes_done, files_done = max(old.bytes, new.bytes), max(old.files, new.files)
        self.counts = Counts(
            bytes_done,
            _total(bytes_done, old.bytes_total, new.bytes_total),
            files_done,
            _total(files_done, old.files_total, new.files_total),
        )
        return self.counts


def _total(done: int, old: int | None, new: int | None) -> int | None:
    known = new if new is not None else old
    return None if known is None else max(known, done)


class _Bar(Protocol):
    def show(self, counts: Counts) -> None: ...

    def close(self) -> None: ...


class Teller:
    """Calls the caller's progress argument; used by one thread."""

    def __init__(self, progress: ProgressArgument, clock: Callable[[], float] = time.monotonic) -> None:
        self._call: ProgressCallable | None = None
        self._bar: _Bar | None = None
        self._clock = clock
        self._next = 0.0
        self._highest = Highest()
        if callable(progress):
            self._call = progress
        elif progress is True:
            self._bar = _new_bar()
        elif progress is not None and progress is not False:
            raise InvalidTransfer(f"progress = {progress!r}: give a callable, True for a bar, or None")

    @property
    def silent(self) -> bool:
        return self._call is None and self._bar is None

    def tell(self, counts: Counts) -> None:
        """Tells where a tenth of a second has passed since the last time."""
        counts = self._highest.raised_by(counts)
        now = self._clock()
        if not self.silent and now >= self._next:
            self._next = now + INTERVAL_SECONDS
            self._tell(counts)

    def tell_end(self, counts: Counts) -> None:
        """The last word, whatever the time."""
        if not self.silent:
            self._tell(self._highest.raised_by(counts))

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def _tell(self, counts: Counts) -> None:
        if self._call is not None:
            self._call(*counts)
        elif self._bar is not None:
            self._bar.show(counts)


def _new_bar() -> _Bar:
    try:
        tqdm = importlib.import_module("tqdm.auto").tqdm
    except ImportError:
        return TextBar(sys.stderr)
    if _has_no_width(sys.stderr):
        return TextBar(sys.stderr)  # there tqdm shows nothing at all
    return _TqdmBar(tqdm)


def _has_no_width(stream: TextIO) -> bool:
    """A terminal that does not tell how wide it is, as one that a program made."""
    try:
        return os.get_terminal_size(stream.fileno()).columns == 0
    except (OSError, ValueError):
        return False  # no terminal


class _TqdmBar:
    def __init__(self, tqdm: Any) -> None:
        self._bar = tqdm(unit="B", unit_scale=True, unit_divisor=1024, desc="staging")

    def show(self, counts: Counts) -> None:
        if counts.bytes_total is not None:
            self._bar.total = counts.bytes_total
        files = "" if counts.files_total is None else f"/{counts.files_total}"
        self._bar.set_postfix_str(f"{counts.files}{files} files", refresh=False)
        self._bar.update(counts.bytes - self._bar.n)
        self._bar.refresh()

    def close(self) -> None:
        self._bar.close()


class TextBar:
    """A bar for a terminal; a line at each end where the stream is none."""

    WIDTH = 30

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live = stream.isatty()
        self._shown: Counts | None = None
        self._begun = time.monotonic()

    def show(self, counts: Counts) -> None:
        self._shown = counts
        if self._live:
            self._stream.write("\r" + self._line(counts) + "\x1b[K")
            self._stream.flush()

    def close(self) -> None:
        if self._live:
            self._stream.write("\n")
        elif self._shown is not None:
            self._stream.write(self._line(self._shown) + "\n")
        self._stream.flush()

    def _line(self, counts: Counts) -> str:
        rate = with_rate(counts, time.monotonic() - self._begun).rate
        files = f"{counts.files}" if counts.files_total is None else f"{counts.files}/{counts.files_total}"
        text = f"{size_text(counts.bytes)} {files} files {size_text(rate)}/s"
        if not counts.bytes_total:
            return f"staging {text}"
        share = min(counts.bytes / counts.bytes_total, 1.0)
        full = round(share * self.WIDTH)
        return f"staging [{'#' * full}{'.' * (self.WIDTH - full)}] {share:4.0%} {text}"


def size_text(count: float) -> str:
    """12.3 MiB and the like."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
