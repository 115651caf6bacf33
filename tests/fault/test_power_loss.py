"""The power goes: what is under a final name is old or whole, what was done with durability `full` is there, and what
an earlier life wrote but did not sync is not taken for written."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import windlass
from windlass import Transfer

from .conftest import Disk, noise, seeds

FILES = 40
LARGE = 150 << 20


def _one_cut(disk: Disk, sources: Path, seed: int) -> None:
    chance = random.Random(seed)
    top = disk.path / str(seed)
    top.mkdir()
    olds = {str(number): b"old" * number for number in range(0, FILES, 3)}
    for name, text in olds.items():
        (top / name).write_bytes(text)
    for path in (*top.iterdir(), top, disk.path):
        _sync(path)
    transfers = [
        Transfer(sources / str(number), top / str(number), durability=chance.choice(["file", "full"]))
        for number in range(FILES)
    ]
    at = chance.randrange(FILES)
    transfers[at:at] = [
        Transfer(sources / str(number), top / f"new/x/n{number}", durability="full") for number in range(4)
    ]
    reports: list[windlass.StageReport] = []
    staging = threading.Thread(target=lambda: reports.append(windlass.stage(transfers, on_error="report")))
    staging.start()
    time.sleep(chance.random() * 0.4)  # the moment is the test's random choice
    disk.lose_power()
    staging.join(60)
    disk.unmount()
    disk.mount()
    for transfer, end in zip(transfers, reports[0].transfers, strict=True):
        target, wanted = Path(os.fsdecode(transfer.target)), Path(os.fsdecode(transfer.source)).read_bytes()
        content = target.read_bytes() if target.exists() else None
        assert content in (wanted, olds.get(target.name)), f"seed {seed}: {target} is torn"
        if end.state == "done" and transfer.durability == "full":
            assert content == wanted, f"seed {seed}: {target} was promised"


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _cuts(disk: Disk, sources: Path, chosen: list[int]) -> None:
    sources.mkdir()
    for number in range(FILES):
        (sources / str(number)).write_bytes(noise(1 + number * 5000, number))
    for seed in chosen:
        _one_cut(disk, sources, seed)


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_the_power_goes_at_random_points(disk: Callable[..., Disk], kind: str, tmp_path: Path) -> None:
    _cuts(disk(kind), tmp_path / "sources", seeds(5, 5))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_the_power_goes_at_many_random_points(disk: Callable[..., Disk], kind: str, tmp_path: Path) -> None:
    _cuts(disk(kind, 1 << 30), tmp_path / "sources", [1000 + seed for seed in seeds(5, 150)])


def _tree(top: Path) -> Path:
    """Folders with modes and times of their own, an empty one, a link, files small and large."""
    for number in range(60):
        path = top / f"d{number % 5}" / "deep" / str(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(noise(number * 3000, number))
    (top / "large").write_bytes(noise(6 << 20, 99))
    (top / "empty").mkdir()
    os.symlink("large", top / "link")
    (top / "d1").chmod(0o750)
    for path in (top / "large", top / "d2", top):
        os.utime(path, ns=(5, 1_600_000_000_123_456_789))
    return top


def _told(top: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    for path in [top, *top.rglob("*")]:
        info = path.lstat()
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        modified = info.st_mtime_ns if content is None or path.is_file() else 0
        found[str(path.relative_to(top))] = (info.st_mode, modified, content)
    return found


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_results_are_there_when_the_power_goes_right_after_the_answer(
    disk: Callable[..., Disk], kind: str, tmp_path: Path
) -> None:
    """To another file system, by a daemon: a file, many files, a tree onto nothing, into a folder, and as a whole."""
    shared, out = disk(kind), tmp_path / "out"
    tree = _tree(out / "tree")
    small = [out / f"small{number}" for number in range(30)]
    for number, path in enumerate(small):
        path.write_bytes(noise(1 + number * 997, number))
    (shared.path / "merged" / "d1").mkdir(parents=True)
    (shared.path / "merged" / "d1" / "old").write_bytes(b"old")
    (shared.path / "whole").mkdir()
    os.sync()
    calls = [
        [Transfer(tree / "large", shared.path / "job/7/large", kind="result", checksum="xxh3")],
        [Transfer(path, shared.path / "many" / path.name[-1] / path.name, kind="result") for path in small],
        [Transfer(tree, shared.path / "new/tree", kind="result", symlinks="keep")],
        [Transfer(tree, shared.path / "merged", kind="result", symlinks="keep")],
        [Transfer(tree, shared.path / "whole", kind="result", symlinks="keep", tree_atomic=True)],
    ]
    wanted = _told(tree)
    with windlass.LocalNode(config={"stage.roots": [str(tmp_path)]}) as node, node.client() as client:
        for transfers in calls:
            assert client.stage(transfers).ok
            shared.lose_power()
            shared.unmount()
            shared.mount()
    assert (shared.path / "job/7/large").read_bytes() == (tree / "large").read_bytes()
    for path in small:
        assert (shared.path / "many" / path.name[-1] / path.name).read_bytes() == path.read_bytes()
    assert _told(shared.path / "new/tree") == wanted
    assert _told(shared.path / "whole") == wanted
    merged = _told(shared.path / "merged")
    assert merged.pop("d1/old")
    assert {name: told for name, told in merged.items() if told[2] is not None} == {  # type: ignore[index]
        name: told
        for name, told in wanted.items()
        if told[2] is not None  # type: ignore[index]
    }


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_only_what_was_synced_is_resumed(disk: Callable[..., Disk], kind: str, tmp_path: Path) -> None:
    lost = disk(kind, 1 << 30)
    source, target = tmp_path / "source", lost.path / "target"
    source.write_bytes(noise(LARGE, 7))
    config = {"stage.roots": [str(tmp_path)], "stage.bandwidth_max": "50MiB"}
    with windlass.LocalNode(config=config) as node:
        with node.client() as client:
            future = client.submit_stage([Transfer(source, target)])
            while future.progress().bytes < 110 << 20:
                assert not future.done()
            node.kill()
        lost.lose_power()
        lost.unmount()
        lost.mount()
        node.restart()
        assert not target.exists()
        with node.client() as client:
            end = client.stage([Transfer(source, target)]).transfers[0]
    assert end.state == "done"
    assert end.resumed_bytes == 0
    assert target.read_bytes() == source.read_bytes()
