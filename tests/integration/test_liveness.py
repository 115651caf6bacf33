"""Who lives, by real sockets: a scheduler without a free moment, nodes that are stopped, connections that are cut."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import windlass
from support import eventually

Make = Callable[..., windlass.LocalNode]
TIMES = {"beat": 0.1, "suspect_after": 0.5, "dead_after": 2.0}
BUSY = pytest.mark.parametrize(  # seconds, of dead_after = 2 s
    "busy", [8.0, pytest.param(60.0, marks=[pytest.mark.slow, pytest.mark.timeout(300)])]
)


def start(nodes: Make, address: str, **config: object) -> windlass.LocalNode:
    """A node that gives up what is silent for two seconds."""
    times = {"bridge.beat": "100ms", "bridge.suspect_after": "500ms", "bridge.dead_after": "2s"}
    return nodes({"node.name": "n", "bridge.address": address, **times, **config})


def state(bridge: windlass.Bridge) -> str:
    nodes = bridge.nodes()
    return str(nodes["n"].state) if "n" in nodes else "unknown"


def alive(bridge: windlass.Bridge) -> bool:
    return state(bridge) == "alive" and bool(bridge.offers())


def slow_transfer(bridge: windlass.Bridge, folder: Path, seconds: float) -> tuple[windlass.StageFuture, Path]:
    """A transfer that runs for so long at 1 MiB/s."""
    source, target = folder / "source", folder / "target"
    source.write_bytes(os.urandom(int(seconds * (1 << 20))))
    return bridge.submit_stage("n", [windlass.Transfer(source, target)]), target


@BUSY
def test_a_scheduler_that_holds_the_interpreter_loses_no_node_and_no_transfer(
    nodes: Make, bridge: windlass.Bridge, tmp_path: Path, busy: float
):
    start(nodes, bridge.address, **{"stage.roots": [tmp_path], "stage.bandwidth_max": "1MiB"})
    eventually(lambda: alive(bridge))
    first = bridge.nodes()["n"].incarnation
    future, target = slow_transfer(bridge, tmp_path, busy + 3)
    end = time.monotonic() + busy
    length = 20
    while time.monotonic() < end:  # one call into C after the other, each of which keeps the interpreter for itself
        re.match(r"(a+)+$", "a" * length + "b")
        length = min(length + 1, 26)
    assert state(bridge) != "dead"
    assert future.result(60).transfers[0].state == "done"
    assert target.stat().st_size == int((busy + 3) * (1 << 20))
    assert bridge.nodes()["n"].incarnation == first, "the node did not give the bridge up either"


@BUSY
def test_threads_that_never_rest_kill_nobody(nodes: Make, bridge: windlass.Bridge, busy: float):
    start(nodes, bridge.address)
    eventually(lambda: alive(bridge))
    first = bridge.nodes()["n"].incarnation
    stop = threading.Event()

    def burn() -> None:
        while not stop.is_set():
            sum(range(10_000))

    threads = [threading.Thread(target=burn) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        dead = False
        end = time.monotonic() + busy
        while time.monotonic() < end:
            dead = dead or state(bridge) == "dead"
            time.sleep(0.05)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not dead and bridge.nodes()["n"].incarnation == first


SCHEDULER = """
import sys, time, windlass
bridge = windlass.Bridge(sys.argv[1], beat=0.1, suspect_after=0.5, dead_after=2.0)
print(bridge.address, flush=True)
while "n" not in bridge.nodes() or not bridge.offers():
    time.sleep(0.01)
future = bridge.submit_stage("n", [windlass.Transfer(sys.argv[2], sys.argv[3])])
print("accepted", bridge.nodes()["n"].incarnation, flush=True)
print(future.result(60).transfers[0].state, flush=True)
print(bridge.nodes()["n"].incarnation, flush=True)
"""


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A scheduler in a process of its own, that stages one file; its lines are what it has come to."""
    (tmp_path / "source").write_bytes(os.urandom(7 << 20))
    args = [sys.executable, "-c", SCHEDULER, "tcp://127.0.0.1:0", str(tmp_path / "source"), str(tmp_path / "target")]
    process = subprocess.Popen(args, stdout=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.wait()


def test_a_scheduler_that_was_stopped_takes_its_transfers_up_again(
    nodes: Make, scheduler: subprocess.Popen[str], tmp_path: Path
):
    assert scheduler.stdout is not None
    address = scheduler.stdout.readline().strip()
    node = start(nodes, address, **{"stage.roots": [tmp_path], "stage.bandwidth_max": "1MiB"})
    first = scheduler.stdout.readline().split()[1]
    os.kill(scheduler.pid, signal.SIGSTOP)
    try:
        eventually(lambda: "connection to the bridge is lost" in node.log() or "silent" in node.log(), 10.0)
        eventually(lambda: node.log().count("bridge is lost") >= 1, 10.0, "its pings are not answered")
    finally:
        os.kill(scheduler.pid, signal.SIGCONT)
    assert scheduler.stdout.readline().strip() == "done", "the node was asked how it went"
    assert scheduler.stdout.readline().strip() != first, "over a new connection"


def test_a_stopped_node_is_suspect_within_four_seconds_dead_within_eleven_and_serves_again(nodes: Make):
    with windlass.Bridge("tcp://127.0.0.1:0") as bridge:
        node = nodes({"node.name": "n", "bridge.address": bridge.address})
        eventually(lambda: alive(bridge))
        os.kill(node.pid, signal.SIGSTOP)
        begun = time.monotonic()
        try:
            eventually(lambda: state(bridge) == "suspect", 20.0)
            suspected = time.monotonic() - begun
            eventually(lambda: state(bridge) == "dead", 30.0)
            died = time.monotonic() - begun
        finally:
            os.kill(node.pid, signal.SIGCONT)
        print(f"suspect after {suspected:.1f} s, dead after {died:.1f} s")
        assert bridge.offers() == []
        eventually(lambda: alive(bridge), 10.0, "it serves again")
        assert suspected > 1.9 and died > 8.9, "nobody is judged too early"
        if os.getloadavg()[0] < 2:  # the bridge's own thread needs its turns to count the time
            assert suspected < 4 and died < 11


def test_a_connection_that_is_cut_is_dialled_again_at_once(nodes: Make, bridge: windlass.Bridge):
    start(nodes, bridge.address)
    eventually(lambda: alive(bridge))
    first = bridge.nodes()["n"].incarnation
    port = bridge.address.rpartition(":")[2]
    cut = subprocess.run(["ss", "-K", "dst", "127.0.0.1", "dport", "=", port], capture_output=True, check=False)
    if cut.returncode or port.encode() not in cut.stdout:
        pytest.skip("this kernel or user can't cut connections (ss -K)")
    eventually(lambda: alive(bridge) and bridge.nodes()["n"].incarnation != first, 5.0)


def test_a_clock_that_is_wrong_or_runs_off_changes_nothing(nodes: Make, bridge: windlass.Bridge, monkeypatch):
    """The time of day of the bridge's process jumps; judged is by the monotonic clock."""
    start(nodes, bridge.address)
    eventually(lambda: alive(bridge))
    first = bridge.nodes()["n"].incarnation
    for jump in (1e9, -1e9, 0.0):
        monkeypatch.setattr(time, "time", lambda jump=jump: 1.7e9 + jump)
        seen = bridge.nodes()["n"].load.sequence
        eventually(lambda seen=seen: bridge.nodes()["n"].load.sequence > seen + 3)
        assert alive(bridge) and bridge.nodes()["n"].incarnation == first
