"""Why a transfer, or a file of a tree, was not published; and what an errno means."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import Any, NoReturn

from .._errors import Code


class Fault(Exception):
    """One failure. `failures` are those of a tree's files: {"path", "code", "message"}."""

    def __init__(self, code: Code, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retryable = retryable
        self.failures: list[dict[str, Any]] = []
        self.failure_count = 0


class Replaced(Exception):
    """A later transfer to the same target has been published."""


_MEANINGS: list[tuple[Code, bool, str, tuple[int, ...]]] = [
    (Code.NOT_FOUND, False, "check the path on the machine where the transfer runs", (errno.ENOENT,)),
    (
        Code.PERMISSION_DENIED,
        False,
        "give the user that runs the transfer the right to it",
        (errno.EACCES, errno.EPERM, errno.EROFS),
    ),
    (
        Code.INVALID_ARGUMENT,
        False,
        "name a regular file or a folder",
        (errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EINVAL, errno.ENXIO, errno.ENODEV),
    ),
    (
        Code.RESOURCE_EXHAUSTED,
        True,
        "make room there and stage again",
        (errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
    ),
    (
        Code.RESOURCE_EXHAUSTED,
        True,
        "raise the limit of the process or stage less at once",
        (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS),
    ),
    (Code.DATA_LOSS, False, "look at the health of that disk", (errno.EIO, errno.EBADMSG, errno.EUCLEAN)),
    (
        Code.UNAVAILABLE,
        True,
        "try again later",
        (errno.ESTALE, errno.EAGAIN, errno.EBUSY, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.ENOTCONN, errno.ETXTBSY),
    ),
]
_BY_ERRNO = {number: meaning for meaning in _MEANINGS for number in meaning[3]}


def quoted(path: bytes) -> str:
    """For a message: what is not printable is escaped."""
    return "'" + path.decode("utf-8", "backslashreplace") + "'"


def invalid(message: str) -> Fault:
    return Fault(Code.INVALID_ARGUMENT, message)


def fault_of(error: OSError, doing: str, path: bytes) -> Fault:
    number = error.errno or 0
    code, retryable, advice, _ = _BY_ERRNO.get(
        number, (Code.INTERNAL, False, "this is not expected; please report it", ())
    )
    why = os.strerror(number) if number else str(error)
    return Fault(code, f"cannot {doing} {quoted(path)}: {why}; {advice}", retryable=retryable)


def raise_fault(number: int, doing: str, path: bytes) -> NoReturn:
    raise fault_of(OSError(number, ""), doing, path)


@contextlib.contextmanager
def during(doing: str, path: bytes) -> Iterator[None]:
    """Turns an OSError into the Fault that says what was being done where."""
    try:
        yield
    except OSError as error:
        raise fault_of(error, doing, path) from None
