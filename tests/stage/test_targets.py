"""Sources that are none, targets that may not be, and what stays when a transfer fails."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import socket
import stat
import threading
from pathlib import Path

import pytest
from conftest import Stager, written
from windlass import Code, StageError, Transfer


def test_an_old_file_is_replaced_in_one_step(stager: Stager, folder: Path) -> None:
    target = written(folder / "target", b"old" * 1000, 0o600)
    inode = target.stat().st_ino
    with target.open("rb") as reader:
        stager.one(written(folder / "source", b"new" * 2000, 0o644), target)
        assert reader.read() == b"old" * 1000
    assert target.read_bytes() == b"new" * 2000
    assert target.stat().st_ino != inode
    assert stat.S_IMODE(target.stat().st_mode) == 0o644


def test_a_reader_sees_old_or_new_and_nothing_else(stager: Stager, folder: Path) -> None:
    contents = [bytes([letter]) * 300_000 for letter in b"ab"]
    sources = [written(folder / f"source{n}", content) for n, content in enumerate(contents)]
    target = written(folder / "target", contents[0])
    seen, stop = set(), threading.Event()

    def look() -> None:
        while not stop.is_set():
            seen.add(target.read_bytes())

    looker = threading.Thread(target=look)
    looker.start()
    try:
        for turn in range(20):
            stager.one(sources[turn % 2], target, durability="none")
    finally:
        stop.set()
        looker.join()
    assert seen <= set(contents)


def test_missing_parents_are_made_and_stay(stager: Stager, folder: Path) -> None:
    mask = os.umask(0)
    os.umask(mask)
    stager.one(written(folder / "source", b"x"), folder / "a/b/c")
    assert stat.S_IMODE((folder / "a/b").stat().st_mode) == 0o777 & ~mask
    stager.failed(folder / "source", folder / "d/e/f", checksum="md5:" + "0" * 32)
    assert (folder / "d/e").is_dir()


def test_a_missing_source_is_told(stager: Stager, folder: Path) -> None:
    error = stager.failed(folder / "missing", folder / "target")
    assert error.code == Code.NOT_FOUND
    assert "missing" in str(error)
    assert (error.source, error.target) == (folder / "missing", folder / "target")
    assert not (folder / "target").exists()


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_folder_is_no_target_for_a_file(stager: Stager, folder: Path, slash: str) -> None:
    (folder / "target").mkdir()
    error = stager.failed(str(written(folder / "source", b"x")), str(folder / "target") + slash)
    assert error.code == Code.INVALID_ARGUMENT
    assert os.listdir(folder / "target") == []


def test_a_target_that_ends_in_a_slash_is_refused(stager: Stager, folder: Path) -> None:
    error = stager.failed(str(written(folder / "source", b"x")), f"{folder}/new/")
    assert error.code == Code.INVALID_ARGUMENT
    assert not (folder / "new").exists()


def test_a_link_is_no_target(stager: Stager, folder: Path) -> None:
    written(folder / "pointed", b"untouched")
    os.symlink("pointed", folder / "target")
    error = stager.failed(written(folder / "source", b"x"), folder / "target")
    assert error.code == Code.INVALID_ARGUMENT
    assert os.readlink(folder / "target") == "pointed"
    assert (folder / "pointed").read_bytes() == b"untouched"


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # a socket's path is short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


@pytest.mark.parametrize("make", [make_fifo, make_socket])
def test_special_files_are_neither_source_nor_target(stager: Stager, folder: Path, make: object) -> None:
    make(folder / "special")  # type: ignore[operator]
    error = stager.failed(folder / "special", folder / "target")
    assert error.code == Code.INVALID_ARGUMENT
    error = stager.failed(written(folder / "source", b"x"), folder / "special")
    assert error.code == Code.INVALID_ARGUMENT
    assert not stat.S_ISREG(os.lstat(folder / "special").st_mode)


def test_a_device_is_no_source(stager: Stager, folder: Path) -> None:
    error = stager.failed("/dev/zero", folder / "target")
    assert error.code == (Code.PERMISSION_DENIED if stager.rooted else Code.INVALID_ARGUMENT)


def test_a_file_on_the_way_is_refused(stager: Stager, folder: Path) -> None:
    source = written(folder / "source", b"x")
    assert stager.failed(source / "beneath", folder / "target").code == Code.INVALID_ARGUMENT
    assert stager.failed(source, written(folder / "file", b"y") / "target").code == Code.INVALID_ARGUMENT


def test_a_loop_of_links_is_refused(stager: Stager, folder: Path) -> None:
    os.symlink("loop", folder / "loop")
    error = stager.failed(folder / "loop", folder / "target")
    assert error.code in (Code.INVALID_ARGUMENT, Code.PERMISSION_DENIED)  # with roots a loop tells no more than outside


def test_a_name_that_is_too_long_is_refused(stager: Stager, folder: Path) -> None:
    error = stager.failed(written(folder / "source", b"x"), folder / ("n" * 256))
    assert error.code == Code.INVALID_ARGUMENT


def test_the_same_file_is_refused(stager: Stager, folder: Path) -> None:
    source = written(folder / "source", b"kept")
    os.link(source, folder / "twin")
    assert stager.failed(source, source).code == Code.INVALID_ARGUMENT
    assert stager.failed(source, folder / "twin").code == Code.INVALID_ARGUMENT
    assert source.read_bytes() == b"kept"


@pytest.mark.parametrize("name", [".windlass-x", ".windlass-", ".windlass-x/inner", "sub/.windlass-x/deep/inner"])
def test_names_of_temporaries_are_refused(stager: Stager, folder: Path, name: str) -> None:
    with pytest.raises(StageError) as caught:
        stager.stage([Transfer(written(folder / "source", b"x"), folder / name)])
    assert caught.value.code == Code.INVALID_ARGUMENT
    assert isinstance(caught.value, ValueError)
    assert not (folder / name).exists()


def test_a_full_disk_leaves_the_old_file(stager: Stager, folder: Path) -> None:
    """A limit on the size of files stands for the disk: it, too, is met in the middle of writing."""
    if stager.rooted:
        pytest.skip("the limit is the daemon's own")
    source = written(folder / "source", bytes(range(256)) * 40_000)
    target = written(folder / "target", b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        error = stager.failed(source, target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert error.code == Code.RESOURCE_EXHAUSTED
    assert error.retryable
    assert target.read_bytes() == b"old"


def test_a_source_that_is_written_to_is_never_mixed(stager: Stager, folder: Path) -> None:
    """A writer puts the same number first at the begin, then at the end: what is published holds one moment of it."""
    source = written(folder / "source", bytes(8 << 20))
    begun, stop = threading.Event(), threading.Event()

    def write() -> None:
        with source.open("r+b", buffering=0) as file:
            turn = 0
            while not stop.is_set():
                turn += 1
                for at in (0, (8 << 20) - 8):
                    os.pwrite(file.fileno(), turn.to_bytes(8, "big"), at)
                begun.set()

    writer = threading.Thread(target=write)
    writer.start()
    begun.wait()
    try:
        for turn in range(4):
            target = folder / f"target{turn}"
            end = stager.stage([Transfer(source, target, checksum="sha256")], on_error="report").transfers[0]
            if end.state == "done":
                content = target.read_bytes()
                first, last = int.from_bytes(content[:8], "big"), int.from_bytes(content[-8:], "big")
                assert first - last in (0, 1)
                assert end.checksum == "sha256:" + hashlib.sha256(content).hexdigest()
            else:
                assert end.error.code == Code.FAILED_PRECONDITION
                assert not target.exists()
    finally:
        stop.set()
        writer.join()
