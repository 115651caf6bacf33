"""Large problems, the GIL, sessions and packing: small cases of each program, and what they are made of."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import windlass

from benchmarks import columns, gil, match_scale, match_session, packing_quality

ROOT = Path(__file__).resolve().parents[2]


def rows_of(tmp_path: Path, *words: str) -> list[dict[str, Any]]:
    out = tmp_path / "out.json"
    done = subprocess.run([ROOT / "benchmarks/run", *words, "--json", out], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, Any]] = json.loads(out.read_text())["rows"]
    return rows


@pytest.mark.parametrize("kind", columns.KINDS)
def test_every_kind_is_the_same_for_a_seed_and_places_as_legacy(kind: str) -> None:
    tasks, offers = columns.make(kind, 150, 120, 3)
    again = columns.make(kind, 150, 120, 3)
    assert all(np.array_equal(tasks[name], again[0][name]) for name in tasks)
    assert all((column >= 0).all() and len(column) == 120 for column in offers.values())
    for mode in ("exclusive", "packing"):
        exact = windlass.legacy.match(tasks, offers, mode=mode)
        assert windlass.match(tasks, offers, mode=mode).assignments == exact.assignments
        assert bool(exact.assignments) == (kind != "none-fits")


def test_the_columns_of_a_seed_are_these() -> None:
    """Stored digests are worth nothing once the columns change."""
    tasks, offers = columns.make("continuous", 1000, 500, 20)
    bytes_of = b"".join(column.tobytes() for side in (tasks, offers) for column in side.values())
    assert hashlib.sha256(bytes_of).hexdigest()[:16] == "7d9e8eb42e471007"


def test_sums_that_tie_tie() -> None:
    offers = columns.make("sum-ties", 10, 200, 3)[1]
    assert set(sum(offers.values())) == {300.0} and {column.max() for column in offers.values()} == {298.0}


def test_a_case_of_scale_names_sizes_mode_and_kind() -> None:
    assert match_scale.parse_case("1Mx100K-packing:shapes") == ("shapes", "packing", 1_000_000, 100_000)
    assert match_scale.parse_case("20Kx20K:all-tie") == ("all-tie", "exclusive", 20_000, 20_000)
    with pytest.raises(ValueError, match="KIND one of"):
        match_scale.parse_case("20Kx20K:round")


def test_a_large_case_is_computed_once_and_then_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(match_scale, "STORE", tmp_path / "digests.json")
    monkeypatch.setattr(match_scale, "compute", lambda case, engine: asked.append(case) or "abc")
    said: list[str] = []
    assert [match_scale.expected("100Kx100K:shapes", said.append) for _ in range(2)] == ["abc", "abc"]
    assert '"100Kx100K:shapes": "abc"' in said.pop() and len(said) == 1
    assert asked == ["100Kx100K:shapes"]
    assert json.loads((tmp_path / "digests.json").read_text()) == {"100Kx100K:shapes": "abc"}


def test_scale_measures_time_and_memory_of_each_engine(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "match_scale", "--case", "3Kx2K:grid", "--case", "2Kx300-packing:near", "--rounds", "2")
    ours = [row for row in rows if row["who"] == "windlass"]
    assert [row["case"] for row in ours] == ["3Kx2K:grid", "2Kx300-packing:near"]
    for row in ours:
        assert row["median"] > 0 and 0 <= row["rss_bytes"] < 200e6 and row["placed"] > 0 and row["runs"] == 2
    assert {row["who"] for row in rows} == {"windlass", "simd-scan"}


def test_the_counting_thread_is_slowed_by_python_and_not_by_waiting() -> None:
    def spin() -> None:
        end = time.thread_time() + 0.05
        while time.thread_time() < end:
            pass

    def slowed() -> bool:
        return 0 < gil.count_beside(spin, 0.2).rate < gil.count_beside(lambda: time.sleep(0.05), 0.2).rate

    assert any(slowed() for _ in range(5))  # other processes may slow either


@pytest.mark.parametrize("case", gil.CASES)
def test_gil_measures_each_case(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gil, "WINDOW_S", 0.05)
    monkeypatch.setattr(gil, "WINDOWS", 2)
    rows = gil.run(case, rounds=1, quick=True, who=["windlass"], folder=None, say=lambda text: None)
    (row,) = rows
    assert (row["case"], row["who"]) == (case, "windlass")
    assert "absent" in row or (row["median"] > 0 and row["share_of_busy"] > 0 and 0 < row["ran_of_busy"] < 2)


def test_a_session_is_compared_with_calls_from_scratch(tmp_path: Path) -> None:
    assert match_session.parse_case("1%of100K+1K") == (1000, 100_000, 1000)
    rows = rows_of(tmp_path, "match_session", "--case", "5%of400+30", "--rounds", "3")
    assert [row["who"] for row in rows] == ["windlass", "scratch"]
    assert all(row["median"] > 0 and row["runs"] == 3 for row in rows)


def test_packing_needs_the_trace() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "WINDLASS_TRACE_DIR"}
    done = subprocess.run([ROOT / "benchmarks/run", "packing_quality"], env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and "WINDLASS_TRACE_DIR" in done.stderr


@pytest.mark.skipif("WINDLASS_TRACE_DIR" not in os.environ, reason="WINDLASS_TRACE_DIR is unset")
def test_packing_puts_at_least_as_many_gpus_to_use_as_published() -> None:
    rows = packing_quality.run("default", rounds=2, quick=True, who=None, folder=None, say=lambda text: None)
    means = {row["who"]: row["mean"] for row in rows}
    assert means["windlass:best_fit"] > means["published:best_fit"] - 0.5
    assert max(mean for who, mean in means.items() if who.startswith("windlass")) > means["published:best_fit"] + 1
