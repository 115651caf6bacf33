"""The oracle, the library and legacy live through the same sessions. A failure names its seed."""

import os

import pytest
import windlass
from windlass import _native
from windlass._match import cutter
from windlass._session import Session
from windlass._session_core import SessionCore
from windlass._session_legacy import LegacySession

from tests.oracle.matching import cut
from tests.oracle.session import SessionOracle

from . import cases, session_cases, support

BASE = int(os.environ.get("WINDLASS_SEED", "0"))
PLAIN, CONSTRAINED = 100, 16


class InPython(Session):
    """A session without the library."""

    def __init__(self, offers, **options):
        self._begin(SessionCore(lambda _: LegacySession(), cutter(), options), offers)


def makers():
    """{name: what opens a session} of the ways that can be had here."""
    found = {"legacy": InPython}
    if _native.available():
        found["native"] = windlass.Session
    return found


def refused(call):
    try:
        call()
    except (ValueError, windlass.InvalidArgument):
        return True
    return False


def free_of(session):
    found = {}
    for offer in session.offers():
        amounts = {dim: cut(value) for dim, value in offer["resources"].items() if value}
        devices = offer.get("devices", {})
        found[offer["name"]] = amounts, {kind: [cut(share) for share in own] for kind, own in devices.items()}
    return found


def live(session, oracle, steps, name, explained=False):
    """Takes a session through its life; answers how many tasks were placed and how many calls refused."""
    placed = refusals = 0
    for step, given in steps:
        before = oracle.version
        was = oracle.matcher(given) if step == "match" and explained else None
        try:
            want = getattr(oracle, step)(*([] if step == "rescale" else [given]))
        except ValueError:
            assert refused(lambda s=step, g=given: getattr(session, s)(g)), (name, step)
            refusals += 1
            assert session.version == before, name
            continue
        told = getattr(session, step)(*([] if step == "rescale" else [given]))
        if step == "match":
            support.check_answer(told, want, name)
            placed += len(want.where)
            if was is not None:
                check_explained(told, given, oracle, want, name)
        elif step in ("remove", "release"):
            assert told == want, (name, step)
        assert session.version == oracle.version, (name, step)
        check_state(session, oracle, name)
    return placed, refusals


def check_state(session, oracle, name):
    told, want = free_of(session), oracle.free()
    assert list(told) == list(want), name
    for offer, (amounts, shares) in want.items():
        assert told[offer][1] == shares, (name, offer)
        assert told[offer][0].keys() == amounts.keys(), (name, offer)
        for dim, amount in amounts.items():  # a double holds no more than 53 bits of an amount that is not whole
            assert abs(told[offer][0][dim] - amount) <= amount >> 50, (name, offer, dim)


def check_explained(result, tasks, oracle, want, name):
    """Against an oracle of the state before the call: what this call placed is taken out again."""
    held = dict(oracle.held)
    for index in want.where:
        del oracle.held[want.tasks[index].name]
    try:
        for index, task in enumerate(tasks):
            told = result.explain(task["name"])
            if index in want.where:
                assert told is None, name
                continue
            again = oracle.matcher(tasks)
            tried = again.run(stop=index)
            if tried.index != index:
                assert (told.blocked_by, told.reasons, told.nearest) == (tried.name, {}, None), name
            else:
                assert (told.reasons, told.nearest) == again.explain(tried), (name, task["name"])
    finally:
        oracle.held.clear()
        oracle.held.update(held)


def campaign(kind, constraint, seeds, explained=False, **size):
    placed = refusals = 0
    for seed in seeds:
        for name, make in makers().items():
            offers, options, steps = session_cases.life(seed, kind, constraint, **size)
            try:
                try:
                    oracle = SessionOracle(offers, **options)
                except ValueError:
                    assert refused(lambda m=make, o=offers, how=options: m(o, **how))
                    continue
                with make(offers, **options) as session:
                    counts = live(session, oracle, steps, name, explained)
            except Exception as error:
                replay = f"session_cases.life({seed}, {kind!r}, {constraint!r}, **{size})"
                raise AssertionError(f"{replay} by {name}: {type(error).__name__}: {error}") from error
            placed += counts[0]
            refusals += counts[1]
    return placed, refusals


@pytest.mark.parametrize("kind", session_cases.KINDS)
def test_amounts_and_options(kind):
    placed, refusals = campaign(kind, None, range(BASE, BASE + PLAIN))
    assert placed > 100
    assert refusals > 0


@pytest.mark.parametrize("constraint", cases.CONSTRAINTS)
@pytest.mark.parametrize("kind", session_cases.KINDS)
def test_constraints(kind, constraint):
    campaign(kind, constraint, range(BASE, BASE + CONSTRAINED))


@pytest.mark.parametrize("constraint", (None, "groups", "gangs", "devices", "quotas", "all"))
def test_explanations(constraint):
    for kind in ("packing", "priorities", "max_score"):
        campaign(kind, constraint, range(BASE, BASE + 6), explained=True)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("constraint", (None, *cases.CONSTRAINTS))
@pytest.mark.parametrize("kind", session_cases.KINDS)
def test_long(kind, constraint):
    campaign(kind, constraint, range(BASE + 10_000, BASE + 10_300), size=12, length=30)
