"""Files of the state that nobody can read: set aside, counted, and the daemon serves all the same."""

from __future__ import annotations

import os
import re
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
import windlass
from windlass import Transfer

from .conftest import noise

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "cut": lambda content: content[: len(content) - 5],
    "cut to a byte": lambda content: content[:1],
    "flipped at the begin": lambda content: bytes([content[0] ^ 255]) + content[1:],
    "flipped in the middle": lambda content: (
        content[: len(content) // 2] + bytes([content[len(content) // 2] ^ 1]) + content[len(content) // 2 + 1 :]
    ),
    "of a newer version": lambda content: content.replace(b" 1\n", b" 9\n", 1).replace(b"END1", b"END9"),
    "something else": lambda content: b"\xff" * 5000,
}


def _set_aside(node: windlass.LocalNode) -> float:
    page = urllib.request.urlopen(f"{node.http_url}/metrics").read().decode()
    found = re.search(r"^windlass_stage_state_set_aside_total (\S+)$", page, re.MULTILINE)
    return float(found[1]) if found else 0.0


@pytest.mark.parametrize("damage", list(DAMAGES))
@pytest.mark.parametrize("which", ["stage.journal.0", "ends-*"])
def test_a_state_that_cannot_be_read_is_set_aside_and_counted(tmp_path: Path, which: str, damage: str) -> None:
    if (which, damage) == ("ends-*", "empty"):
        pytest.skip("it has no head: an empty one is a new one")
    state, root = tmp_path / "state", tmp_path / "root"
    root.mkdir()
    (root / "source").write_bytes(noise(40_000_000, 1))
    config = {"stage.roots": [str(root)], "state.path": str(state), "stage.bandwidth_max": "100MiB"}
    with windlass.LocalNode(config=config) as node:
        with node.client() as client:
            assert client.stage([Transfer(root / "source", root / "first", range=(0, 1000))]).ok
            future = client.submit_stage([Transfer(root / "source", root / "target")])
            while future.progress().bytes < 8_000_000:
                assert not future.done()
            node.kill()  # midway, so that the journal holds something
        assert _files(state, which), os.listdir(state)
        for path in _files(state, which):
            path.write_bytes(DAMAGES[damage](path.read_bytes()))
        node.start()
        deadline = time.monotonic() + 20
        while _set_aside(node) < 1:
            assert time.monotonic() < deadline, "it is not counted"
            time.sleep(0.02)
        assert [name for name in os.listdir(state) if ".aside-" in name]
        with node.client() as client:
            assert client.stage([Transfer(root / "source", root / "target")]).ok
        assert (root / "target").read_bytes() == (root / "source").read_bytes()
    with windlass.LocalNode(config=config) as again:
        assert _set_aside(again) == 0, "once is enough"


def _files(state: Path, which: str) -> list[Path]:
    return [path for path in state.glob(which) if path.is_file() and not path.name.endswith((".lock", ".old"))]
