"""Keys over real sockets, at the bridge and at the daemon: who is let in, who is refused, counted and logged."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import windlass
import zmq
from keyed import Folders, Role, ask, refused, start, state
from stalling import StallingRelay
from support import ID, Raw, eventually, metric
from windlass import _door, _keys, _wire
from windlass._keys_curve import dialling, protect_client
from windlass._local_node import find_windlassd
from windlass._wire import Header, Message, Type

Make = Callable[..., windlass.LocalNode]
HELLO = {"role": "client", "versions": [1, 1], "features": [], "software": "x", "pid": 1}


@pytest.fixture
def keys(tmp_path: Path) -> Folders:
    return Folders(tmp_path / "keys")


@pytest.fixture
def keyed_bridge(keys: Folders) -> Iterator[windlass.Bridge]:
    with windlass.Bridge("tcp://127.0.0.1:0", keys=keys["boss"], beat=0.1, suspect_after=0.5, dead_after=2.0) as made:
        yield made


@pytest.fixture
def keyed_node(nodes: Make, keys: Folders, keyed_bridge: windlass.Bridge, tmp_path: Path) -> windlass.LocalNode:
    (tmp_path / "root").mkdir()
    return start(nodes, keys, keyed_bridge, "n", **{"stage.roots": [str(tmp_path / "root")]})


def turned_away(node: windlass.LocalNode, reason: str) -> float:
    return metric(node, f'windlass_peers_refused_total{{reason="{reason}"}}')


# ---- Those who belong here -------------------------------------------------------------------------------------------


def test_bridge_node_client_and_observer_work_by_their_keys(
    keyed_bridge: windlass.Bridge, keyed_node: windlass.LocalNode, keys: Folders, tmp_path: Path
):
    eventually(lambda: keyed_bridge.offers(), what="it registers and reports")
    (tmp_path / "root/a").write_bytes(b"a")
    with windlass.Client(keyed_node.tcp_address, keys=keys["bob"]) as client:
        assert client.match([{"name": "t", "cpu": 1}], [{"name": "o", "cpu": 2}]).assignments == {"t": "o"}
        assert client.stage([windlass.Transfer(tmp_path / "root/a", tmp_path / "root/b")]).ok
    assert keyed_bridge.stage("n", [windlass.Transfer(tmp_path / "root/a", tmp_path / "root/c")]).ok
    with windlass.Client(keyed_node.tcp_address, keys=keys["eve"]) as watcher:
        assert watcher.load().cores > 0
    told = ask(keyed_bridge.address, Type.NODES, "observer", keys["eve"], None, Role.SCHEDULER)
    assert set(told["nodes"]) == {"n"}


def test_large_columns_come_through_encrypted(keyed_node: windlass.LocalNode, keys: Folders):
    tasks = [{"name": n, "cpu": 1} for n in range(30_000)]
    with windlass.Client(keyed_node.tcp_address, keys=keys["bob"]) as client:
        assert len(client.match(tasks, [{"name": "o", "cpu": 10_000}], mode="packing").assignments) == 10_000


def test_the_environment_names_the_folder(
    keyed_node: windlass.LocalNode, keys: Folders, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("WINDLASS_SECURITY__KEYS", keys["bob"])
    with windlass.Client(keyed_node.tcp_address) as client:
        assert client.load().cores > 0


def test_anothers_authenticator_in_the_same_process_is_left_alone(keys: Folders):
    from zmq.auth.thread import ThreadAuthenticator

    theirs = ThreadAuthenticator(zmq.Context.instance())
    theirs.start()
    try:
        with windlass.Bridge("tcp://127.0.0.1:0", keys=keys["boss"]) as bridge:
            assert ask(bridge.address, Type.NODES, "observer", keys["eve"], None, Role.SCHEDULER) == {"nodes": {}}
        assert theirs.is_alive()
    finally:
        theirs.stop()


# ---- Strangers at the bridge -----------------------------------------------------------------------------------------


def test_a_stranger_without_a_key_gets_no_answer_from_the_bridge(keyed_bridge: windlass.Bridge):
    before = refused("handshake")
    with Raw(keyed_bridge.address) as raw:
        assert raw.hello() is None
    assert eventually(lambda: refused("handshake") > before)


def test_a_wrong_key_is_refused_by_the_bridge_and_logged_once(
    keyed_bridge: windlass.Bridge, keys: Folders, caplog: pytest.LogCaptureFixture
):
    keys.new("mallory", Role.OBSERVER)
    keys.allow("mallory", "boss")
    before = refused("unknown_key")
    with caplog.at_level(logging.WARNING, "windlass.bridge"):
        for _ in range(3):
            with pytest.raises(windlass.Unavailable, match="refuses this key"):
                ask(keyed_bridge.address, Type.NODES, "observer", keys["mallory"], None, Role.SCHEDULER)
    assert refused("unknown_key") >= before + 3
    said = [record for record in caplog.records if "unknown_key" in record.getMessage()]
    assert len(said) == 1 and keys.public("mallory") in said[0].getMessage()


def test_an_impostor_of_the_bridge_is_not_believed(keys: Folders, keyed_bridge: windlass.Bridge):
    keys.new("other", Role.SCHEDULER)
    with pytest.raises(windlass.Unavailable):
        ask(keyed_bridge.address, Type.NODES, "observer", keys["eve"], keys.public("other"), Role.SCHEDULER)


def test_a_revoked_node_is_refused_on_its_next_message_and_cannot_come_back(
    keyed_bridge: windlass.Bridge, keyed_node: windlass.LocalNode, keys: Folders
):
    eventually(lambda: state(keyed_bridge) == "alive", what="it is registered")
    before = refused("revoked_key")
    keys.revoke("boss", "n")
    eventually(lambda: state(keyed_bridge) == "dead", 10.0, "it is not one of ours any more")
    eventually(lambda: refused("revoked_key") >= before + 2, 10.0, "its message, and its coming again, are counted")
    assert state(keyed_bridge) == "dead"
    keys.allow("boss", "n", again=True)
    eventually(lambda: state(keyed_bridge) == "alive", 15.0, "allowed again, it comes back without a restart")


def test_a_key_speaks_in_its_own_part_only(keyed_bridge: windlass.Bridge, keys: Folders):
    before = refused("role")
    for name, kind, role in (
        ("eve", Type.NODES, "node"),
        ("eve", Type.DRAIN, "observer"),
        ("eve", Type.STAGE, "observer"),
    ):
        with pytest.raises(windlass.PermissionDenied, match="role observer"):
            ask(keyed_bridge.address, kind, role, keys[name], None, Role.SCHEDULER)
    keys.allow("boss", "bob")

    def clients_are_none_of_ours() -> bool:
        try:
            ask(keyed_bridge.address, Type.NODES, "observer", keys["bob"], keys.public("boss"), Role.SCHEDULER)
        except windlass.Unavailable:
            return False  # the bridge has not read the list yet
        except windlass.PermissionDenied as error:
            return "role client" in str(error)
        raise AssertionError("a client's key was served")

    eventually(clients_are_none_of_ours)
    assert refused("role") >= before + 4


def test_a_nodes_key_speaks_under_its_own_name_only(nodes: Make, keyed_bridge: windlass.Bridge, keys: Folders):
    before = refused("role")
    nodes({"node.name": "other", "bridge.address": keyed_bridge.address, "security.keys": keys["n"]})
    eventually(lambda: refused("role") > before, what="it is refused")
    assert state(keyed_bridge, "other") is None
    own = _keys.load_own(keys["n"])
    _keys.allow(keys["boss"], _keys.AllowedKey("n", Role.NODE, own.public, any_name=True))
    eventually(lambda: state(keyed_bridge, "other") == "alive", 15.0, "a key of many nodes may")


def test_what_is_refused_is_told_from_the_start():
    """As the table of docs/security.md has it, in a process that has refused nobody."""
    told = subprocess.run(
        [sys.executable, "-c", "import json, windlass; print(json.dumps(windlass.stats()))"],
        capture_output=True,
        text=True,
        check=True,
    )
    page = (Path(__file__).parents[2] / "docs/security.md").read_text()
    table = page.partition("## What is seen of strangers")[2].partition("## ")[0]
    reasons = re.findall(r"\| `(\w+)` \|$", table, re.MULTILINE)
    assert json.loads(told.stdout)["refused"] == dict.fromkeys(reasons, 0) and len(reasons) == 5


# ---- Strangers at the daemon -----------------------------------------------------------------------------------------


def test_strangers_are_refused_by_the_daemon_counted_and_logged_once(keyed_node: windlass.LocalNode, keys: Folders):
    keys.new("mallory", Role.CLIENT)
    keys.allow("mallory", "n")
    with Raw(str(keyed_node.tcp_address)) as raw:
        assert raw.hello() is None
    for _ in range(3):
        with pytest.raises(windlass.Unavailable, match="refuses this key"):
            ask(str(keyed_node.tcp_address), Type.LOAD, "client", keys["mallory"], None, Role.NODE)
    eventually(lambda: turned_away(keyed_node, "unknown_key") >= 3)
    assert turned_away(keyed_node, "handshake") >= 1
    assert keyed_node.log().count('"why":"unknown_key"') == 1
    with windlass.Client(keyed_node.tcp_address, keys=keys["bob"]) as client:
        assert client.load().cores > 0, "it serves its own"


def test_a_revoked_client_is_refused_on_its_next_message(keyed_node: windlass.LocalNode, keys: Folders):
    with windlass.Client(keyed_node.tcp_address, keys=keys["bob"]) as client:
        client.load()
        keys.revoke("n", "bob")

        def answer() -> str:
            try:
                client.load()
            except windlass.WindlassError as error:
                return f"{error.code.name}: {error}"
            return ""

        first = eventually(answer, 10.0, "well within a minute")
        assert "UNAUTHENTICATED" in first or "lost" in first, "it is told, or cut before it hears it"
        eventually(lambda: "refuses this key" in answer(), what="it cannot come back")
        assert turned_away(keyed_node, "revoked_key") >= 2


def test_a_schedulers_message_from_an_observers_key_begins_nothing(
    keyed_node: windlass.LocalNode, keys: Folders, tmp_path: Path
):
    (tmp_path / "root/a").write_bytes(b"a")
    with windlass.Client(keyed_node.tcp_address, keys=keys["eve"]) as watcher:
        for _ in range(3):
            with pytest.raises(windlass.PermissionDenied, match="role observer"):
                watcher.stage([windlass.Transfer(tmp_path / "root/a", tmp_path / "root/b")])
        assert watcher.load().queue["stage"] == 0
    assert not (tmp_path / "root/b").exists()
    assert metric(keyed_node, 'windlass_requests_refused_total{reason="permission"}') == 3
    assert keyed_node.log().count("peer is denied") == 1


def test_a_node_hangs_up_on_a_bridge_whose_key_it_revoked(
    keyed_bridge: windlass.Bridge, keyed_node: windlass.LocalNode, keys: Folders
):
    eventually(lambda: state(keyed_bridge) == "alive")
    keys.revoke("n", "boss")
    eventually(lambda: state(keyed_bridge) in ("suspect", "dead"), 10.0, "it says nothing more")
    assert turned_away(keyed_node, "bridge_key") == 1
    keys.allow("n", "boss", again=True)
    eventually(lambda: state(keyed_bridge) == "alive", 15.0)


def test_a_bridge_may_change_its_key(nodes: Make, keys: Folders):
    keys.new("boss2", Role.SCHEDULER)
    keys.allow("n", "boss2")
    keys.allow("boss2", "n")
    address = "tcp://127.0.0.1:0"
    times: dict[str, Any] = {"beat": 0.1, "suspect_after": 0.5, "dead_after": 2.0}
    with windlass.Bridge(address, keys=keys["boss"], **times) as bridge:
        address = bridge.address
        start(nodes, keys, bridge, "n")
        eventually(lambda: state(bridge) == "alive")
    with windlass.Bridge(address, keys=keys["boss2"], **times) as bridge:
        eventually(lambda: state(bridge) == "alive", 20.0, "the node tries the other key it believes")


# ---- Limits ----------------------------------------------------------------------------------------------------------


def connect(address: str) -> socket.socket:
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    return socket.create_connection((host, int(port)))


GREETING = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x01" + b"CURVE".ljust(20, b"\0") + bytes(32)


PLAIN_GREETING = (
    b"\xff"
    + bytes(7)
    + b"\x01\x7f\x03\x01NULL"
    + bytes(48)
    + b"\x04\x29\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER\x08Identity\x00\x00\x00\x00"
)


def is_cut(connection: socket.socket, chunk: bytes) -> bool:
    try:
        connection.sendall(chunk)
        connection.settimeout(0.001)
        while connection.recv(4096):
            pass
        return True
    except TimeoutError:
        return False
    except OSError:
        return True


@pytest.mark.parametrize("side", ["bridge", "daemon"])
def test_a_stranger_cannot_fill_the_memory_before_the_handshake(
    side: str, keyed_bridge: windlass.Bridge, keyed_node: windlass.LocalNode
):
    address = keyed_bridge.address if side == "bridge" else str(keyed_node.tcp_address)
    count = (lambda: refused("flood")) if side == "bridge" else (lambda: turned_away(keyed_node, "flood"))
    before = count()
    with connect(address) as stranger:
        # A frame of 15 MiB, which is within what a peer may send, and belongs to nobody yet.
        stranger.sendall(GREETING + b"\x06" + (15 << 20).to_bytes(8, "big"))
        sent = 0
        until = time.monotonic() + 20
        while not is_cut(stranger, bytes(4096)):
            sent += 4096
            assert sent < 15 << 20 and time.monotonic() < until, "it is cut long before"
    eventually(lambda: count() > before)


@pytest.mark.parametrize("side", ["bridge", "daemon"])
def test_a_key_cannot_fill_the_memory_by_a_message_that_never_ends(
    side: str, keyed_bridge: windlass.Bridge, keyed_node: windlass.LocalNode, keys: Folders
):
    """What it had said before makes it no friend for good."""
    address = keyed_bridge.address if side == "bridge" else str(keyed_node.tcp_address)
    count = (lambda: refused("flood")) if side == "bridge" else (lambda: turned_away(keyed_node, "flood"))
    before = count()
    kind = Type.NODES if side == "bridge" else Type.LOAD
    with StallingRelay(address, 24 << 20) as relay, dealer(relay.address, keys, "eve", side) as eve:
        eve.send_multipart(_wire.encode(Message(Header(Type.HELLO, ID), {**HELLO, "role": "observer"})))
        assert eve.poll(10_000) and eve.recv_multipart()
        header, body = _wire.encode(Message(Header(kind, ID), {"pad": bytes(10 << 20)}))
        eve.send_multipart([header, body, *[bytes(10 << 20)] * 3])
        assert relay.cut.wait(30), "it is cut, though its key is good"
        assert count() == before + 1
    with windlass.Client(keyed_node.tcp_address, keys=keys["bob"]) as client:
        assert client.load().cores > 0


@contextlib.contextmanager
def dealer(address: str, keys: Folders, name: str, side: str = "daemon") -> Iterator[zmq.Socket[bytes]]:
    """A DEALER with that key, towards the daemon or the bridge, that comes once and not again."""
    context = zmq.Context()
    made = context.socket(zmq.DEALER)
    made.linger = 0
    made.setsockopt(zmq.RECONNECT_IVL, -1)
    server = keys.public("boss" if side == "bridge" else "n")
    credentials = dialling(address, keys[name], server, None, Role.SCHEDULER if side == "bridge" else Role.NODE)
    assert credentials is not None
    protect_client(made, credentials.own, credentials.servers()[0])
    made.connect(address)
    try:
        yield made
    finally:
        made.close()
        context.term()


def test_a_revoked_key_that_floods_is_told_once_and_holds_up_nobody(keyed_node: windlass.LocalNode, keys: Folders):
    with dealer(str(keyed_node.tcp_address), keys, "bob") as bob:
        bob.send_multipart(_wire.encode(Message(Header(Type.HELLO, ID), HELLO)))
        assert bob.poll(10_000) and bob.recv_multipart()
        keys.revoke("n", "bob")
        ask = [bytes(frame) for frame in _wire.encode(Message(Header(Type.LOAD, ID), {}))]
        until = time.monotonic() + 20
        while not turned_away(keyed_node, "revoked_key") and time.monotonic() < until:
            for _ in range(500):
                with contextlib.suppress(zmq.Again):  # its queue is full
                    bob.send_multipart(ask, zmq.NOBLOCK)
        assert turned_away(keyed_node, "revoked_key") > 0
        with keyed_node.client() as local:
            assert local.load().cores > 0
        told = 0
        while bob.poll(300):
            answer = _wire.decode(bob.recv_multipart())
            told += answer.header.type == Type.ERROR
        assert told <= 1


def test_a_client_with_a_key_whose_connection_ends_is_forgotten(keyed_node: windlass.LocalNode, keys: Folders):
    clients = "windlass_clients"
    for _ in range(20):
        with dealer(str(keyed_node.tcp_address), keys, "bob") as bob:
            bob.send_multipart(_wire.encode(Message(Header(Type.HELLO, ID), HELLO)))
            assert bob.poll(10_000) and _wire.decode(bob.recv_multipart()).header.type == Type.WELCOME
    eventually(lambda: metric(keyed_node, clients) == 0)
    with dealer(str(keyed_node.tcp_address), keys, "bob") as bob:
        for kind, body, answer in ((Type.LOAD, {}, Type.ERROR), (Type.HELLO, HELLO, Type.WELCOME)):
            bob.send_multipart(_wire.encode(Message(Header(kind, ID), body)))
            assert bob.poll(10_000) and _wire.decode(bob.recv_multipart()).header.type == answer
        eventually(lambda: metric(keyed_node, clients) == 1)


def test_clients_that_fill_the_local_socket_leave_room_for_those_with_keys(keys: Folders, tmp_path: Path):
    """The limit of open files is shared: ZeroMQ, which accepts those with keys, cannot wait for a descriptor."""
    flags = {"local.socket": tmp_path / "d.sock", "local.listen": "127.0.0.1:0", "security.keys": keys["n"]}
    command = [find_windlassd(), "--node.name=n", "--state.path=", "--http.listen="]
    process = subprocess.Popen(
        [*command, *(f"--{key}={value}" for key, value in flags.items())],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256)),
    )
    try:
        assert process.stdout is not None
        tcp = json.loads(process.stdout.readline())["tcp"]
        with contextlib.ExitStack() as stack:
            held = 0
            while held < 256:
                peer = stack.enter_context(socket.socket(socket.AF_UNIX))
                peer.connect(str(flags["local.socket"]))
                try:
                    peer.sendall(PLAIN_GREETING)
                    if not peer.recv(64):
                        break
                except (ConnectionResetError, BrokenPipeError):
                    break
                held += 1
            assert held == (256 - 98) - (256 - 98) // 2
            for _ in range(3):
                with windlass.Client(tcp, keys=keys["bob"]) as client:
                    assert client.load().cores > 0
            eve = [stack.enter_context(windlass.Client(tcp, keys=keys["eve"])) for _ in range(10)]
            assert all(client.load().cores > 0 for client in eve)
    finally:
        process.terminate()
        assert process.wait(20) == 0
        process.stdout.close()


def test_a_flood_of_silent_connections_leaves_room_for_those_with_keys(keyed_node: windlass.LocalNode, keys: Folders):
    silent = [connect(str(keyed_node.tcp_address)) for _ in range(600)]
    try:
        eventually(lambda: turned_away(keyed_node, "flood") >= 600 - 512, what="those beyond the limit are cut")
    finally:
        for connection in silent:
            connection.close()
    with windlass.Client(keyed_node.tcp_address, keys=keys["bob"]) as client:
        eventually(lambda: client.load().cores > 0)


def test_a_bridge_whose_authenticator_lets_strangers_in_does_not_start(keys: Folders, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_door.KeyedDoor, "_is_allowed", lambda *_: True)
    with pytest.raises(windlass.FailedPrecondition, match="self-test"):
        windlass.Bridge("tcp://127.0.0.1:0", keys=keys["boss"])


def test_a_node_says_why_the_bridge_does_not_take_it(nodes: Make, keyed_bridge: windlass.Bridge, keys: Folders):
    keys.new("mallory", Role.NODE)
    keys.allow("mallory", "boss")
    node = start(nodes, keys, keyed_bridge, "mallory")
    eventually(lambda: "it refuses this key" in node.log(), 20.0)
