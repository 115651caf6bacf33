"""Where io_uring is denied the thread pool stages, with equal results."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

DENY = Path(__file__).with_name("deny_ring.py")
TOP = Path(__file__).resolve().parents[2]
ENGINES = """
import json, sys, urllib.request, windlass
from windlass._native_stage import engine_in_process
folder = sys.argv[1]
with windlass.LocalNode(config={"stage.roots": [folder]}) as node, node.client() as client:
    end = client.stage([windlass.Transfer(folder + "/source", folder + "/target", checksum="xxh3")]).transfers[0]
    metrics = urllib.request.urlopen(node.http_url + "/metrics").read().decode()
fallbacks = [line for line in metrics.splitlines() if line.startswith("windlass_stage") and "fallback" in line]
print(json.dumps([engine_in_process(), end.engine, end.checksum, fallbacks]))
"""


def _denied(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(DENY), sys.executable, *words]
    return subprocess.run(command, cwd=TOP, env=os.environ, capture_output=True, text=True, check=False, timeout=250)


def test_threads_take_over_and_that_is_counted(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"bytes" * 1_000_000)
    done = _denied("-c", ENGINES, str(tmp_path))
    assert done.returncode == 0, done.stderr
    in_process, daemon, checksum, fallbacks = json.loads(done.stdout)
    assert in_process == "threads"
    assert daemon == "threads"
    assert checksum.startswith("xxh3:")
    assert any(float(line.split()[-1]) >= 1 for line in fallbacks), fallbacks


def test_the_suite_of_staging_passes(tmp_path: Path) -> None:
    suite = ["tests/stage/test_files.py", "tests/stage/test_trees.py", "tests/stage/test_targets.py"]
    done = _denied("-m", "pytest", "-q", "-x", "-k", "daemon or uring", f"--basetemp={tmp_path}/base", *suite)
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout
