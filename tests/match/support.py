"""What the tests of matching share: the ways to an answer, and their comparison with the oracle."""

import contextlib
import functools
import threading
from concurrent.futures import ThreadPoolExecutor, wait

import windlass
from windlass import _native, legacy
from windlass._match import solve

from tests.oracle.matching import Oracle


def paths():
    """{name: matcher} of the ways that can be had here."""
    found = {"legacy": legacy.match, "general": general}
    if _native.available():
        found["native"] = native
    return found


def native(tasks, offers, **options):
    """In process, without a way out."""
    return solve(tasks, offers, backend=_native.place, fallback=False, **options)


def at_once(first, second):
    """Two calls begun by two threads at the same moment, as Futures that are done."""
    begin = threading.Barrier(2, timeout=60)

    def one(call):
        begin.wait()
        return call()

    futures = [_two_threads().submit(one, call) for call in (first, second)]
    wait(futures)
    return futures


def twice_at_once(matcher, second=None):
    """The matcher called by two threads at the same moment, who must be answered alike; `second` is asked by the
    second of them."""

    def match(tasks, offers, **options):
        calls = at_once(*(functools.partial(each, tasks, offers, **options) for each in (matcher, second or matcher)))
        faults = [call.exception() for call in calls]
        if any(faults):
            assert all(faults) and str(faults[0]) == str(faults[1])
            raise faults[0]
        first, other = (call.result() for call in calls)
        assert same_placements(first._placement, other._placement)
        return first

    return match


@functools.cache
def _two_threads():
    return ThreadPoolExecutor(2, "two-at-once")


def same_placements(one, other):
    """Whether two answers are the same to the last bit."""
    return all(
        (getattr(one, name) is None) == (getattr(other, name) is None)
        and (getattr(one, name) is None or getattr(one, name).tolist() == getattr(other, name).tolist())
        for name in ("offer_index", "order", "score_high", "score_low", "price_added", "device_begin", "device_index")
    )


def general(tasks, offers, **options):
    """legacy by its general loop, also where the sorted one would do."""
    from windlass.legacy import _scores, _state
    from windlass.legacy import match as _  # noqa: F401

    def place(problem):
        scores, answer = _scores.Scores(problem), _scores.Answer(problem)
        state = _state.State(problem, scores, answer)
        return run_general(problem, state, answer)

    return solve(tasks, offers, backend=place, fallback=False, **options)


def run_general(problem, state, answer):
    import sys

    module = sys.modules["windlass.legacy.match"]
    turns = module.turns_of(problem)
    members = module.gangs_of(problem, turns)
    order = []
    for task in turns:
        gang = members.get(task, [task])
        if gang:
            module.place_gang(state, gang)
            order += gang
    return answer.placement(order, with_devices=True)


def oracle_of(tasks, offers, options):
    """The oracle, run; None where it refuses the call."""
    with contextlib.suppress(ValueError):
        oracle = Oracle(tasks, offers, **options)
        oracle.run()
        return oracle
    return None


def check_explained(result, tasks, offers, options, name):
    """Each unplaced task is explained as by an oracle that stops at its turn."""
    for index, task in enumerate(tasks):
        told = result.explain(task["name"])
        if result.offer_index[index] >= 0:
            assert told is None, name
            continue
        oracle = Oracle(tasks, offers, **options)
        tried = oracle.run(stop=index)
        if tried.index != index:
            assert (told.blocked_by, told.reasons, told.nearest) == (tried.name, {}, None), name
        else:
            assert (told.reasons, told.nearest) == oracle.explain(tried), (name, task["name"])
            assert told.blocked_by is None, name
            assert bool(told.lacks) == bool(offers), name
        assert repr(task["name"]) in str(told), name


def compare(tasks, offers, options, matchers):
    """Each matcher answers as the oracle does, or refuses where it does; tells how many were placed, -1: refused."""
    oracle = oracle_of(tasks, offers, options)
    for name, matcher in matchers.items():
        if oracle is None:
            try:
                matcher(tasks, offers, **options)
            except windlass.InvalidArgument:
                continue
            raise AssertionError(f"{name} takes what the oracle refuses")
        check_answer(matcher(tasks, offers, **options), oracle, name)
    return -1 if oracle is None else len(oracle.where)


def check_answer(result, oracle, name):
    """Every part of a result is the oracle's."""
    order = [oracle.tasks[index] for index in oracle.order]
    want = {task.name: oracle.where[task.index].name for task in order if task.index in oracle.where}
    assert list(result.assignments.items()) == list(want.items()), name
    assert result.unmatched == [task.name for task in order if task.index not in oracle.where], name
    where = [oracle.where[i].index if i in oracle.where else -1 for i in range(len(oracle.tasks))]
    assert result.offer_index.tolist() == where, name
    for task in oracle.tasks:
        score = oracle.scores.get(task.index)
        if score is None:
            assert result.score(task.name) is None, name
            assert result.devices(task.name) is None, name
            continue
        told = score[-1] / oracle.one
        assert result.score(task.name) == (told if len(score) == 1 else (score[0] / 10**6, told)), name
        row = result._row(task.name)
        placement = result._placement
        assert (int(placement.score_high[row]) << 64) + int(placement.score_low[row]) == score[-1], name
        assert result.devices(task.name) == oracle.devices(task.index), name
    by_offer = {offer.name: [] for offer in oracle.offers}
    for task, offer in want.items():
        by_offer[offer].append(task)
    assert list(result.by_offer.items()) == list(by_offer.items()), name
