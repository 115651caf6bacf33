"""Latency and connections: small cases of each program, and that a wrong answer is found out."""

from __future__ import annotations

import json
import resource
import subprocess
from pathlib import Path

import pytest

from benchmarks import connections, rpc_latency, wire
from benchmarks.harness import WrongAnswer

ROOT = Path(__file__).resolve().parents[2]


def rows_of(tmp_path: Path, *words: str) -> tuple[dict[str, dict], str]:
    out = tmp_path / "out.json"
    command = [ROOT / "benchmarks/run", *words, "--rounds", "1", "--folder", tmp_path, "--json", out]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".png"] == ["out.json"]
    answer = json.loads(out.read_text())
    assert answer["better"] == "less"
    return {row["who"]: row for row in answer["rows"]}, answer["unit"]


@pytest.mark.parametrize("case", ["closed3:tcp", "closed2:ipc", "open2K"])
def test_latency_of_each_server_comes_with_its_tail(tmp_path: Path, case: str) -> None:
    picture = tmp_path / "p.png"
    rows, unit = rows_of(tmp_path, "rpc_latency", "--quick", "--case", case, "--plot", str(picture))
    assert unit == "s" and list(rows) == ["windlass", "cppzmq-echo", "epoll-echo"]
    for row in rows.values():
        assert 0 < row["median"] <= row["p99"] <= row["p999"] and row["rate"] > 0
        assert row["requests"] == (1000 if case == "open2K" else 5000)
        assert row["percentiles"][0][0] == 0.0 and row["percentiles"][-1][0] > 0.998
        assert [value for _, value in row["percentiles"]] == sorted(value for _, value in row["percentiles"])
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_connections_tell_memory_and_the_active_clients_latency(tmp_path: Path) -> None:
    rows, unit = rows_of(tmp_path, "connections", "--quick", "--case", "40")
    assert unit == "bytes per client" and list(rows) == ["windlass", "cppzmq-echo"]
    for row in rows.values():
        assert row["clients"] == 40 and row["accept_s"] > 0
        assert 0 < row["active_p50"] <= row["active_p99"] and 0 < row["alone_p50"] <= row["alone_p99"]


def test_cases_are_what_they_say() -> None:
    assert rpc_latency.parse_case("closed8:ipc") == (8, "ipc", 0.0)
    assert rpc_latency.parse_case("open50K") == (8, "tcp", 50_000.0)
    assert connections.parse_case("10K") == 10_000
    assert connections.parse_case("max") == resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 100
    for wrong in ("closed0:tcp", "closed8", "open0K", "open"):
        with pytest.raises(ValueError, match="expected"):
            rpc_latency.parse_case(wrong)
    with pytest.raises(ValueError, match="expected"):
        connections.parse_case("many")


@pytest.mark.parametrize("who, key", [("cppzmq-echo", "answer"), ("windlass", "speak")])
def test_an_answer_of_other_bytes_is_found_out(tmp_path: Path, who: str, key: str) -> None:
    with wire.serve(who, "tcp", tmp_path) as server:
        script = dict(line.split() for line in server.script.read_text().splitlines())
        if key == "answer":
            script["answer"] = script["answer"][:-2] + ("00" if script["answer"][-2:] != "00" else "01")
        else:
            script["speak"] = "bytes"
        server.script.write_text("".join(f"{key} {value}\n" for key, value in script.items()))
        with pytest.raises(WrongAnswer, match=r"wrong answer to request 0|the server hung up"):
            wire.ask(server, 1, 10)
