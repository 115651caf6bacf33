"""A process in which one engine answers one problem again and again, so that its memory can be told from others'.

Lines in, one JSON object per line out: `match` runs the call and answers nothing but that it is done; `told` answers
the digest, the engine and `rss_bytes`, by how much the largest resident set of the last call was above what was
resident before it.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import windlass
from windlass._match import solve

from benchmarks import columns
from benchmarks.peers import scan


def digest(result: windlass.MatchResult) -> str:
    """Of the offer of each task."""
    return hashlib.sha256(result.offer_index.astype("<i4").tobytes()).hexdigest()[:16]


def main(engine: str, kind: str, mode: str, tasks: int, offers: int, seed: int) -> None:
    os.environ["WINDLASS_MATCH_ENGINE"] = engine

    def match(problem: tuple[Any, Any]) -> windlass.MatchResult:
        if engine == "simd-scan":
            return solve(*problem, backend=scan.place, fallback=False, mode=mode)
        return windlass.match(*problem, mode=mode)

    problem = columns.make(kind, tasks, offers, seed)
    match(columns.make(kind, 50, 50, seed))  # loads what is loaded on first use
    result: windlass.MatchResult | None = None
    used = 0
    _answer({"ready": True})
    for line in sys.stdin:
        if line.strip() == "match":
            result = None
            before = _begin_peak()
            result = match(problem)
            _answer({})
            used = _status("VmHWM") - before
        elif result is not None:
            placed = int((result.offer_index >= 0).sum())
            _answer({"digest": digest(result), "engine": result.engine, "rss_bytes": used, "placed": placed})


def _answer(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


def _begin_peak() -> int:
    """Lets the peak begin anew; answers the bytes resident now."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    return 0


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], *map(int, sys.argv[4:7]))
