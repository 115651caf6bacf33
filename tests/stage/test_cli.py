"""The `windlass` command: exit codes, tables, JSON, and words for those who are new to it."""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import windlass
from conftest import written
from windlass.cli import main


class Run:
    """One command that has ended."""

    def __init__(self, capsys: pytest.CaptureFixture[str], arguments: Sequence[object]) -> None:
        capsys.readouterr()
        try:
            self.code: Any = main([str(argument) for argument in arguments])
        except SystemExit as end:
            self.code = end.code
        captured = capsys.readouterr()
        self.out, self.err = captured.out, captured.err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    return lambda *arguments: Run(capsys, arguments)


COMMANDS = ["top", "nodes", "load", "match", "explain", "stage", "doctor"]


def test_help_names_every_command(run: Any) -> None:
    told = run("--help")
    assert told.code == 0
    assert all(command in told.out for command in COMMANDS)
    for command in COMMANDS:
        more = run(command, "--help")
        assert more.code == 0 and "--json" in more.out and "exit codes" in more.out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["stage"],
        ["stage", "only-one"],
        ["match"],
        ["match", "x.json", "--mode", "odd"],
        ["load", "--odd"],
    ],
)
def test_wrong_usage_is_told_on_stderr(run: Any, arguments: list[str], tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    told = run(*arguments)
    assert told.code == 2 and told.err and not told.out


@pytest.mark.parametrize(
    ("flag", "value", "advice"),
    [
        ("--mode", "9", "octal digits, such as 640"),
        ("--range", "5", "FIRST:LENGTH in bytes"),
        ("--range", "a:b", "FIRST:LENGTH in bytes"),
    ],
)
def test_a_wrong_value_of_a_flag_is_told_with_what_to_give(run: Any, flag: str, value: str, advice: str) -> None:
    told = run("stage", "a", "b", flag, value)
    assert told.code == 2 and flag in told.err and advice in told.err


def test_a_batch_names_the_field_that_is_none_or_missing(run: Any, tmp_path: Path) -> None:
    batch = tmp_path / "batch.json"
    batch.write_text('[{"source": "a", "target": "b", "mod": 1}]')
    told = run("stage", "--from", batch)
    assert told.code == 2 and "entry 0: mod is no field" in told.err
    batch.write_text('[{"source": "a"}]')
    assert "entry 0: it has no target" in run("stage", "--from", batch).err


def test_a_terminal_that_tells_no_width_gets_a_bar_too(tmp_path: Path) -> None:
    watcher, terminal = pty.openpty()  # 0 columns, until somebody sets them
    command = [sys.executable, "-m", "windlass.cli", "stage", written(tmp_path / "s", b"x" * 1000), tmp_path / "t"]
    ended = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=terminal, timeout=60, check=False)
    shown = os.read(watcher, 65536)
    os.close(watcher)
    os.close(terminal)
    assert ended.returncode == 0 and b"staging" in shown and b"1/1 files" in shown, shown


def test_a_bar_tells_how_a_large_tree_gets_on(tmp_path: Path) -> None:
    files = 600
    for number in range(files):
        written(tmp_path / f"tree/d{number % 20}/{number}", b"x" * 10_000)
    settings = {"stage.roots": [str(tmp_path)], "stage.bandwidth_max": "4MiB"}
    with windlass.LocalNode(config=settings) as slow:
        watcher, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        command = [sys.executable, "-m", "windlass.cli", "stage", tmp_path / "tree", tmp_path / "copy"]
        command += ["--address", slow.address, "--durability", "none"]
        staging = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=terminal)
        os.close(terminal)
        shown = b""
        with suppress(OSError):  # the end of a terminal
            while part := os.read(watcher, 65536):
                shown += part
        os.close(watcher)
        assert staging.wait(60) == 0
    told = [int(done) for done in re.findall(rb"(\d+)/600 files", shown)]
    assert len(set(told)) > 3, shown
    assert told == sorted(told) and told[-1] == files
    assert len(list((tmp_path / "copy").rglob("*"))) == files + 20


