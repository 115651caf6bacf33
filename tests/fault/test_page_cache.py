"""Where no local disk is (tmpfs, overlay, FUSE), large files go through the page cache, each is counted, and nothing
else is different. NFS, SMB and Ceph, which no kernel here has, are told by the same number of statfs:
`plugin/stage/file_mover_test.cpp`."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import windlass
from windlass import Transfer

from .conftest import Disk, fallbacks, noise
from .passthrough import mounted

SIZE = (3 << 20) + 777


@pytest.fixture(params=["tmpfs", "overlay", "fuse"])
def elsewhere(request: pytest.FixtureRequest, tmp_path: Path, disk: Callable[..., Disk]) -> Iterator[Path]:
    with ExitStack() as stack:
        yield stack.enter_context(mounted(tmp_path)).path if request.param == "fuse" else disk(request.param).path


@pytest.fixture
def node(engine: str, tmp_path: Path, elsewhere: Path) -> Iterator[windlass.LocalNode]:
    """Asked for after `elsewhere`, so that it has ended before that is unmounted."""
    with windlass.LocalNode(config={"stage.roots": [str(tmp_path)], "stage.engine": engine}) as made:
        yield made


@pytest.mark.parametrize(
    ("engine", "side"), [("uring", "source"), ("uring", "target"), ("uring", "both"), ("threads", "both")]
)
def test_the_page_cache_serves_and_is_counted(
    elsewhere: Path, node: windlass.LocalNode, tmp_path: Path, engine: str, side: str
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    kind = subprocess.run(["stat", "-f", "-c", "%T", here], capture_output=True, text=True, check=True).stdout.strip()
    if kind not in ("ext2/ext3", "xfs", "btrfs", "f2fs"):
        pytest.skip(f"the temporary folder lies on {kind}, which is no local disk, so nothing can be compared")
    top, to = here if side == "target" else elsewhere, here if side == "source" else elsewhere
    (here / "source").write_bytes(noise(SIZE, 1))
    (top / "source").write_bytes(noise(SIZE, 1))
    (top / "tree/sub").mkdir(parents=True)
    for number, size in enumerate([0, 5000, SIZE, (1 << 20) - 1, SIZE + 1]):
        (top / f"tree/sub/{number}").write_bytes(noise(size, number))
    plain = windlass.legacy.stage([Transfer(top / "source", here / "plain", checksum="xxh3")]).transfers[0]
    transfers = [
        Transfer(here / "source", here / "again"),
        Transfer(top / "source", to / "in" / "target", checksum="xxh3", durability="full"),
        Transfer(top / "source", to / "part", range=(4097, 2 << 20)),
        Transfer(top / "tree", to / "copy"),
    ]
    with node.client() as client:
        local, whole, part, tree = client.stage(transfers).transfers
    told = fallbacks(node, len(transfers))
    if engine == "uring" and told["ring"]:
        pytest.skip("io_uring is denied here")
    assert {end.engine for end in (local, whole, part, tree)} <= {engine, "reflink"}
    assert (whole.bytes, whole.checksum, part.bytes, tree.files) == (SIZE, plain.checksum, 2 << 20, 5)
    assert (to / "in" / "target").read_bytes() == noise(SIZE, 1)
    assert (to / "part").read_bytes() == noise(SIZE, 1)[4097 : 4097 + (2 << 20)]
    for path in (top / "tree/sub").iterdir():
        assert (to / "copy/sub" / path.name).read_bytes() == path.read_bytes()
    # One for each large file that is not on the disk with both its ends; a thread copies by itself anyway.
    assert told["direct"] == (4 if engine == "uring" else 0)
