"""One file: read, checked, and published complete or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .._errors import Code
from .._stage_limits import RATIO_DEFAULT
from ._digests import Digest, new_digest, update_zeros
from ._faults import Fault, during, invalid, quoted
from ._places import Spot
from ._publish import refuse_unless_file, remove, rename, temporary_name
from ._unpack import Bounds, packing_in, unpack

REREADS_MAX = 3
_CHUNK = 4 << 20


@dataclass(frozen=True)
class Wish:
    """What is asked of the published file, beside where it comes from and goes to."""

    range: tuple[int, int] | None = None
    size: int | None = None
    checksum: str | None = None  # the name alone
    digits: str | None = None  # what it has to be
    mode: int | None = None
    durability: str = "file"
    decompress: str | None = None
    ratio: float = RATIO_DEFAULT  # of what comes out to what is read


@dataclass
class Published:
    bytes: int
    checksum: str | None
    rereads: int


@dataclass
class File:
    """A source that can be opened once more from the start, and where it goes."""

    open: Callable[[], int]
    path: bytes  # of the source, for messages
    spot: Spot
    ticket: int
    advance: Callable[[int], None]  # bytes read
    over_links: bool = False  # in trees a link is replaced, as a file is; a target that was named is to be no link


class _Changed(Exception):
    """The source is not what it was when it was opened."""


def publish_file(file: File, wish: Wish) -> Published:
    """Fault, OSError-free; Replaced where a later transfer to the same target was first."""
    for rereads in range(REREADS_MAX + 1):
        fd = file.open()
        try:
            total, checksum = _publish_once(file, wish, fd)
            return Published(total, checksum, rereads)
        except _Changed:
            continue
        finally:
            os.close(fd)
    raise Fault(
        Code.FAILED_PRECONDITION,
        f"the source {quoted(file.path)} changed each of the {REREADS_MAX + 1} times that it was read; "
        "stage it when nobody writes to it",
    )


def _publish_once(file: File, wish: Wish, fd: int) -> tuple[int, str | None]:
    before = os.fstat(fd)
    if not stat.S_ISREG(before.st_mode):
        raise invalid(f"{quoted(file.path)} is no regular file; name one")
    first, length = _stretch(file, wish, before.st_size)
    refuse_unless_file(file.spot, file.over_links)
    _refuse_same(file, before)
    temporary = temporary_name()
    with during("make a temporary beside", file.spot.path):
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            out = os.open(temporary, flags, 0o600, dir_fd=file.spot.folder)
        except OSError as error:
            if not isinstance(error, FileExistsError):
                with contextlib.suppress(OSError):  # a disk that fails may have made it before it says so
                    remove(file.spot.folder, temporary)
            raise
    try:
        try:
            digest = new_digest(wish.checksum) if wish.checksum else None
            length = _fill(file, wish, fd, out, (first, length), digest, before)
            if _identity(before) != _identity(os.fstat(fd)):
                raise _Changed
            checksum = _checked(file, wish, digest)
            _finish(file, wish, out, before)
        finally:
            with during("close the temporary beside", file.spot.path):  # some disks tell only then that they are full
                os.close(out)
        rename(file.ticket, file.spot, temporary)
    except BaseException:
        remove(file.spot.folder, temporary)
        raise
    return length, checksum


def _refuse_same(file: File, source: os.stat_result) -> None:
    try:
        there = os.stat(file.spot.name, dir_fd=file.spot.folder, follow_symlinks=False)
    except OSError:
        return  # nothing there, or what the publishing will tell of
    if os.path.samestat(source, there):
        raise invalid(
            f"the source {quoted(file.path)} and the target {quoted(file.spot.path)} are the same file; choose another"
        )


def _identity(info: os.stat_result) -> tuple[int, ...]:
    return info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns


def _stretch(file: File, wish: Wish, size: int) -> tuple[int, int]:
    first, length = wish.range or (0, size)
    if first + length > size:
        raise invalid(
            f"the range {first}+{length} goes past the end of {quoted(file.path)}, which has {size} bytes; shorten it"
        )
    if wish.decompress is None:
        _check_size(file, wish, length)
    return first, length


def _check_size(file: File, wish: Wish, length: int) -> None:
    if wish.size is not None and wish.size != length:
        raise Fault(
            Code.DATA_LOSS,
            f"{quoted(file.path)} would give {length} bytes, asked for were {wish.size}; "
            "check that the source is the right one and complete",
        )


def _fill(
    file: File, wish: Wish, fd: int, out: int, stretch: tuple[int, int], digest: Digest | None, before: os.stat_result
) -> int:
    """Copied, or decompressed; how many bytes were written."""
    if wish.decompress is not None:
        try:
            packing = packing_in(fd, file.path, wish.decompress)
            if packing is not None:
                write = _writer(file, out, digest)
                return unpack(fd, file.path, packing, Bounds(wish.size, wish.ratio), write)
        except Fault:
            if _identity(before) != _identity(os.fstat(fd)):
                raise _Changed from None  # bytes that were exchanged meanwhile may look damaged
            raise
        _check_size(file, wish, stretch[1])
    _copy(file, fd, out, *stretch, digest)
    return stretch[1]


def _writer(file: File, out: int, digest: Digest | None) -> Callable[[bytes, int], None]:
    def write(chunk: bytes, at: int) -> None:
        if digest is not None:
            digest.update(chunk)
        _write(file, out, chunk, at)
        file.advance(len(chunk))

    return write


def _copy(file: File, fd: int, out: int, first: int, length: int, digest: Digest | None) -> None:
    at = first
    for begin, end in _data(file, fd, first, first + length):
        if digest is not None:
            update_zeros(digest, begin - at)
        file.advance(begin - at)
        at = begin
        while at < end:
            with during("read", file.path):
                chunk = os.pread(fd, min(_CHUNK, end - at), at)
            if not chunk:
                raise _Changed  # it became shorter
            if digest is not None:
                digest.update(chunk)
            _write(file, out, chunk, at - first)
            at += len(chunk)
            file.advance(len(chunk))
    if digest is not None:
        update_zeros(digest, first + length - at)
    file.advance(first + length - at)
    with during("write beside", file.spot.path):
        os.ftruncate(out, length)


def _write(file: File, out: int, chunk: bytes, at: int) -> None:
    view = memoryview(chunk)
    with during("write beside", file.spot.path):
        while view:
            written = os.pwrite(out, view, at)
            view, at = view[written:], at + written


def _data(file: File, fd: int, first: int, end: int) -> Iterator[tuple[int, int]]:
    """The stretches that are no holes."""
    at = first
    while at < end:
        try:
            begin = os.lseek(fd, at, os.SEEK_DATA)
            stop = os.lseek(fd, begin, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return  # a hole up to the end
            if error.errno != errno.EINVAL:
                with during("read", file.path):
                    raise
            begin, stop = at, end  # a file system that tells nothing of holes
        if begin >= end:
            return
        yield begin, min(stop, end)
        at = stop


def _checked(file: File, wish: Wish, digest: Digest | None) -> str | None:
    if digest is None:
        return None
    found = digest.hexdigest()
    if wish.digits is not None and found != wish.digits:
        raise Fault(
            Code.DATA_LOSS,
            f"the {wish.checksum} of {quoted(file.path)} is {found}, asked for was {wish.digits}; "
            "check that the source is the right one and complete",
        )
    return f"{wish.checksum}:{found}"


def _finish(file: File, wish: Wish, out: int, source: os.stat_result) -> None:
    mode = wish.mode if wish.mode is not None else source.st_mode & 0o777
    with during("finish the temporary beside", file.spot.path):
        os.utime(out, ns=(source.st_atime_ns, source.st_mtime_ns))
        os.fchmod(out, mode)
        if wish.durability != "none":
            os.fsync(out)