def test_a_missing_bridge_is_called_a_bridge(run: Any) -> None:
    told = run("nodes", "--bridge", "tcp://127.0.0.1:1")
    assert told.code == 1 and "no bridge at tcp://127.0.0.1:1" in told.err and "windlassd" not in told.err


def test_the_version(run: Any) -> None:
    assert run("--version").out == f"windlass {windlass.__version__}\n"


def test_stage_brings_a_file(run: Any, tmp_path: Path) -> None:
    source = written(tmp_path / "source", b"12345")
    told = run("stage", source, tmp_path / "t", "--checksum", "crc32c", "--mode", "640", "--range", "1:3")
    assert told.code == 0
    assert "done" in told.out and "crc32c:" in told.out
    assert (tmp_path / "t").read_bytes() == b"234"
    assert (tmp_path / "t").stat().st_mode & 0o777 == 0o640


def test_stage_undoes_what_was_compressed(run: Any, tmp_path: Path) -> None:
    source = written(tmp_path / "source.gz", gzip.compress(b"12345"))
    told = run("stage", source, tmp_path / "t", "--decompress", "auto", "--size", "5")
    assert told.code == 0
    assert (tmp_path / "t").read_bytes() == b"12345"
    told = run("stage", source, tmp_path / "u", "--decompress", "zstd")
    assert told.code == 1
    assert "DATA_LOSS" in told.err and "but as gzip does" in told.err
    assert "--decompress" in run("stage", "--help").out


def test_stage_tells_programs_all(run: Any, tmp_path: Path) -> None:
    told = run("stage", written(tmp_path / "source", b"12345"), tmp_path / "t", "--json", "--checksum", "md5")
    report = told.json
    assert (told.code, report["ok"], report["bytes"], report["files"]) == (0, True, 5, 1)
    end = report["transfers"][0]
    assert end["state"] == "done" and end["checksum"].startswith("md5:") and end["error"] is None


def test_stage_that_fails_says_why(run: Any, tmp_path: Path) -> None:
    told = run("stage", tmp_path / "missing", tmp_path / "t")
    assert told.code == 1
    assert "NOT_FOUND" in told.err and "missing" in told.err
    error = run("stage", tmp_path / "missing", tmp_path / "t", "--json").json["transfers"][0]["error"]
    assert error["code"] == "NOT_FOUND" and not error["retryable"]


def test_stage_in_part_is_a_code_of_its_own(run: Any, tmp_path: Path) -> None:
    good = written(tmp_path / "good", b"x")
    batch = [
        {"source": str(good), "target": str(tmp_path / "t1")},
        {"source": "/missing/x", "target": str(tmp_path / "t2")},
    ]
    (tmp_path / "batch.json").write_text(json.dumps(batch))
    told = run("stage", "--from", tmp_path / "batch.json", "--json")
    assert told.code == 3
    assert [end["state"] for end in told.json["transfers"]] == ["done", "failed"]
    written(tmp_path / "tree/file", b"x")
    os.mkfifo(tmp_path / "tree/fifo")
    told = run("stage", tmp_path / "tree", tmp_path / "t3")
    assert told.code == 3 and "fifo" in told.err


@pytest.mark.parametrize(
    "flags", [["--checksum", "odd"], ["--durability", "very"], ["--range", "x"], ["--mode", "9"], ["--size", "-1"]]
)
def test_stage_refuses_malformed_flags(run: Any, tmp_path: Path, flags: list[str]) -> None:
    told = run("stage", written(tmp_path / "s", b"x"), tmp_path / "t", *flags)
    assert told.code == 2 and told.err
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize(
    "batch", ["{}", "[1]", '[{"source": "/a"}]', '[{"source": "/a", "target": "/b", "odd": 1}]', "not json"]
)
def test_stage_refuses_a_malformed_batch(run: Any, tmp_path: Path, batch: str) -> None:
    (tmp_path / "batch.json").write_text(batch)
    told = run("stage", "--from", tmp_path / "batch.json")
    assert told.code == 2 and "batch.json" in told.err


