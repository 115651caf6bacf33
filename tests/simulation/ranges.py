"""Runs a range of seeds. Apart from __main__.py, since a process of a pool does not find what stands there."""

from __future__ import annotations

import gc
import traceback
from pathlib import Path

from . import mutants


def run_range(first: int, last: int, mutant: str | None, told: str = "") -> tuple[int, str] | None:
    """The first seed of [first, last) that fails, and why."""
    path = None
    if mutant in mutants.PYTHON:
        mutants.apply(mutant)
    elif mutant is not None:
        path = Path(__file__).parents[2] / f"build/release/lib/libwindlass_simulation_{mutant}.so"
    from .native import Library  # these take names from what a mutant breaks
    from .scenario import folder_of_ends, run_seed

    gc.set_threshold(20_000)  # a seed's world is one knot of references, and as large as that
    library = Library(path)
    with folder_of_ends() as folder:
        for seed in range(first, last):
            try:
                trace = run_seed(seed, library, folder, print if told == "trace" else None)
            except Exception as error:  # whatever ends a run is a finding
                return seed, str(error) if type(error).__name__ == "Broken" else traceback.format_exc()
            if told == "hashes":
                print(trace)
    return None
