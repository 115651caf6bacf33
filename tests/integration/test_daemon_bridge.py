"""Real nodes at a real bridge: registration, liveness, restarts of either side, draining, observers."""

from __future__ import annotations

import gc
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import windlass
import zmq
from support import ID, Raw, eventually, metric, own_threads, random_frames
from windlass import _wire
from windlass._channel import Channel
from windlass._reply import Reply
from windlass._wire import Header, Message, Type, new_id

Make = Callable[..., windlass.LocalNode]


def start(nodes: Make, bridge: windlass.Bridge, name: str = "n", **config: object) -> windlass.LocalNode:
    return nodes({"node.name": name, "bridge.address": bridge.address, **config})


def alive(bridge: windlass.Bridge, name: str = "n") -> bool:
    return name in bridge.nodes() and bridge.nodes()[name].state == "alive"


def test_a_node_registers_within_three_seconds_of_its_start(nodes: Make, bridge: windlass.Bridge):
    begun = time.monotonic()
    started = start(nodes, bridge, **{"node.labels": {"zone": "a"}})
    eventually(lambda: bridge.offers(), 3.0, "it has registered and reported")
    assert time.monotonic() - begun < 3.0
    node = bridge.nodes()["n"]
    assert len(node.incarnation) == 16 and node.incarnation == started.incarnation == node.load.incarnation
    assert node.labels == {"zone": "a"} and node.version
    assert node.load.cores > 0 and node.load.age_seconds < 5
    eventually(lambda: bridge.nodes()["n"].load.sequence > 2, what="it goes on reporting")


def test_the_bridge_matches_on_live_offers(nodes: Make, bridge: windlass.Bridge, tmp_path):
    offers = tmp_path / "offers.yaml"
    offers.write_text("- {name: a, resources: {cpu: 4}}\n- {name: a/1, resources: {cpu: 2}, labels: {disk: ssd}}\n")
    start(nodes, bridge, "a", **{"offers.file": str(offers)})
    start(nodes, bridge, "b")
    eventually(lambda: len(bridge.offers()) == 3, what="three offers")
    tasks = [{"name": "t", "resources": {"cpu": 3}, "labels": {}}, {"name": "u", "resources": {"cpu": 2}}]
    result = bridge.match(tasks)
    assert result.assignments["t"] == "a" and result.assignments["u"] == "a/1"
    assert set(result.by_offer) == {"a", "a/1", "b"}


def test_a_killed_node_dies_and_comes_back(nodes: Make, bridge: windlass.Bridge):
    node = start(nodes, bridge)
    eventually(lambda: alive(bridge))
    first = bridge.nodes()["n"].incarnation
    node.kill()
    eventually(lambda: bridge.nodes()["n"].state == "suspect", 3.0)
    eventually(lambda: bridge.nodes()["n"].state == "dead", 5.0)
    assert bridge.offers() == []
    node.start()
    eventually(lambda: alive(bridge), 3.0)
    assert bridge.nodes()["n"].incarnation != first
    eventually(lambda: bridge.offers(), 3.0)


def test_a_stopped_node_is_suspect_then_dead_then_registers_anew(nodes: Make, bridge: windlass.Bridge):
    node = start(nodes, bridge)
    eventually(lambda: alive(bridge))
    first = bridge.nodes()["n"].incarnation
    os.kill(node.pid, signal.SIGSTOP)
    eventually(lambda: bridge.nodes()["n"].state == "dead", 8.0)
    os.kill(node.pid, signal.SIGCONT)
    eventually(lambda: alive(bridge), 5.0)
    assert bridge.nodes()["n"].incarnation != first


def test_a_report_that_met_a_full_queue_is_told_again(nodes: Make, tmp_path: Path):
    """A bridge that asks much and reads nothing, so that a report of new offers finds no room."""
    offers = tmp_path / "offers.yaml"
    offers.write_text("- {name: n, resources: {cpu: 4}}\n")
    with Router() as bridge:
        times = {"bridge.beat": "100ms", "bridge.suspect_after": "30s", "bridge.dead_after": "60s"}
        config = {"node.name": "n", "bridge.address": bridge.address, "offers.file": str(offers), **times}
        node = nodes({**config, "http.listen": "127.0.0.1:0"})
        welcome = {"version": 1, "beat_ms": 100, "suspect_ms": 30_000, "dead_ms": 60_000}
        bridge.send(Type.WELCOME, welcome, bridge.read().header.id)
        assert bridge.load()["offers_version"] == 1
        wanted = [{"id": new_id(), "offer": "of nobody", "epoch": 1, "amounts": {"cpu": 1}} for _ in range(100)]
        with node.client() as client:
            while metric(node, 'windlass_messages_dropped_total{reason="queue_full"}') == 0:
                for _ in range(50):  # each grant is refused in so many words
                    bridge.send(Type.GRANT, {"lease_ms": 1000, "grants": wanted, "renew": []}, new_id())
                client.load()  # it has come to most of them
            offers.write_text("- {name: n, resources: {cpu: 2}}\n")
            node.signal(signal.SIGHUP)
            eventually(lambda: metric(node, 'windlass_config_reloads_total{result="ok"}') == 1)
            sample = client.load().sequence
            eventually(lambda: client.load().sequence > sample + 5, what="some beats more")
        loads = [bridge.load()]
        while loads[-1]["offers_version"] == 1:
            loads.append(bridge.load())
        assert loads[-1]["load"]["sequence"] > loads[-2]["load"]["sequence"] + 5, "the reports between found no room"
        told = [(offer["name"], offer["resources"]) for offer in loads[-1].get("offers", [])]
        assert told == [("n", {"cpu": 2})], "and the next one tells all of it"


