"""The golden bytes of the wire (proto/golden): the Python codec reads them and writes them byte by byte alike.

Each .bin holds the frames of one message, each frame after its length in four little-endian bytes.
"""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from windlass import _wire
from windlass._wire import Type, WireError

FOLDER = Path(__file__).parents[2] / "proto" / "golden"
FILES = sorted(FOLDER.glob("*.bin"))


def frames_of(path: Path) -> list[bytes]:
    data = path.read_bytes()
    frames = []
    at = 0
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at)
        frames.append(data[at + 4 : at + 4 + length])
        assert len(frames[-1]) == length
        at += 4 + length
    return frames


def test_there_is_one_of_each_message():
    kinds = {_wire.decode(frames_of(path)).header.type for path in FILES}
    assert {kind for kind in Type if kind <= Type.NODES} <= kinds


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_what_is_read_is_written_alike(path: Path):
    frames = frames_of(path)
    message = _wire.decode(frames)
    assert [bytes(frame) for frame in _wire.encode(message)] == frames


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_every_cut_is_refused(path: Path):
    header, body, *columns = frames_of(path)
    for length in range(len(body)):
        with pytest.raises(WireError):
            _wire.decode([header, body[:length], *columns])
    for length in range(len(header)):
        with pytest.raises(WireError):
            _wire.decode([header[:length], body, *columns])
