"""`benchmarks/run NAME [--quick] [--case CASE] [--json FILE] [--plot FILE.png]`. Ends with 0; 1 failed, 2 usage."""

from __future__ import annotations

import argparse
import importlib
import json
import signal
import sys
from pathlib import Path
from types import FrameType

from . import harness, show

NAMES = (
    "match",
    "match_scale",
    "match_session",
    "gil",
    "packing_quality",
    "stage_large",
    "stage_small",
    "rpc_latency",
    "connections",
    "cycle",
)


def _arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/run", description="One question, its peers in the same run.")
    parser.add_argument("name", choices=NAMES, help="the question")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, small files, without the slowest peers")
    parser.add_argument("--case", action="append", metavar="CASE", help="only this case; may be given more than once")
    parser.add_argument("--who", action="append", metavar="WHO", help="only peers whose name begins so")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds in place of the benchmark's own number")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw the rows there")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="where files lie while they are measured")
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    asked = _arguments(words)
    signal.signal(signal.SIGTERM, _interrupt)  # so that files and daemons are put away then too
    program = importlib.import_module(f"benchmarks.{asked.name}")
    cases = asked.case or (program.QUICK_CASES if asked.quick else program.CASES)
    rounds = asked.rounds or (2 if asked.quick else program.ROUNDS)
    rows = []
    try:
        for case in cases:
            program.parse_case(case)
    except ValueError as error:
        print(f"benchmarks/run: {error}", file=sys.stderr)
        return 2
    try:
        for case in cases:
            rows += program.run(case, rounds=rounds, quick=asked.quick, who=asked.who, folder=asked.folder, say=_say)
    except harness.CannotRun as error:
        print(f"benchmarks/run: {error}", file=sys.stderr)
        return 1
    except harness.WrongAnswer as error:
        print(f"benchmarks/run: wrong answer: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("benchmarks/run: stopped", file=sys.stderr)
        return 130
    finally:
        _say("")
    answer = {
        "name": asked.name,
        "unit": program.UNIT,
        "better": program.BETTER,
        "rows": rows,
        "machine": harness.machine(),
        "commit": harness.commit(),
    }
    print(show.table(answer))
    if hasattr(program, "details"):
        print(f"\n{program.details(answer)}")
    if asked.json is not None:
        asked.json.write_text(json.dumps(answer, indent=1) + "\n")
    if asked.plot is not None:
        getattr(program, "plot", show.plot)(answer, asked.plot)
    return 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _say(text: str) -> None:
    """Progress on a terminal: one line that is written over."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