class Router:
    """A bridge's socket that reads when the test does, and has room for little."""

    def __init__(self) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        for option, value in ((zmq.LINGER, 0), (zmq.RCVHWM, 1), (zmq.RCVBUF, 4096), (zmq.ROUTER_MANDATORY, 1)):
            self._socket.setsockopt(option, value)
        self._socket.bind("tcp://127.0.0.1:0")
        self.address = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self._peer = b""

    def __enter__(self) -> Router:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._context.term()

    def read(self) -> Message:
        assert self._socket.poll(20_000), "nothing came"
        self._peer, *frames = self._socket.recv_multipart()
        return _wire.decode(frames)

    def load(self) -> dict[str, Any]:
        """The next report."""
        while (message := self.read()).header.type != Type.LOAD:
            pass
        return message.body

    def send(self, kind: Type, body: dict[str, Any], request_id: bytes) -> None:
        self._socket.send_multipart([self._peer, *_wire.encode(Message(Header(kind, request_id), body))])


def test_a_new_bridge_at_the_same_address_hears_from_its_nodes(nodes: Make):
    times = {"beat": 0.1, "suspect_after": 0.5, "dead_after": 2.0}
    with windlass.Bridge("tcp://127.0.0.1:0", **times) as bridge:
        address = bridge.address
        node = start(nodes, bridge)
        eventually(lambda: alive(bridge))
        first = bridge.nodes()["n"].incarnation
    with windlass.Bridge(address, **times) as bridge:
        eventually(lambda: alive(bridge), 5.0, "it has registered again")
        assert bridge.nodes()["n"].incarnation != first
        eventually(lambda: bridge.offers(), 3.0, "its offers were sent again")
    assert node.pid is not None


def test_bridges_that_follow_one_another_at_once_are_found_each(nodes: Make):
    times = {"beat": 0.1, "suspect_after": 0.5, "dead_after": 2.0}
    with windlass.Bridge("tcp://127.0.0.1:0", **times) as bridge:
        address = bridge.address
        start(nodes, bridge)
        eventually(lambda: alive(bridge))
    for _ in range(25):
        with windlass.Bridge(address, **times) as bridge:
            eventually(lambda: alive(bridge), 5.0)


def test_a_bridge_that_comes_late_is_found(nodes: Make):
    with windlass.Bridge("tcp://127.0.0.1:0") as bridge:
        address = bridge.address
    nodes({"node.name": "n", "bridge.address": address})
    with windlass.Bridge(address, beat=0.1, suspect_after=0.5, dead_after=2.0) as bridge:
        eventually(lambda: alive(bridge), 5.0)


def test_sigterm_drains_and_says_bye(nodes: Make, bridge: windlass.Bridge, tmp_path):
    node = start(nodes, bridge, **{"stage.roots": [tmp_path], "stage.bandwidth_max": "1MiB"})
    eventually(lambda: alive(bridge))
    (tmp_path / "source").write_bytes(os.urandom(4 << 20))
    future = bridge.submit_stage("n", [windlass.Transfer(tmp_path / "source", tmp_path / "target")])
    node.signal(signal.SIGTERM)
    eventually(lambda: bridge.nodes()["n"].state == "draining", 3.0)
    assert bridge.offers() == []
    with pytest.raises(windlass.Unavailable):
        bridge.stage("n", [windlass.Transfer(tmp_path / "source", tmp_path / "other")])
    assert future.result(10).transfers[0].state == "done"
    eventually(lambda: bridge.nodes()["n"].state == "dead", 10.0, "it said BYE")
    eventually(lambda: node.pid is None, 10.0, "it has ended")


def test_told_to_stop_twice_its_last_words_arrive(nodes: Make, bridge: windlass.Bridge, tmp_path):
    """What ends a transfer, and BYE, are said in the turn in which the process ends."""
    (tmp_path / "source").write_bytes(bytes(64 << 20))
    for round_ in range(5):
        name = f"n{round_}"
        node = start(nodes, bridge, name, **{"stage.roots": [tmp_path], "stage.bandwidth_max": "1MiB"})
        eventually(lambda name=name: alive(bridge, name))
        future = bridge.submit_stage(name, [windlass.Transfer(tmp_path / "source", tmp_path / name)])
        eventually(lambda future=future: future.progress().bytes, what="it is under way")
        node.signal(signal.SIGTERM)
        eventually(lambda name=name: bridge.nodes()[name].state == "draining")
        node.signal(signal.SIGTERM)
        with pytest.raises(windlass.Unavailable, match="windlassd stops, and this took longer than it waits"):
            future.result(10)
        eventually(lambda name=name: bridge.nodes()[name].state == "dead", 1.9, "by its BYE, and not by its silence")
        eventually(lambda node=node: node.pid is None, what="it has ended")


