"""The demo, small: real Dask processes, real daemons, real files; and what it does when daemons are killed."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from examples.cluster_cycle import files, inputs

ROOT = Path(__file__).resolve().parents[2]


def demo(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    temporary = folder / "tmp"
    temporary.mkdir()
    command = [sys.executable, ROOT / "examples/cluster_cycle/run.py", "--out", folder / "out", *words]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, env=environment, cwd=folder, timeout=240
    )
    assert processes_of(temporary) == [], "the demo left processes behind"
    assert list(temporary.iterdir()) == [], "the demo left files behind"
    return done


def processes(folder: Path) -> list[tuple[int, str]]:
    """Running processes whose command line names the folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line:
            found.append((int(entry.parent.name), line))
    return found


def processes_of(folder: Path) -> list[str]:
    return [line for _, line in processes(folder)]


def figures(folder: Path) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads((folder / "out/cycle.json").read_text())
    return answer


def test_the_demo_runs_the_cycle_and_leaves_its_figures(tmp_path: Path) -> None:
    done = demo(tmp_path, "--small")
    assert done.returncode == 0, done.stderr + done.stdout
    answer = figures(tmp_path)
    assert [row["step"] for row in answer["steps"]][:4] == ["get offers", "get tasks", "match", "prepare payloads"]
    assert all(row["today_s"] > 0 and row["windlass_s"] > 0 for row in answer["steps"])
    assert answer["checks"]["equals_legacy"] is True
    assert answer["checks"]["match_fallbacks"] == 0
    assert answer["checks"]["tasks_run"] == answer["files"] > 0
    lanes = {event["lane"] for event in answer["timeline"]}
    assert {"scheduler loop", "node-1", "node-2", "node-3", "node-1 Dask"} <= lanes
    assert (tmp_path / "out/cycle.png").read_bytes().startswith(b"\x89PNG")
    assert "today's Python loop" in done.stdout and "prepare payloads" in done.stdout


def test_a_kill_of_the_daemon_beside_the_scheduler_changes_no_answer(tmp_path: Path) -> None:
    done = demo(tmp_path, "--small", "--kill-scheduler-daemon")
    assert done.returncode == 0, done.stderr + done.stdout
    checks = figures(tmp_path)["checks"]
    assert checks["match_fallbacks"] == 1
    assert checks["equals_legacy"] and checks["match_equal_after_restart"]


def test_a_kill_of_a_nodes_daemon_tears_no_file_and_is_made_good(tmp_path: Path) -> None:
    done = demo(tmp_path, "--small", "--kill-node-daemon")
    assert done.returncode == 0, done.stderr + done.stdout
    checks = figures(tmp_path)["checks"]
    assert checks["unavailable"] == 1 and checks["staged_again"] > 0
    assert checks["torn_files"] == 0
    assert checks["back_after_s"] < 3
    assert checks["tasks_run"] == figures(tmp_path)["files"]


def test_daemons_that_somebody_else_kills_are_made_good(tmp_path: Path) -> None:
    """Whatever dies at whatever moment: the demo ends well, and nothing is torn."""
    stop = threading.Event()
    killed = []

    def kill_now_and_then() -> None:
        while not stop.wait(1.0) and len(killed) < 6:
            pids = [pid for pid, line in processes(tmp_path / "tmp") if "windlassd --config" in line]
            if pids:
                killed.append(pids[len(killed) % len(pids)])
                with contextlib.suppress(ProcessLookupError):
                    os.kill(killed[-1], signal.SIGKILL)

    killer = threading.Thread(target=kill_now_and_then)
    killer.start()
    try:
        done = demo(tmp_path, "--small")
    finally:
        stop.set()
        killer.join()
    assert killed
    assert done.returncode == 0, done.stderr + done.stdout
    checks = figures(tmp_path)["checks"]
    assert checks["torn_files"] == 0 and checks["equals_legacy"] and checks["tasks_run"] > 0


