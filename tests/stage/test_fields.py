"""What a Transfer may hold, and how it stands in the request."""

from __future__ import annotations

import datetime
import os
import pickle
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import windlass
from windlass import InvalidTransfer, StageError, Transfer
from windlass._stage import StageRequest, encode_transfers

MALFORMED: list[tuple[str, Any]] = [
    *[
        ("source", bad)
        for bad in ("", b"", "a\0b", 7, None, ["a"], "ftp://host/x", "http://", "s3://bucket", "s3:///key")
    ],
    *[("source", bad) for bad in ("file:relative", "file://other/x", "file:///a%00", "file:///a%2Fb", "file:///a%2fb")],
    *[("source", bad) for bad in ("file:///a?b", "file:///a#b", "file:///a%", "file:///a%4", "file:///a%zz", "\ud800")],
    *[("target", bad) for bad in ("", "/", "/.", "///", "/a\0", "/a/.windlass-x", "/.windlass-/", "http://h/x", 3.5)],
    *[
        ("range", bad)
        for bad in (5, (1,), (1, 2, 3), (-1, 5), (5, -1), (1.0, 2), ("1", "2"), (True, 2), "12", (2**63, 1))
    ],
    *[("range", bad) for bad in ((2**63 - 1, 1), {}, b"12")],
    *[("size", bad) for bad in (-1, 1.5, "7", True, 2**63)],
    *[
        ("checksum", bad)
        for bad in ("", "sha1", "xxh3:", "xxh3:12", "md5:" + "g" * 32, "sha256:" + "0" * 63, "XXH3", 7, b"md5")
    ],
    *[("mode", bad) for bad in (-1, 0o1000, 0o4755, "644", 6.0, True)],
    *[("priority", bad) for bad in (1.5, "high", None, 2**31, -(2**31) - 1, True)],
    *[("deadline", bad) for bad in ("soon", float("nan"), float("inf"), datetime.datetime(2030, 1, 1), True, [1])],
    *[("decompress", bad) for bad in ("lzma", "", 1, True)],
    *[("kind", bad) for bad in ("output", None, "", 1)],
    *[("durability", bad) for bad in ("fsync", "", 1)],
    *[("symlinks", bad) for bad in ("follow", "", True)],
    *[(flag, bad) for flag in ("cache", "pin", "tree_atomic") for bad in ("yes", 2, None, [])],
]


def transfer(**fields: Any) -> Transfer:
    return Transfer(**{"source": "/source", "target": "/target", **fields})


def encoded(**fields: Any) -> dict[str, Any]:
    return encode_transfers([transfer(**fields)])["transfers"][0]


@pytest.mark.parametrize(("field", "bad"), MALFORMED)
def test_a_malformed_field_is_refused_by_name(field: str, bad: Any) -> None:
    wrong = transfer(**{field: bad})
    with pytest.raises(InvalidTransfer, match=rf"transfers\[1\]\.{field} = ") as caught:
        encode_transfers([transfer(), wrong])
    assert isinstance(caught.value, ValueError) and isinstance(caught.value, StageError)
    assert caught.value.code == windlass.Code.INVALID_ARGUMENT
    assert (caught.value.source, caught.value.target) == (wrong.source, wrong.target)


@pytest.mark.parametrize("bad", [None, 5, [("a", "b")], [{"source": "a", "target": "b"}], transfer(), ["a"]])
def test_only_a_list_of_transfers_will_do(bad: Any) -> None:
    with pytest.raises(InvalidTransfer):
        encode_transfers(bad)


def test_range_and_decompress_do_not_go_together() -> None:
    with pytest.raises(InvalidTransfer, match="range"):
        encoded(range=(0, 1), decompress="gzip")


def test_what_is_not_said_is_not_sent() -> None:
    assert encoded() == {"source": b"/source", "target": b"/target"}