def test_two_nodes_of_one_name_the_newer_wins(nodes: Make, bridge: windlass.Bridge):
    start(nodes, bridge)
    eventually(lambda: alive(bridge))
    first = bridge.nodes()["n"].incarnation
    start(nodes, bridge)
    eventually(lambda: bridge.nodes()["n"].incarnation != first, 3.0)


def test_observers_are_told_the_nodes(nodes: Make, bridge: windlass.Bridge):
    start(nodes, bridge)
    eventually(lambda: bridge.offers())
    channel = Channel(bridge.address, role="observer")
    try:
        reply = Reply()
        channel.submit(Type.NODES, {}, reply, timeout=5)
        told = reply.result(5).body["nodes"]
        assert told["n"]["state"] == "alive" and told["n"]["load"]["cores"] > 0
        reply = Reply()
        channel.submit(Type.STAGE, {"transfers": []}, reply, timeout=5)
        with pytest.raises(windlass.Unimplemented):
            reply.result(5)
    finally:
        channel.close()


def test_hostile_messages_harm_no_bridge(nodes: Make, bridge: windlass.Bridge):
    start(nodes, bridge)
    eventually(lambda: bridge.offers())
    seed = int(os.environ.get("WINDLASS_SEED", random.randrange(2**32)))
    print(f"WINDLASS_SEED={seed}")
    chance = random.Random(seed)
    with Raw(bridge.address) as raw:
        refusal = raw.ask(Type.NODES, {})
        assert refusal is not None and refusal.body["message"] == "say HELLO first"
        for _ in range(3000):
            raw.send(*random_frames(chance))
        assert eventually(lambda: raw.ask(Type.CANCEL, {"request": ID}, b"last" * 4), what="the bridge answers")
    assert alive(bridge) and [offer["name"] for offer in bridge.offers()] == ["n"]
    first = bridge.nodes()["n"].load.sequence
    eventually(lambda: bridge.nodes()["n"].load.sequence > first, what="the node goes on reporting")


def test_a_busy_scheduler_holds_nobody_for_dead(nodes: Make, bridge: windlass.Bridge):
    start(nodes, bridge)
    eventually(lambda: alive(bridge))
    first = bridge.nodes()["n"].incarnation
    _hold_the_interpreter(3.0)
    assert bridge.nodes()["n"].state != "dead"
    assert bridge.nodes()["n"].incarnation == first


def _hold_the_interpreter(seconds: float) -> None:
    """One call into C that keeps the GIL, as long as a bad regular expression does."""
    import re

    end = time.monotonic() + seconds
    length = 22
    while time.monotonic() < end:
        re.match(r"(a+)+$", "a" * length + "b")
        length = min(length + 1, 25)


@pytest.mark.parametrize("address", ["tcp://0.0.0.0:0", "tcp://*:0", "tcp://[::]:0"])
def test_beyond_loopback_only_where_that_is_said(address: str):
    with pytest.raises(windlass.InvalidArgument, match="insecure"):
        windlass.Bridge(address)
    if "[" not in address:
        with windlass.Bridge(address, insecure=True) as bridge:
            assert bridge.address.startswith("tcp://")


@pytest.mark.parametrize(
    "options",
    [{"beat": 0}, {"beat": 3.0}, {"dead_after": 2.0}, {"suspect_after": float("nan")}, {"beat": "1"}],
)
def test_odd_times_are_refused(options: dict):
    with pytest.raises(windlass.InvalidArgument):
        windlass.Bridge("tcp://127.0.0.1:0", **options)


def test_a_taken_address_is_said_and_nothing_is_left(bridge: windlass.Bridge):
    threads = own_threads()
    with pytest.raises(windlass.Unavailable, match="in use"):
        windlass.Bridge(bridge.address)
    assert own_threads() == threads


@pytest.mark.usefixtures("nothing_is_left")
def test_a_hundred_bridges_leave_nothing():
    for turn in range(100):
        bridge = windlass.Bridge("tcp://127.0.0.1:0")
        assert bridge.nodes() == {}
        if turn % 2:
            bridge.close()
            with pytest.raises(windlass.FailedPrecondition):
                bridge.submit_stage("n", [windlass.Transfer("/a", "/b")])
        del bridge
    gc.collect()
    eventually(lambda: own_threads() == [], what="the thread of one that was dropped ends")


def test_a_forked_child_is_refused(bridge: windlass.Bridge):
    child = os.fork()
    if child == 0:
        try:
            bridge.nodes()
        except windlass.FailedPrecondition:
            bridge.close()
            os._exit(7)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert bridge.nodes() == {}
