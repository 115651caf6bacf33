"""What gzip and zstd made, undone: any number of members or frames, one after the other."""

from __future__ import annotations

import contextlib
import importlib
import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from .._errors import Code
from ._faults import Fault, during, quoted

WINDOW_LOG_MAX = 28  # 256 MiB, as much as the library takes in process
_PIECE = 64 << 10
_ROOM = 1 << 20
_MAGIC_BYTES = 4
_SOURCE_LEAST = 4096  # a block of a disk: little that holds a page of the same words is no bomb


@dataclass(frozen=True)
class Bounds:
    """Of the bytes that come out."""

    size: int | None  # what is asked for
    ratio: float


class _Decoder(Protocol):
    complete: bool  # nothing was begun that is not finished
    hungry: bool  # nothing more comes out before something is put in

    def step(self, data: bytes, room: int) -> tuple[bytes, bytes]:
        """What comes out, and what was not taken of `data`. Nothing of `data` is needed to get out what is left."""


def packing_in(fd: int, path: bytes, wish: str) -> str | None:
    """By a look at the first bytes; None: copy it as it is, which "auto" alone may find."""
    with during("read", path):
        begin = os.pread(fd, _MAGIC_BYTES, 0)
    found = _packing_of(begin)
    if wish in ("auto", found):
        return found
    instead = "it is empty" if not begin else f"but as {found} does" if found else "nor as anything decompressed here"
    raise Fault(
        Code.DATA_LOSS,
        f"{quoted(path)} does not begin as {wish} does, {instead}; "
        "nothing was published: check the source, or decompress",
    )


def _packing_of(begin: bytes) -> str | None:
    if begin.startswith(b"\x1f\x8b\x08"):
        return "gzip"
    skippable = begin[1:] == b"\x2a\x4d\x18" and begin[0] & 0xF0 == 0x50
    return "zstd" if begin == b"\x28\xb5\x2f\xfd" or skippable else None


def unpack(fd: int, path: bytes, packing: str, bounds: Bounds, write: Callable[[bytes, int], None]) -> int:
    """Hands all that comes out to `write(bytes, where)`; how many they were."""
    source = os.fstat(fd).st_size
    most = int(bounds.ratio * max(source, _SOURCE_LEAST))
    limit = most if bounds.size is None else min(most, bounds.size)
    decoder = _decoder(packing, path)
    given = taken = 0
    rest, more = b"", True
    while True:
        if not rest and more and decoder.hungry:
            with during("read", path):
                rest = os.pread(fd, _PIECE, taken)
            more = bool(rest)
        with _sound(path, taken):
            out, left = decoder.step(rest, min(_ROOM, limit + 1 - given))
        taken += len(rest) - len(left)
        rest = left
        if out:
            write(out, given)
            given += len(out)
        if given > limit:
            raise _too_much(path, source, most, bounds)
        if not out and not rest and not more:
            break
    if not decoder.complete:
        raise _unsound(
            path, taken, f"the {packing} data ends in the middle", "bring the whole file there and stage it again"
        )
    if bounds.size not in (None, given):
        raise _wrong_size(path, f"gives {given}", bounds)
    return given


class _Gzip:
    def __init__(self) -> None:
        self.complete = True
        self.hungry = True
        self._any = False
        self._member = zlib.decompressobj(31)

    def step(self, data: bytes, room: int) -> tuple[bytes, bytes]:
        if self.complete:
            if self._any:
                data = data.lstrip(b"\0")  # which fill a block of a tape, as gzip and Python take it
            if not data:
                return b"", b""
            self.complete = False
            self._member = zlib.decompressobj(31)
        out = self._member.decompress(data, room)
        if self._member.eof:
            self.complete = self._any = True
            return out, self._member.unused_data
        return out, self._member.unconsumed_tail


class _Zstd:
    def __init__(self, module: Any) -> None:
        self.complete = self.hungry = True
        self._module = module
        self._frame: Any = None

    def step(self, data: bytes, room: int) -> tuple[bytes, bytes]:
        if self.complete:
            if not data:
                return b"", b""
            self.complete = False
            limit = {self._module.DecompressionParameter.window_log_max: WINDOW_LOG_MAX}
            self._frame = self._module.ZstdDecompressor(options=limit)
        try:
            out = self._frame.decompress(data, room)
        except self._module.ZstdError as error:
            raise _Damaged(str(error)) from None
        if self._frame.eof:
            self.complete = self.hungry = True
            return out, self._frame.unused_data
        self.hungry = self._frame.needs_input
        return out, b""


class _Damaged(Exception):
    pass


def _decoder(packing: str, path: bytes) -> _Decoder:
    return _Gzip() if packing == "gzip" else _Zstd(_zstd(path))


def _zstd(path: bytes) -> Any:
    for name in ("compression.zstd", "backports.zstd"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise Fault(
        Code.UNIMPLEMENTED,
        f"cannot decompress {quoted(path)}: this Python knows no zstd; pip install backports.zstd, "
        "or take Python 3.14 or the library instead of windlass.legacy",
    )


@contextlib.contextmanager
def _sound(path: bytes, taken: int) -> Iterator[None]:
    try:
        yield
    except (zlib.error, _Damaged) as error:
        raise _unsound(path, taken, str(error), "check the source, it may be cut or damaged") from None


def _unsound(path: bytes, taken: int, why: str, advice: str) -> Fault:
    return Fault(
        Code.DATA_LOSS,
        f"cannot decompress {quoted(path)} near byte {taken}: {why}; nothing was published: {advice}",
    )


def _wrong_size(path: bytes, what: str, bounds: Bounds) -> Fault:
    return Fault(
        Code.DATA_LOSS,
        f"{quoted(path)}, decompressed, {what} bytes and not {bounds.size} as told; "
        "nothing was published: check the source, or the size",
    )


def _too_much(path: bytes, source: int, most: int, bounds: Bounds) -> Fault:
    if bounds.size is not None and bounds.size <= most:
        return _wrong_size(path, "gives more", bounds)
    return Fault(
        Code.RESOURCE_EXHAUSTED,
        f"{quoted(path)} has {source} bytes and gives more than {most}, decompressed, which is more than "
        f"{bounds.ratio:.0f} to one (stage.decompress_ratio_max); nothing was published: "
        "raise that if the source is trusted",
    )
