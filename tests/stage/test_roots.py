"""Roots: what lies outside is refused in the same words, whether it is there or not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from conftest import Stager, written
from windlass import Code, StageError, Transfer


@pytest.fixture
def rooted(stager: Stager, folder: Path) -> Stager:
    """The stager with `folder` as a root; the daemon of all tests has one above it."""
    return stager if stager.rooted else stager.roots([folder])


def test_what_lies_beneath_is_staged(rooted: Stager, folder: Path) -> None:
    rooted.one(written(folder / "a/source", b"x"), folder / "b/c/target", durability="full")
    rooted.one(folder / "a", folder / "tree")
    assert (folder / "b/c/target").read_bytes() == (folder / "tree/source").read_bytes() == b"x"


@pytest.mark.parametrize("outside", ["/etc/hostname", "/etc/there/is/no/such/thing", "/", "/proc/self/mem"])
def test_what_lies_outside_is_refused(rooted: Stager, folder: Path, outside: str) -> None:
    source = written(folder / "source", b"x")
    assert rooted.failed(outside, folder / "target").code == Code.PERMISSION_DENIED
    if outside != "/":
        assert rooted.failed(source, outside).code == Code.PERMISSION_DENIED
    assert not (folder / "target").exists()


def test_the_words_are_the_same_whether_it_exists_or_not(rooted: Stager, folder: Path) -> None:
    there, missing = "/etc/hostname", "/etc/hostnaXX"
    words = [str(rooted.failed(path, folder / "t")).replace(path, "PATH") for path in (there, missing)]
    assert words[0] == words[1]
    os.symlink(there, folder / "there")
    os.symlink(missing, folder / "thXXX")
    links = [folder / "there", folder / "thXXX"]
    words = [str(rooted.failed(path, folder / "t")).replace(str(path), "PATH") for path in links]
    assert words[0] == words[1]


def test_a_neighbour_with_a_longer_name_is_outside(stager: Stager, folder: Path) -> None:
    written(folder / "root-other/source", b"x")
    (folder / "root").mkdir()
    error = stager.roots([folder / "root"]).failed(folder / "root-other/source", folder / "root/target")
    assert error.code == Code.PERMISSION_DENIED


@pytest.mark.parametrize("way", ["sub/../source", "../{name}/source", "sub/.."])
def test_two_dots_are_refused(rooted: Stager, folder: Path, way: str) -> None:
    (folder / "sub").mkdir()
    source = written(folder / "source", b"x")
    path = f"{folder}/{way.format(name=folder.name)}"
    assert rooted.failed(path, folder / "target").code == Code.PERMISSION_DENIED
    assert rooted.failed(source, path + "/x").code == Code.PERMISSION_DENIED


def test_links_that_stay_are_followed(rooted: Stager, folder: Path) -> None:
    written(folder / "real/source", b"x")
    (folder / "sub").mkdir()
    os.symlink("../real", folder / "sub/way")
    rooted.one(folder / "sub/way/source", folder / "sub/way/target")
    assert (folder / "real/target").read_bytes() == b"x"


def test_absolute_links_are_refused_wherever_they_lead(rooted: Stager, folder: Path) -> None:
    written(folder / "real/source", b"x")
    os.symlink(folder / "real", folder / "way")
    os.symlink("/etc", folder / "etc")
    source = folder / "real/source"
    for path in (folder / "way/source", folder / "etc/hostname"):
        assert rooted.failed(path, folder / "t").code == Code.PERMISSION_DENIED
    for path in (folder / "way/target", folder / "etc/target"):
        assert rooted.failed(source, path).code == Code.PERMISSION_DENIED
    assert not os.path.exists("/etc/target")


def test_links_into_another_root_are_refused(stager: Stager, folder: Path) -> None:
    one, other = folder / "one", folder / "other"
    written(one / "source", b"x")
    written(other / "source", b"y")
    os.symlink("../other", one / "way")
    transfers = [Transfer(one / "way/source", one / "t"), Transfer(one / "source", other / "t")]
    report = stager.roots([one, other]).stage(transfers, on_error="report")
    assert [end.state for end in report.transfers] == ["failed", "done"]
    assert report.transfers[0].error.code == Code.PERMISSION_DENIED
    assert (other / "t").read_bytes() == b"x"


def test_the_real_spelling_of_a_root_is_as_good(stager: Stager, folder: Path) -> None:
    written(folder / "real/source", b"x")
    os.symlink("real", folder / "spelt")
    rooted = stager.roots([folder / "spelt"])
    for top in (folder / "spelt", folder / "real"):
        rooted.one(top / "source", top / "target")


def test_without_roots_two_dots_and_absolute_links_are_followed(stager: Stager, folder: Path) -> None:
    if stager.rooted:
        pytest.skip("the daemon has roots")
    written(folder / "real/source", b"x")
    os.symlink(folder / "real", folder / "way")
    stager.one(f"{folder}/real/../way/source", f"{folder}/way/../target")
    assert (folder / "target").read_bytes() == b"x"


@pytest.mark.parametrize("roots", [["relative"], "/tmp", ["/there/is/no/such/root"]])
def test_roots_that_are_none_are_refused(stager: Stager, folder: Path, roots: object) -> None:
    if stager.rooted:
        pytest.skip("the daemon refuses to start, which its own tests show")
    with pytest.raises(StageError) as caught:
        stager.stage([Transfer(written(folder / "s", b"x"), folder / "t")], roots=roots)
    assert caught.value.code in (Code.INVALID_ARGUMENT, Code.NOT_FOUND)
    assert not (folder / "t").exists()
