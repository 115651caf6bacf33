"""Two schedulers that live at the same time, each in a process of its own, and one node that goes from one to the
other: what either gives away, the other cannot, whoever is wrong about whom it has."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import windlass
from support import eventually, metric
from switch import Switch

Make = Callable[..., windlass.LocalNode]
TIMES = {"beat": 0.1, "suspect_after": 0.5, "dead_after": 2.0, "lease": 4.0}
PATIENT = {"beat": 0.1, "suspect_after": 30.0, "dead_after": 60.0, "lease": 60.0}
PROGRAM = """
import json, sys, windlass
bridge = windlass.Bridge("tcp://127.0.0.1:0", **json.loads(sys.argv[1]))
session = bridge.session(mode="packing")
asked = {
    "place": lambda name, cpu: session.match([{"name": name, "resources": {"cpu": cpu}}]).assignments.get(name),
    "free": lambda: [offer["resources"]["cpu"] for offer in session.offers()],
    "held": lambda: session.offers() and sorted(session.grants()),
    "state": lambda: bridge.nodes()["n"].state if "n" in bridge.nodes() else "unknown",
}
print(json.dumps(bridge.address), flush=True)
for line in sys.stdin:
    word, *given = json.loads(line)
    print(json.dumps(asked[word](*given)), flush=True)
"""


class Scheduler:
    """A bridge and a session of it in a process of its own."""

    def __init__(self, times: dict[str, float]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, json.dumps(times)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.address = str(self._told())

    def _told(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def __call__(self, word: str, *given: object) -> Any:
        assert self.process.stdin is not None
        print(json.dumps([word, *given]), file=self.process.stdin, flush=True)
        return self._told()

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def scheduler() -> Iterator[Callable[..., Scheduler]]:
    made: list[Scheduler] = []

    def make(times: dict[str, float] = TIMES) -> Scheduler:
        made.append(Scheduler(times))
        return made[-1]

    yield make
    for each in made:
        each.end()


@pytest.fixture
def switch() -> Iterator[Switch]:
    with Switch() as made:
        yield made


@pytest.fixture
def node(nodes: Make, switch: Switch, tmp_path: Path) -> Callable[[], windlass.LocalNode]:
    """Starts one that offers 4 cores and dials by the switch."""

    def start() -> windlass.LocalNode:
        (tmp_path / "offers.yaml").write_text("- {name: n, resources: {cpu: 4}}\n")
        config = {"node.name": "n", "bridge.address": switch.address, "offers.file": str(tmp_path / "offers.yaml")}
        times = {"bridge.beat": "100ms", "bridge.suspect_after": "500ms", "bridge.dead_after": "2s"}
        return nodes({**config, **times, "http.listen": "127.0.0.1:0"})

    return start


def holds(node: windlass.LocalNode) -> float:
    return metric(node, "windlass_grants_held")


def test_who_has_lost_a_node_to_another_gives_nothing_away_there(scheduler, switch: Switch, node):
    first, second = scheduler(), scheduler()
    switch.lead_to(first.address)
    daemon = node()
    eventually(lambda: first("free") == [4])
    assert first("place", "a", 3) == "n"
    switch.lead_to(second.address)
    switch.hold()
    assert first("place", "late", 1) is None, "its connection seems to live, and nobody answers"
    eventually(lambda: second("free") == [1], 20, "the second sees what the first holds")
    assert second("place", "b", 2) is None and second("place", "c", 1) == "n"
    eventually(lambda: second("free") == [3], 20, "the lease of the first is over")
    assert second("place", "d", 3) == "n"
    eventually(lambda: holds(daemon) == 2)
    eventually(lambda: first("state") == "dead")
    switch.lead_to(first.address)
    switch.cut()
    eventually(lambda: first("state") == "alive" and first("free") == [0], 20, "the first has the node again")
    eventually(lambda: first("held") == [], what="it asked for a once more, and came too late")
    assert first("place", "e", 1) is None
    eventually(lambda: first("free") == [4], 20, "the leases of the second are over")
    assert first("place", "f", 4) == "n"
    assert second("place", "g", 1) is None
    eventually(lambda: holds(daemon) == 1)


def test_who_was_stopped_meanwhile_is_wrong_about_its_node_and_gives_nothing_away(scheduler, switch: Switch, node):
    first, second = scheduler(), scheduler()
    switch.lead_to(first.address)
    daemon = node()
    eventually(lambda: first("free") == [4])
    assert first("place", "a", 3) == "n"
    os.kill(first.process.pid, signal.SIGSTOP)
    try:
        switch.lead_to(second.address)
        eventually(lambda: second("free") == [1], 20, "its pings are not answered, so the node has dialled anew")
        eventually(lambda: second("place", "b", 4) == "n", 20, "the lease of the first is over")
    finally:
        os.kill(first.process.pid, signal.SIGCONT)
    assert first("place", "c", 1) is None, "it has not heard yet that the node is gone"
    eventually(lambda: holds(daemon) == 1)
    assert second("held") == ["b"]


def test_a_grant_of_who_did_not_hear_that_the_offer_changed_is_refused(scheduler, switch: Switch, node, tmp_path: Path):
    first = scheduler(PATIENT)
    switch.lead_to(first.address)
    daemon = node()
    eventually(lambda: first("free") == [4])
    switch.hold(back=False)
    (tmp_path / "offers.yaml").write_text("- {name: n, resources: {cpu: 2}}\n")
    daemon.signal(signal.SIGHUP)
    eventually(lambda: metric(daemon, 'windlass_config_reloads_total{result="ok"}') == 1)
    placed = first("place", "a", 1)
    refused = 'windlass_grants_total{outcome="refused"}'
    eventually(lambda: metric(daemon, refused) == 1, what="though there is room for it")
    left = 2 if placed is None else 1  # it may have been matched anew once the node had dialled again
    eventually(lambda: first("free") == [left] and holds(daemon) == 2 - left, 20)
