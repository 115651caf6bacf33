"""A folder and everything beneath it, published file by file, or (`tree_atomic`) all at once."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .._stage_paths import TEMPORARY_PREFIX
from ._copy import File, Wish, publish_file
from ._faults import Fault, Replaced, during, invalid, quoted, raise_fault
from ._places import Spot
from ._publish import ORDER, kind_of, remove, rename, rename_folder, temporary_name
from ._system import is_kernel_view

FAILURES_TOLD = 100
DEPTH_MAX = 400
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass
class Tree:
    """One tree under way, and what has come of it."""

    source: bytes
    target: bytes
    wish: Wish
    symlinks: str
    ticket: int
    advance: Callable[[int], None]
    file_done: Callable[[], None]
    bytes_done: int = 0
    files: int = 0
    rereads: int = 0
    checksums: dict[bytes, str] = field(default_factory=dict)
    failures: list[dict[str, Any]] = field(default_factory=list)
    failure_count: int = 0
    first: Fault | None = None

    def fail(self, path: bytes, fault: Fault) -> None:
        self.failure_count += 1
        self.first = self.first or fault
        if len(self.failures) < FAILURES_TOLD:
            self.failures.append({"path": path, "code": int(fault.code), "message": fault.message})

    def fault(self) -> Fault | None:
        """What the whole tree failed of."""
        if self.first is None:
            return None
        whole = Fault(
            self.first.code,
            f"{self.failure_count} of the files beneath {quoted(self.source)} could not be staged; the first: "
            f"{self.first.message}",
            retryable=self.first.retryable,
        )
        whole.failures, whole.failure_count = self.failures, self.failure_count
        return whole


def merge(tree: Tree, source: int, spot: Spot, there: int | None) -> None:
    """Publishes each file of the opened folder `source` in `there`; where that is None, in a folder made at the spot.

    A folder that was there keeps its mode and time; those beneath it take the source's.
    """
    ORDER.merges(tree.ticket, spot)
    if there is not None:
        _content(tree, source, there, b"", 0)
        _sync(tree, there, tree.target)
    else:
        _folder(tree, source, spot.folder, spot.name, b"", 0)
    with ORDER.turn(tree.ticket, spot):
        pass


def publish_whole(tree: Tree, source: int, spot: Spot) -> None:
    """The same in a temporary, which then takes the target's name; nothing where anything failed."""
    with during("look at the target", spot.path):
        if kind_of(spot.folder, spot.name) not in (None, stat.S_IFDIR):
            raise_fault(errno.ENOTDIR, "publish a folder as", spot.path)
    temporary = temporary_name()
    published = False
    try:
        _folder(tree, source, spot.folder, temporary, b"", 0)
        if tree.first is None:
            rename_folder(tree.ticket, spot, temporary)
            published = True
    finally:
        if not published:
            tree.bytes_done = tree.files = 0
            tree.checksums.clear()
            remove(spot.folder, temporary)


def _folder(tree: Tree, source: int, above: int, name: bytes, path: bytes, depth: int) -> None:
    """Brings the content of `source` into the folder `name` of `above`; `path` is where we are in the tree."""
    where = tree.target + b"/" + path if path else tree.target
    if depth > DEPTH_MAX:
        raise invalid(f"{quoted(where)} lies more than {DEPTH_MAX} folders deep; stage its parts one by one")
    made, folder = _entered(above, name, where)
    try:
        try:
            _content(tree, source, folder, path, depth)
        finally:  # last, as each file changes its time; and where the call is cancelled too
            _take_after(source, folder, made, where)
        _sync(tree, folder, where)
    finally:
        os.close(folder)


def _content(tree: Tree, source: int, folder: int, path: bytes, depth: int) -> None:
    with during("list the folder", tree.source + b"/" + path):
        names = sorted(os.fsencode(entry) for entry in os.listdir(source))
    for entry in names:
        if not entry.startswith(TEMPORARY_PREFIX):
            inner = path + b"/" + entry if path else entry
            try:
                _entry(tree, source, folder, entry, inner, depth)
            except Fault as fault:
                tree.fail(inner, fault)


def _take_after(source: int, folder: int, made: bool, where: bytes) -> None:
    """Gives the folder the source's mode and time."""
    with during("set mode and time of the folder", where):
        info = os.fstat(source)
        try:
            os.fchmod(folder, info.st_mode & 0o777)
            os.utime(folder, ns=(info.st_atime_ns, info.st_mtime_ns))
        except PermissionError:
            if made:
                raise
            # another's folder, which was there before, stays as its owner has it


