"""windlassd as a process: its socket, signals, pages, and hostile bytes."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import stat
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
import windlass
from support import ID, Raw, eventually, fallbacks, problem, random_frames, resident
from windlass import _wire
from windlass._local_node import find_windlassd
from windlass._wire import Header, Message, Type

Make = Callable[..., windlass.LocalNode]


def page(node: windlass.LocalNode, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"{node.http_url}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def serves(node: windlass.LocalNode) -> bool:
    """A small match answered by the daemon itself."""
    tasks, offers = problem(5, 5)
    before = fallbacks()
    with node.client() as client:
        client.match(tasks, offers)
    return fallbacks() == before


# ---- The process -----------------------------------------------------------------------------------------------------


def test_the_socket_and_its_folder_are_the_owners_alone(node: windlass.LocalNode):
    path = Path(node.address.removeprefix("ipc://"))
    assert stat.S_ISSOCK(path.stat().st_mode)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_other_users_reach_the_socket_where_they_are_listed(nodes: Make):
    path = Path(nodes({"security.local_uids": [65534]}).address.removeprefix("ipc://"))
    assert path.stat().st_mode & 0o777 == 0o666
    assert path.parent.stat().st_mode & 0o777 == 0o711


def test_a_root_may_cover_the_temporary_folder(nodes: Make, tmp_path: Path):
    node = nodes({"stage.roots": ["/tmp", tmp_path]})
    assert not str(node.folder).startswith("/tmp/")
    assert serves(node)


def test_sigterm_ends_an_idle_daemon_soon_and_removes_the_socket(node: windlass.LocalNode):
    path = Path(node.address.removeprefix("ipc://"))
    begun = time.monotonic()
    assert node.terminate() == 0
    assert time.monotonic() - begun < 5
    assert not path.exists()


def test_a_client_learns_of_the_end(node: windlass.LocalNode):
    with node.client() as client:
        client.load()
        node.terminate()
        with pytest.raises(windlass.Unavailable):
            client.load()
        node.start()
        assert client.load().cores > 0


def test_a_second_daemon_on_the_same_socket_says_who_holds_it(node: windlass.LocalNode, nodes: Make):
    with pytest.raises(windlass.WindlassError) as refused:
        nodes({"local.socket": node.address.removeprefix("ipc://")})
    assert str(node.pid) in str(refused.value)
    assert serves(node), "the first one serves on"


def test_a_socket_that_a_dead_daemon_left_is_taken_over(node: windlass.LocalNode):
    path = Path(node.address.removeprefix("ipc://"))
    node.kill()
    assert path.exists()
    node.start()
    assert serves(node)


def test_sighup_reads_the_offers_again(nodes: Make, bridge: windlass.Bridge, tmp_path: Path):
    offers = tmp_path / "offers.yaml"
    offers.write_text("- {name: n, resources: {cpu: 1}}\n")
    node = nodes({"node.name": "n", "bridge.address": bridge.address, "offers.file": str(offers)})
    eventually(lambda: [offer["resources"] for offer in bridge.offers()] == [{"cpu": 1}])
    offers.write_text("- {name: n, resources: {cpu: 7}}\n")
    node.signal(signal.SIGHUP)
    eventually(lambda: [offer["resources"] for offer in bridge.offers()] == [{"cpu": 7}])
    offers.write_text("- {name: n, resources: {cpu: [}\n")
    node.signal(signal.SIGHUP)
    eventually(lambda: "offers" in node.log().lower(), what="it says so in the log")
    assert serves(node)
    assert [offer["resources"] for offer in bridge.offers()] == [{"cpu": 7}]


def test_sighup_changes_what_is_logged_and_how(nodes: Make):
    node = nodes({"log.level": "error"})
    assert node.log() == ""
    quiet = node.config_path.read_text()
    node.config_path.write_text(quiet.replace("level: error", "level: info"))
    node.signal(signal.SIGHUP)
    line = eventually(node.log, what="the change itself is said")
    assert json.loads(line.splitlines()[0])["key"] == "log.level"
    node.config_path.write_text(quiet.replace("level: error", "level: info\n  format: text"))
    node.signal(signal.SIGHUP)
    last = eventually(lambda: node.log().splitlines()[1:], what="it is said as text")[-1]
    assert "log.format" in last and not last.startswith("{")


def test_sighup_reads_the_labels_again(nodes: Make, bridge: windlass.Bridge):
    node = nodes({"node.name": "n", "node.labels": {"zone": "a"}, "bridge.address": bridge.address})
    eventually(lambda: bridge.nodes().get("n", {}).get("labels") == {"zone": "a"})
    node.config_path.write_text(node.config_path.read_text().replace("zone: a", "zone: b"))
    node.signal(signal.SIGHUP)
    eventually(lambda: bridge.nodes()["n"].labels == {"zone": "b"}, what="the bridge tells the new labels")


def test_faults_of_the_configuration_are_said(nodes: Make):
    with pytest.raises(windlass.InvalidArgument, match=r"stage\.rots.*nearest is stage\.roots"):
        nodes({"stage.rots": ["/tmp"]})
    with pytest.raises(windlass.InvalidArgument, match="many"):
        nodes({"stage.retries": "many"})


def test_a_taken_port_is_no_fault_of_the_configuration(nodes: Make, node: windlass.LocalNode):
    taken = str(node.http_url).removeprefix("http://")
    with pytest.raises(windlass.Unavailable, match=f"http.listen: {taken}"):
        nodes({"http.listen": taken})


# ---- Pages -----------------------------------------------------------------------------------------------------------


def test_livez_readyz_and_metrics(node: windlass.LocalNode):
    assert page(node, "/livez")[0] == 200
    status, body = page(node, "/readyz")
    assert status == 200
    assert "bridge" in json.loads(body)
    assert serves(node)
    status, text = page(node, "/metrics")
    assert status == 200
    samples = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert samples and all(line.startswith("windlass_") for line in samples)
    assert page(node, "/nothing")[0] == 404


def test_readyz_says_503_while_draining_and_livez_200(nodes: Make, tmp_path: Path):
    node = nodes({"stage.roots": [tmp_path], "stage.bandwidth_max": "1MiB"})
    (tmp_path / "source").write_bytes(bytes(4 << 20))
    with node.client() as client:
        client.submit_stage([windlass.Transfer(tmp_path / "source", tmp_path / "target")], detach=True)
        node.signal(signal.SIGTERM)
        eventually(lambda: page(node, "/readyz")[0] == 503, 5.0)
        assert page(node, "/livez")[0] == 200
        with pytest.raises(windlass.Unavailable):
            client.submit_stage([windlass.Transfer(tmp_path / "source", tmp_path / "other")])


# ---- Hostile bytes ---------------------------------------------------------------------------------------------------


@pytest.fixture(params=["ipc", "tcp"])
def raw(request: pytest.FixtureRequest, node: windlass.LocalNode) -> Raw:
    with Raw(node.address if request.param == "ipc" else node.tcp_address) as made:
        yield made


def test_nobody_is_served_before_hello(raw: Raw):
    refusal = raw.ask(Type.LOAD, {})
    assert (refusal.header.type, refusal.body["code"]) == (Type.ERROR, 9)
    assert refusal.body["message"].startswith("say HELLO first")
    assert raw.hello().header.type == Type.WELCOME
    assert raw.ask(Type.LOAD, {}).header.type == Type.RESULT


def test_versions_that_do_not_meet_are_both_named(raw: Raw):
    refusal = raw.ask(Type.HELLO, {"role": "client", "versions": [7, 9], "features": [], "software": "x", "pid": 1})
    assert (refusal.header.type, refusal.body["code"]) == (Type.ERROR, 9)
    assert "7" in refusal.body["message"] and "9" in refusal.body["message"] and "1" in refusal.body["message"]


def test_unknown_messages_are_unimplemented_and_unknown_keys_ignored(raw: Raw):
    raw.hello()
    assert raw.ask(99, {}).body["code"] == 12
    assert raw.ask(Type.GRANT, {}).body["code"] == 12
    assert raw.ask(Type.LOAD, {"later": [1, {"x": 2}]}).header.type == Type.RESULT


def test_the_same_id_gets_the_same_answer(raw: Raw):
    raw.hello()
    how = {"mode": "exclusive", "policy": "best_fit", "ties": "stable", "normalize": True, "dimensions": 1}
    body = {**how, "tasks": 1, "offers": 1, "columns": [], "task_amounts": [None], "offer_amounts": [None]}
    first = raw.ask(Type.MATCH, body)
    assert first.header.type == Type.RESULT and first.body["placed"] == 1
    assert raw.ask(Type.MATCH, body).body == first.body
    other = raw.ask(Type.MATCH, {**body, "tasks": 0})
    assert (other.header.type, other.body["code"]) == (Type.ERROR, 3), "the id is another request's"
    assert raw.ask(Type.MATCH, body).body == first.body
    assert raw.ask(Type.MATCH, {**body, "tasks": 0}, b"1" * 16).body["placed"] == 0


@pytest.mark.parametrize("ended", [True, False])
def test_an_id_from_before_a_restart_is_never_run_again(node: windlass.LocalNode, tmp_path: Path, ended: bool):
    size = 10 if ended else 256 << 20  # so that it runs when the daemon is killed
    with (tmp_path / "s").open("wb") as file:
        file.write(b"x" * (1 << 20))
        file.truncate(size)
    body = {"transfers": [{"source": bytes(tmp_path / "s"), "target": bytes(tmp_path / "t"), "checksum": "sha256"}]}
    with Raw(node.address) as raw:
        raw.hello()
        answer = raw.ask(Type.STAGE, body)
        while ended and answer.header.type == Type.PROGRESS:
            answer = raw.answer()
    node.kill()
    (tmp_path / "t").unlink(missing_ok=True)
    node.start()
    with Raw(node.address) as raw:
        raw.hello()
        for kind in (Type.PROGRESS, Type.STAGE):
            again = raw.ask(kind, body)
            if ended:
                assert (again.header.type, again.body) == (Type.RESULT, answer.body)
            else:
                assert (again.header.type, again.body["code"]) == (Type.ERROR, 5)
        assert raw.ask(Type.LOAD, {}, b"l" * 16).body["load"]["queue"]["stage"] == 0
    assert not (tmp_path / "t").exists()


def test_a_message_that_announces_four_billion_costs_nothing(node: windlass.LocalNode, raw: Raw):
    raw.hello()
    before = resident(node.pid)
    header = bytes(_wire.encode(Message(Header(Type.MATCH, ID)))[0])
    for body in (b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\x91" * 5000):
        raw.send(header, body)
        assert raw.answer().body["code"] == 3
    huge = {"tasks": 2**62, "offers": 2**62, "dimensions": 1, "columns": [], "task_amounts": [None]}
    how = {"mode": "exclusive", "policy": "best_fit", "ties": "stable", "normalize": True, "offer_amounts": [None]}
    assert raw.ask(Type.MATCH, huge | how, b"1" * 16).header.type == Type.ERROR
    assert resident(node.pid) - before < 32 << 20
    assert serves(node)


def test_random_messages_harm_nobody(node: windlass.LocalNode, raw: Raw):
    seed = int(os.environ.get("WINDLASS_SEED", random.randrange(2**32)))
    print(f"WINDLASS_SEED={seed}")
    chance = random.Random(seed)
    raw.hello()
    for _ in range(2000):
        raw.send(*random_frames(chance))
    assert serves(node)


def test_random_bytes_on_the_bare_socket_harm_nobody(node: windlass.LocalNode):
    chance = random.Random(5)
    path = node.address.removeprefix("ipc://")
    host, port = node.tcp_address.removeprefix("tcp://").split(":")
    greeting = b"\xff" + struct.pack(">Q", 1) + b"\x7f\x03\x00NULL" + bytes(48)
    for turn in range(100):
        if turn % 2:
            peer = socket.socket(socket.AF_UNIX)
            peer.connect(path)
        else:
            peer = socket.create_connection((host, int(port)))
        with peer:
            try:
                peer.sendall((greeting if turn % 3 else b"") + chance.randbytes(chance.randrange(5000)))
            except OSError:
                continue  # it has hung up already, which is its right
    assert serves(node)


# ---- LocalNode -------------------------------------------------------------------------------------------------------


def test_the_context_manager_leaves_no_process_and_no_folder():
    with windlass.LocalNode() as node:
        pid, folder = node.pid, node.folder
        assert Path(f"/proc/{pid}").exists() and folder.exists()
        assert node.tcp_address.startswith("tcp://127.0.0.1:") and node.http_url.startswith("http://127.0.0.1:")
        assert node.name.startswith("local-") and len(node.incarnation) == 16
        eventually(lambda: "{" in node.log(), what="it writes a log")
    assert not Path(f"/proc/{pid}").exists()
    assert not folder.exists()


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), 9)", "os._exit(1)", "sys.exit(0)", "raise SystemExit"])
def test_nothing_is_left_when_the_interpreter_dies(end: str):
    code = (
        "import os, sys, threading, windlass\n"
        "made = []\n"
        "thread = threading.Thread(target=lambda: made.append(windlass.LocalNode()))\n"
        "thread.start(); thread.join()\n"  # the thread that made it is gone, the node lives on
        "assert made[0].client().load().cores > 0\n"
        "print(made[0].pid, made[0].folder, flush=True)\n"
        f"{end}\n"
    )
    python = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    pid, folder = python.stdout.split()
    eventually(lambda: not Path(f"/proc/{pid}").exists(), what="the daemon is gone")
    eventually(lambda: not Path(folder).exists(), what="the folder is gone")


def test_a_forked_child_of_the_interpreter_keeps_nothing_alive():
    code = (
        "import os, time, windlass\n"
        "node = windlass.LocalNode()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    time.sleep(60)\n"
        "print(node.pid, child, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    python = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pid, child = map(int, python.stdout.readline().split())
    try:
        python.wait(10)
        eventually(lambda: not Path(f"/proc/{pid}").exists(), what="the daemon is gone")
    finally:
        os.kill(child, signal.SIGKILL)
        python.stdout.close()


def test_a_killed_keeper_takes_the_daemon_with_it(node: windlass.LocalNode):
    pid = node.pid
    os.kill(node._keeper._process.pid, signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{pid}").exists(), what="the daemon is gone")
    eventually(lambda: node.pid is None)
    with pytest.raises(windlass.Unavailable):
        node.start()
    node.close()
    assert not node.folder.exists()


def test_restart_keeps_the_folder_and_changes_the_process(node: windlass.LocalNode):
    pid, incarnation, folder = node.pid, node.incarnation, node.folder
    node.restart()
    assert node.pid != pid and node.incarnation != incarnation and node.folder == folder
    assert node.kill() == -signal.SIGKILL
    assert node.pid is None
    node.restart()
    assert serves(node)


def test_what_the_environment_says_does_not_reach_the_daemon(nodes: Make, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WINDLASS_NODE__NAME", "elsewhere")
    assert nodes().name.startswith("local-")
    assert nodes({"node": {"name": "here"}}).name == "here"


def test_a_missing_program_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("WINDLASSD", str(tmp_path / "nothing"))
    with pytest.raises(windlass.NotFound, match="make build"):
        find_windlassd()
