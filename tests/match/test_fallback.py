"""When the backend cannot answer, legacy does: counted, said once, and never for a fault of the request."""

import gc
import logging
import os
import threading

import numpy as np
import pytest
import windlass
from windlass import _match, _native

TASKS = [{"name": i, "cpu": 1 + i} for i in range(3)]
OFFERS = [{"name": i, "cpu": 4 - i} for i in range(3)]


def failing(error):
    def backend(problem):
        raise error

    return backend


@pytest.mark.parametrize(
    "kind", (windlass.Unavailable, windlass.Unimplemented, windlass.Internal, windlass.DeadlineExceeded)
)
def test_legacy_answers(kind, caplog, monkeypatch):
    monkeypatch.setattr(_match, "_said", set())
    before = windlass.stats()["fallbacks"]["match"]
    with caplog.at_level(logging.WARNING, "windlass.match"):
        for _ in range(3):
            result = _match.solve(TASKS, OFFERS, backend=failing(kind("gone")), fallback=True)
    assert result.assignments == windlass.legacy.match(TASKS, OFFERS).assignments
    assert result.engine == "legacy"
    assert windlass.stats()["fallbacks"]["match"] == before + 3
    assert len(caplog.records) == 1


@pytest.mark.parametrize("kind", (windlass.InvalidArgument, windlass.PermissionDenied, windlass.ResourceExhausted))
def test_other_errors_pass_through(kind):
    with pytest.raises(kind):
        _match.solve(TASKS, OFFERS, backend=failing(kind("no")), fallback=True)


def test_without_fallback_the_error_is_the_answer():
    with pytest.raises(windlass.Unavailable):
        _match.solve(TASKS, OFFERS, backend=failing(windlass.Unavailable("gone")), fallback=False)


def test_names_are_checked_whatever_becomes_of_a_backend_that_waits():
    def dead(problem, meanwhile):
        raise windlass.Unavailable("gone")

    with pytest.raises(windlass.InvalidArgument, match="no other row has"):
        _match.solve([TASKS[0], TASKS[0]], OFFERS, backend=dead, waits=True, fallback=True)


MANY = {"name": [f"row-{row}" for row in range(_native.MANY_ROWS)], "cpu": np.ones(_native.MANY_ROWS)}


def test_names_of_many_rows_are_checked_while_the_engine_works():
    twice = {**MANY, "name": [*MANY["name"][:-1], "row-7"]}
    before = threading.active_count(), len(os.listdir("/proc/self/task"))
    with pytest.raises(windlass.InvalidArgument, match="row 7 has it too"):
        windlass.match(twice, MANY)
    assert (threading.active_count(), len(os.listdir("/proc/self/task"))) == before, "no thread is left behind"


def test_a_fault_that_the_engine_finds_in_its_thread_is_told(monkeypatch):
    monkeypatch.setattr(_native, "_MODES", {"exclusive": 7})
    with pytest.raises(windlass.InvalidArgument, match="mode"):
        windlass.match(MANY, MANY)


def test_an_answer_lives_as_long_as_any_part_of_it():
    placed = [windlass.match(MANY, MANY)._placement.order for _ in range(20)]
    gc.collect()
    assert all(bool((order == np.arange(len(order))).all()) for order in placed)


def test_the_callers_list_of_names_may_change_after_the_call():
    names = list(MANY["name"])
    result = windlass.match({**MANY, "name": names}, MANY)
    names[:] = [None] * len(names)
    assert list(result.assignments) == MANY["name"]


def test_match_works_without_the_library(monkeypatch):
    monkeypatch.setenv("WINDLASS_LIBRARY", "/nowhere/libwindlass.so")
    assert not _native.available()
    result = windlass.match(TASKS, OFFERS)
    assert (result.engine, result.assignments) == ("legacy", windlass.legacy.match(TASKS, OFFERS).assignments)
    with pytest.raises(windlass.Unavailable, match="make build"):
        _native.library()


def test_a_file_that_is_no_library(monkeypatch, tmp_path):
    path = tmp_path / "libwindlass.so"
    path.write_bytes(b"nonsense")
    monkeypatch.setenv("WINDLASS_LIBRARY", str(path))
    with pytest.raises(windlass.Unavailable, match="cannot be loaded"):
        _native.library()
