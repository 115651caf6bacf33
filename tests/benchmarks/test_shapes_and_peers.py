"""The generator gives the same rows for the same seed, and all peers are the same loop."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import shapes
from benchmarks.peers import arrays, copies, loop

WEIGHTS = {"cpu": 1.0, "memory": 0.5, "gpu": 2.0}


@pytest.mark.parametrize("kind", shapes.KINDS)
def test_the_same_seed_gives_the_same_rows(kind: str) -> None:
    assert shapes.tasks(50, 7, kind) == shapes.tasks(50, 7, kind)
    assert shapes.offers(50, 7, kind) != shapes.offers(50, 8, kind)
    assert all(set(row["resources"]) == set(shapes.DIMENSIONS) for row in shapes.tasks(50, 7, kind))


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="trace, continuous, shapes"):
        shapes.offers(1, 1, "round")


@pytest.mark.parametrize("kind", shapes.KINDS)
@pytest.mark.parametrize(("count", "more"), [(0, 3), (3, 0), (120, 40), (40, 120)])
def test_all_peers_give_the_same_answer(kind: str, count: int, more: int) -> None:
    tasks, offers = shapes.tasks(count, 5, kind), shapes.offers(more, 5, kind)
    rows, free = loop.rows(tasks), loop.rows(offers)
    right = loop.match_mappings(tasks, offers, WEIGHTS)
    assert loop.match_slots(rows, free, WEIGHTS) == right
    assert loop.match_threads(rows, free, WEIGHTS, 3) == right
    assert arrays.match_numpy(tasks, offers, WEIGHTS) == right
    numba = pytest.importorskip("numba")
    assert numba is not None
    assert arrays.numba_matcher()(tasks, offers, WEIGHTS) == right


def test_processes_give_the_same_answer() -> None:
    tasks, offers = shapes.tasks(20, 5), shapes.offers(30, 5)
    rows, free = loop.rows(tasks), loop.rows(offers)
    assert loop.match_processes(rows, free, WEIGHTS, 2) == loop.match_mappings(tasks, offers, WEIGHTS)


def test_the_rust_twins_give_the_same_answer() -> None:
    twins = pytest.importorskip("windlass_rust_twins", reason="built by `make bench` where cargo is found")
    tasks, offers = shapes.tasks(200, 5, "shapes"), shapes.offers(150, 5, "shapes")
    right = loop.match_mappings(tasks, offers, WEIGHTS)
    assert twins.match_maps(tasks, offers, list(WEIGHTS.items())) == right
    rows, free = loop.rows(tasks), loop.rows(offers)
    flat = tuple(WEIGHTS.values())
    assert twins.match_flat(rows, free, flat) == right
    assert twins.match_rayon(rows, free, flat) == right


@pytest.mark.parametrize("who", copies.PEERS)
def test_every_copying_peer_copies(who: str, tmp_path: Path) -> None:
    program = copies.PROGRAMS.get(who)
    if program is not None and not any((Path(folder) / program).exists() for folder in ("/usr/bin", "/bin")):
        pytest.skip(f"no {program} here")
    source, target = tmp_path / "source", tmp_path / "target"
    copies.fill(source, (17 << 20) + 13)
    copies.PEERS[who](source, target)
    assert target.read_bytes() == source.read_bytes()


def test_xxh3_of_known_bytes(tmp_path: Path) -> None:
    library = copies.xxh3_library()
    if library is None:
        pytest.skip("no libxxhash here")
    (tmp_path / "abc").write_bytes(b"abc")
    assert copies.xxh3(library, tmp_path / "abc") == 0x78AF5F94892F3950
