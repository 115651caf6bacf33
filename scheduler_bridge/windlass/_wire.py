"""The codec of proto/protocol.md: `[header][body][column]*`, msgpack maps and raw little-endian columns.

Decoding is bounded before anything is allocated: a message that announces more elements than it has bytes costs
nothing. Columns are views into the frames that came in, never copies. No socket and no clock here; any thread.
"""

from __future__ import annotations

import enum
import secrets
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import msgpack
import numpy as np
import numpy.typing as npt

VERSION = 1
HEADER_BYTES_MAX = 4 * 1024
BODY_BYTES_MAX = 16 * 1024 * 1024
DEPTH_MAX = 16
KEYS_MAX = 1024  # in the map of a header or a body, known or not
COLUMNS_MAX = 1024
COLUMN_BYTES_MAX = 2**31
BARE_ROWS_MAX = 65_536  # tasks or offers of a MATCH that no column tells of
ID_BYTES = 16
TRACEPARENT_BYTES_MAX = 128
DEADLINE_MS_MAX = 1000 * 60 * 60 * 24 * 365  # longer ones are cut to this

Column = npt.NDArray[Any]
_DTYPES: dict[str, np.dtype[Any]] = {"i4": np.dtype("<i4"), "i8": np.dtype("<i8"), "u8": np.dtype("<u8")}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


class Type(enum.IntEnum):
    """Message types; 13 to 15 are reserved."""

    HELLO = 1
    WELCOME = 2
    LOAD = 3
    MATCH = 4
    STAGE = 5
    PROGRESS = 6
    CANCEL = 7
    RESULT = 8
    ERROR = 9
    DRAIN = 10
    BYE = 11
    NODES = 12
    GRANT = 13
    RELEASE = 14
    SESSION = 15


class WireError(ValueError):
    """A message that the contract does not allow. `id` is the request's where it could be read."""

    def __init__(self, message: str, request_id: bytes | None = None) -> None:
        super().__init__(message)
        self.id = request_id


class Header(NamedTuple):
    """`type` is a plain int: a receiver may meet types that it does not know."""

    type: int
    id: bytes
    deadline_ms: int | None = None
    traceparent: str | None = None
    version: int = VERSION


@dataclass(slots=True)
class Message:
    """One message. `columns` are as the body's "columns" declares them; empty where it declares none."""

    header: Header
    body: dict[str, Any] = field(default_factory=dict)
    columns: tuple[Column, ...] = ()


def new_id() -> bytes:
    """An id for a request."""
    return secrets.token_bytes(ID_BYTES)


def new_ids(count: int) -> list[bytes]:
    """Ids for many things at once."""
    drawn = secrets.token_bytes(count * ID_BYTES)
    return [drawn[begin : begin + ID_BYTES] for begin in range(0, len(drawn), ID_BYTES)]


def encode(message: Message) -> list[bytes | memoryview]:
    """The frames of a message. Columns are not copied; the body is to declare them (`declare`)."""
    header = message.header
    head: dict[str, Any] = {"v": header.version, "t": int(header.type), "id": header.id}
    if header.deadline_ms is not None:
        head["dl"] = header.deadline_ms
    if header.traceparent is not None:
        head["tp"] = header.traceparent
    body = _pack(message.body)
    if len(body) > BODY_BYTES_MAX:
        raise WireError(f"the body has {len(body)} bytes; at most {BODY_BYTES_MAX} go in one message", header.id)
    frames: list[bytes | memoryview] = [_pack(head), body]
    frames.extend(_frame_of(column) for column in message.columns)
    return frames


def declare(columns: Sequence[Column]) -> list[list[Any]]:
    """What the body's "columns" says of these arrays."""
    if len(columns) > COLUMNS_MAX:
        raise WireError(f"{len(columns)} columns; at most {COLUMNS_MAX} go in one message")
    return [[_NAMES[column.dtype.newbyteorder("<")], int(column.size)] for column in columns]


def _frame_of(column: Column) -> memoryview:
    if column.nbytes > COLUMN_BYTES_MAX:
        raise WireError(f"a column of {column.nbytes} bytes; at most {COLUMN_BYTES_MAX} go in one message")
    little = np.ascontiguousarray(column, dtype=column.dtype.newbyteorder("<"))
    return little.reshape(-1).view(np.uint8).data


