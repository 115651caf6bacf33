"""Where io_uring is denied the thread pool stages, with equal results."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

DENY = Path(__file__).with_name("deny_ring.py")
TOP = Path(__file__).resolve().parents[2]
SECONDS_MAX = 1000  # on a busy machine; a fraction of it on one that is not
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
    return subprocess.run(
        command, cwd=TOP, env=os.environ, capture_output=True, text=True, check=False, timeout=SECONDS_MAX
    )


def test_threads_take_over_and_that_is_counted(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"bytes" * 1_000_000)
    done = _denied("-c", ENGINES, str(tmp_path))
    assert done.returncode == 0, done.stderr
    in_process, daemon, checksum, fallbacks = json.loads(done.stdout)
    assert in_process == "threads"
    assert daemon == "threads"
    assert checksum.startswith("xxh3:")
    assert any(float(line.split()[-1]) >= 1 for line in fallbacks), fallbacks


RESULTS = """
import json, os, sys, windlass
from windlass import Transfer
top, here = sys.argv[1:]
os.makedirs(here)
def transfers(to):
    yield Transfer(top + "/large", to + "/large", checksum="xxh3", durability="full")
    yield Transfer(top + "/large", to + "/part", range=(4097, 1_500_000), checksum="sha256", mode=0o640)
    yield Transfer(top + "/sparse", to + "/sparse", checksum="crc32c")
    yield Transfer(top + "/tree", to + "/tree", checksum="md5")
    yield Transfer(top + "/tree", to + "/whole", tree_atomic=True, symlinks="skip")
    yield Transfer(top + "/links", to + "/links", symlinks="refuse")
    yield Transfer(top + "/large", to + "/wrong", checksum="md5:" + "0" * 32)
    yield Transfer(top + "/large", to + "/longer", range=(0, 10_000_000))
    yield Transfer(top + "/large", to + "/late", deadline=-1)
    yield Transfer(top + "/missing", to + "/missing")
    yield Transfer(top + "/fifo", to + "/fifo")
    yield Transfer("/etc/hostname", to + "/outside")
def told(report):
    for end in report.transfers:
        error = end.error
        told = error and [error.code.name, str(error).replace(here, "HERE"), error.retryable, error.failure_count,
                          [list(failure) for failure in error.failures]]
        yield [end.state, end.bytes, end.files, end.checksum, end.file_checksums, end.retries, told]
with windlass.LocalNode(config={"stage.roots": [os.path.dirname(top)]}) as node, node.client() as client:
    daemon = client.stage(transfers(here + "/daemon"), on_error="report")
here_alone = windlass.stage(transfers(here + "/process"), on_error="report")
found = {}
for path, folders, files in os.walk(here):
    for name in folders + files:
        full = os.path.join(path, name)
        info = os.lstat(full)
        found[os.path.relpath(full, here)] = [info.st_mode, info.st_size if name in files else 0, info.st_mtime_ns
                                              if name in files else 0, info.st_blocks if name == "sparse" else 0]
print(json.dumps([list(told(daemon)), list(told(here_alone)), found, daemon.transfers[0].engine]))
"""


def test_the_results_are_equal(tmp_path: Path) -> None:
    top = tmp_path / "sources"
    (top / "tree/sub/empty").mkdir(parents=True)
    (top / "links").mkdir()
    (top / "large").write_bytes(b"bytes" * 1_000_001)
    with open(top / "sparse", "wb") as sparse:
        sparse.write(b"begin")
        sparse.truncate(40 << 20)
    for number in range(40):
        (top / f"tree/sub/{number}").write_bytes(b"x" * number * 300)
    os.symlink("sub/1", top / "tree/link")
    os.symlink("/etc", top / "links/out")
    os.mkfifo(top / "fifo")
    free = subprocess.run(
        [sys.executable, "-c", RESULTS, top, tmp_path / "free"], capture_output=True, text=True, check=True, timeout=100
    )
    denied = _denied("-c", RESULTS, str(top), str(tmp_path / "denied"))
    assert denied.returncode == 0, denied.stderr
    *with_ring, engine = json.loads(free.stdout)
    *without, fallen_back = json.loads(denied.stdout)
    assert without == with_ring
    assert fallen_back == "threads"
    if engine != "uring":
        pytest.skip("io_uring is denied here anyway, so nothing was compared")


@pytest.mark.timeout(SECONDS_MAX + 100)
def test_the_whole_suite_of_staging_passes() -> None:
    """All of it but what does not come near a ring."""
    ways = "not legacy and not uring and not test_fields and not test_parts and not test_cli"
    with tempfile.TemporaryDirectory() as short:  # for sockets, whose paths have 100 bytes
        done = _denied("-m", "pytest", "-q", "-x", "-k", ways, f"--basetemp={short}/base", "tests/stage")
    assert done.returncode == 0, done.stdout[-3000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None and int(passed[1]) > 400, done.stdout[-300:]
