"""`local.socket` and the users of the machine: the rights of the file, and the kernel's word on who connects."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import windlass
from support import ID, Raw, eventually, metric, problem
from windlass import _wire
from windlass._wire import Header, Message, Type

Make = Callable[..., windlass.LocalNode]
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as other users")

# All is imported as root; then the process is the other user's for good.
AS_USER = """
import os, sys
import windlass, windlass._client
from windlass import _channel

_channel.GREETING_S = 10.0
uid, address = int(sys.argv[1]), sys.argv[2]
os.setgroups([])
os.setresgid(uid, uid, uid)
os.setresuid(uid, uid, uid)
with windlass.Client(address) as client:
    try:
        print("served", client.load().cores > 0)
    except windlass.Unavailable:
        print("refused")
"""

# Under the routing id of another user's client: what it is told, until it is told nothing for a second.
IN_ANOTHERS_NAME = """
import os, sys
import msgpack, zmq

uid, address = int(sys.argv[1]), sys.argv[2]
os.setgroups([])
os.setresgid(uid, uid, uid)
os.setresuid(uid, uid, uid)
dealer = zmq.Context().socket(zmq.DEALER)
dealer.linger = 0
dealer.routing_id = b"worker-7"
dealer.connect(address)
dealer.send_multipart([msgpack.packb({"v": 1, "t": 3, "id": bytes(16)}), msgpack.packb({})])
while dealer.poll(1000):
    header, body = map(msgpack.unpackb, dealer.recv_multipart())
    print(header["t"], body.get("message", ""))
"""


def come_as(uid: int, node: windlass.LocalNode, program: str = AS_USER) -> str:
    command = [sys.executable, "-c", program, str(uid), node.address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_another_user_is_refused_by_the_rights_of_the_file(nodes: Make):
    assert come_as(65534, nodes()) == "refused"


def test_listed_users_are_served_and_others_refused_whatever_the_rights(nodes: Make):
    node = nodes({"security.local_uids": [65533]})
    assert come_as(65533, node) == "served True"
    assert come_as(65534, node) == "refused", "the file's rights let everybody try"
    assert metric(node, 'windlass_peers_refused_total{reason="user"}') >= 1, "and it is counted"
    assert come_as(65533, node) == "served True"
    tasks, offers = problem(5, 5)
    with node.client() as own:
        assert own.match(tasks, offers).assignments, "the daemon's own user needs no listing"


def test_a_routing_id_is_its_users_own(nodes: Make, tmp_path: Path):
    """Whoever knows another's comes by it to neither its welcome nor what it is told, be it there or gone."""
    node = nodes({"security.local_uids": [65533], "stage.roots": [str(tmp_path)], "stage.bandwidth_max": "1MiB"})
    (tmp_path / "a").write_bytes(bytes(60 << 20))
    transfers = [{"source": bytes(tmp_path / "a"), "target": bytes(tmp_path / "b")}]
    with Raw(node.address, b"worker-7") as raw:
        assert raw.hello().header.type == Type.WELCOME
        assert raw.ask(Type.STAGE, {"transfers": transfers}, ID).header.type == Type.PROGRESS
        assert come_as(65533, node, IN_ANOTHERS_NAME) == f"{int(Type.ERROR)} say HELLO first"
        raw.send(*_wire.encode(Message(Header(Type.LOAD, bytes(16)), {})))
        eventually(lambda: raw.answer().header.type == Type.RESULT, what="it is there still")
    eventually(lambda: metric(node, "windlass_clients") == 0)
    assert come_as(65533, node, IN_ANOTHERS_NAME) == f"{int(Type.ERROR)} say HELLO first"
    with Raw(node.address, b"worker-7") as raw:
        assert raw.hello() is not None
        eventually(lambda: raw.answer().header.type == Type.PROGRESS, what="its own user is told of it again")
        raw.ask(Type.CANCEL, {"request": ID}, bytes(16))
