"""A call of a bridge's session that nodes refuse is matched anew: on the same tasks, in whatever form they came."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from grant_world import Node, World
from session_world import session_of

TASKS: list[dict[str, Any]] = [{"name": f"t{row}", "cpu": 1} for row in range(3)]


def as_generator() -> Any:
    return (dict(task) for task in TASKS)


def as_objects() -> Any:
    class Task:
        def __init__(self, name: str) -> None:
            self.name, self.resources = name, {"cpu": 1}

    return (Task(task["name"]) for task in TASKS)


FORMS: list[Callable[[], Any]] = [
    as_generator,
    as_objects,
    lambda: iter(TASKS),
    lambda: map(dict, TASKS),
    lambda: TASKS,
    lambda: {"name": [task["name"] for task in TASKS], "cpu": [1, 1, 1]},
    lambda: {task["name"]: {"cpu": 1} for task in TASKS},
]


@pytest.fixture
def world() -> World:
    return World(Node("a", {"a": 4}), Node("b", {"b": 8}))


@pytest.mark.parametrize("form", FORMS)
def test_a_refused_call_loses_no_task(world: World, form: Callable[[], Any]):
    with session_of(world, mode="packing") as session:
        world.nodes["a"].offers_version += 1  # what is matched on is no longer so, and nobody has told
        result = session.match(form())
        assert world.nodes["a"].grants_seen == 1, "the first round went there"
        assert result.assignments == {"t0": "b", "t1": "b", "t2": "b"} and result.unmatched == []
        assert set(session.grants()) == {"t0", "t1", "t2"}


def test_what_a_task_tells_once_only_holds_in_each_round(world: World):
    """Lists within a task may be generators too."""
    with session_of(world, mode="packing") as session:
        world.nodes["a"].offers_version += 1
        tasks = [{"name": f"t{row}", "cpu": 1, "group": "g", "avoid": (each for each in "g")} for row in range(2)]
        result = session.match(task for task in tasks)
        assert world.nodes["a"].grants_seen == 1
        assert result.assignments == {"t0": "b"} and result.unmatched == ["t1"], "they avoid each other"


def test_what_every_round_refuses_is_unmatched(world: World):
    with session_of(world, mode="packing") as session:
        for node in world.nodes.values():
            node.offers_version += 1
        result = session.match(as_generator())
        assert result.assignments == {} and result.unmatched == ["t0", "t1", "t2"]
        assert session.grants() == {} and session.offers()[0].tasks == []
        world.settle()
        assert session.match(as_generator()).unmatched == []
