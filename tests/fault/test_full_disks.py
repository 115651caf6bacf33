"""A disk, a quota that is full: one clear error, nothing torn, nothing left, and what fits afterwards is staged."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import windlass
from windlass import Code, Transfer
from windlass._native_stage import ENGINE_VARIABLE

from .conftest import Disk, leftovers, noise

SIZE = 64 << 20


def _fills_up(folder: Path, sources: Path) -> None:
    large, small = sources / "large", sources / "small"
    large.write_bytes(noise(2 * SIZE, 1))
    small.write_bytes(noise(100_000, 2))
    tree = sources / "tree"
    tree.mkdir()
    for number in range(12):
        (tree / str(number)).write_bytes(noise(SIZE // 8, number))
    target = folder / "target"
    target.write_bytes(b"old")
    whole = Transfer(tree, folder / "whole", tree_atomic=True)
    report = windlass.stage([Transfer(large, target), whole], on_error="report")
    for end in report.transfers:
        assert end.state == "failed"
        assert end.error is not None
        assert end.error.code == Code.RESOURCE_EXHAUSTED, end.error
    assert target.read_bytes() == b"old"
    assert not (folder / "whole").exists()
    assert leftovers(folder) == []
    merged = windlass.stage([Transfer(tree, folder / "merged")], on_error="report").transfers[0]
    assert merged.state == "failed"
    assert merged.error is not None
    assert merged.error.code == Code.RESOURCE_EXHAUSTED
    for path in (folder / "merged").iterdir():
        assert path.read_bytes() == (tree / path.name).read_bytes()
    for path in (folder / "merged").iterdir():
        path.unlink()
    assert windlass.stage([Transfer(small, target)]).ok
    assert target.read_bytes() == small.read_bytes()
    assert leftovers(folder) == []


@pytest.mark.parametrize("engine", ["auto", "threads"])
@pytest.mark.parametrize("kind", ["ext4", "tmpfs"])
def test_a_full_disk_is_told_and_tears_nothing(
    disk: Callable[..., Disk], kind: str, engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENGINE_VARIABLE, engine)
    _fills_up(disk(kind, SIZE).path, tmp_path)


def test_a_full_quota_is_told_and_tears_nothing(disk: Callable[..., Disk], tmp_path: Path) -> None:
    folder = disk("btrfs").path
    subprocess.run(["btrfs", "quota", "enable", str(folder)], check=True, capture_output=True)
    subprocess.run(["btrfs", "subvolume", "create", str(folder / "mine")], check=True, capture_output=True)
    subprocess.run(["btrfs", "qgroup", "limit", str(SIZE), str(folder / "mine")], check=True, capture_output=True)
    _fills_up(folder / "mine", tmp_path)


@pytest.mark.parametrize("kind", ["xfs", "btrfs"])
def test_a_file_system_that_can_share_blocks_does(disk: Callable[..., Disk], kind: str) -> None:
    folder = disk(kind).path
    source, target = folder / "source", folder / "in" / "target"
    source.write_bytes(noise(5_000_001, 3))
    end = windlass.stage([Transfer(source, target, checksum="xxh3", durability="full")]).transfers[0]
    plain = windlass.legacy.stage([Transfer(source, folder / "other", checksum="xxh3")]).transfers[0]
    assert end.engine == "reflink"
    assert end.checksum == plain.checksum
    assert target.read_bytes() == source.read_bytes()
    assert target.stat().st_ino != source.stat().st_ino
    with open(source, "r+b") as file:
        file.write(b"changed later")
    assert target.read_bytes() == noise(5_000_001, 3)
