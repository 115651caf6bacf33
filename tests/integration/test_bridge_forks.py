"""A forked child of a bridge's process keeps neither the bridge's port nor the connections of its nodes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from socket import create_connection, create_server, has_ipv6

import pytest
import windlass
from keyed import Folders, Role, ask
from support import Raw, eventually
from windlass._wire import Type

Make = Callable[..., windlass.LocalNode]
KEYS, PLAIN = "with keys", "plain"
DIES = """
import os, sys, time
import windlass

with windlass.Bridge(sys.argv[1], beat=0.1, suspect_after=0.5, dead_after=2.0) as bridge:
    print(bridge.address, flush=True)
    while not bridge.offers():
        time.sleep(0.005)
    child = os.fork()
    if child == 0:
        os.close(1)
        while True:
            time.sleep(60)
    print(child, flush=True)
    time.sleep(60)
"""


def sockets_at(address: str, pid: int) -> int:
    """How many descriptors a process holds of sockets whose own port is the bridge's."""
    port = f":{int(address.rpartition(':')[2]):04X}"
    tables = [Path(f"/proc/net/{name}").read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
    bound = {row.split()[9] for table in tables for row in table if row.split()[1].endswith(port)}
    held = 0
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # that of the listing itself
            held += os.readlink(each).removeprefix("socket:[").rstrip("]") in bound
    return held


@contextlib.contextmanager
def forked() -> Iterator[int]:
    """A child that does nothing until it is killed."""
    child = os.fork()
    if child == 0:
        while True:
            signal.pause()
    try:
        yield child
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@pytest.fixture(params=[PLAIN, KEYS])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str | None:
    """The bridge's keys; those of an observer lie beside it."""
    if request.param == PLAIN:
        return None
    return Folders(tmp_path)["boss"]


def nodes_of(address: str, folder: str | None) -> dict[str, object]:
    """Asked as an observer, over a new connection."""
    eve = None if folder is None else str(Path(folder).parent / "eve")
    return dict(ask(address, Type.NODES, "observer", eve, "boss" if eve else None, Role.SCHEDULER, True)["nodes"])


@pytest.mark.parametrize("host", ["127.0.0.1", "*", "localhost", "[::1]", "[::]"])
def test_a_child_keeps_no_port_and_no_connection(host: str, folder: str | None):
    if host.startswith("[") and not has_ipv6:
        pytest.skip("no IPv6")
    with windlass.Bridge(f"tcp://{host}:0", keys=folder, insecure=True) as bridge:
        address = bridge.address
        dialled = address.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]")
        if host == "[::]":  # whoever comes by IPv4 has an address of its own kind there
            dialled = dialled.replace("[::1]", "127.0.0.1")
        peer = create_connection((dialled[6:].rpartition(":")[0].strip("[]"), int(dialled.rpartition(":")[2])))
        eventually(lambda: sockets_at(address, os.getpid()) == 2, what="a listener and a connection are there")
        with forked() as child:
            eventually(lambda: sockets_at(address, child) == 0, what="the child has closed them")
            assert sockets_at(address, os.getpid()) == 2, "and the parent has not"
            assert nodes_of(dialled, folder) == {}, "it serves on"
            peer.settimeout(20)
            peer.sendall(b"\xff")  # it is open still, and greeted in turn
            assert peer.recv(1) == b"\xff"
            bridge.close()
            while peer.recv(4096):
                pass  # and ended with the bridge
            peer.close()
            with windlass.Bridge(address, keys=folder, insecure=True) as successor:
                assert nodes_of(dialled, folder) == {} and successor.address == address


def test_a_port_is_free_at_once_though_a_child_was_just_made():
    address = "tcp://127.0.0.1:0"
    for _ in range(5):
        bridge = windlass.Bridge(address)
        address = bridge.address
        with forked():
            bridge.close()
            windlass.Bridge(address).close()


def test_a_child_may_have_a_bridge_of_its_own_and_sockets_of_its_parents(bridge: windlass.Bridge):
    """What is not a bridge's stays open, a socket of the user's on another address of the same port, too."""
    port = int(bridge.address.rpartition(":")[2])
    with create_server(("127.0.0.2", port)) as listener, create_connection(("127.0.0.2", port)) as peer:
        accepted = listener.accept()[0]
        child = os.fork()
        if child == 0:
            code = 1
            try:
                accepted.sendall(b"x")
                with windlass.Bridge("tcp://127.0.0.1:0") as own, Raw(own.address) as raw:
                    assert raw.hello() is not None
                    grandchild = os.fork()
                    if grandchild == 0:
                        os._exit(0 if sockets_at(own.address, os.getpid()) == 0 else 1)
                    code = os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1])
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        accepted.close()
        assert peer.recv(1) == b"x" and peer.recv(1) == b""


def test_nodes_come_back_though_a_child_outlives_the_bridges_process(nodes: Make):
    with subprocess.Popen(
        [sys.executable, "-c", DIES, "tcp://127.0.0.1:0"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        child = 0
        try:
            address = process.stdout.readline().strip()
            nodes({"node.name": "n", "bridge.address": address})
            child = int(process.stdout.readline())
            eventually(lambda: sockets_at(address, child) == 0, what="the child has closed them")
            process.kill()
            process.wait()
            with windlass.Bridge(address, beat=0.1, suspect_after=0.5, dead_after=2.0) as bridge:
                eventually(lambda: "n" in bridge.nodes() and bridge.nodes()["n"].state == "alive", 20.0)
        finally:
            process.kill()
            if child:
                os.kill(child, signal.SIGKILL)


def test_a_port_that_another_has_is_told(bridge: windlass.Bridge):
    with pytest.raises(windlass.Unavailable, match="ss -ltnp") as error:
        windlass.Bridge(bridge.address)
    assert not error.value.retryable
