"""The oracle, legacy and the library answer alike, on random calls of many kinds. A failure names its seed."""

import os
import random

import pytest
import windlass

from . import cases, support

BASE = int(os.environ.get("WINDLASS_SEED", "0"))
PLAIN, CONSTRAINED, EXPLAINED = 200, 12, 12


def campaign(kind, constraint, seeds, size=9):
    matchers = support.paths()
    placed = refused = 0
    for seed in seeds:
        tasks, offers, options = cases.case(seed, kind, constraint, size)
        try:
            count = support.compare(tasks, offers, options, matchers)
        except Exception as error:
            replay = f"cases.case({seed}, {kind!r}, {constraint!r}, {size})"
            raise AssertionError(f"{replay} with options {options}: {type(error).__name__}: {error}") from error
        placed += max(count, 0)
        refused += count < 0
    return placed, refused


@pytest.mark.parametrize("kind", cases.KINDS)
def test_amounts_and_options(kind):
    placed, refused = campaign(kind, None, range(BASE, BASE + PLAIN))
    assert placed > PLAIN / 10
    assert refused < PLAIN / 10


@pytest.mark.parametrize("constraint", cases.CONSTRAINTS)
@pytest.mark.parametrize("kind", cases.KINDS)
def test_constraints(kind, constraint):
    campaign(kind, constraint, range(BASE, BASE + CONSTRAINED))


@pytest.mark.parametrize("seed", range(BASE, BASE + 3))
def test_fragmentation_with_more_demands_than_count(seed):
    r = random.Random(seed)
    shares = (0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.8, 1, 2, 3)
    tasks = [
        {
            "name": f"t{number}",
            "resources": {"cpu": r.randint(0, 12)},
            "devices": {"gpu": r.choice(shares), "fpga": r.choice((0, 0, 0.5, 1))},
        }
        for number in range(110)
    ]
    offers = [
        {"name": f"o{number}", "resources": {"cpu": r.randint(8, 96)}, "devices": {"gpu": [1] * 4, "fpga": [1, 0.5]}}
        for number in range(10)
    ]
    assert len({str((task["resources"], task["devices"])) for task in tasks}) > 64
    options = {"mode": "packing", "policy": "fragmentation", "weights": {"gpu": 2.5}}
    placed = support.compare(tasks, offers, options, support.paths())
    assert 10 < placed < len(tasks)


@pytest.mark.parametrize("constraint", (None, *cases.CONSTRAINTS))
@pytest.mark.parametrize("kind", cases.KINDS)
def test_explanations(kind, constraint):
    for seed in range(BASE, BASE + EXPLAINED):
        tasks, offers, options = cases.case(seed, kind, constraint, 7)
        if support.oracle_of(tasks, offers, options) is None:
            continue
        result = windlass.legacy.match(tasks, offers, **options)
        try:
            support.check_explained(result, tasks, offers, options, "legacy")
        except Exception as error:
            replay = f"cases.case({seed}, {kind!r}, {constraint!r}, 7)"
            raise AssertionError(f"{replay} with options {options}: {type(error).__name__}: {error}") from error


@pytest.mark.slow
@pytest.mark.parametrize("constraint", (None, *cases.CONSTRAINTS))
@pytest.mark.parametrize("kind", cases.KINDS)
def test_long(kind, constraint):
    campaign(kind, constraint, range(BASE + 10_000, BASE + 11_000), size=14)
    campaign(kind, constraint, range(BASE + 20_000, BASE + 20_040), size=60)