def decode_header(frame: bytes | memoryview) -> Header:
    """Reads the first frame; WireError where it is none."""
    if len(frame) > HEADER_BYTES_MAX:
        raise WireError(f"the header has {len(frame)} bytes; at most {HEADER_BYTES_MAX} are allowed")
    head = _unpack_map(frame, None)
    request_id = head.get("id")
    if type(request_id) is not bytes or len(request_id) != ID_BYTES:
        raise WireError("the header's id is not 16 bytes of bin")
    version, kind, deadline, trace = head.get("v", -1), head.get("t", -1), head.get("dl"), head.get("tp")
    if not _is_uint(kind, 2**32 - 1) or not _is_uint(version, 2**32 - 1):
        raise WireError("the header's v and t are to be unsigned integers of 32 bits", request_id)
    if deadline is not None:
        if not _is_uint(deadline):
            raise WireError("the header's dl is to be an unsigned integer", request_id)
        deadline = min(deadline, DEADLINE_MS_MAX)
    if trace is not None and (not isinstance(trace, str) or len(trace.encode()) > TRACEPARENT_BYTES_MAX):
        raise WireError(f"the header's tp is to be a str of at most {TRACEPARENT_BYTES_MAX} bytes", request_id)
    return Header(kind, request_id, deadline, trace or None, version)


def decode(frames: Sequence[bytes | memoryview]) -> Message:
    """Reads a whole message; WireError (with the id where it could be read) for what the contract does not allow."""
    if not frames:
        raise WireError("a message without frames")
    header = decode_header(frames[0])
    if len(frames) < 2:
        raise WireError("a message without a body", header.id)
    if len(frames[1]) > BODY_BYTES_MAX:
        raise WireError(f"the body has {len(frames[1])} bytes; at most {BODY_BYTES_MAX} are allowed", header.id)
    if len(frames) - 2 > COLUMNS_MAX:
        raise WireError(f"{len(frames) - 2} columns; at most {COLUMNS_MAX} are allowed", header.id)
    body = _unpack_map(frames[1], header.id)
    return Message(header, body, _columns(body.get("columns"), frames[2:], header.id))


def _columns(declared: Any, frames: Sequence[bytes | memoryview], request_id: bytes) -> tuple[Column, ...]:
    if declared is None:
        if not frames:
            return ()
        declared = []
    if not isinstance(declared, list) or len(declared) != len(frames):
        raise WireError(f"{len(frames)} column frames came that the body does not declare so", request_id)
    columns = []
    for number, (entry, frame) in enumerate(zip(declared, frames, strict=True)):
        if not isinstance(entry, list) or len(entry) != 2 or not isinstance(entry[0], str) or not _is_uint(entry[1]):
            raise WireError(f"columns[{number}] is to be [type, count]", request_id)
        dtype = _DTYPES.get(entry[0])
        if dtype is None:
            raise WireError(f"columns[{number}] has the type {entry[0]!r}; known are {', '.join(_DTYPES)}", request_id)
        if len(frame) != entry[1] * dtype.itemsize or len(frame) > COLUMN_BYTES_MAX:
            raise WireError(f"columns[{number}] announces {entry[1]} entries and has {len(frame)} bytes", request_id)
        columns.append(np.frombuffer(frame, dtype=dtype))
    return tuple(columns)


def _unpack_map(frame: bytes | memoryview, request_id: bytes | None) -> dict[str, Any]:
    data = frame if isinstance(frame, bytes) else bytes(frame)
    if not _is_harmless(data):
        _check_bounds(data, request_id)
    try:
        value = _unpack(data)
        # What is written anew as the same bytes has no key twice, and most messages are; the hook takes twice as long.
        if _pack(value) != data:
            value = _unpack(data, object_pairs_hook=_map_of)
    except (ValueError, TypeError, msgpack.exceptions.UnpackException) as error:
        _check_bounds(data, request_id)  # says better what is wrong, where it finds it
        raise WireError(f"no msgpack: {error}", request_id) from None
    if not isinstance(value, dict):
        raise WireError("not a map with str keys", request_id)
    if len(value) > KEYS_MAX:
        raise WireError(f"{len(value)} keys in one map; at most {KEYS_MAX} are allowed", request_id)
    for key in value:
        if type(key) is not str:
            raise WireError("not a map with str keys", request_id)
    return value


