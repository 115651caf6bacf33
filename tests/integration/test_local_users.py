"""`local.socket` and the users of the machine: the rights of the file, and the kernel's word on who connects."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest
import windlass
from support import metric, problem

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


def come_as(uid: int, node: windlass.LocalNode) -> str:
    command = [sys.executable, "-c", AS_USER, str(uid), node.address]
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
