"""The daemon's decisions by ctypes: daemon_world.hpp is the contract."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

TOP = Path(__file__).parents[2]
_LENGTH = struct.Struct("<I")


def pack(frames: Sequence[bytes]) -> bytes:
    return b"".join([_LENGTH.pack(len(frame)) + frame for frame in frames])


def unpack(data: bytes) -> list[bytes]:
    frames = []
    at = 0
    while at < len(data):
        (size,) = _LENGTH.unpack_from(data, at)
        at += 4 + size
        frames.append(data[at - size : at])
    return frames


def events_of(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """(kind, first, second) of what `take` answers."""
    at = 0
    while at < len(data):
        kind = data[at]
        (first,) = _LENGTH.unpack_from(data, at + 1)
        begin = at + 5
        (second,) = _LENGTH.unpack_from(data, begin + first)
        at = begin + first + 4 + second
        yield kind, data[begin : begin + first], data[at - second : at]


class Library:
    """The library of one build: the true one, or that of a mutant."""

    def __init__(self, path: Path | None = None) -> None:
        found = path or TOP / "build/release/lib/libwindlass_simulation.so"
        if not found.exists():
            raise FileNotFoundError(f"{found} is not built; run tools/build release")
        self._library = ctypes.CDLL(str(found))
        handle, text, size, time = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int64
        self.start = self._function("start", handle, text, ctypes.c_uint64, time, text)
        self.kill = self._function("kill", None, handle)
        self.local = self._function("local", None, handle, text, size, text, size, time)
        self.bridge = self._function("bridge", None, handle, text, size, time)
        self.turn = self._function("turn", None, handle, time)
        self.due = self._function("due", time, handle)
        self.offer = self._function("offer", ctypes.c_uint64, handle, text, size)
        self.unlink = self._function("unlink", None, handle, time)
        self.drain = self._function("drain", None, handle, time)
        self.end = self._function("end", None, handle, time)
        self.end_stage = self._function("end_stage", ctypes.c_bool, handle, ctypes.c_uint64, text, size)
        self.set_refusing = self._function("set_refusing", None, handle, ctypes.c_bool, ctypes.c_bool)
        self.run_match = self._function("run_match", ctypes.c_int, handle, text, time)
        self.end_match = self._function("end_match", None, handle, text, text, size)
        self.reach = self._function("reach", None, handle, text, size, ctypes.c_int)
        self.reach_bridge = self._function("reach_bridge", None, handle, ctypes.c_int)
        self.idle = self._function("idle", ctypes.c_bool, handle)
        self.registered = self._function("registered", ctypes.c_bool, handle)
        self.kept = self._function("kept", ctypes.c_uint64, handle, ctypes.c_int)
        self.disk = self._function("disk", None, time)
        self.disk_failures = self._function("disk_failures", ctypes.c_uint64)
        self._take = self._function("take", size, handle, ctypes.POINTER(ctypes.c_void_p))
        self._taken = ctypes.c_void_p()

    def take(self, daemon: int) -> bytes:
        """The daemon's events since the last call."""
        size = self._take(daemon, ctypes.byref(self._taken))
        return ctypes.string_at(self._taken, size) if size else b""

    def _function(self, name: str, answer: Any, *arguments: Any) -> Any:
        found = getattr(self._library, f"windlass_sim_{name}")
        found.restype = answer
        found.argtypes = arguments
        return found
