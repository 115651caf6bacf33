"""Temporaries, and the one step by which they become targets."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import secrets
import stat
import threading
from collections.abc import Iterator

from .._stage_paths import TEMPORARY_PREFIX
from . import _system
from ._faults import Replaced, during, invalid, quoted
from ._places import Spot

_MERGES = b"/"  # behind a name, which cannot hold it: what is merged into the folder of that name


class Order:
    """Which transfer to a target is the later one, among all of this process. Any thread.

    A ticket is drawn at acceptance; what has been published under a higher ticket is not replaced by a lower one.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tickets = itertools.count(1)
        self._calls = 0
        self._published: dict[tuple[int, int, bytes], int] = {}

    @contextlib.contextmanager
    def call(self, transfers: int) -> Iterator[list[int]]:
        """The tickets of a call's transfers; they are remembered while any call runs."""
        with self._lock:
            self._calls += 1
            tickets = [next(self._tickets) for _ in range(transfers)]
        try:
            yield tickets
        finally:
            with self._lock:
                self._calls -= 1
                if self._calls == 0:
                    self._published.clear()

    def refuse_late(self, ticket: int, spot: Spot) -> None:
        """Replaced where a later transfer has been published already: then there is no need to read anything."""
        with self.turn(ticket, spot, claim=False):
            pass

    def merges(self, ticket: int, spot: Spot) -> None:
        """Said before a tree is merged into the folder: an earlier one that would take its place comes too late."""
        folder = os.fstat(spot.folder)
        with self._lock:
            key = (folder.st_dev, folder.st_ino, spot.name + _MERGES)
            self._published[key] = max(self._published.get(key, 0), ticket)

    @contextlib.contextmanager
    def turn(self, ticket: int, spot: Spot, claim: bool = True, whole: bool = False) -> Iterator[None]:
        """Around the rename: Replaced where a later transfer was first."""
        folder = os.fstat(spot.folder)
        key = (folder.st_dev, folder.st_ino, spot.name)
        with self._lock:
            if self._published.get(key, 0) > ticket:
                raise Replaced
            if whole and self._published.get((*key[:2], spot.name + _MERGES), 0) > ticket:
                raise Replaced
            yield
            if claim:
                self._published[key] = ticket


ORDER = Order()


def _reset() -> None:
    ORDER.__init__()  # type: ignore[misc]  # the parent's calls are not this process's, nor is its lock


os.register_at_fork(after_in_child=_reset)


def _namespace() -> str:
    """The boot and the pid namespace, in which a pid means something."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            boot = file.read(8)
        return f"{boot}{os.stat('/proc/self/ns/pid').st_ino:x}"
    except OSError:
        return "0"


def _started(pid: int) -> str | None:
    """The moment a process began, in ticks; None where it is not there."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[19].decode()
    except (OSError, IndexError):
        return None


def temporary_name() -> bytes:
    """`.windlass-py-NAMESPACE-PID-STARTED-RANDOM`: whose it is can be told after a crash."""
    pid = os.getpid()
    return TEMPORARY_PREFIX + f"py-{_namespace()}-{pid}-{_started(pid)}-{secrets.token_hex(6)}".encode()


def is_dead(name: bytes) -> bool:
    """True for a temporary of this implementation whose process is gone. Others' are never ours to judge."""
    fields = name[len(TEMPORARY_PREFIX) :].decode("ascii", "replace").split("-")
    if not name.startswith(TEMPORARY_PREFIX + b"py-") or len(fields) != 5 or fields[1] != _namespace():
        return False
    return fields[2].isdigit() and _started(int(fields[2])) != fields[3]


def sweep(folder: int) -> None:
    """Removes what dead processes of this user left in a folder where something has just been staged."""
    with contextlib.suppress(OSError):
        fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
        try:
            for name in map(os.fsencode, os.listdir(fd)):
                if is_dead(name) and os.stat(name, dir_fd=fd, follow_symlinks=False).st_uid == os.geteuid():
                    remove(fd, name)
        finally:
            os.close(fd)


def remove(folder: int, name: bytes) -> None:
    """A file, a link, or a folder with everything in it; what is not there is no fault."""
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        pass
    except (IsADirectoryError, PermissionError):  # unlink of a folder is EISDIR here, EPERM elsewhere
        _remove_folder(folder, name)


def _remove_folder(folder: int, name: bytes) -> None:
    fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        with contextlib.suppress(OSError):
            os.fchmod(fd, 0o700)
        for inner in map(os.fsencode, os.listdir(fd)):
            remove(fd, inner)
    finally:
        os.close(fd)
    os.rmdir(name, dir_fd=folder)


def kind_of(folder: int, name: bytes) -> int | None:
    """The file type bits of what bears the name, None where nothing does. Links are not followed."""
    try:
        return stat.S_IFMT(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return None


def refuse_unless_file(spot: Spot, over_links: bool = False) -> None:
    """A file may be published where nothing or a regular file is."""
    with during("look at the target", spot.path):
        kind = kind_of(spot.folder, spot.name)
    if kind == stat.S_IFDIR:
        raise invalid(f"the target {quoted(spot.path)} is a folder; give the path of the file itself")
    if kind not in (None, stat.S_IFREG) and not (over_links and kind == stat.S_IFLNK):
        raise invalid(f"the target {quoted(spot.path)} is no regular file; remove it or choose another")


def rename(ticket: int, spot: Spot, temporary: bytes) -> None:
    """The one step."""
    with ORDER.turn(ticket, spot), during("publish", spot.path):
        os.rename(temporary, spot.name, src_dir_fd=spot.folder, dst_dir_fd=spot.folder)


def rename_folder(ticket: int, spot: Spot, temporary: bytes) -> None:
    """The same for a whole folder; one that is there is exchanged with it and removed."""
    with ORDER.turn(ticket, spot, whole=True), during("publish", spot.path):
        try:
            os.rename(temporary, spot.name, src_dir_fd=spot.folder, dst_dir_fd=spot.folder)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        _system.exchange(spot.folder, temporary, spot.name)
    with during("remove the folder that was replaced at", spot.path):
        remove(spot.folder, temporary)


def sync_upwards(spot: Spot) -> None:
    """Syncs the spot's folder, each folder that was made, and the first that was there before."""
    with during("sync the folder of", spot.path):
        fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=spot.folder)
        try:
            os.fsync(fd)
            for _ in range(spot.made):
                above = os.open("..", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
                os.close(fd)
                fd = above
                os.fsync(fd)
        finally:
            os.close(fd)
