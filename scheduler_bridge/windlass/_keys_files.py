"""The files of a folder of keys: read where nobody else could have changed them, replaced in one step.

Whoever replaces a file leaves it to whom it belonged, with the rights it had: the one who reads it (a daemon of a user
of its own, as a rule) and the one who changes it (root, as a rule) need not be the same.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pwd
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ._errors import InvalidArgument, PermissionDenied

_ACL = "system.posix_acl_access"


def check_folder(place: Path) -> None:
    try:
        mode = place.stat().st_mode
    except OSError as error:
        raise unreadable(place, error) from None
    if not stat.S_ISDIR(mode) or mode & 0o022:
        raise PermissionDenied(f"{place}: is to be a folder that nobody else may write to: chmod 700 {place}")


def read_text(path: Path, others: int, bytes_max: int) -> tuple[str, os.stat_result]:
    """The text; `others` are rights that nobody but the owner may have."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            seen = os.fstat(file.fileno())
            if not stat.S_ISREG(seen.st_mode):
                raise InvalidArgument(f"{path}: is no file", side="options", field="keys")
            data = file.read(bytes_max + 1)
    except OSError as error:
        raise unreadable(path, error) from None
    if seen.st_uid not in (os.geteuid(), 0):
        raise PermissionDenied(
            f"{path}: belongs to {_user(seen.st_uid)}, who could change it; it is to be yours or root's. "
            f"{_as_user(seen.st_uid)}"
        )
    if seen.st_mode & others:
        what = "600" if others == 0o077 else "go-w"
        raise PermissionDenied(f"{path}: its rights {seen.st_mode & 0o7777:04o} let others in; chmod {what} {path}")
    if len(data) > bytes_max:
        raise InvalidArgument(f"{path}: is too large for keys", side="options", field="keys")
    return data.decode("latin-1"), seen  # remarks may be in any encoding


def unreadable(path: Path, error: OSError) -> InvalidArgument:
    advice = "`windlass keys new` makes a folder of keys"
    if error.errno == errno.EACCES:
        with contextlib.suppress(OSError):
            advice = _as_user(path.stat().st_uid)
    return InvalidArgument(f"{path}: cannot be read ({error.strerror}); {advice}", side="options", field="keys")


def _unwritable(place: Path, error: OSError) -> PermissionDenied:
    advice = ""
    if error.errno in (errno.EACCES, errno.EPERM):
        owner = place.stat().st_uid
        advice = f"; it belongs to {_user(owner)}. {_as_user(owner if owner != os.geteuid() else 0)}"
    return PermissionDenied(f"{place}: cannot be written to ({error.strerror}){advice}")


@contextlib.contextmanager
def alone(place: Path) -> Iterator[None]:
    """One change at a time, whoever makes it. Refuses whoever may not write there."""
    try:
        lock = _opened_lock(place)
    except OSError as error:
        raise _unwritable(place, error) from None
    with open(lock, "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def replace_text(path: Path, text: str, *, mode: int | None = None) -> None:
    """In one step, and on disk. The owner, the group and the rights stay as they were, or the file does.

    `mode`: the rights where they are not to be those of before. A new file is 0600 and, where root makes it, belongs
    to whom the folder's key belongs, else the folder.
    """
    made, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with open(made, "w") as file:
            file.write(text)
            _give_to_owner(file.fileno(), path, mode)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _give_to_owner(fd: int, path: Path, mode: int | None) -> None:
    try:
        before = path.stat()
    except FileNotFoundError:
        _give_to_reader(fd, path.parent)
        return
    mine = os.fstat(fd)
    try:
        if (mine.st_uid, mine.st_gid) != (before.st_uid, before.st_gid):
            os.fchown(fd, before.st_uid, before.st_gid)
        os.fchmod(fd, stat.S_IMODE(before.st_mode) if mode is None else mode)
        if mode is None and (acl := _acl_of(path)) is not None:
            os.setxattr(fd, _ACL, acl)
    except PermissionError:
        raise PermissionDenied(
            f"{path}: belongs to {_user(before.st_uid)} and gid {before.st_gid}, and would not any more if you changed "
            f"it; nothing is changed. {_as_user(before.st_uid if before.st_uid != os.geteuid() else 0)}"
        ) from None


def _give_to_reader(fd: int, place: Path) -> None:
    if os.geteuid() != 0:
        return
    reader = place.stat()
    with contextlib.suppress(OSError):
        reader = (place / "own").lstat()
    os.fchown(fd, reader.st_uid, reader.st_gid)


def _acl_of(path: Path) -> bytes | None:
    """The rights of further users, where the file system keeps such."""
    try:
        return os.getxattr(path, _ACL)
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOTSUP):
            return None
        raise


def _opened_lock(place: Path) -> int:
    path, how = place / "lock", os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    while True:
        try:
            made = os.open(path, how | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            with contextlib.suppress(FileNotFoundError):
                return os.open(path, how)
        else:
            if os.geteuid() == 0:  # the owner of the folder is to have it too; none but a file just made is given away
                owner = place.stat()
                os.fchown(made, owner.st_uid, owner.st_gid)
            return made


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _as_user(uid: int) -> str:
    """What to do where a file is another's."""
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = f"'#{uid}'"
    return "Do it as root: sudo ..." if uid == 0 else f"Do it as that user: sudo -u {name} ..."
