"""What paths mean: with roots, only what lies beneath one of them; without, what the kernel says.

Roots are opened once; afterwards paths are resolved beneath those descriptors, so no `..`, absolute link, link into
another root or folder swapped meanwhile leads out. What lies outside is refused in the same words whether it exists.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .._errors import Code
from . import _system
from ._faults import Fault, during, fault_of, invalid, quoted, raise_fault

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_PLAIN = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC  # a fifo must not keep the open waiting


@dataclass
class Spot:
    """A name in an opened folder. `made`: how many folders had to be made on the way, the innermost being `folder`."""

    folder: int
    name: bytes
    path: bytes
    made: int

    def close(self) -> None:
        os.close(self.folder)


def parts_of(path: bytes) -> list[bytes]:
    return [part for part in path.split(b"/") if part not in (b"", b".")]


def says_folder(path: bytes) -> bool:
    return path.endswith((b"/", b"/.", b"/.."))


class Places:
    """Opens sources and the folders of targets. Closed by the one who made it."""

    def __init__(self, roots: Sequence[str | os.PathLike[str]] | None) -> None:
        self._roots: list[tuple[list[bytes], int]] = []
        self._rooted = roots is not None and len(roots) > 0
        for root in roots or ():
            path = os.fsencode(root)
            if not path.startswith(b"/"):
                raise invalid(f"the root {quoted(path)} is no absolute path; give one")
            with during("open the root", path):
                fd = os.open(path, _FOLDER)
            self._roots += [(parts_of(path), fd), (parts_of(os.path.realpath(path)), os.dup(fd))]

    def close(self) -> None:
        for _, fd in self._roots:
            os.close(fd)
        self._roots = []

    def open_source(self, path: bytes) -> int:
        """A descriptor of a regular file or a folder."""
        probe = self._open(path, os.O_PATH, "open")
        try:
            kind = os.fstat(probe).st_mode
            if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
                raise invalid(f"{quoted(path)} is neither a regular file nor a folder; name one")
            if stat.S_ISREG(kind) and says_folder(path):
                raise_fault(errno.ENOTDIR, "open", path)
            flags = _PLAIN | (os.O_DIRECTORY if stat.S_ISDIR(kind) else 0)
            with during("open", path):
                fd = os.open(f"/proc/self/fd/{probe}", flags)
        finally:
            os.close(probe)
        if _system.is_kernel_view(fd):
            os.close(fd)
            raise invalid(f"{quoted(path)} lies in a view of the kernel; only files on a file system are staged")
        return fd

    def refuse_outside(self, path: bytes) -> None:
        """Fault where the path as it is written lies beneath no root."""
        self._start(path, parts_of(path))

    def open_folder(self, path: bytes) -> int | None:
        """The folder that the path names (through links), None where nothing is there; Fault where it is no folder."""
        try:
            return self._open(path, os.O_RDONLY | os.O_DIRECTORY, "open")
        except Fault as fault:
            if fault.code == Code.NOT_FOUND:
                return None
            raise

    def open_parent(self, path: bytes, *, make: bool) -> Spot:
        """The folder of the path's last component; missing ones are made (0777 less umask)."""
        parts = parts_of(path)
        above, skip = self._start(path, parts)
        if len(parts) <= skip:
            raise invalid(f"{quoted(path)} is a root itself; name what lies beneath it")
        depth = len(parts) - 1
        while True:
            try:
                fd = self._open_parts(above, parts[skip:depth], _FOLDER)
                break
            except OSError as error:
                if not (make and error.errno == errno.ENOENT and depth > skip):
                    raise self._refusal(error, "open the folder of", path) from None
                depth -= 1
        made = 0
        try:
            if _system.is_kernel_view(fd):
                raise invalid(f"{quoted(path)} lies in a view of the kernel; choose a folder on a disk")
            for part in parts[depth:-1]:
                fd, made = _made_folder(fd, part, path), made + 1
        except BaseException:
            os.close(fd)
            raise
        return Spot(fd, parts[-1], path, made)

    @contextlib.contextmanager
    def nearest(self, path: bytes) -> Iterator[int]:
        """The deepest folder on the way to the path's last component that is there already."""
        parts = parts_of(path)
        above, skip = self._start(path, parts)
        depth = max(len(parts) - 1, skip)
        while True:
            try:
                fd = self._open_parts(above, parts[skip:depth], _FOLDER)
                break
            except OSError as error:
                if error.errno != errno.ENOENT or depth <= skip:
                    raise self._refusal(error, "open the folder of", path) from None
                depth -= 1
        try:
            yield fd
        finally:
            os.close(fd)

    def _start(self, path: bytes, parts: list[bytes]) -> tuple[int | None, int]:
        """Where resolving begins, and how many parts are behind then."""
        if not self._rooted:
            return None, 0
        best: tuple[int | None, int] = (None, -1)
        for root, fd in self._roots:
            if parts[: len(root)] == root and len(root) > best[1]:
                best = (fd, len(root))
        if best[0] is None or b".." in parts:
            raise _outside(path)
        return best

    def _open(self, path: bytes, flags: int, doing: str) -> int:
        parts = parts_of(path)
        above, skip = self._start(path, parts)
        try:
            return self._open_parts(above, parts[skip:], flags)
        except OSError as error:
            raise self._refusal(error, doing, path) from None

    def _open_parts(self, above: int | None, parts: list[bytes], flags: int) -> int:
        if above is None:
            return os.open(b"/" + b"/".join(parts), flags | os.O_CLOEXEC)
        return _system.open_beneath(above, b"/".join(parts) or b".", flags)

    def _refusal(self, error: OSError, doing: str, path: bytes) -> Fault:
        if self._rooted and error.errno == errno.EXDEV:
            return _outside(path)
        return fault_of(error, doing, path)


def _outside(path: bytes) -> Fault:
    return Fault(
        Code.PERMISSION_DENIED,
        f"{quoted(path)} does not lie beneath the folders that may be touched, or a link on the way leads out of them; "
        "stage to and from paths beneath the roots, without '..'",
    )


def _made_folder(above: int, name: bytes, path: bytes) -> int:
    """Makes the folder (or finds that somebody just did), opens it and closes `above`."""
    with during("make the folders of", path):
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o777, dir_fd=above)
        try:
            fd = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=above)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                raise
            raise FileNotFoundError(errno.ENOENT, "") from None  # a link to nothing, or swapped in meanwhile
    os.close(above)
    return fd
