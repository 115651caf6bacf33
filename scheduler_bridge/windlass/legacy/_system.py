"""Three calls of the kernel that Python has no name for."""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import struct

RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_BENEATH = 0x08
RENAME_EXCHANGE = 0x02

_OPENAT2 = 437  # the same number on every architecture
_ROUNDS = 100
_KERNEL_VIEWS = {
    0x9FA0,  # proc
    0x62656572,  # sysfs
    0x64626720,  # debugfs
    0x74726163,  # tracefs
    0x27E0EB,  # cgroup
    0x63677270,  # cgroup2
    0x73636673,  # securityfs
    0xCAFE4A11,  # bpf
    0x1CD1,  # devpts
}


@functools.lru_cache(maxsize=1)
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _raise(path: bytes) -> None:
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number), os.fsdecode(path))


def open_beneath(folder: int, path: bytes, flags: int) -> int:
    """openat2 beneath `folder`: neither `..`, nor absolute links, nor links in procfs lead out of it."""
    how = struct.pack("=QQQ", flags | os.O_CLOEXEC, 0, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS)
    for _ in range(_ROUNDS):  # EAGAIN: something beneath was renamed meanwhile
        fd = _libc().syscall(_OPENAT2, folder, ctypes.c_char_p(path), how, ctypes.c_size_t(len(how)))
        if fd >= 0:
            return int(fd)
        if ctypes.get_errno() not in (errno.EAGAIN, errno.EINTR):
            break
    _raise(path)
    raise AssertionError


def exchange(folder: int, one: bytes, other: bytes) -> None:
    """Swaps two names of one folder in one step."""
    if _libc().renameat2(folder, ctypes.c_char_p(one), folder, ctypes.c_char_p(other), RENAME_EXCHANGE) != 0:
        _raise(other)


def is_kernel_view(fd: int) -> bool:
    """True on procfs, sysfs and their like."""
    answer = ctypes.create_string_buffer(512)
    if _libc().fstatfs(fd, answer) != 0:
        _raise(b"")
    magic: int = ctypes.c_long.from_buffer(answer).value
    return magic & 0xFFFFFFFF in _KERNEL_VIEWS
