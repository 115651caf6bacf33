"""`windlass keys` where root changes what a daemon's user reads: files stay whose they were, with their rights."""

from __future__ import annotations

import io
import itertools
import json
import os
import stat
import struct
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pytest
import zmq.utils.z85  # noqa: F401  as root: another user may not reach the package
from windlass.cli import main

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as other users")
DAEMON, OTHER = 65533, 65532  # users without a name
ANN = ("ann", "client", "ab" * 32)


@pytest.fixture
def top() -> Iterator[Path]:
    """A folder that other users reach, unlike pytest's."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def keys(folder: Path, *words: str, uid: int = 0) -> Done:
    """`windlass keys` in a forked child, which becomes that user for good."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 99
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as error:
                code = main(["keys", *words, "--keys", str(folder)])
            os.write(writer, json.dumps([out.getvalue(), error.getvalue()]).encode())
        finally:
            os._exit(code)
    os.close(writer)
    with open(reader, "rb") as told:
        texts = told.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code != 99, "the child failed"
    return Done(code, *json.loads(texts))


def belongs(path: Path) -> tuple[int, int, int]:
    seen = path.stat()
    return seen.st_uid, seen.st_gid, stat.S_IMODE(seen.st_mode)


def listed(folder: Path, uid: int = DAEMON) -> str:
    """What the daemon's user makes of the folder."""
    done = keys(folder, "list", uid=uid)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def served(top: Path) -> Path:
    """Root's list, which the daemon's user reads; the key is that user's."""
    folder = top / "node"
    assert keys(folder, "new", "n", "--role", "node").returncode == 0
    assert keys(folder, "allow", *ANN).returncode == 0
    folder.chmod(0o755)
    os.chown(folder / "own", DAEMON, DAEMON)
    (folder / "allowed").chmod(0o644)
    return folder


def test_what_root_revokes_and_allows_the_daemons_user_still_reads(served: Path):
    assert keys(served, "revoke", "ann").returncode == 0
    assert belongs(served / "allowed") == (0, 0, 0o644)
    assert "revoked" in listed(served)
    assert keys(served, "allow", "--again", *ANN).returncode == 0
    assert belongs(served / "allowed") == (0, 0, 0o644)
    assert "client" in listed(served) and "revoked" not in listed(served)


@pytest.mark.parametrize("rights", [0o640, 0o400, 0o444])
def test_the_group_and_the_rights_of_the_list_stay(served: Path, rights: int):
    os.chown(served / "allowed", 0, DAEMON)
    (served / "allowed").chmod(rights)
    assert keys(served, "revoke", "ann").returncode == 0
    assert belongs(served / "allowed") == (0, DAEMON, rights)


def test_rights_given_to_one_further_user_stay(served: Path):
    (served / "allowed").chmod(0o640)
    nobody = 0xFFFFFFFF
    # Owner rw, that user r, group none, mask r, others none.
    entries = [(0x01, 6, nobody), (0x02, 4, DAEMON), (0x04, 0, nobody), (0x10, 4, nobody), (0x20, 0, nobody)]
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    try:
        os.setxattr(served / "allowed", "system.posix_acl_access", acl)
    except OSError:
        pytest.skip("no such rights on this file system")
    assert "client" in listed(served)
    assert keys(served, "revoke", "ann").returncode == 0
    assert "revoked" in listed(served)


def test_a_key_that_root_makes_anew_is_still_the_daemons_users(served: Path):
    before = (served / "own").read_text()
    assert keys(served, "new", "n", "--role", "node", "--replace").returncode == 0
    assert (served / "own").read_text() != before
    assert belongs(served / "own") == (DAEMON, DAEMON, 0o600)
    assert "ann" in listed(served)


def test_what_root_makes_in_a_users_folder_is_that_users(top: Path):
    folder = top / "node"
    folder.mkdir(mode=0o700)
    os.chown(folder, DAEMON, DAEMON)
    assert keys(folder, "new", "n", "--role", "node").returncode == 0
    assert {belongs(path) for path in folder.iterdir()} == {(DAEMON, DAEMON, 0o600)}
    assert keys(folder, "allow", *ANN, uid=DAEMON).returncode == 0, "that user may go on by itself"
    assert "ann" in listed(folder)


def test_a_list_that_root_begins_is_for_whom_the_key_is(served: Path):
    (served / "allowed").unlink()
    assert keys(served, "allow", *ANN).returncode == 0
    assert belongs(served / "allowed") == (DAEMON, DAEMON, 0o600)
    assert "ann" in listed(served)


def test_root_is_told_as_whom_to_change_a_users_list(top: Path):
    folder = top / "node"
    folder.mkdir(mode=0o700)
    os.chown(folder, DAEMON, DAEMON)
    assert keys(folder, "new", "n", "--role", "node", uid=DAEMON).returncode == 0
    assert keys(folder, "allow", *ANN, uid=DAEMON).returncode == 0
    before = (folder / "allowed").read_text()
    for words in (("revoke", "ann"), ("allow", "b", "client", "cd" * 32), ("list",)):
        told = keys(folder, *words)
        assert told.returncode == 1
        assert f"sudo -u '#{DAEMON}'" in told.stderr, told.stderr
    assert (folder / "allowed").read_text() == before
    assert keys(folder, "revoke", "ann", uid=DAEMON).returncode == 0
    assert "revoked" in listed(folder)


def test_a_user_is_told_that_the_list_is_roots_to_change(served: Path):
    before = (served / "allowed").read_text()
    for words, folder_is in itertools.product((("revoke", "ann"), ("allow", "b", "client", "cd" * 32)), (0, DAEMON)):
        os.chown(served, folder_is, folder_is)
        told = keys(served, *words, uid=DAEMON)
        assert told.returncode == 1
        assert "root" in told.stderr and "sudo" in told.stderr, told.stderr
        assert ((served / "allowed").read_text(), belongs(served / "allowed")) == (before, (0, 0, 0o644))
    assert not [path for path in served.iterdir() if path.name.startswith(".")]


def test_whoever_may_not_read_is_told_whose_it_is(served: Path):
    told = keys(served, "list", uid=OTHER)
    assert told.returncode == 2 and f"sudo -u '#{DAEMON}'" in told.stderr


def test_root_gives_nothing_away_that_a_user_put_in_place_of_the_lock(top: Path):
    folder, precious = top / "node", top / "precious"
    precious.write_text("root's")
    folder.mkdir(mode=0o700)
    os.chown(folder, DAEMON, DAEMON)
    (folder / "lock").symlink_to(precious)
    assert keys(folder, "new", "n", "--role", "node").returncode == 1
    (folder / "lock").unlink()
    os.link(precious, folder / "lock")
    assert keys(folder, "new", "n", "--role", "node").returncode == 0
    assert belongs(precious)[:2] == (0, 0)
    assert precious.read_text() == "root's"
