"""A bridge's session follows what real nodes report."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import windlass
from support import eventually

Make = Callable[..., windlass.LocalNode]


@pytest.fixture
def start(nodes: Make, bridge: windlass.Bridge, tmp_path: Path) -> Callable[..., windlass.LocalNode]:
    """start("a", cpu=4): a node of this name with one offer."""

    def made(name: str, cpu: int) -> windlass.LocalNode:
        offers = tmp_path / f"{name}.yaml"
        offers.write_text(f"- {{name: {name}, resources: {{cpu: {cpu}}}}}\n")
        return nodes({"node.name": name, "bridge.address": bridge.address, "offers.file": str(offers)})

    return made


def task(name: str, cpu: int) -> list[dict]:
    return [{"name": name, "resources": {"cpu": cpu}}]


def free(session: windlass.Session) -> dict[str, float]:
    return {offer["name"]: offer["resources"]["cpu"] for offer in session.offers()}


def test_nodes_come_change_and_go(start, bridge: windlass.Bridge, tmp_path: Path):
    with bridge.session(mode="packing") as session:
        assert session.match(task("early", 1)).unmatched == ["early"]
        start("a", 4)
        eventually(lambda: free(session) == {"a": 4}, what="the offer of a is there")
        assert session.match(task("t", 3)).assignments == {"t": "a"}
        b = start("b", 8)
        eventually(lambda: free(session) == {"a": 1, "b": 8}, what="b joins, and what a holds stays held")
        assert session.match(task("u", 2)).assignments == {"u": "b"}
        b.kill()
        eventually(lambda: free(session) == {"a": 1}, what="b is dead, its tasks forgotten")
        assert session.release(["t", "u"]) == 1
        assert free(session) == {"a": 4}


def test_a_silent_node_keeps_its_tasks_and_gets_no_more(start, bridge: windlass.Bridge):
    node = start("a", 4)
    with bridge.session() as session:
        eventually(lambda: free(session), what="the offer of a is there")
        os.kill(node.pid, signal.SIGSTOP)
        try:
            eventually(lambda: bridge.nodes()["a"].state == "suspect", what="a is suspect")
            result = session.match(task("t", 1))
            assert result.explain("t").reasons == {"only.node.state": {"short": 1, "alone": 1}}
        finally:
            os.kill(node.pid, signal.SIGCONT)
        eventually(lambda: session.match(task("t", 1)).assignments == {"t": "a"}, what="a is heard again")


def test_offers_are_the_nodes_own(bridge: windlass.Bridge):
    with bridge.session() as session:
        for call, given in (("add", [{"name": "x", "cpu": 1}]), ("update", []), ("remove", ["x"])):
            with pytest.raises(windlass.FailedPrecondition, match=call):
                getattr(session, call)(given)