def test_a_users_own_files(tmp_path: Path) -> None:
    (tmp_path / "tasks.csv").write_text("name,cpu,memory\nsmall,1,2\nlarge,8,\nhuge,900,1\n")
    (tmp_path / "offers.csv").write_text("name,cpu,memory,disk\nrack 1,16,64,5\nrack 2,2,4,5\n")
    done = demo(tmp_path, "--tasks", tmp_path / "tasks.csv", "--offers", tmp_path / "offers.csv")
    assert done.returncode == 0, done.stderr + done.stdout
    with open(tmp_path / "out/assignments.csv", newline="") as file:
        rows = {row["task"]: row["offer"] for row in csv.DictReader(file)}
    assert rows == {"small": "rack 2", "large": "rack 1"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cpu\n1\n", ["line 1", "name"]),
        ("name,cpu,cpu\na,1,2\n", ["line 1", "cpu", "twice"]),
        ("name,cpu\na,1\nb,two\n", ["line 3", "row 1", "field cpu", "two"]),
        ("name,cpu\na,-1\n", ["line 2", "field cpu", "-1"]),
        ("name,cpu\na,nan\n", ["line 2", "field cpu", "nan"]),
        ("name,cpu\na,1\na,2\n", ["line 3", "field name", "'a'"]),
        ("name,cpu\n,1\n", ["line 2", "field name"]),
        ("name,cpu\na\n", ["line 2", "1 fields"]),
        ("name,cpu\na,1e15\n", ["line 2", "cpu"]),
    ],
)
def test_a_fault_in_a_users_file_names_row_and_field(text: str, words: list[str], tmp_path: Path) -> None:
    (tmp_path / "tasks.csv").write_text(text)
    (tmp_path / "offers.csv").write_text("name,cpu\nx,1\n")
    done = demo(tmp_path, "--tasks", tmp_path / "tasks.csv", "--offers", tmp_path / "offers.csv")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    for word in ["tasks.csv", *words]:
        assert word in done.stderr, done.stderr


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    done = demo(tmp_path, "--tasks", tmp_path / "no.csv", "--offers", tmp_path / "no.csv")
    assert done.returncode == 2 and "no.csv" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_however_the_demo_ends_no_process_is_left(number: signal.Signals, tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    command = [sys.executable, str(ROOT / "examples/cluster_cycle/run.py"), "--out", str(tmp_path / "out"), "--small"]
    running = subprocess.Popen(command, env={**os.environ, "TMPDIR": str(temporary)}, stdout=subprocess.DEVNULL)
    try:
        poll_until(lambda: len(processes_of(temporary)) >= 5 or running.poll() is not None)
        assert running.poll() is None
        running.send_signal(number)
        code = running.wait(60)
    finally:
        running.kill()
        running.wait()
    if number == signal.SIGKILL:
        poll_until(lambda: processes_of(temporary) == [])
        return
    assert code == 130
    assert processes_of(temporary) == []
    assert list(temporary.iterdir()) == []


def poll_until(holds: Callable[[], bool], timeout_s: float = 60) -> None:
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def test_csv_files_come_back_as_they_were_written(tmp_path: Path) -> None:
    records = [
        {"name": "a,b", "resources": {"cpu": 0.1, "gpu": 0.0}},
        {"name": 'quote"d', "resources": {"cpu": 2.0, "gpu": 1.5}},
    ]
    inputs.write_csv(tmp_path / "t.csv", records)
    assert inputs.read_csv(tmp_path / "t.csv") == records


def test_the_same_files_are_chosen_each_time() -> None:
    chosen = files.choose(20, 16 << 20)
    assert chosen == files.choose(20, 16 << 20)
    assert 0 < sum(path.stat().st_size for path in chosen) <= 16 << 20
    assert len(set(chosen)) == len(chosen)


def test_a_torn_file_is_found(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    whole.write_bytes(b"bytes")
    cut = tmp_path / "cut"
    cut.write_bytes(b"byt")
    right = files.digest(whole)
    assert files.torn([(whole, right), (cut, right), (tmp_path / "absent", right)]) == [cut]