def _sync(tree: Tree, folder: int, where: bytes) -> None:
    if tree.wish.durability == "full":
        with during("sync the folder", where):
            os.fsync(folder)


def _entered(above: int, name: bytes, where: bytes) -> tuple[bool, int]:
    """The target's folder, made (for nobody else, until it is finished) where it is not there."""
    made = True
    with during("make the folder", where):
        try:
            os.mkdir(name, 0o700, dir_fd=above)
        except FileExistsError:
            made = False
    if not made and kind_of(above, name) != stat.S_IFDIR:
        raise invalid(f"the target {quoted(where)} is no folder, and the source is one; remove it or choose another")
    with during("open the folder", where):
        return made, os.open(name, _FOLDER, dir_fd=above)


def _entry(tree: Tree, source: int, folder: int, name: bytes, path: bytes, depth: int) -> None:
    whence = tree.source + b"/" + path
    with during("look at", whence):
        kind = stat.S_IFMT(os.stat(name, dir_fd=source, follow_symlinks=False).st_mode)
    if kind == stat.S_IFDIR:
        with during("open the folder", whence):
            inner = os.open(name, _FOLDER, dir_fd=source)
        try:
            if is_kernel_view(inner):
                raise invalid(f"the folder {quoted(whence)} is a view of the kernel; leave it out of the tree")
            _folder(tree, inner, folder, name, path, depth + 1)
        finally:
            os.close(inner)
    elif kind == stat.S_IFLNK:
        _link(tree, source, folder, name, path)
    elif kind == stat.S_IFREG:
        _file(tree, source, folder, name, path)
    else:
        raise invalid(f"{quoted(whence)} is neither a regular file, a folder nor a link; leave it out of the tree")


def _file(tree: Tree, source: int, folder: int, name: bytes, path: bytes) -> None:
    whence = tree.source + b"/" + path

    def reopened() -> int:
        with during("open", whence):
            return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=source)

    spot = Spot(folder, name, tree.target + b"/" + path, 0)
    try:
        published = publish_file(File(reopened, whence, spot, tree.ticket, tree.advance, over_links=True), tree.wish)
    except Replaced:
        return  # a later transfer has brought this one file: the tree itself goes on
    tree.bytes_done += published.bytes
    tree.files += 1
    tree.rereads += published.rereads
    if published.checksum is not None:
        tree.checksums[path] = published.checksum
    tree.file_done()


def _link(tree: Tree, source: int, folder: int, name: bytes, path: bytes) -> None:
    if tree.symlinks == "skip":
        return
    whence = tree.source + b"/" + path
    spot = Spot(folder, name, tree.target + b"/" + path, 0)
    with during("read the link", whence):
        text = os.readlink(name, dir_fd=source)
        info = os.stat(name, dir_fd=source, follow_symlinks=False)
    if tree.symlinks == "refuse" and leaves(path, text):
        raise invalid(
            f"the link {quoted(whence)} leads out of the tree (to {quoted(text)}); keep or skip links, or mend it"
        )
    with during("look at the target", spot.path):
        if kind_of(folder, name) not in (None, stat.S_IFREG, stat.S_IFLNK):
            raise invalid(f"the target {quoted(spot.path)} is neither a file nor a link; remove it")
    temporary = temporary_name()
    with during("make a link beside", spot.path):
        os.symlink(text, temporary, dir_fd=folder)
    try:
        with during("make a link beside", spot.path):
            os.utime(temporary, ns=(info.st_atime_ns, info.st_mtime_ns), dir_fd=folder, follow_symlinks=False)
        rename(tree.ticket, spot, temporary)
    except Replaced:
        remove(folder, temporary)
        return
    except BaseException:
        remove(folder, temporary)
        raise


def leaves(path: bytes, text: bytes) -> bool:
    """True where the link at `path` of the tree is absolute or, read by name, leaves the tree's top."""
    if text.startswith(b"/"):
        return True
    depth = path.count(b"/")
    for part in text.split(b"/"):
        if part == b"..":
            depth -= 1
        elif part not in (b"", b"."):
            depth += 1
        if depth < 0:
            return True
    return False
