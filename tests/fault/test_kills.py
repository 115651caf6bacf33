"""The daemon is killed at any moment: no wrong bytes under a final name, up again within 2 s, resumed as promised."""

from __future__ import annotations

import gzip
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import windlass
from windlass import Transfer

from .conftest import leftovers, noise, seeds

LARGE = 130 << 20
READ_AGAIN_MAX = 64 << 20
RESTART_S = 2.0


class World:
    """A daemon, what it stages, and what may be found afterwards."""

    def __init__(self, folder: Path, bandwidth: str = "150MiB") -> None:
        self.sources = folder / "sources"
        self.targets = folder / "targets"
        self.sources.mkdir()
        self.targets.mkdir()
        (self.sources / "file").write_bytes(noise(24 << 20, 1))
        (self.sources / "file.gz").write_bytes(gzip.compress((self.sources / "file").read_bytes(), 1))
        (self.sources / "large").write_bytes(noise(LARGE, 2))
        for number in range(150):
            path = self.sources / "tree" / f"d{number % 7}" / str(number)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(noise(1 + number * 700, number))
        self.node = windlass.LocalNode(
            config={"stage.roots": [str(folder)], "stage.bandwidth_max": bandwidth}  # so that kills come midway
        )

    def transfers(self, kind: str, folder: Path) -> list[Transfer]:
        tree = self.sources / "tree"
        if kind == "file":
            return [Transfer(self.sources / "file", folder / "file", checksum="xxh3", durability="full")]
        if kind == "packed":
            return [Transfer(self.sources / "file.gz", folder / "file", decompress="auto", durability="full")]
        if kind == "many":
            return [Transfer(path, folder / path.name) for path in tree.glob("*/*")]
        return [Transfer(tree, folder / "tree", tree_atomic=kind == "whole", durability="none")]

    def look(self, folder: Path, whole: bool) -> None:
        """Each name holds what it held or what it shall hold."""
        found = [path for path in folder.rglob("*") if path.is_file() and ".windlass-" not in str(path)]
        for path in found:
            source = self.sources / path.relative_to(folder)
            if not source.exists():
                source = next(self.sources.glob(f"tree/*/{path.name}"))
            content = path.read_bytes()
            assert content in (b"old", source.read_bytes()), f"{path} is torn"
        if whole and found:
            assert len(found) == 150

    def restart(self) -> None:
        begun = time.monotonic()
        self.node.restart()
        assert time.monotonic() - begun < RESTART_S

    def no_leftovers(self, folder: Path) -> None:
        deadline = time.monotonic() + 20
        while leftovers(folder):
            assert time.monotonic() < deadline, leftovers(folder)
            time.sleep(0.01)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("kills"))
    try:
        yield world
    finally:
        world.node.close()


def _one_kill(world: World, seed: int) -> None:
    chance = random.Random(seed)
    kind = chance.choice(["file", "packed", "many", "tree", "whole"])
    folder = world.targets / str(seed)
    folder.mkdir()
    if chance.random() < 0.5 and kind in ("file", "packed"):
        (folder / "file").write_bytes(b"old")
    transfers = world.transfers(kind, folder)
    with world.node.client() as client:
        future = client.submit_stage(transfers)
        time.sleep(chance.random() ** 2 * 0.25)  # the moment is the test's random choice
        world.node.kill()
        try:
            future.result(timeout=30)
        except windlass.StageError as error:
            assert error.code == windlass.Code.UNAVAILABLE
            assert error.retryable
    world.look(folder, kind == "whole")
    world.restart()
    with world.node.client() as client:
        assert client.stage(transfers).ok
    world.look(folder, kind == "whole")
    for transfer in transfers:
        assert os.path.exists(transfer.target)
    world.no_leftovers(folder)


def _kills(world: World, chosen: list[int]) -> None:
    for seed in chosen:
        try:
            _one_kill(world, seed)
        except BaseException:
            print(f"seed {seed}; again: WINDLASS_SEED={seed} python -m pytest {__file__} -k random")
            raise


def test_killed_at_random_points(world: World) -> None:
    _kills(world, seeds(60, 60))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_killed_at_a_thousand_random_points(world: World) -> None:
    _kills(world, [1000 + seed for seed in seeds(60, 1000)])


@pytest.fixture
def slow_world(tmp_path: Path) -> Iterator[World]:
    """So slow that a busy machine, too, sees it half done."""
    world = World(tmp_path, "40MiB")
    try:
        yield world
    finally:
        world.node.close()


@pytest.mark.parametrize("share", [0.6, 0.8])
def test_a_large_file_is_resumed(slow_world: World, share: float) -> None:
    world = slow_world
    target = world.targets / f"large-{share}"
    transfer = Transfer(world.sources / "large", target, checksum="xxh3")
    with world.node.client() as client:
        future = client.submit_stage([transfer])
        done = 0
        while done < share * LARGE:
            assert not future.done(), "it was faster than the test"
            done = future.progress().bytes
        world.node.kill()
        with pytest.raises(windlass.StageError):
            future.result(timeout=30)
    assert not target.exists()
    world.restart()
    with world.node.client() as client:
        end = client.stage([transfer]).transfers[0]
    assert end.resumed_bytes >= done - READ_AGAIN_MAX
    assert target.read_bytes() == (world.sources / "large").read_bytes()
    target.unlink()
    world.no_leftovers(world.targets)