def test_stage_by_a_daemon(run: Any, tmp_path: Path, node: windlass.LocalNode) -> None:
    source = written(tmp_path / "source", b"by the daemon")
    told = run("stage", source, tmp_path / "t", "--address", node.address, "--json")
    assert told.code == 0 and told.json["transfers"][0]["engine"] in ("uring", "threads", "reflink")
    assert (tmp_path / "t").read_bytes() == b"by the daemon"
    outside = run("stage", "/etc/hostname", tmp_path / "u", "--address", node.address)
    assert outside.code == 1 and "PERMISSION_DENIED" in outside.err


@pytest.mark.parametrize("name", [b"n" * 255, b"\xff\xfe", b"new\nline", b"-dash", b"per%20cent", "☃".encode()])
def test_any_name_will_do(tmp_path: Path, node: windlass.LocalNode, name: bytes) -> None:
    top = os.fsencode(tmp_path)
    os.mkdir(top + b"/tree")
    for path in (top + b"/" + name, top + b"/tree/" + name):
        with open(path, "wb") as file:
            file.write(b"named")
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}  # as most terminals are
    command = [sys.executable, "-m", "windlass.cli", "stage", "--checksum", "md5"]
    for more in ([b"--", name, top + b"/to/" + name], ["--address", node.address, "--", b"tree", b"copy/" + name]):
        told = subprocess.run([*command, *more], cwd=top, env=environment, capture_output=True, timeout=60, check=False)
        assert told.returncode == 0, told.stderr
    for path in (top + b"/to/" + name, top + b"/copy/" + name + b"/" + name):
        with open(path, "rb") as file:
            assert file.read() == b"named"


TASKS = [{"name": "t1", "cpu": 2, "mem": 1.5}, {"name": "t2", "cpu": 20, "mem": 1}]
OFFERS = [{"name": "m1", "cpu": 8, "mem": 8}, {"name": "m2", "cpu": 4, "mem": 8}]


def test_match_places_what_fits(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "both.json"
    path.write_text(json.dumps({"tasks": TASKS, "offers": OFFERS, "options": {"mode": "packing"}}))
    told = run("match", path)
    assert told.code == 3
    assert "t1" in told.out and "m2" in told.out and "1 of 2 tasks placed" in told.out and "not placed: t2" in told.out
    record = run("match", path, "--json").json
    assert record["assignments"] == {"t1": "m2"} and record["unmatched"] == ["t2"]
    assert record["scores"]["t1"] == windlass.match(TASKS, OFFERS, mode="packing").score("t1")
    path.write_text(json.dumps({"tasks": TASKS[:1], "offers": OFFERS}))
    assert run("match", path).code == 0
    path.write_text(json.dumps({"tasks": TASKS[1:], "offers": OFFERS}))
    assert run("match", path).code == 1


def test_match_reads_the_usual_kinds_of_files(run: Any, tmp_path: Path) -> None:
    (tmp_path / "tasks.csv").write_text("name,cpu,mem\nt1,2,1.5\nt2,20,\n")
    (tmp_path / "offers.jsonl").write_text("\n".join(map(json.dumps, OFFERS)))
    (tmp_path / "offers.yaml").write_text("- {name: m1, cpu: 8, mem: 8}\n- {name: m2, cpu: 4, mem: 8}\n")
    for offers in ("offers.jsonl", "offers.yaml"):
        told = run("match", "--tasks", tmp_path / "tasks.csv", "--offers", tmp_path / offers, "--json")
        assert told.json["assignments"] == {"t1": "m2"}


def test_match_through_a_daemon_is_the_same(run: Any, tmp_path: Path, node: windlass.LocalNode) -> None:
    (tmp_path / "both.json").write_text(json.dumps({"tasks": TASKS, "offers": OFFERS}))
    here, there = (
        run("match", tmp_path / "both.json", "--json", *more).json for more in ([], ["--address", node.address])
    )
    del here["seconds"], there["seconds"]
    assert here == there


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        '{"tasks": []}',
        '{"tasks": [], "offers": [], "odd": 1}',
        '{"tasks": [], "offers": [], "options": {"odd": 1}}',
        "{",
    ],
)
def test_match_refuses_what_it_cannot_read(run: Any, tmp_path: Path, content: str) -> None:
    (tmp_path / "both.json").write_text(content)
    told = run("match", tmp_path / "both.json")
    assert told.code == 2 and told.err


