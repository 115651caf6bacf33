"""Every combination of mode, ties, policy and constraint: the oracle, legacy and the library by each of its engines,
with SIMD and without, called by one thread and by two at once.

More than 20,000 calls, each answered in all these ways; `make soak` makes a million of them. A failure names its seed.
"""

import functools
import os
import random

import pytest
from windlass import _native, legacy
from windlass._match import solve

from . import cases, support

BASE = int(os.environ.get("WINDLASS_SEED", "0"))
SEEDS, LONG = 135, 6700  # of each of the combinations
ENGINES = ("scalar", "plain", "auto")  # what $WINDLASS_MATCH_ENGINE forces; plain is without SIMD
COMBINATIONS = len(cases.MODES) * len(cases.POLICIES) * (1 + len(cases.CONSTRAINTS))


def place(engine, problem):
    os.environ["WINDLASS_MATCH_ENGINE"] = engine
    return _native.place(problem)


def place_by_each(problem):
    """The library's answer, the same by each engine, and by two threads at once."""
    answers = [place(engine, problem) for engine in ENGINES]
    os.environ["WINDLASS_MATCH_ENGINE"] = "index"
    answers += [call.result() for call in support.at_once(*[functools.partial(_native.place, problem)] * 2)]
    for way, answer in zip((*ENGINES, "index", "index, too"), answers, strict=True):
        assert support.same_placements(answers[0], answer), way
    return answers[0]


def each_engine(tasks, offers, **options):
    return solve(tasks, offers, backend=place_by_each, fallback=False, **options)


WAYS = {"legacy": legacy.match} | ({"each engine": each_engine} if _native.available() else {})


def test_there_are_enough():
    assert COMBINATIONS * SEEDS >= 20_000
    assert COMBINATIONS * LONG >= 1_000_000


def sweep(monkeypatch, policy, constraint, seeds):
    monkeypatch.setenv("WINDLASS_MATCH_ENGINE", "auto")  # so that it is put back
    placed = 0
    for mode, ties in cases.MODES:
        for seed in seeds:
            arguments = (seed, mode, ties, policy, constraint, random.Random(seed).choice((5, 8, 12)))
            tasks, offers, options = cases.combination(*arguments)
            try:
                placed += max(support.compare(tasks, offers, options, WAYS), 0)
            except Exception as error:
                replay = f"cases.combination{arguments}"
                raise AssertionError(f"{replay} with options {options}: {type(error).__name__}: {error}") from error
    assert placed > len(seeds)


@pytest.mark.parametrize("constraint", (None, *cases.CONSTRAINTS))
@pytest.mark.parametrize("policy", cases.POLICIES)
def test_every_combination(monkeypatch, policy, constraint):
    sweep(monkeypatch, policy, constraint, range(BASE, BASE + SEEDS))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("constraint", (None, *cases.CONSTRAINTS))
@pytest.mark.parametrize("policy", cases.POLICIES)
def test_a_million(monkeypatch, policy, constraint):
    sweep(monkeypatch, policy, constraint, range(BASE + 1_000_000, BASE + 1_000_000 + LONG))
