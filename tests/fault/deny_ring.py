"""`python deny_ring.py PROGRAM...` runs it where io_uring is denied, as container runtimes deny it."""

from __future__ import annotations

import ctypes
import os
import struct
import sys

_RING_CALLS = (425, 426, 427)  # io_uring_setup, _enter, _register: the same numbers on every machine
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_EPERM = 1
_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def deny() -> None:
    count = len(_RING_CALLS)
    code = struct.pack("HBBI", _LOAD, 0, 0, 0)  # the number of the call
    for at, call in enumerate(_RING_CALLS):
        code += struct.pack("HBBI", _EQUAL, count - at, 0, call)
    code += struct.pack("HBBI", _RETURN, 0, 0, _ALLOW)
    code += struct.pack("HBBI", _RETURN, 0, 0, _ERROR | _EPERM)
    program = _Program(len(code) // 8, code)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0 or libc.prctl(_SET_SECCOMP, _FILTER, ctypes.byref(program)) != 0:
        raise OSError(ctypes.get_errno(), "cannot set the filter")


if __name__ == "__main__":
    deny()
    os.execvp(sys.argv[1], sys.argv[1:])
