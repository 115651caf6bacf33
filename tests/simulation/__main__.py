"""Runs seeds of the simulated world.

    python -m tests.simulation --seeds 0:2000 [--jobs 2] [--library FILE] [--mutant NAME]
    python -m tests.simulation --seed 17 --trace

Ends with 1 at the first invariant that does not hold, and says with which seed and how to see it again.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time

from .ranges import run_range


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", default="0:200", metavar="FIRST:LAST", help="LAST is not among them")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--mutant", help="a deliberately broken build; the simulation's CMakeLists.txt and mutants.py")
    parser.add_argument("--trace", action="store_true", help="print what happens")
    parser.add_argument("--hashes", action="store_true", help="print a hash of all that happened, for each seed")
    given = parser.parse_args(words)
    first, last = (given.seed, given.seed + 1) if given.seed is not None else map(int, given.seeds.split(":"))
    begun = time.monotonic()
    step = max(1, min(250, (last - first) // given.jobs)) if given.jobs > 1 else last - first
    told = "trace" if given.trace else "hashes" if given.hashes else ""
    parts = [(at, min(at + step, last), given.mutant, told) for at in range(first, last, max(step, 1))]
    if given.jobs > 1:
        with multiprocessing.get_context("spawn").Pool(given.jobs) as pool:
            found = [failure for failure in pool.starmap(run_range, parts, chunksize=1) if failure]
    else:
        found = [failure for part in parts if (failure := run_range(*part))]
    for seed, why in found:
        mutant = f" --mutant {given.mutant}" if given.mutant else ""
        print(f"seed {seed}: {why}\n  again: .venv/bin/python -m tests.simulation --seed {seed} --trace{mutant}")
    seconds = time.monotonic() - begun
    print(f"{last - first} seeds, {len(found)} failed, {seconds:.1f} s, {(last - first) / seconds:.1f} seeds/s")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
