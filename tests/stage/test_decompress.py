"""Decompressing on the way: what Python's gzip and zstd made, by every way of staging; and what is no such thing."""

from __future__ import annotations

import gzip
import hashlib
import os
import random
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import windlass
from conftest import Stager, written
from windlass import Code, Transfer

try:
    from compression import zstd
except ImportError:
    from backports import zstd

PACK: dict[str, Callable[..., bytes]] = {"gzip": gzip.compress, "zstd": zstd.compress}
HOWS = list(PACK)
EDGES = [0, 1, 4095, 4096, 4097, 65535, 65536, 65537, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20]
SKIPPABLE = b"\x5a\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"hello"


def mixture(chance: random.Random, size: int) -> bytes:
    """Runs, noise, and what was there before: every kind of block. Begins with noise, lest it be a bomb."""
    made = bytearray(chance.randbytes(min(size, size // 400 + 1)))
    while len(made) < size:
        count = min(chance.choice([1, 100, 10_000, 300_000]), size - len(made))
        kind = chance.randrange(3)
        if kind == 0:
            made += bytes([chance.randrange(256)]) * count
        elif kind == 1 or not made:
            made += chance.randbytes(count)
        else:
            at = chance.randrange(len(made))
            made += (made[at : at + count] * (count // max(len(made) - at, 1) + 1))[:count]
    return bytes(made[:size])


def packed(chance: random.Random, how: str, content: bytes) -> bytes:
    """In one to four members or frames, of any level, with what may stand between them."""
    cuts = sorted(chance.randrange(len(content) + 1) for _ in range(chance.choice([0, 0, 1, 3])))
    parts = [content[a:b] for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True)]
    made = b""
    for part in parts:
        if how == "zstd" and chance.random() < 0.3:
            made += SKIPPABLE
        made += PACK[how](part, chance.randint(1, 9))
    if how == "gzip" and chance.random() < 0.3:
        made += bytes(chance.choice([1, 512, 70_000]))
    return made


@pytest.mark.parametrize("how", HOWS)
def test_what_python_packs_comes_out(stager: Stager, folder: Path, how: str) -> None:
    seed = int(os.environ.get("WINDLASS_SEED", random.randrange(2**32)))
    print(f"WINDLASS_SEED={seed} python -m pytest {__file__} -k python_packs")
    chance = random.Random(seed)
    sizes = EDGES + [chance.randrange(1, 4 << 20) for _ in range(4)]
    contents = [mixture(chance, size) for size in sizes]
    transfers = []
    for number, content in enumerate(contents):
        source = written(folder / f"{number}.packed", packed(chance, how, content))
        told = {"size": len(content)} if chance.random() < 0.5 else {}
        asked = chance.choice([how, "auto"])
        transfers.append(Transfer(source, folder / "to" / str(number), decompress=asked, checksum="sha256", **told))
    report = stager.stage(transfers)
    assert (report.ok, report.bytes, report.files) == (True, sum(sizes), len(sizes))
    for number, (content, end) in enumerate(zip(contents, report.transfers, strict=True)):
        assert (folder / "to" / str(number)).read_bytes() == content
        assert end.bytes == len(content)
        assert end.checksum == "sha256:" + hashlib.sha256(content).hexdigest()
        assert end.engine in stager.engines and end.engine != "reflink"


@pytest.mark.parametrize("content", [b"", b"\x1f", b"\x1f\x8b", b"\x28\xb5\x2f", b"plain" * 300_000])
def test_auto_copies_what_is_not_packed(stager: Stager, folder: Path, content: bytes) -> None:
    end = stager.one(written(folder / "s", content), folder / "t", decompress="auto", size=len(content), checksum="md5")
    assert (folder / "t").read_bytes() == content
    assert end.checksum == "md5:" + hashlib.md5(content).hexdigest()
    error = stager.failed(folder / "s", folder / "u", decompress="auto", size=len(content) + 1)
    assert error.code == Code.DATA_LOSS
    assert not (folder / "u").exists()


@pytest.mark.parametrize("how", HOWS)
def test_mode_and_time_are_the_sources(stager: Stager, folder: Path, how: str) -> None:
    source = written(folder / "s", PACK[how](b"x" * 1000), 0o640)
    os.utime(source, ns=(10**18, 10**18 + 123))
    stager.one(source, folder / "t", decompress=how)
    info = (folder / "t").stat()
    assert (stat.S_IMODE(info.st_mode), info.st_mtime_ns) == (0o640, 10**18 + 123)
    stager.one(source, folder / "t", decompress=how, mode=0o600)
    assert stat.S_IMODE((folder / "t").stat().st_mode) == 0o600


@pytest.mark.parametrize("how", HOWS)
def test_size_and_checksum_are_of_what_comes_out(stager: Stager, folder: Path, how: str) -> None:
    content = os.urandom(1000) * 400
    source = written(folder / "s", PACK[how](content))
    right = "md5:" + hashlib.md5(content).hexdigest()
    assert stager.one(source, folder / "t", decompress=how, size=len(content), checksum=right).checksum == right
    (folder / "t").write_bytes(b"old")
    of_the_source = hashlib.md5(source.read_bytes()).hexdigest()
    wrong: list[dict[str, Any]] = [
        {"size": len(content) - 1},
        {"size": len(content) + 1},
        {"size": 0},
        {"size": source.stat().st_size},
        {"checksum": "md5:" + of_the_source},
    ]
    for fields in wrong:
        error = stager.failed(source, folder / "t", decompress=how, **fields)
        assert (error.code, error.retryable) == (Code.DATA_LOSS, False), fields
        assert str(source) in str(error)
    assert (folder / "t").read_bytes() == b"old"


def spoilt(how: str) -> dict[str, bytes]:
    content = os.urandom(200_000)
    summed_up = {zstd.CompressionParameter.checksum_flag: True}
    whole = gzip.compress(content) if how == "gzip" else zstd.compress(content, options=summed_up)
    middle = len(whole) // 2
    return {
        "empty": b"",
        "another kind": PACK[HOWS[1 - HOWS.index(how)]](b"x" * 100),
        "no kind at all": b"plain text, longer than any magic",
        "its magic alone": whole[:4],
        "cut in the middle": whole[:middle],
        "cut before its last byte": whole[:-1],
        "the next one is cut": whole + whole[:10],
        "flipped": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        "rubbish behind it": whole + b"rubbish, and not zeros",
    }


@pytest.mark.parametrize("how", HOWS)
def test_what_is_not_sound_is_data_loss_and_leaves_nothing(stager: Stager, folder: Path, how: str) -> None:
    for name, content in spoilt(how).items():
        source = written(folder / name, content)
        error = stager.failed(source, folder / "t", decompress=how)
        assert (error.code, error.retryable) == (Code.DATA_LOSS, False), name
        assert str(source) in str(error) and "nothing was published" in str(error), name
        assert not (folder / "t").exists(), name
    error = stager.failed(folder / "cut in the middle", folder / "t", decompress="auto")
    where = (folder / "cut in the middle").stat().st_size
    assert f"near byte {where}" in str(error) and "ends in the middle" in str(error)


@pytest.mark.parametrize("how", HOWS)
def test_a_bomb_is_ended_and_leaves_nothing(stager: Stager, folder: Path, how: str) -> None:
    source = written(folder / "s", PACK[how](bytes(64 << 20), 9))
    assert (64 << 20) / source.stat().st_size > 1000
    written(folder / "t", b"old")
    error = stager.failed(source, folder / "t", decompress=how)
    assert (error.code, error.retryable) == (Code.RESOURCE_EXHAUSTED, False)
    assert "stage.decompress_ratio_max" in str(error)
    error = stager.failed(source, folder / "t", decompress="auto", size=64 << 20)
    assert error.code == Code.RESOURCE_EXHAUSTED, "a size that was told lifts no limit"
    assert (folder / "t").read_bytes() == b"old"


@pytest.mark.parametrize("way", ["legacy", "library"])
def test_in_process_the_ratio_is_the_environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    stage = windlass.stage if way == "library" else windlass.legacy.stage
    source = written(tmp_path / "s", gzip.compress(bytes(10_000)))
    transfers = [Transfer(source, tmp_path / "t", decompress="gzip")]
    for ratio, fine in (("2", False), ("1000.5", True)):
        monkeypatch.setenv("WINDLASS_STAGE__DECOMPRESS_RATIO_MAX", ratio)
        assert stage(transfers, on_error="report").ok == fine
    for wrong in ("0.5", "many", "1e7", "nan"):
        monkeypatch.setenv("WINDLASS_STAGE__DECOMPRESS_RATIO_MAX", wrong)
        with pytest.raises(ValueError, match="DECOMPRESS_RATIO_MAX"):
            stage(transfers)


def test_a_daemons_ratio_is_its_configurations(tmp_path: Path) -> None:
    source = written(tmp_path / "s", gzip.compress(bytes(1 << 20)))
    config = {"stage.roots": [str(tmp_path)], "stage.decompress_ratio_max": 10}
    with windlass.LocalNode(config=config) as node, node.client() as client:
        report = client.stage([Transfer(source, tmp_path / "t", decompress="auto")], on_error="report")
        assert report.transfers[0].error.code == Code.RESOURCE_EXHAUSTED
        assert client.stage([Transfer(source, tmp_path / "t")]).ok


@pytest.mark.parametrize("how", HOWS)
def test_what_is_small_is_no_bomb(stager: Stager, folder: Path, how: str) -> None:
    """A source counts as a block of a disk at least, so a few hundred bytes may hold a page of the same words."""
    content = b"windlass " * 400_000
    source = written(folder / "s", PACK[how](content, 9))
    stager.one(source, folder / "t", decompress=how)
    assert (folder / "t").read_bytes() == content


def test_trees_are_not_decompressed(stager: Stager, folder: Path) -> None:
    written(folder / "tree/s", gzip.compress(b"x"))
    for how in ("gzip", "zstd", "auto"):
        error = stager.failed(folder / "tree", folder / "t", decompress=how)
        assert error.code == Code.INVALID_ARGUMENT and "decompress" in str(error)
    with pytest.raises(ValueError, match="range"):
        stager.stage([Transfer(folder / "tree/s", folder / "t", decompress="gzip", range=(0, 1))])
    assert not (folder / "t").exists()


def test_the_bytes_in_all_are_known_where_they_were_told(stager: Stager, folder: Path) -> None:
    content = os.urandom(3 << 20)
    source = written(folder / "s", gzip.compress(content, 1))
    seen: list[tuple[Any, ...]] = []
    for told in (None, len(content)):
        seen.clear()
        transfers = [Transfer(source, folder / f"t{n}", decompress="gzip", size=told) for n in range(3)]
        stager.stage(transfers, progress=lambda *figures: seen.append(figures))
        assert seen[-1] == (3 * len(content), 3 * len(content), 3, 3)
        assert [figures[0] for figures in seen] == sorted(figures[0] for figures in seen)
        assert {figures[1] for figures in seen[:-1]} <= {None, told and 3 * told, 3 * len(content)}


def test_windows_beyond_what_memory_there_is_are_refused_and_usual_ones_are_not(stager: Stager, folder: Path) -> None:
    """A stream of unknown length takes a level's whole window, however little follows."""

    def stream(window_log: int, content: bytes) -> bytes:
        options = {zstd.CompressionParameter.window_log: window_log, zstd.CompressionParameter.compression_level: 1}
        compressor = zstd.ZstdCompressor(options=options)
        return compressor.compress(content) + compressor.flush()

    content = os.urandom(9 << 20)
    for log in (10, 21, 23):  # the least, and those of levels 3 and 19
        stager.one(written(folder / "s", stream(log, content)), folder / "t", decompress="zstd")
        assert (folder / "t").read_bytes() == content
    error = stager.failed(written(folder / "s", stream(30, content)), folder / "u", decompress="zstd")
    assert error.code == (Code.DATA_LOSS if stager.way == "legacy" else Code.RESOURCE_EXHAUSTED)
    in_process = stager.failed if stager.way in ("daemon", "bridge") else stager.one
    in_process(written(folder / "s", stream(27, content)), folder / "v", decompress="zstd")


def test_many_small_ones_in_one_call(stager: Stager, folder: Path) -> None:
    contents = {str(n): os.urandom(n * 37) for n in range(200)}
    transfers = []
    for name, content in contents.items():
        how = HOWS[len(content) % 2]
        source = written(folder / "from" / name, PACK[how](content, 1))
        transfers.append(Transfer(source, folder / "to" / name, decompress="auto"))
    assert stager.stage(transfers).ok
    assert {path.name: path.read_bytes() for path in (folder / "to").iterdir()} == contents