def _is_harmless(data: bytes) -> bool:
    """Whether unpacking may begin without a walk, which takes ten times as long: so few bytes that may begin a map or a
    list that it is deep nowhere and nothing large is allocated for what is only announced; and no timestamp, which no
    hook is asked about. Anything else that is wrong ends the unpacking."""
    return (
        len(data) <= _HARMLESS_BYTES_MAX
        and len(data.translate(None, _NO_CONTAINERS)) <= DEPTH_MAX
        and b"\xd6\xff" not in data
        and b"\xd7\xff" not in data
        and b"\xc7\x0c\xff" not in data
    )


def _refuse_ext(code: int, data: bytes) -> None:
    raise ValueError("msgpack ext types are not part of the contract")


def _map_of(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key occurs twice in one map")
    return made


def _is_uint(value: Any, most: int = 2**64 - 1) -> bool:
    return type(value) is int and 0 <= value <= most


# ---- The bounds ------------------------------------------------------------------------------------------------------
#
# First bytes of msgpack, by what must be known to step over a value: how many bytes follow for certain, or where its
# count stands and what is counted.

_FIXED, _BYTES, _ARRAY, _MAP, _REFUSED = range(5)
_COUNT_FORMATS = {1: struct.Struct(">B"), 2: struct.Struct(">H"), 4: struct.Struct(">I")}


def _first_bytes() -> list[tuple[int, int, int]]:
    """By first byte: (kind, bytes of a count that follows or 0, the count or payload where there is no such field)."""
    table = [(_FIXED, 0, 0)] * 256
    for byte in range(0x80, 0x90):
        table[byte] = (_MAP, 0, byte & 0x0F)
    for byte in range(0x90, 0xA0):
        table[byte] = (_ARRAY, 0, byte & 0x0F)
    for byte in range(0xA0, 0xC0):
        table[byte] = (_FIXED, 0, byte & 0x1F)
    for byte, payload in {
        0xCA: 4,
        0xCB: 8,
        0xCC: 1,
        0xCD: 2,
        0xCE: 4,
        0xCF: 8,
        0xD0: 1,
        0xD1: 2,
        0xD2: 4,
        0xD3: 8,
    }.items():
        table[byte] = (_FIXED, 0, payload)
    for byte, width in {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}.items():
        table[byte] = (_BYTES, width, 0)
    for byte, width in {0xDC: 2, 0xDD: 4}.items():
        table[byte] = (_ARRAY, width, 0)
    for byte, width in {0xDE: 2, 0xDF: 4}.items():
        table[byte] = (_MAP, width, 0)
    for byte in (0xC1, 0xC7, 0xC8, 0xC9, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8):
        table[byte] = (_REFUSED, 0, 0)
    return table


_TABLE = _first_bytes()
_HARMLESS_BYTES_MAX = 1024
_NO_CONTAINERS = bytes(byte for byte in range(256) if _TABLE[byte][0] not in (_ARRAY, _MAP))
_unpack = partial(msgpack.unpackb, raw=False, strict_map_key=False, ext_hook=_refuse_ext)
_pack = partial(msgpack.packb, use_bin_type=True)


def _check_bounds(data: bytes, request_id: bytes | None) -> None:
    """Walks over one value: no count beyond the bytes that remain, no depth beyond DEPTH_MAX, nothing left over."""
    size = len(data)
    position = 0
    pending = 1  # elements that this container still owes
    above: list[int] = []  # the same of the containers around it
    owed = 0  # the sum of `above`
    while True:
        if pending == 0:
            if not above:
                break
            pending = above.pop()
            owed -= pending
            continue
        if position >= size:
            raise WireError("msgpack ends in the middle of a value", request_id)
        pending -= 1
        kind, width, count = _TABLE[data[position]]
        position += 1
        if kind == _FIXED:
            position += count
            continue
        if kind == _REFUSED:
            raise WireError("msgpack ext types are not part of the contract", request_id)
        if width:
            if position + width > size:
                raise WireError("msgpack ends in the middle of a value", request_id)
            count = _COUNT_FORMATS[width].unpack_from(data, position)[0]
            position += width
        if kind == _MAP:
            count *= 2
        if count > size - position - owed - pending:
            raise WireError("a count announces more elements than there are bytes", request_id)
        if kind == _BYTES:
            position += count
            continue
        if len(above) >= DEPTH_MAX:
            raise WireError(f"deeper than {DEPTH_MAX}", request_id)
        above.append(pending)
        owed += pending
        pending = count
    if position != size:
        raise WireError("bytes are left over or missing after the value", request_id)
