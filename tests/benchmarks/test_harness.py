"""The harness of measurement: turns, single runs of slow peers, absent rows, wrong answers."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from benchmarks import harness, show
from benchmarks.harness import Peer, WrongAnswer, measure

ROOT = Path(__file__).resolve().parents[2]


def test_peers_take_turns_and_begin_in_turn() -> None:
    order: list[str] = []
    peers = [Peer(who, lambda who=who: order.append(who)) for who in "abc"]
    rows = measure("case", peers, 3)
    assert order == ["a", "b", "c", "b", "c", "a", "c", "a", "b"]
    assert [(row["who"], row["runs"]) for row in rows] == [("a", 3), ("b", 3), ("c", 3)]


def test_a_slow_peer_runs_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "ONCE_ABOVE_S", 0.0)
    assert [row["runs"] for row in measure("case", [Peer("slow")], 5)] == [1]


def test_an_absent_peer_is_a_row_that_says_why() -> None:
    rows = measure("case", [Peer("there"), Peer("gone", absent="not built")], 1)
    assert rows[1] == {"case": "case", "who": "gone", "absent": "not built"}


def test_a_wrong_answer_is_an_error() -> None:
    def check(answer: object) -> None:
        raise WrongAnswer(str(answer))

    with pytest.raises(WrongAnswer, match="42"):
        measure("case", [Peer("wrong", lambda: 42, check)], 1)


def test_rates_turn_the_slowest_run_into_the_smallest_rate() -> None:
    row = {"case": "c", "who": "w", "median": 2.0, "min": 1.0, "max": 4.0, "runs": 3, "cpu_s": 1.0}
    rate = harness.rates(row, 8e6, 1e6)
    assert (rate["median"], rate["min"], rate["max"]) == (4.0, 2.0, 8.0)


def test_ratios_are_to_the_best_peer_and_above_one_is_better() -> None:
    def row(who: str, median: float) -> dict[str, object]:
        return {"case": "c", "who": who, "median": median, "min": median, "max": median, "runs": 1, "cpu_s": 0.0}

    rows = [row("windlass", 1.0), row("slow", 8.0), row("best", 4.0)]
    less = show.table({"name": "n", "unit": "s", "better": "less", "rows": rows}).splitlines()
    assert less[2].endswith("4.00x")
    more = show.table({"name": "n", "unit": "MB/s", "better": "more", "rows": rows}).splitlines()
    assert more[2].endswith("0.12x")


@pytest.mark.parametrize("words", [["nothing"], ["match", "--case", "many"], ["stage_large", "--case", "1x2bananas"]])
def test_usage_faults_end_with_2(words: list[str]) -> None:
    done = subprocess.run([ROOT / "benchmarks/run", *words], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr


def test_match_measures_every_form_and_path_and_checks_them(tmp_path: Path) -> None:
    out, picture = tmp_path / "match.json", tmp_path / "match.png"
    command = [ROOT / "benchmarks/run", "match", "--case", "300x200", "--rounds", "2", "--json", out, "--plot", picture]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answer = json.loads(out.read_text())
    assert (answer["name"], answer["unit"], answer["better"]) == ("match", "s", "less")
    assert answer["commit"] and answer["machine"]["cores"] >= 1
    rows = {row["who"]: row for row in answer["rows"]}
    ours = {
        f"windlass:{form}:{path}" for form in ("objects", "mappings", "columns") for path in ("inproc", "ipc", "tcp")
    }
    peers = {"python", "python-slots", "python-threads", "python-processes", "numpy", "numba"}
    assert ours | peers | {"rust", "rust-flat", "rust-rayon", "fenzo"} <= set(rows)
    for who in ours | {"python", "python-slots", "numpy"}:
        assert "absent" not in rows[who], rows[who]
        assert 0 < rows[who]["min"] <= rows[who]["median"] <= rows[who]["max"] and rows[who]["runs"] == 2
    assert len({row["digest"] for row in answer["rows"]}) == 1
    assert rows["python"]["exact_share"] > 0.9
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_stage_large_compares_every_target_with_its_source(tmp_path: Path) -> None:
    out = tmp_path / "stage.json"
    command = [ROOT / "benchmarks/run", "stage_large", "--rounds", "1", "--folder", tmp_path, "--json", out]
    done = subprocess.run([*command, "--case", "2x4MiB", "--case", "1x1MiB+xxh3"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answer = json.loads(out.read_text())
    assert (answer["unit"], answer["better"]) == ("MB/s", "more")
    for row in answer["rows"]:
        if row["who"] in ("python-16MiB", "shutil", "sendfile") or row["who"].startswith("windlass"):
            assert row.get("absent") is None or "+xxh3" in row["case"], row
    measured = [row for row in answer["rows"] if "absent" not in row]
    assert all(row["median"] > 0 and row["cpu_s_per_gib"] >= 0 for row in measured)
    assert {row["case"] for row in measured} == {"2x4MiB", "1x1MiB+xxh3"}
    assert [path.name for path in tmp_path.iterdir()] == ["stage.json"]


def test_stage_small_compares_every_target_with_its_source(tmp_path: Path) -> None:
    out = tmp_path / "stage.json"
    command = [ROOT / "benchmarks/run", "stage_small", "--rounds", "1", "--folder", tmp_path, "--json", out]
    done = subprocess.run([*command, "--case", "20x4KiB"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answer = json.loads(out.read_text())
    assert (answer["unit"], answer["better"]) == ("files/s", "more")
    measured = {row["who"] for row in answer["rows"] if "absent" not in row and row["median"] > 0}
    assert measured >= {"windlass:inproc", "windlass:ipc", "cp", "copytree", "tar"}
    assert [path.name for path in tmp_path.iterdir()] == ["stage.json"]


def test_cycle_measures_each_step(tmp_path: Path) -> None:
    out = tmp_path / "cycle.json"
    command = [ROOT / "benchmarks/run", "cycle", "--case", "2x300x200", "--rounds", "1", "--folder", tmp_path]
    done = subprocess.run([*command, "--json", out], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = json.loads(out.read_text())["rows"]
    steps = {"get offers", "get tasks", "match", "prepare payloads", "whole loop"}
    assert {(row["who"], row["step"]) for row in rows} == {
        (who, step) for who in ("windlass", "legacy", "python") for step in steps
    }
    assert [path.name for path in tmp_path.iterdir()] == ["cycle.json"]


def test_steps_are_compared_with_the_same_step() -> None:
    rows = [
        {"case": "c", "step": step, "who": who, "median": median, "min": median, "max": median, "runs": 1}
        for step, who, median in [("a", "windlass", 1.0), ("b", "windlass", 1.0), ("a", "p", 3.0), ("b", "p", 5.0)]
    ]
    lines = show.table({"name": "n", "unit": "s", "better": "less", "rows": rows}).splitlines()
    assert [lines[2].split()[-1], lines[3].split()[-1]] == ["3.00x", "5.00x"]


def test_a_stopped_benchmark_leaves_no_files(tmp_path: Path) -> None:
    command = [ROOT / "benchmarks/run", "stage_large", "--case", "1x64MiB", "--rounds", "500", "--folder", tmp_path]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        end = time.monotonic() + 60
        while not list(tmp_path.glob("*/target")) and time.monotonic() < end:
            time.sleep(0.02)
        running.terminate()
        assert running.wait(60) == 130
    finally:
        running.kill()
        running.communicate()
    assert list(tmp_path.iterdir()) == []
