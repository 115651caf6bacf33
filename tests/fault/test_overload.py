"""Ten times what a daemon can do: memory stays flat, each request is answered or refused, none is lost or answered
twice, and control traffic of others (and the beat at the bridge) goes on."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import windlass
from windlass._wire import Type

from tests.integration.support import eventually, metric, resident

from .flood import ANSWER_S, Flood

ROWS = 5000
TIMES = 10
GROWTH_MAX = 64 << 20  # of memory, once queues and journal have filled: what the allocator keeps in pieces
TOP = Path(__file__).resolve().parents[2]


def rate_of(address: str, seconds: float = 3.0) -> float:
    """Matches a second, where there is always one that waits."""
    flood = Flood(address, ROWS)
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        while flood.sent - len(flood.answers) < 8 and flood.ask():
            pass
        flood.listen(0.001)
    done = flood.kinds["done"]
    took = time.monotonic() - begun
    while len(flood.answers) < flood.sent:
        flood.listen(0.01)
    return done / took


def quantile(times: list[float], share: float) -> float:
    return sorted(times)[int(share * (len(times) - 1))]


def ask_control(client: windlass.Client, times: dict[str, list[float]]) -> None:
    """A question for the load, and one for the progress of a request that is not known."""
    begun = time.monotonic()
    client.load()
    times["load"].append(time.monotonic() - begun)
    begun = time.monotonic()
    with pytest.raises(windlass.NotFound):
        client.call(Type.PROGRESS, {})
    times["progress"].append(time.monotonic() - begun)


def overload(bridge: windlass.Bridge, node: windlass.LocalNode, client: windlass.Client, seconds: float) -> None:
    rate = rate_of(node.address)
    words = [node.address, str(TIMES * rate), str(seconds), str(ROWS)]
    flood = subprocess.Popen([sys.executable, "-m", "tests.fault.flood", *words], cwd=TOP, stdout=subprocess.PIPE)
    times: dict[str, list[float]] = {"load": [], "progress": [], "beat": []}
    memory: list[tuple[float, int]] = []
    begun = time.monotonic()
    sequence, heard = 0, begun
    assert node.pid is not None
    try:
        while flood.poll() is None and time.monotonic() - begun < seconds + ANSWER_S:
            ask_control(client, times)
            now = time.monotonic()
            memory.append((now - begun, resident(node.pid)))
            told = bridge.nodes()["n"]
            assert told.state == "alive"
            if told.load.sequence != sequence:
                times["beat"].append(now - heard)
                sequence, heard = told.load.sequence, now
            time.sleep(0.01)  # a pace, not a wait: control traffic is not the load here
        out, _ = flood.communicate(timeout=10)
    finally:
        flood.kill()
        flood.wait()
    told = json.loads(out)
    warm = max(size for at, size in memory if at < seconds / 3)
    after = max(size for at, size in memory if at >= seconds / 3)
    print(f"{rate:.0f} matches/s alone, {told['sent'] / seconds:.0f} asked a second: {told}")
    print(f"memory: {memory[0][1] >> 20} MiB at first, at most {warm >> 20} in the first third, {after >> 20} later")
    for name, seen in times.items():
        shares = ", ".join(f"{share:g}: {quantile(seen, share) * 1000:.1f} ms" for share in (0.5, 0.9, 0.99, 1.0))
        print(f"{name} ({len(seen)}): {shares}")
    assert told["sent"] > 3 * rate * seconds, "it was a flood"
    dropped = metric(node, 'windlass_messages_dropped_total{reason="queue_full"}')
    assert (told["sent"] - told["answered"], dropped) == (0, 0), "each is answered"
    assert told["twice"] == 0
    assert told.get("done", 0) + told.get("refused", 0) == told["sent"], "with its result or RESOURCE_EXHAUSTED"
    assert told["done"] > 0.3 * rate * seconds, "while it is flooded it works"
    assert after < warm + GROWTH_MAX
    assert quantile(times["load"], 0.5) < 1.0, "control does not wait for bulk"
    assert quantile(times["beat"], 0.5) < 3.0


@pytest.mark.parametrize("seconds", [30.0, pytest.param(600.0, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_ten_times_what_it_can_do(seconds: float) -> None:
    with windlass.Bridge("tcp://127.0.0.1:0") as bridge:
        config = {"match.threads": 1, "node.name": "n", "bridge.address": bridge.address}
        with windlass.LocalNode(config=config) as node, node.client() as client:
            eventually(lambda: "n" in bridge.nodes() and bridge.nodes()["n"].load is not None)
            overload(bridge, node, client, seconds)