def test_match_names_the_wrong_row(run: Any, tmp_path: Path) -> None:
    (tmp_path / "both.json").write_text(json.dumps({"tasks": [*TASKS, {"name": "t3", "cpu": -1}], "offers": OFFERS}))
    told = run("match", tmp_path / "both.json", "--json")
    assert told.code == 2
    assert told.json["error"]["code"] == "INVALID_ARGUMENT" and "t3" in told.err and "cpu" in told.err


def test_load_nodes_and_top_ask_a_daemon(run: Any, node: windlass.LocalNode) -> None:
    load = run("load", "--address", node.address, "--json")
    assert load.code == 0 and {"cores", "cpu_ratio", "memory_total_bytes", "queue", "age_seconds"} <= set(load.json)
    assert "memory free" in run("load", "--address", node.address).out
    nodes = run("nodes", "--address", node.address, "--json").json["nodes"]
    assert [one["state"] for one in nodes.values()] == ["alive"]
    told = run("top", "--address", node.address, "--count", "2", "--interval", "0.05")
    assert told.code == 0 and told.out.count("NODE") == 2


def test_nodes_and_top_ask_a_bridge(run: Any) -> None:
    with windlass.Bridge("tcp://127.0.0.1:0") as bridge:
        told = run("nodes", "--bridge", bridge.address)
        assert told.code == 0 and "no nodes" in told.out
        assert run("top", "--bridge", bridge.address, "--json").json == {"nodes": {}}


def test_nobody_there_is_a_failure_with_advice(run: Any, tmp_path: Path) -> None:
    for command in ("load", "nodes", "top"):
        told = run(command, "--address", tmp_path / "none.sock")
        assert told.code == 1 and "doctor" in told.err
    assert run("load", "--address", tmp_path / "none.sock", "--json").json["error"]["code"] == "UNAVAILABLE"


def test_doctor_finds_a_working_daemon(run: Any, node: windlass.LocalNode) -> None:
    told = run("doctor", "--address", node.address, "--json")
    states = {finding["what"]: finding["state"] for finding in told.json["findings"]}
    assert (told.code, told.json["ok"]) == (0, True)
    assert states["libwindlass"] == states["daemon"] == states["socket"] == states["pyzmq"] == "ok"


def test_doctor_says_what_is_wrong_and_what_to_do(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINDLASS_LIBRARY", str(tmp_path / "none.so"))
    monkeypatch.setenv("WINDLASS_MODE", "sideways")
    told = run("doctor", "--address", tmp_path / "none.sock")
    assert told.code == 1
    assert "make build" in told.out and "start windlassd" in told.out and "canary" in told.out


def test_doctor_tells_that_the_mode_changes_nothing_yet(
    run: Any, node: windlass.LocalNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    for mode in ("off", "shadow", "canary:10", "on"):
        monkeypatch.setenv("WINDLASS_MODE", mode)
        told = run("doctor", "--address", node.address, "--json")
        found = next(each for each in told.json["findings"] if each["what"] == "WINDLASS_MODE")
        assert told.code == 0 and found["state"] == "note" and "changes nothing" in found["found"]


def test_the_script_is_installed_and_ends_quietly_in_a_broken_pipe(tmp_path: Path) -> None:
    script = Path(sys.executable).parent / "windlass"
    told = subprocess.run(
        f"'{script}' doctor --json | head -c 1", shell=True, capture_output=True, text=True, timeout=60
    )
    assert told.stdout == "{" and "Traceback" not in told.stderr
    assert subprocess.run([sys.executable, "-m", "windlass.cli", "--version"], capture_output=True).returncode == 0
