"""The daemon's decisions by ctypes: daemon_world.hpp is the contract."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgpack

TOP = Path(__file__).parents[2]
_LENGTH = struct.Struct("<I")

Event = tuple[int, bytes, Any]  # kind, first, second


def pack(frames: Sequence[bytes]) -> bytes:
    return b"".join([_LENGTH.pack(len(frame)) + frame for frame in frames])


class Told(ctypes.Structure):
    """windlass_sim_answer."""

    _fields_ = (("events", ctypes.c_void_p), ("due", ctypes.c_int64), ("disk_works", ctypes.c_bool))


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
        self.local = self._function("local", size, handle, text, size, text, size, time)
        self.bridge = self._function("bridge", size, handle, text, size, time)
        self.turn = self._function("turn", size, handle, time)
        self.offer = self._function("offer", ctypes.c_uint64, handle, text, size)
        self.unlink = self._function("unlink", size, handle, time)
        self.drain = self._function("drain", size, handle, time)
        self.end = self._function("end", size, handle, time)
        self.end_stage = self._function("end_stage", ctypes.c_bool, handle, ctypes.c_uint64, text, size)
        self.set_refusing = self._function("set_refusing", None, handle, ctypes.c_bool, ctypes.c_bool)
        self.run_match = self._function("run_match", ctypes.c_int, handle, text, time)
        self.end_match = self._function("end_match", None, handle, text, text, size)
        self.reach = self._function("reach", None, handle, text, size, ctypes.c_int)
        self.hung_up = self._function("hung_up", None, handle, text, size)
        self.reach_bridge = self._function("reach_bridge", None, handle, ctypes.c_int)
        self.idle = self._function("idle", ctypes.c_bool, handle)
        self.registered = self._function("registered", ctypes.c_bool, handle)
        self.kept = self._function("kept", ctypes.c_uint64, handle, ctypes.c_int)
        self.disk = self._function("disk", None, time)
        self.told = Told.in_dll(self._library, "windlass_sim_told")

    def events(self, size: int) -> list[Event]:
        """Of the last call, which answered that there are so many bytes of them."""
        return msgpack.unpackb(ctypes.string_at(self.told.events, size))  # type: ignore[no-any-return]

    def _function(self, name: str, answer: Any, *arguments: Any) -> Any:
        found = getattr(self._library, f"windlass_sim_{name}")
        found.restype = answer
        found.argtypes = arguments
        return found
