"""Answers of a daemon that cannot be right are refused, by the library and by numpy alike."""

import random

import numpy as np
import pytest
import windlass
from windlass import _match_remote, _native
from windlass._problem import Placement, Problem


def problem(tasks, offers, mode):
    return Problem(mode, "best_fit", "stable", True, tasks, offers, [], [], [], [], [])


def told(index, order, offers, mode):
    """The refusal of an answer, "" where it is taken."""
    index, order = np.array(index, np.int32), np.array(order, np.int32)
    zeros = np.zeros(len(index), np.int64)
    try:
        _match_remote.check(Placement(index, order, zeros, zeros.astype(np.uint64)), problem(len(index), offers, mode))
    except windlass.Unavailable as error:
        return str(error).rpartition(": ")[2]
    return ""


CASES = {
    "offer_index names an offer that does not exist": ([0, 3], [0, 1], 3, "packing"),
    "order names a task that does not exist": ([0, 1], [0, 2], 3, "exclusive"),
    "order names a task twice": ([0, 1], [1, 1], 3, "exclusive"),
    "an offer is given twice": ([2, 2], [0, 1], 3, "exclusive"),
    "": ([2, 2, -1], [2, 0, 1], 3, "packing"),
}


@pytest.mark.parametrize("ours", (True, False))
@pytest.mark.parametrize("fault", CASES)
def test_an_odd_answer_is_told(monkeypatch, fault, ours):
    if not ours:
        monkeypatch.setattr(_native, "available", lambda: False)
    assert told(*CASES[fault]) == fault


@pytest.mark.skipif(not _native.available(), reason="the library is not built")
def test_both_ways_agree_on_any_answer(monkeypatch):
    chance = random.Random(20)
    for _ in range(500):
        tasks, offers = chance.randint(0, 6), chance.randint(0, 6)
        index = [chance.randint(-1 - (chance.random() < 0.03), offers - (chance.random() < 0.97)) for _ in range(tasks)]
        order = chance.sample(range(tasks), tasks)
        if order and chance.random() < 0.3:
            order[chance.randrange(tasks)] = chance.randint(-1, tasks)
        asked = index, order, offers, chance.choice(("exclusive", "packing"))
        with monkeypatch.context() as patched:
            patched.setattr(_native, "available", lambda: False)
            without = told(*asked)
        assert bool(told(*asked)) == bool(without), asked
