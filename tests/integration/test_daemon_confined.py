"""The daemon's staging threads are confined to the roots, and everything else of it goes on as before."""

from __future__ import annotations

import ctypes
import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import windlass
from support import eventually, metric

Make = Callable[..., windlass.LocalNode]

_LANDLOCK_CREATE_RULESET, _VERSION = 444, 1


def kernel_confines() -> bool:
    return ctypes.CDLL(None).syscall(_LANDLOCK_CREATE_RULESET, None, 0, _VERSION) > 0


def confined(node: windlass.LocalNode) -> float:
    return metric(node, "windlass_stage_confined_threads")


def taken(node: windlass.LocalNode, source: Path, target: Path) -> str:
    with node.client() as client:
        return client.stage([windlass.Transfer(source, target, kind="result")], on_error="report").transfers[0].state


def test_confined_threads_stage_beneath_every_root_and_resume(nodes: Make, tmp_path: Path):
    roots = [tmp_path / "one", tmp_path / "two"]
    for root in roots:
        root.mkdir()
    (roots[0] / "source").write_bytes(b"bytes" * 1000)
    alias = tmp_path / "alias"
    alias.symlink_to(roots[1])
    node = nodes({"stage.roots": [roots[0], alias], "state.path": tmp_path / "state"})
    assert taken(node, roots[0] / "source", alias / "new/folder/target") == "done"
    assert (roots[1] / "new/folder/target").read_bytes() == b"bytes" * 1000
    assert taken(node, roots[0], alias / "tree") == "done"
    if kernel_confines():
        eventually(lambda: confined(node) >= 1, 5.0)
        assert metric(node, 'windlass_stage_fallbacks_total{kind="confine"}') == 0


@pytest.mark.skipif(not kernel_confines(), reason="no Landlock here")
def test_it_can_be_switched_off(nodes: Make, tmp_path: Path):
    node = nodes({"stage.roots": [tmp_path], "security.landlock": "off"})
    (tmp_path / "source").write_bytes(b"x")
    assert taken(node, tmp_path / "source", tmp_path / "target") == "done"
    assert confined(node) == 0


def test_a_confined_daemon_reads_its_offers_again(nodes: Make, tmp_path: Path):
    offers = tmp_path / "offers.json"
    offers.write_text(json.dumps([{"resources": {"cpu": 1}}]))
    (tmp_path / "root").mkdir()
    node = nodes({"stage.roots": [tmp_path / "root"], "offers.file": offers})
    offers.write_text(json.dumps([{"resources": {"cpu": 2}}]))
    before = metric(node, 'windlass_config_reloads_total{result="ok"}')
    node.signal(signal.SIGHUP)
    eventually(lambda: metric(node, 'windlass_config_reloads_total{result="ok"}') > before, 5.0)
    (tmp_path / "root/source").write_bytes(b"x")
    assert taken(node, tmp_path / "root/source", tmp_path / "root/target") == "done"
