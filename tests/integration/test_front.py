"""The daemon's front: clients of every kind over ipc and tcp, hostile ones among them, and the limit of descriptors."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import windlass
import zmq
from bare import GREETING, HELLO, READY, ROUTERS_READY, answered, ask_until_held, bare, framed, message, read
from support import ID, SANITIZED, Raw, eventually, fallbacks, metric, problem, resident
from windlass import _wire
from windlass._local_node import find_windlassd
from windlass._wire import Type

Make = Callable[..., windlass.LocalNode]


@pytest.fixture(params=["ipc", "tcp"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def address_of(node: windlass.LocalNode, transport: str) -> str:
    return node.address if transport == "ipc" else str(node.tcp_address)


def hung_up_on(peer: socket.socket) -> bool:
    """Reads to the end of what the daemon says; False where it keeps the connection for 10 s."""
    try:
        while peer.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


def serves(node: windlass.LocalNode, transport: str = "ipc") -> bool:
    tasks, offers = problem(5, 5)
    before = fallbacks()
    with windlass.Client(address_of(node, transport)) as client:
        client.match(tasks, offers)
    return fallbacks() == before


def refused(node: windlass.LocalNode, reason: str) -> float:
    return metric(node, f'windlass_peers_refused_total{{reason="{reason}"}}')


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# ---- The protocol ----------------------------------------------------------------------------------------------------


def test_a_client_that_sends_byte_by_byte_is_served(node: windlass.LocalNode, transport: str):
    with bare(address_of(node, transport)) as peer:
        said = GREETING + READY
        for at in range(len(said)):
            peer.sendall(said[at : at + 1])
        assert read(peer, 64 + len(ROUTERS_READY)) == GREETING + ROUTERS_READY
        hello = framed(message(Type.HELLO, HELLO))
        for at in range(len(hello)):
            peer.sendall(hello[at : at + 1])
        flags, size = read(peer, 2)
        assert (flags, _wire.decode_header(read(peer, size)).type) == (1, Type.WELCOME)


def test_a_ping_is_answered(node: windlass.LocalNode, transport: str):
    with bare(address_of(node, transport), GREETING + READY, b"\x04\x0b\x04PING\x00\x64four") as peer:
        assert read(peer, 64 + len(ROUTERS_READY)) == GREETING + ROUTERS_READY
        assert read(peer, 11) == b"\x04\x09\x04PONGfour"


def test_a_client_whose_zeromq_sends_heartbeats_keeps_its_connection(node: windlass.LocalNode, transport: str):
    with Raw(address_of(node, transport)) as raw:
        raw._socket.close()
        raw._socket = raw._context.socket(zmq.DEALER)
        raw._socket.setsockopt(zmq.HEARTBEAT_IVL, 20)
        raw._socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 2000)
        monitor = raw._socket.get_monitor_socket(zmq.Event.DISCONNECTED)
        raw._socket.connect(address_of(node, transport))
        raw.hello()
        assert not monitor.poll(500), "it was hung up on"
        assert raw.ask(Type.LOAD, {}).header.type == Type.RESULT
        raw._socket.disable_monitor()
        monitor.close()


@pytest.mark.parametrize("kind", [zmq.REQ, zmq.ROUTER])
def test_other_sockets_than_dealers_are_refused_and_told_why(node: windlass.LocalNode, transport: str, kind: int):
    context = zmq.Context()
    odd = context.socket(kind)
    odd.linger = 0
    monitor = odd.get_monitor_socket(zmq.Event.HANDSHAKE_FAILED_PROTOCOL | zmq.Event.HANDSHAKE_FAILED_AUTH)
    try:
        odd.connect(address_of(node, transport))
        eventually(lambda: refused(node, "protocol") > 0)
        line = eventually(lambda: [line for line in node.log().splitlines() if "client is refused" in line])[0]
        assert "no DEALER" in line
    finally:
        odd.disable_monitor()
        monitor.close()
        odd.close()
        context.term()
    assert serves(node, transport)


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        GREETING[:10] + b"\x01" + GREETING[11:],
        GREETING[:12] + b"CURVE" + bytes(47),
        GREETING + READY[:20] + b"\xff" * 40,
        GREETING + b"\x00\x01x",
        GREETING + READY + b"\x02" + struct.pack(">Q", 2**31 + 1),
        GREETING + READY + b"\x02" + struct.pack(">Q", 2**64 - 1),
        GREETING + READY + b"\x88\x01x",
    ],
    ids=["http", "version", "mechanism", "ready", "early", "frame", "far", "flags"],
)
def test_what_is_no_zmtp_is_hung_up_on(node: windlass.LocalNode, transport: str, said: bytes):
    with bare(address_of(node, transport), said) as peer:
        assert hung_up_on(peer)
    assert refused(node, "protocol") == 1
    assert serves(node, transport)


def test_a_client_that_closes_one_half_is_let_go(node: windlass.LocalNode, transport: str):
    with bare(address_of(node, transport), GREETING + READY) as peer:
        peer.shutdown(socket.SHUT_WR)
        assert hung_up_on(peer)
    eventually(lambda: metric(node, "windlass_connections") == 0)


def test_who_does_not_greet_is_hung_up_on_after_ten_seconds(node: windlass.LocalNode, transport: str):
    begun = time.monotonic()
    with contextlib.ExitStack() as stack:
        slow = [
            stack.enter_context(bare(address_of(node, transport), GREETING[:count]))
            for count in (0, 1, 10, 63, 64)
            for _ in range(20)
        ]
        assert serves(node, transport)
        for peer in slow:
            peer.settimeout(30)
            assert hung_up_on(peer)
    assert time.monotonic() - begun > 9
    assert refused(node, "greeting") == len(slow)


def test_a_frame_that_is_only_announced_takes_no_memory(node: windlass.LocalNode, transport: str):
    before = resident(node.pid)
    announced = b"\x02" + struct.pack(">Q", 2**31)
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            peer = stack.enter_context(bare(address_of(node, transport), GREETING + READY))
            peer.sendall(framed(message(Type.HELLO, HELLO)) + announced + bytes(100_000))
        eventually(lambda: metric(node, "windlass_clients") >= 20)
        assert serves(node, transport)
        assert metric(node, "windlass_connections") >= 20
        assert resident(node.pid) - before < (512 << 20 if SANITIZED else 32 << 20)  # of 40 GiB
    eventually(lambda: metric(node, "windlass_connections") == 0)


def test_who_has_not_said_hello_may_not_send_much(node: windlass.LocalNode, transport: str):
    with bare(
        address_of(node, transport), GREETING + READY, b"\x02" + struct.pack(">Q", 2**31) + bytes(70_000)
    ) as peer:
        assert hung_up_on(peer)
    eventually(lambda: refused(node, "memory") == 1)
    assert serves(node, transport)


def test_a_message_of_many_megabytes_comes_whole(node: windlass.LocalNode, transport: str):
    offers = {"name": list(range(2_000_000)), "cpu": [1.0] * 2_000_000}
    with windlass.Client(address_of(node, transport)) as client:
        before = fallbacks()
        result = client.match({"name": ["a", "b"], "cpu": [1.0, 2.0]}, offers)
        assert result.assignments == {"a": 0} and fallbacks() == before


def test_a_client_that_does_not_read_hinders_nobody_and_loses_nothing(node: windlass.LocalNode, transport: str):
    """It is not listened to until it takes its answers, so that none has to be dropped for want of room."""
    with bare(address_of(node, transport), GREETING + READY, framed(message(Type.HELLO, HELLO, bytes(16)))) as peer:
        asked = ask_until_held(peer)
        assert 500 < asked < 100_000, "it is held back, and not before there is much"
        assert serves(node, transport)
        read(peer, 64 + len(ROUTERS_READY))
        assert answered(peer, asked + 1) == [number.to_bytes(16, "big") for number in range(asked + 1)]
        assert metric(node, 'windlass_messages_dropped_total{reason="queue_full"}') == 0


def test_a_client_started_anew_with_its_old_routing_id_is_heard(node: windlass.LocalNode, transport: str):
    context = zmq.Context()
    sockets = [context.socket(zmq.DEALER) for _ in range(2)]
    try:
        for made in sockets:  # the first keeps its connection: nobody told the daemon that it is gone
            made.linger = 0
            made.setsockopt(zmq.RECONNECT_IVL, -1)
            made.setsockopt(zmq.ROUTING_ID, b"worker-7")
            made.connect(address_of(node, transport))
            made.send_multipart(message(Type.HELLO, HELLO))
            assert made.poll(10_000), "no answer"
            assert _wire.decode(made.recv_multipart()).header.type == Type.WELCOME
        assert refused(node, "replaced") == 1
        sockets[1].send_multipart(message(Type.LOAD, {}))
        assert sockets[1].poll(10_000) and not sockets[0].poll(0)
    finally:
        for made in sockets:
            made.close()
        context.term()


def test_a_client_that_connects_anew_under_its_routing_id_is_to_say_hello_first(
    nodes: Make, tmp_path: Path, transport: str
):
    node = nodes({"stage.roots": [str(tmp_path)], "stage.bandwidth_max": "1MiB"})
    address, stage = address_of(node, transport), ID[::-1]
    (tmp_path / "a").write_bytes(bytes(3 << 20))
    transfers = [{"source": bytes(tmp_path / "a"), "target": bytes(tmp_path / "b")}]
    with Raw(address, b"worker-7") as raw:
        assert raw.hello().header.type == Type.WELCOME
        assert raw.ask(Type.STAGE, {"transfers": transfers}, stage).header.type == Type.PROGRESS
    eventually(lambda: metric(node, "windlass_clients") == 0, what="it is forgotten")
    with Raw(address, b"worker-7") as raw:
        raw.send(*message(Type.LOAD, {}))
        while (answer := raw.answer(10.0)).header.type == Type.PROGRESS:  # of the STAGE, which runs on
            pass
        assert answer.header.type == Type.ERROR and answer.body["message"] == "say HELLO first"
        raw.send(*message(Type.HELLO, HELLO))
        seen = {}
        while stage not in seen:
            answer = raw.answer(30.0)
            if answer.header.type != Type.PROGRESS:
                seen[answer.header.id] = answer
        assert seen[ID].header.type == Type.WELCOME
        assert [each["state"] for each in seen[stage].body["transfers"]] == ["done"], "and it hears the end"


def test_clients_that_come_and_go_leave_nothing_behind(node: windlass.LocalNode, transport: str):
    for _ in range(300):
        with bare(address_of(node, transport), GREETING + READY, framed(message(Type.HELLO, HELLO))) as peer:
            read(peer, 64 + len(ROUTERS_READY) + 1)
    with Raw(address_of(node, transport)) as raw:
        assert raw.hello().header.type == Type.WELCOME
        eventually(lambda: metric(node, "windlass_clients") == 1, what="of those that went none is kept")


def test_the_loopback_of_ipv6_can_be_listened_on(nodes: Make):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no ::1 here")
    node = nodes({"local.listen": "[::1]:0"})
    assert str(node.tcp_address).startswith("tcp://[::1]:")
    assert serves(node, "tcp")


def test_a_taken_port_is_said(nodes: Make, node: windlass.LocalNode):
    taken = str(node.tcp_address).removeprefix("tcp://")
    with pytest.raises(windlass.Unavailable, match=rf"local.listen {taken} cannot be bound: Address already in use"):
        nodes({"local.listen": taken})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_the_kernels_word_on_the_user_decides_who_is_served(nodes: Make):
    node = nodes({"security.local_uids": [65534]})

    def greeted(uid: int) -> bool:
        child = os.fork()
        if child == 0:
            try:
                os.setuid(uid)
                with bare(node.address) as peer:
                    os._exit(0 if read(peer, 64) == GREETING else 1)
            finally:
                os._exit(2)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    assert greeted(65534) and not greeted(65533) and greeted(os.geteuid())
    assert refused(node, "user") == 1


# ---- Descriptors -----------------------------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str, Path]]:
    """A daemon with 256 descriptors at most: process, address, log."""
    limits = (256, 256)
    address, log = f"ipc://{tmp_path}/d.sock", tmp_path / "log"
    flags = [f"--local.socket={tmp_path}/d.sock", "--node.name=small", "--state.path=", "--http.listen="]
    with log.open("w") as err:
        process = subprocess.Popen(
            [find_windlassd(), *flags],
            stdout=subprocess.PIPE,
            stderr=err,
            text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limits),
        )
    try:
        assert process.stdout is not None and process.stdout.readline(), log.read_text()
        yield process, address, log
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        process.stdout.close()


def greeted_by(address: str) -> socket.socket | None:
    """A socket that was greeted, None where it was hung up on."""
    peer = bare(address, GREETING + READY)
    try:
        if read(peer, 64) == GREETING:
            return peer
    except OSError:
        pass
    peer.close()
    return None


def test_at_the_limit_of_descriptors_clients_are_refused_and_the_others_served(small):
    process, address, log = small
    with Raw(address) as raw, contextlib.ExitStack() as stack:
        raw.hello()
        held = 1
        while (peer := greeted_by(address)) is not None:
            stack.enter_context(peer)
            held += 1
            assert held < 256
        assert held == 256 - 98
        for _ in range(200):
            assert greeted_by(address) is None
        assert raw.ask(Type.LOAD, {}).header.type == Type.RESULT
        before = cpu_seconds(process.pid)
        assert raw.answer(1.0) is None
        assert cpu_seconds(process.pid) - before < 0.2, "it spins"
    assert log.read_text().count("client is refused") == 1
    eventually(lambda: greeted_by(address) is not None, what="there is room again")


def test_with_no_descriptor_left_at_all_clients_are_refused_and_the_others_served(small):
    process, address, log = small
    with Raw(address) as raw:
        raw.hello()
        used = max(int(name) for name in os.listdir(f"/proc/{process.pid}/fd"))
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (used + 1, 256))
        refusals = 0
        with contextlib.ExitStack() as stack:
            for _ in range(256):
                peer = greeted_by(address)
                if peer is None:
                    refusals += 1
                else:
                    stack.enter_context(peer)
                if refusals == 20:
                    break
            assert refusals == 20
            assert raw.ask(Type.LOAD, {}).header.type == Type.RESULT
            before = cpu_seconds(process.pid)
            assert raw.answer(1.0) is None
            assert cpu_seconds(process.pid) - before < 0.2, "it spins"
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (256, 256))
    assert log.read_text().count("client is refused") == 1
    eventually(lambda: greeted_by(address) is not None, what="there is room again")
