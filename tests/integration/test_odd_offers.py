"""Odd offers and real nodes: windlassd takes none from its file, and a contradiction of two nodes costs one offer."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import windlass
from support import eventually, metric
from windlass._local_node import find_windlassd
from windlass._roster import Roster

Make = Callable[..., windlass.LocalNode]
MISSPELT = "- resources: {cpu: 64}\n  lables: {zone: a}\n"
RECORDS = int(os.environ.get("WINDLASS_OFFER_RECORDS", "60"))


def check(path: Path) -> subprocess.CompletedProcess[str]:
    words = [find_windlassd(), "--check-config", "--node.name=n", f"--offers.file={path}"]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def windlass_nodes(bridge: windlass.Bridge, *flags: str) -> str:
    words = [Path(sys.executable).with_name("windlass"), "nodes", "--bridge", bridge.address, *flags]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def test_check_config_reads_the_offers(tmp_path: Path):
    path = tmp_path / "offers.yaml"
    path.write_text(MISSPELT)
    done = check(path)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith(f"--offers.file: offers.file {path}: record 0 (n): lables is no field"), done.stderr
    assert "is labels meant?" in done.stderr
    path.write_text(MISSPELT.replace("lables", "labels"))
    done = check(path)
    assert done.returncode == 0 and str(path) in done.stdout, done.stderr
    path.unlink()
    assert check(path).returncode == 1


def test_a_daemon_does_not_start_with_odd_offers(nodes: Make, tmp_path: Path):
    path = tmp_path / "offers.yaml"
    path.write_text(MISSPELT)
    with pytest.raises(windlass.WindlassError, match="lables is no field"):
        nodes({"offers.file": str(path)})


def test_at_a_reload_the_offers_of_before_hold(nodes: Make, bridge: windlass.Bridge, tmp_path: Path):
    path = tmp_path / "offers.yaml"
    path.write_text("- resources: {cpu: 4}\n")
    config = {"node.name": "n", "bridge.address": bridge.address, "offers.file": str(path)}
    node = nodes({**config, "http.listen": "127.0.0.1:0"})
    with bridge.session(mode="packing") as session, node.client() as client:
        eventually(lambda: bridge.offers(), what="the offer is there")
        path.write_text(MISSPELT)
        node.signal(signal.SIGHUP)
        told = eventually(lambda: bridge.nodes()["n"].load.degraded, what="the report says so")
        assert len(told) == 1 and told[0].startswith(
            f"offers: those of before hold: offers.file {path}: record 0 (n): lab"
        )
        assert client.load().degraded == told
        assert "offers are not taken, those of before hold" in node.log()
        eventually(lambda: metric(node, "windlass_load_degraded_reasons") == 1, what="the metric counts it")
        assert session.match([{"name": "t", "cpu": 3}]).assignments == {"t": "n"}
        assert "lables is no field" in windlass_nodes(bridge)
        path.write_text("- resources: {cpu: 8}\n")
        node.signal(signal.SIGHUP)
        eventually(lambda: bridge.offers()[0]["resources"] == {"cpu": 8}, what="what is right is taken")
        eventually(lambda: bridge.nodes()["n"].load.degraded == [], what="all is well again")
        assert session.match([{"name": "u", "cpu": 5}]).assignments == {"u": "n"}


def test_nodes_that_contradict_each_other(nodes: Make, bridge: windlass.Bridge, tmp_path: Path):
    """Each is right by itself, so each starts; the bridge keeps to who came first."""

    def start(name: str, text: str, **config: Any) -> windlass.LocalNode:
        path = tmp_path / f"{name}.yaml"
        path.write_text(text)
        return nodes({"node.name": name, "bridge.address": bridge.address, "offers.file": str(path), **config})

    with bridge.session(mode="packing") as session:
        first = start("a", "- resources: {cpu: 4, gpu: 4}\n")
        eventually(lambda: session.match([]).by_offer, what="a is there")
        start("b", "- {cpu: 4, devices: {gpu: [1, 1]}}\n- {cpu: 32}\n")
        start("c", "- resources: {cpu: 64}\n")
        eventually(lambda: len(bridge.offers()) == 3, what="b and c are there")
        result = session.match([{"name": "t", "cpu": 60}, {"name": "u", "gpu": 1}, {"name": "v", "cpu": 30}])
        assert result.assignments == {"t": "c", "u": "a", "v": "b/1"}
        why = "devices.gpu: 'gpu' is an amount of node a"
        assert session.left_out() == bridge.nodes()["b"].left_out == {"b/0": why} and why in result.warnings[0]
        assert set(bridge.match([{"name": "x", "cpu": 60}]).by_offer) == {"a", "b/1", "c"}
        assert f"offer b/0 left out: {why}" in windlass_nodes(bridge)
        shown = json.loads(windlass_nodes(bridge, "--json"))["nodes"]
        assert shown["b"]["left_out"] == {"b/0": why} and shown["b"]["left_out_count"] == 1
        first.kill()
        eventually(lambda: bridge.nodes()["b"].left_out == {}, what="nobody contradicts b any more")
        with bridge.session(mode="packing") as other:
            assert other.match([{"name": "w", "devices": {"gpu": 2}}]).assignments == {"w": "b/0"}


def test_a_price_that_one_node_lacks(nodes: Make, bridge: windlass.Bridge):
    nodes({"node.name": "a", "bridge.address": bridge.address, "node.price": 2})
    nodes({"node.name": "b", "bridge.address": bridge.address})
    eventually(lambda: len(bridge.offers()) == 2, what="both are there")
    tasks = [{"name": "t", "cpu": 0.1}]
    with bridge.session(mode="packing", policy="cost") as session:
        assert session.match(tasks).assignments == {"t": "a"} and list(session.left_out()) == ["b"]
    result = bridge.match(iter(tasks), policy="cost")
    assert result.assignments == {"t": "a"} and "policy='cost' needs" in result.warnings[0]
    assert bridge.match(tasks, max_price=5).assignments == {"t": "a"}
    with pytest.raises(windlass.InvalidArgument, match="what `dimensions` names"):
        bridge.match(tasks, dimensions=["gpu"])
    with pytest.raises(windlass.InvalidArgument, match="policy"):
        bridge.match(tasks, policy="cheapest")


def test_windlassd_refuses_what_a_bridge_would_leave_out(tmp_path: Path):
    """Both read the same records, written as JSON: the daemon's rules are the bridge's, which are those of `match`."""
    seed = int(os.environ.get("WINDLASS_SEED", random.randrange(2**32)))
    print(f"WINDLASS_SEED={seed}")
    chance = random.Random(seed)
    path = tmp_path / "offers.json"
    seen = set()
    for _ in range(RECORDS):
        record = a_record(chance)
        path.write_text(json.dumps([record]))
        roster = Roster()
        roster.tell("n", [{"name": "n", **record}])
        done = check(path)
        why = roster.left_out("n")
        assert (done.returncode == 0) == (not why), f"{path.read_text()}\ndaemon: {done.stderr}\nbridge: {why}"
        seen.add(done.returncode)
    assert seen == {0, 1}, "of either kind there are some"


def a_record(chance: random.Random) -> dict[str, Any]:
    """About half of them are right."""
    record: dict[str, Any] = {}
    amounts = {name: a_value(chance, [0, 1, 2.5, -1e-8]) for name in chance.sample(["cpu", "memory", "gpu"], 2)}
    if chance.random() < 0.6:
        record["resources"] = amounts
    else:
        record.update(amounts)
    fields: list[tuple[str, Callable[[], Any]]] = [
        ("labels", lambda: {a_key(chance): a_value(chance, ["a", "", True, 1, 3.0]) for _ in range(2)}),
        ("only", lambda: {a_key(chance): a_condition(chance)}),
        ("devices", lambda: {chance.choice(["gpu", "fpga"]): a_value(chance, [[], [1, 0.5], [0]])}),
        ("staged", lambda: a_value(chance, [["x"], {"x": 1}, []])),
        ("price", lambda: a_value(chance, [0, 0.5, 9.2e12])),
        ("node", lambda: a_value(chance, ["m", 1])),
        (a_key(chance), lambda: a_value(chance, [1])),
    ]
    for key, make in chance.sample(fields, chance.randrange(3)):
        record[key] = make()
    return record


def a_key(chance: random.Random) -> str:
    return chance.choice(["a", "b", "lables", "in"] * 5 + [""])


def a_condition(chance: random.Random) -> Any:
    parts: dict[str, list[Any]] = {"in": [["a", 1], []], "not_in": [[True]], "exists": [False], "min": [1, 2.0]}
    parts |= {"max": [2**63 - 1], "oneof": [["a"]]}
    if chance.random() < 0.3:
        return a_value(chance, ["a", ["a", 2], []])
    return {part: a_value(chance, parts[part]) for part in chance.sample(list(parts)[: chance.choice([5, 5, 6])], 2)}


def a_value(chance: random.Random, right: list[Any]) -> Any:
    wrong = ["4", True, -1, 1.5, 1e300, 2**63, [None], ["", 1], {"x": None}, {"": 1}, [[1]], 9.3e14]
    return chance.choice(right * 3 + [None]) if chance.random() < 0.9 else chance.choice(wrong)
