"""One file: what is in it, and what it keeps of its source."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest
from conftest import Stager, written
from windlass import Code, Transfer

CHECKSUMS = {
    "xxh3": "79858690d4c8279c",
    "crc32c": "4b729509",
    "crc64nvme": "4b8b988243caad5c",
    "sha256": hashlib.sha256(b"windlass" * 1000).hexdigest(),
    "md5": hashlib.md5(b"windlass" * 1000).hexdigest(),
}
SIZES = [1, 511, 512, 513, 4095, 4096, 4097, 65536, 1 << 20, (1 << 20) + 1, 5_000_003]


@pytest.mark.parametrize("size", SIZES)
def test_a_file_arrives_as_it_is(stager: Stager, folder: Path, size: int) -> None:
    content = os.urandom(size)
    source = written(folder / "source", content)
    end = stager.one(source, folder / "target")
    assert (folder / "target").read_bytes() == content
    assert (end.state, end.bytes, end.files, end.error) == ("done", size, 1, None)
    assert end.engine in stager.engines


def test_an_empty_file_arrives(stager: Stager, folder: Path) -> None:
    end = stager.one(written(folder / "source", b""), folder / "target", checksum="sha256")
    assert (folder / "target").read_bytes() == b""
    assert (end.bytes, end.files) == (0, 1)
    assert end.checksum == "sha256:" + hashlib.sha256().hexdigest()


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755, 0o400, 0o777])
def test_the_mode_is_the_sources(stager: Stager, folder: Path, mode: int) -> None:
    stager.one(written(folder / "source", b"x", mode), folder / "target")
    assert stat.S_IMODE((folder / "target").stat().st_mode) == mode


def test_setuid_setgid_and_sticky_stay_behind(stager: Stager, folder: Path) -> None:
    stager.one(written(folder / "source", b"x", 0o7755), folder / "target")
    assert stat.S_IMODE((folder / "target").stat().st_mode) == 0o755


@pytest.mark.parametrize("mode", [0o640, 0o000, 0o777])
def test_a_given_mode_is_exact(stager: Stager, folder: Path, mode: int) -> None:
    stager.one(written(folder / "source", b"x", 0o600), folder / "target", mode=mode)
    assert stat.S_IMODE((folder / "target").stat().st_mode) == mode


def test_the_mtime_is_kept_to_the_nanosecond(stager: Stager, folder: Path) -> None:
    source = written(folder / "source", b"x")
    os.utime(source, ns=(10**18 + 1, 10**18 + 123456789))
    stager.one(source, folder / "target")
    assert (folder / "target").stat().st_mtime_ns == 10**18 + 123456789


def test_holes_are_kept(stager: Stager, folder: Path) -> None:
    source, size = folder / "source", 64 << 20
    with source.open("wb") as file:
        file.write(b"begin")
        file.seek(32 << 20)
        file.write(b"middle")
        file.truncate(size)
    end = stager.one(source, folder / "target", checksum="sha256")
    target = folder / "target"
    assert target.stat().st_size == size == end.bytes
    assert target.stat().st_blocks * 512 < 2 << 20
    content = source.read_bytes()
    assert target.read_bytes() == content
    assert end.checksum == "sha256:" + hashlib.sha256(content).hexdigest()


def test_a_file_that_is_one_hole_arrives(stager: Stager, folder: Path) -> None:
    with (folder / "source").open("wb") as file:
        file.truncate(3_000_001)
    stager.one(folder / "source", folder / "target")
    assert (folder / "target").read_bytes() == bytes(3_000_001)


@pytest.mark.parametrize(
    ("first", "length"), [(0, 10), (1, 4096), (4095, 2), (100_000, 400_001), (500_000, 1), (0, 500_001)]
)
def test_a_range_is_these_bytes(stager: Stager, folder: Path, first: int, length: int) -> None:
    content = os.urandom(500_001)
    end = stager.one(
        written(folder / "source", content), folder / "target", range=(first, length), size=length, checksum="sha256"
    )
    assert (folder / "target").read_bytes() == content[first : first + length]
    assert end.bytes == length
    assert end.checksum == "sha256:" + hashlib.sha256(content[first : first + length]).hexdigest()


@pytest.mark.parametrize("first", [0, 50, 100])
def test_a_range_of_no_length_is_an_empty_file(stager: Stager, folder: Path, first: int) -> None:
    stager.one(written(folder / "source", bytes(100)), folder / "target", range=(first, 0))
    assert (folder / "target").read_bytes() == b""


@pytest.mark.parametrize("stretch", [(0, 101), (100, 1), (101, 0), (2**62, 5)])
def test_a_range_past_the_end_is_refused(stager: Stager, folder: Path, stretch: tuple[int, int]) -> None:
    error = stager.failed(written(folder / "source", bytes(100)), folder / "target", range=stretch)
    assert error.code == Code.INVALID_ARGUMENT
    assert isinstance(error, ValueError)
    assert not (folder / "target").exists()


@pytest.mark.parametrize("name", list(CHECKSUMS))
def test_a_bare_checksum_is_computed_and_told(stager: Stager, folder: Path, name: str) -> None:
    end = stager.one(written(folder / "source", b"windlass" * 1000), folder / "target", checksum=name)
    assert end.checksum == f"{name}:{CHECKSUMS[name]}"


@pytest.mark.parametrize("name", list(CHECKSUMS))
def test_a_right_checksum_lets_it_through(stager: Stager, folder: Path, name: str) -> None:
    wanted = f"{name}:{CHECKSUMS[name].upper()}"
    end = stager.one(written(folder / "source", b"windlass" * 1000), folder / "target", checksum=wanted)
    assert end.checksum == wanted.lower()


@pytest.mark.parametrize("name", list(CHECKSUMS))
def test_a_wrong_checksum_leaves_the_old_file(stager: Stager, folder: Path, name: str) -> None:
    target = written(folder / "target", b"old")
    error = stager.failed(written(folder / "source", b"windlass" * 999), target, checksum=f"{name}:{CHECKSUMS[name]}")
    assert error.code == Code.DATA_LOSS
    assert target.read_bytes() == b"old"


@pytest.mark.parametrize("size", [0, 4, 6])
def test_a_wrong_size_leaves_the_old_file(stager: Stager, folder: Path, size: int) -> None:
    target = written(folder / "target", b"old")
    error = stager.failed(written(folder / "source", b"12345"), target, size=size)
    assert error.code == Code.DATA_LOSS
    assert target.read_bytes() == b"old"


@pytest.mark.parametrize("durability", ["none", "file", "full", None])
@pytest.mark.parametrize("kind", ["input", "result"])
def test_every_durability_publishes(stager: Stager, folder: Path, durability: str | None, kind: str) -> None:
    stager.one(written(folder / "source", b"x" * 5000), folder / "a/b/target", durability=durability, kind=kind)
    assert (folder / "a/b/target").read_bytes() == b"x" * 5000


@pytest.mark.parametrize(
    "name",
    [b"n" * 255, b"with space", b"per%20cent", b"\xff\xfe latin", "snowman ☃".encode(), b"new\nline", b"-dash", b"a:b"],
)
@pytest.mark.parametrize("as_bytes", [True, False])
def test_any_name_of_a_file_will_do(stager: Stager, folder: Path, name: bytes, as_bytes: bool) -> None:
    source, target = os.fsencode(folder / "from") + b"/" + name, os.fsencode(folder / "to") + b"/" + name
    os.mkdir(folder / "from")
    with open(source, "wb") as file:
        file.write(b"named")
    end = stager.one(*((source, target) if as_bytes else (os.fsdecode(source), os.fsdecode(target))))
    with open(target, "rb") as file:
        assert file.read() == b"named"
    assert end.target == (target if as_bytes else os.fsdecode(target))


def test_a_file_url_is_decoded_once(stager: Stager, folder: Path) -> None:
    written(folder / "a b%20c", b"url")
    stager.one(f"file://{folder}/a%20b%2520c", f"file://localhost{folder}/out%41")
    assert (folder / "outA").read_bytes() == b"url"


def test_a_relative_path_is_joined_to_the_working_folder(
    stager: Stager, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(folder / "sub/source", b"here")
    monkeypatch.chdir(folder / "sub")
    if stager.way == "bridge":
        with pytest.raises(ValueError, match="relative"):
            stager.one("source", folder / "target")
        return
    stager.one("source", "./deeper/target")
    assert (folder / "sub/deeper/target").read_bytes() == b"here"


def test_a_link_on_the_way_to_the_source_is_followed(stager: Stager, folder: Path) -> None:
    written(folder / "real/source", b"linked")
    os.symlink("real", folder / "way")
    os.symlink("real/source", folder / "short")
    stager.one(folder / "way/source", folder / "one")
    stager.one(folder / "short", folder / "two")
    assert (folder / "one").read_bytes() == (folder / "two").read_bytes() == b"linked"
    assert not (folder / "two").is_symlink()


def test_hard_links_become_separate_files(stager: Stager, folder: Path) -> None:
    source = written(folder / "source", b"same")
    os.link(source, folder / "twin")
    stager.stage([Transfer(source, folder / "one"), Transfer(folder / "twin", folder / "two")])
    assert (folder / "one").stat().st_nlink == (folder / "two").stat().st_nlink == 1
    assert source.stat().st_nlink == 2
