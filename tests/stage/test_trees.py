"""Folders: what arrives, what is refused, and what happens when a part of them fails."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest
from conftest import Stager, told, written
from windlass import Code, StageError, Transfer

BEYOND = pytest.mark.parametrize("text", ["/etc/hostname", "../outside", "sub/../../outside", "..", "a/../../b"])


def small_tree(top: Path) -> Path:
    written(top / "one", b"1")
    written(top / "sub/two", b"22" * 5000)
    written(top / "sub/deep/three", b"")
    (top / "sub/empty").mkdir()
    return top


def test_a_tree_arrives_with_everything_in_it(stager: Stager, folder: Path) -> None:
    source = small_tree(folder / "source")
    end = stager.one(source, folder / "target")
    assert told(folder / "target") == told(source)
    assert (end.bytes, end.files, end.checksum) == (10_001, 3, None)


@pytest.mark.parametrize("slash", ["", "/"])
def test_slashes_at_the_end_change_nothing(stager: Stager, folder: Path, slash: str) -> None:
    source = small_tree(folder / "source")
    stager.one(f"{source}{slash}", f"{folder}/target{slash}")
    assert told(folder / "target") == told(source)


def test_an_empty_tree_is_an_empty_folder(stager: Stager, folder: Path) -> None:
    (folder / "source").mkdir()
    end = stager.one(folder / "source", folder / "a/target")
    assert os.listdir(folder / "a/target") == []
    assert (end.bytes, end.files) == (0, 0)


def test_modes_and_times_are_kept(stager: Stager, folder: Path) -> None:
    source = small_tree(folder / "source")
    (source / "one").chmod(0o4751)
    os.utime(source / "one", ns=(5, 10**18 + 7))
    (source / "sub/empty").chmod(0o1700)
    (source / "sub").chmod(0o550)
    source.chmod(0o711)
    stager.one(source, folder / "target")
    modes = {path: stat.S_IMODE((folder / "target" / path).stat().st_mode) for path in ("one", "sub/empty", "sub", "")}
    assert modes == {"one": 0o751, "sub/empty": 0o700, "sub": 0o550, "": 0o711}
    assert (folder / "target/one").stat().st_mtime_ns == 10**18 + 7


def test_a_tree_merges_into_a_folder_that_is_there(stager: Stager, folder: Path) -> None:
    source = small_tree(folder / "source")
    target = folder / "target"
    written(target / "one", b"old")
    written(target / "own", b"stays")
    written(target / "sub/own", b"stays too")
    stager.one(source, target)
    assert told(target) == {**told(source), "own": b"stays", "sub/own": b"stays too"}


def test_a_tree_may_be_staged_twice(stager: Stager, folder: Path) -> None:
    source = small_tree(folder / "source")
    os.symlink("one", source / "link")
    for _ in range(2):
        stager.one(source, folder / "target", symlinks="keep")
    assert told(folder / "target") == told(source)


def test_a_folder_is_no_file(stager: Stager, folder: Path) -> None:
    source = small_tree(folder / "source")
    target = written(folder / "target", b"a file")
    assert stager.failed(source, target).code == Code.INVALID_ARGUMENT
    assert target.read_bytes() == b"a file"


def test_file_against_folder_fails_by_name_and_the_rest_arrives(stager: Stager, folder: Path) -> None:
    source = small_tree(folder / "source")
    target = folder / "target"
    (target / "one").mkdir(parents=True)
    written(target / "sub/deep", b"a file")
    report = stager.stage([Transfer(source, target)], on_error="report")
    end = report.transfers[0]
    assert (end.state, end.error.code, end.files) == ("failed", Code.INVALID_ARGUMENT, 1)
    assert {failure.path for failure in end.error.failures} == {"one", "sub/deep"}
    assert end.error.failure_count == 2
    assert all(failure.code == Code.INVALID_ARGUMENT and failure.message for failure in end.error.failures)
    assert (target / "sub/two").read_bytes() == b"22" * 5000
    assert end.bytes == 10_000


def test_special_files_in_a_tree_fail_alone(stager: Stager, folder: Path) -> None:
    source = small_tree(folder / "source")
    os.mkfifo(source / "sub/fifo")
    error = stager.failed(source, folder / "target")
    assert (error.code, error.failure_count) == (Code.INVALID_ARGUMENT, 1)
    assert error.failures[0].path == "sub/fifo"
    assert set(told(folder / "target")) == set(told(source)) - {"sub/fifo"}


def test_only_the_first_hundred_failures_are_listed(stager: Stager, folder: Path) -> None:
    for number in range(120):
        written(folder / f"source/{number:03}", b"x")
        (folder / f"target/{number:03}").mkdir(parents=True)
    written(folder / "source/last", b"x")
    error = stager.failed(folder / "source", folder / "target")
    assert (len(error.failures), error.failure_count) == (100, 120)
    assert (folder / "target/last").read_bytes() == b"x"


def test_a_bare_checksum_is_told_for_each_file(stager: Stager, folder: Path) -> None:
    source = small_tree(folder / "source")
    end = stager.one(source, folder / "target", checksum="sha256")
    files = {path: content for path, content in told(source).items() if isinstance(content, bytes)}
    assert end.file_checksums == {
        path: "sha256:" + hashlib.sha256(content).hexdigest() for path, content in files.items()
    }


@pytest.mark.parametrize("fields", [{"range": (0, 1)}, {"size": 1}, {"checksum": "md5:" + "0" * 32}])
def test_what_is_for_files_is_refused_for_trees(stager: Stager, folder: Path, fields: dict[str, object]) -> None:
    error = stager.failed(small_tree(folder / "source"), folder / "target", **fields)
    assert error.code == Code.INVALID_ARGUMENT
    assert not (folder / "target").exists()


def test_links_are_kept_as_they_are_written(stager: Stager, folder: Path) -> None:
    source = small_tree(folder / "source")
    os.symlink("two", source / "sub/near")
    os.symlink("nowhere", source / "dangling")
    os.symlink("sub", source / "folder")
    os.symlink("/etc/hostname", source / "absolute")
    stager.one(source, folder / "target", symlinks="keep")
    assert told(folder / "target") == told(source)


def test_links_are_skipped(stager: Stager, folder: Path) -> None:
    source = small_tree(folder / "source")
    os.symlink("one", source / "link")
    os.symlink("/etc", source / "sub/etc")
    stager.one(source, folder / "target", symlinks="skip")
    assert set(told(folder / "target")) == set(told(source)) - {"link", "sub/etc"}


@BEYOND
def test_links_that_leave_are_refused(stager: Stager, folder: Path, text: str) -> None:
    source = small_tree(folder / "source")
    os.symlink(text, source / "link")
    os.symlink("../one", source / "sub/inside")
    os.symlink("deep/../../sub", source / "sub/round")
    error = stager.failed(source, folder / "target", symlinks="refuse")
    assert [failure.path for failure in error.failures] == ["link"]
    assert set(told(folder / "target")) == set(told(source)) - {"link"}


def test_where_nothing_is_said_links_are_kept_or_refused_by_place(stager: Stager, folder: Path) -> None:
    source = small_tree(folder / "source")
    os.symlink("/etc", source / "link")
    if stager.symlinks == "refuse":
        assert [failure.path for failure in stager.failed(source, folder / "target").failures] == ["link"]
    else:
        stager.one(source, folder / "target")
        assert os.readlink(folder / "target/link") == "/etc"


def test_links_in_the_target_are_not_followed(stager: Stager, folder: Path) -> None:
    source = small_tree(folder / "source")
    (folder / "elsewhere").mkdir()
    (folder / "target").mkdir()
    os.symlink("../elsewhere", folder / "target/sub")
    error = stager.failed(source, folder / "target")
    assert [failure.path for failure in error.failures] == ["sub"]
    assert os.listdir(folder / "elsewhere") == []


def test_names_of_temporaries_are_passed_over(stager: Stager, tmp_path: Path) -> None:
    source = small_tree(tmp_path / "source")
    written(source / ".windlass-file", b"somebody's")
    written(source / "sub/.windlass-folder/inner", b"somebody's")
    stager.one(source, tmp_path / "target")
    assert {path for path in told(tmp_path / "target") if "windlass" in path} == set()


def test_a_target_inside_its_source_is_refused(stager: Stager, folder: Path) -> None:
    source = small_tree(folder / "source")
    os.symlink("source", folder / "other")
    before = told(source)
    for target in (source, source / "sub/new/deeper", source / "new", folder / "other/new"):
        assert stager.failed(source, target).code == Code.INVALID_ARGUMENT
    assert told(source) == before


def test_any_name_in_a_tree_will_do(stager: Stager, folder: Path) -> None:
    names = [b"n" * 255, b"\xff\xfe", b"new\nline", "☃".encode(), b"..."]
    top = os.fsencode(folder / "source")
    os.mkdir(top)
    for name in names:
        with open(top + b"/" + name, "wb") as file:
            file.write(name)
    end = stager.one(folder / "source", folder / "target", checksum="md5")
    assert sorted(os.listdir(os.fsencode(folder / "target"))) == sorted(names)
    assert set(end.file_checksums) == {os.fsdecode(name) for name in names}


def test_a_deep_tree_arrives(stager: Stager, folder: Path) -> None:
    path = folder / "source" / Path(*["d"] * 100)
    written(path / "file", b"deep")
    stager.one(folder / "source", folder / "target")
    assert (folder / "target" / Path(*["d"] * 100) / "file").read_bytes() == b"deep"


def test_many_files_arrive(stager: Stager, folder: Path) -> None:
    for number in range(300):
        written(folder / f"source/{number % 7}/{number}", str(number).encode() * number)
    end = stager.one(folder / "source", folder / "target", durability="none")
    assert end.files == 300
    assert told(folder / "target") == told(folder / "source")


def test_an_atomic_tree_appears(stager: Stager, folder: Path) -> None:
    source = small_tree(folder / "source")
    source.chmod(0o750)
    end = stager.one(source, folder / "a/target", tree_atomic=True, durability="full")
    assert told(folder / "a/target") == told(source)
    assert stat.S_IMODE((folder / "a/target").stat().st_mode) == 0o750
    assert (end.bytes, end.files) == (10_001, 3)


@pytest.mark.parametrize("full", [True, False])
def test_an_atomic_tree_takes_the_place_of_a_folder(stager: Stager, folder: Path, full: bool) -> None:
    source = small_tree(folder / "source")
    (folder / "target").mkdir()
    if full:
        written(folder / "target/old/file", b"gone")
        (folder / "target/old").chmod(0o500)
    stager.one(source, folder / "target", tree_atomic=True)
    assert told(folder / "target") == told(source)


def test_an_atomic_tree_with_one_fault_is_not_published(stager: Stager, folder: Path) -> None:
    source = small_tree(folder / "source")
    os.mkfifo(source / "fifo")
    written(folder / "target/old", b"stays")
    report = stager.stage([Transfer(source, folder / "target", tree_atomic=True)], on_error="report")
    end = report.transfers[0]
    assert (end.state, end.bytes, end.files) == ("failed", 0, 0)
    assert [failure.path for failure in end.error.failures] == ["fifo"]
    assert told(folder / "target") == {"old": b"stays"}


def test_an_atomic_tree_does_not_replace_a_file(stager: Stager, folder: Path) -> None:
    target = written(folder / "target", b"a file")
    assert stager.failed(small_tree(folder / "source"), target, tree_atomic=True).code == Code.INVALID_ARGUMENT
    assert target.read_bytes() == b"a file"


def test_an_atomic_tree_does_not_replace_the_folder_that_holds_it(stager: Stager, folder: Path) -> None:
    source = small_tree(folder / "top/source")
    assert stager.failed(source, folder / "top", tree_atomic=True).code == Code.INVALID_ARGUMENT
    assert told(folder / "top/source") == told(source) != {}


def test_the_error_that_is_raised_tells_of_the_files(stager: Stager, folder: Path) -> None:
    source = small_tree(folder / "source")
    os.mkfifo(source / "fifo")
    with pytest.raises(StageError) as caught:
        stager.stage([Transfer(source, folder / "target")])
    assert caught.value.failure_count == 1
    assert caught.value.failures[0].path == "fifo"
    assert caught.value.report.transfers[0].state == "failed"


@pytest.mark.parametrize("wholes", [(False, True), (True, False), (True, True), (False, False)])
def test_of_two_trees_to_one_target_the_later_stays(stager: Stager, folder: Path, wholes: tuple[bool, bool]) -> None:
    """Where the later was merged first, the earlier was exchanged with it and took it away."""
    for number in range(60):
        written(folder / f"early/{number}", b"early" * 2000)
    for number in range(3):
        written(folder / f"late/{number}", b"late")
    for turn in range(6):
        target = folder / f"target{turn}"
        if turn % 2:
            target.mkdir()
        transfers = [
            Transfer(folder / name, target, tree_atomic=whole)
            for name, whole in zip(("early", "late"), wholes, strict=True)
        ]
        early, late = stager.stage(transfers, on_error="report").transfers
        assert late.state == "done"
        assert early.state in ("done", "cancelled"), early.error
        if early.state == "cancelled":
            assert "replaced by a later transfer" in str(early.error)
        assert all((target / str(number)).read_bytes() == b"late" for number in range(3))
        if wholes[1]:
            assert len(os.listdir(target)) == 3


def test_the_same_file_in_source_and_target_fails_by_name(stager: Stager, folder: Path) -> None:
    source = small_tree(folder / "source")
    (folder / "target").mkdir()
    os.link(source / "one", folder / "target/one")
    error = stager.failed(source, folder / "target")
    assert (error.code, [failure.path for failure in error.failures]) == (Code.INVALID_ARGUMENT, ["one"])
    assert (folder / "target/sub/two").read_bytes() == b"22" * 5000