def test_what_is_said_is_sent() -> None:
    fields = {
        "range": [3, 4],
        "size": 4,
        "checksum": "md5:" + "0" * 32,
        "mode": 0o640,
        "priority": -3,
        "cache": True,
        "pin": True,
        "kind": "result",
        "durability": "none",
        "symlinks": "skip",
        "tree_atomic": True,
    }
    assert encoded(**fields) == {"source": b"/source", "target": b"/target", **fields}
    assert encoded(decompress="zstd")["decompress"] == "zstd"


def test_integers_of_numpy_are_integers() -> None:
    fields = encoded(range=(np.int64(1), np.uint8(2)), size=np.int32(2), priority=np.int16(4), mode=np.int64(0o600))
    assert (fields["range"], fields["size"], fields["priority"], fields["mode"]) == ([1, 2], 2, 4, 0o600)
    assert all(type(value) is int for value in (*fields["range"], fields["size"], fields["priority"], fields["mode"]))


@pytest.mark.parametrize(
    ("path", "wire"),
    [
        ("/plain/%41?#x", b"/plain/%41?#x"),
        (b"/bytes/\xff", b"/bytes/\xff"),
        ("/escaped/\udcff", b"/escaped/\xff"),
        (Path("/a/path"), b"/a/path"),
        (PurePosixPath("/pure"), b"/pure"),
        ("/not//collapsed/../at/./all/", b"/not//collapsed/../at/./all/"),
        ("~/x", b"/cwd/~/x"),
        ("relative/../x", b"/cwd/relative/../x"),
        ("file:///a%20b%2525", b"/a b%25"),
        ("file:/short", b"/short"),
        ("file://localhost/x%FF", b"/x\xff"),
        ("FILE:///x", b"/x"),
        (Path("file:/x"), b"/cwd/file:/x"),
        ("a:b", b"/cwd/a:b"),
        ("HTTP://Host/Path%20", b"http://Host/Path%20"),
        ("s3://bucket/key", b"s3://bucket/key"),
    ],
)
def test_paths_on_the_wire(path: Any, wire: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getcwdb", lambda: b"/cwd")
    assert encoded(source=path)["source"] == wire


@pytest.mark.parametrize("path", ["relative", "./x", Path("x")])
def test_relative_paths_are_refused_where_they_mean_nothing(path: Any) -> None:
    with pytest.raises(InvalidTransfer, match="relative"):
        encode_transfers([transfer(source=path)], relative=False)
    encode_transfers([transfer(source="file:///absolute")], relative=False)


@pytest.mark.parametrize("deadline", [10, 10.0, np.float64(10)])
def test_a_deadline_in_seconds_counts_from_the_call(deadline: Any) -> None:
    assert 9_000 < encoded(deadline=deadline)["deadline_ms"] <= 10_000


def test_a_deadline_may_be_a_moment() -> None:
    moment = datetime.datetime.now(datetime.timezone(datetime.timedelta(hours=-7))) + datetime.timedelta(seconds=10)
    assert 9_000 < encoded(deadline=moment)["deadline_ms"] <= 10_001
    assert encoded(deadline=moment - datetime.timedelta(days=1))["deadline_ms"] < 0


def test_a_deadline_that_is_no_float_is_refused() -> None:
    with pytest.raises(InvalidTransfer, match="deadline"):
        encoded(deadline=Decimal(3))


def test_a_request_that_waits_sends_what_remains(monkeypatch: pytest.MonkeyPatch) -> None:
    request = StageRequest([transfer(deadline=10)])
    now = windlass._stage_encode.time.monotonic()
    monkeypatch.setattr(windlass._stage_encode.time, "monotonic", lambda: now + 4)
    assert 5_000 < request.body()["transfers"][0]["deadline_ms"] <= 6_000


def test_transfers_compare_and_pickle() -> None:
    one = transfer(range=(1, 2), deadline=3.0)
    assert pickle.loads(pickle.dumps(one)) == one
    assert one != transfer()
    assert len({one, transfer(range=(1, 2), deadline=3.0)}) == 1
