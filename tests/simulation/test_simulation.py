"""The simulated world: no seed breaks an invariant, the same seed is the same run, and broken builds are caught."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
SEEDS = int(os.environ.get("WINDLASS_SIMULATION_SEEDS", "2000"))
PARTS = 4
CAUGHT_WITHIN = 600


def simulate(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.simulation", *words], cwd=TOP, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("part", range(PARTS))
def test_no_seed_breaks_an_invariant(part: int) -> None:
    first, last = part * SEEDS // PARTS, (part + 1) * SEEDS // PARTS
    done = simulate("--seeds", f"{first}:{last}")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_same_seed_is_the_same_run() -> None:
    one, other = (simulate("--seeds", "0:6", "--hashes") for _ in range(2))
    hashes = one.stdout.splitlines()[:6]
    assert one.returncode == 0 and len(set(hashes)) == 6, one.stdout + one.stderr
    assert hashes == other.stdout.splitlines()[:6]


def test_a_campaign_runs_in_several_processes() -> None:
    done = simulate("--seeds", "0:4", "--jobs", "2")
    assert done.returncode == 0 and "4 seeds, 0 failed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(
    "mutant",
    [
        "lost_tombstone",
        "unwritten_begin",
        "uncarried_begin",
        "unkept_answer",
        "forgotten_epoch",
        "unburied_release",
        "uncounted_grant",
        "kept_credit",
        "kept_peer",
        "kept_request",
        "kept_bulk_credit",
        "unheeded_credit",
        "newest_epoch",
        "kept_grants",
        "unheard_refusal",
        "hasty_death",
    ],
)
def test_a_broken_build_is_caught(mutant: str) -> None:
    done = simulate("--seeds", f"0:{CAUGHT_WITHIN}", "--mutant", mutant)
    assert done.returncode == 1 and "again:" in done.stdout, done.stdout + done.stderr
