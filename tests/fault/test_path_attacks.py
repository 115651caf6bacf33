"""Ways out of the roots, each tried on a living daemon: as the source and as the target, of a file and of a tree.

None leads out, nothing outside changes, and what is said is the same whether the thing outside exists or not.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import windlass
from windlass import Code, StageError, Transfer
from windlass._stage import StageRequest, TransferReport

SECRET = b"what lies outside " * 1000
ABSENT = {"secret": "sXXret", "folder": "fXXder", "planted": "pXXnted"}  # names of what is there, and of what is not
REFUSED = (Code.PERMISSION_DENIED, Code.INVALID_ARGUMENT, Code.NOT_FOUND)


class World:
    """Two roots, a folder outside of them, links in the first root that lead out, and a daemon."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.root, self.second, self.outside = top / "root", top / "second", top / "outside"
        for folder in (self.root / "sub/deep", self.second / "sub", self.outside / "folder", top / "root-other/folder"):
            folder.mkdir(parents=True)
        (self.root / "good").write_bytes(b"good")
        (self.root / "tree/sub").mkdir(parents=True)
        (self.root / "tree/sub/inner").write_bytes(b"inner")
        for folder in (self.outside, self.outside / "folder", top / "root-other", top / "root-other/folder"):
            (folder / "secret").write_bytes(SECRET)
        (self.second / "secret").write_bytes(SECRET)
        (self.second / "folder").mkdir()
        (self.second / "folder/secret").write_bytes(SECRET)
        self.node = windlass.LocalNode(config={"stage.roots": [str(self.root), str(self.second)]})
        self.client = self.node.client()
        for name, text in self.links().items():
            os.symlink(text, self.root / name)
        self.before = self.seen_outside()

    def links(self) -> dict[str, str]:
        return {
            "absolute": str(self.outside),
            "absolute-inside": str(self.root / "sub/../../outside"),
            "relative": "../outside",
            "sub/relative": "../../outside",
            "chain": "sub/chain",
            "sub/chain": "deep/chain",
            "sub/deep/chain": "../../../outside",
            "up": "..",
            "sub/up": "../..",
            "dots": "./.././outside",
            "slashes": ".//..//outside//",
            "long": "sub/../" * 200 + "../outside",
            "way": "sub",
            "sub/leave": "../../outside",
            "proc-root": f"/proc/self/root{self.outside}",
            "proc-cwd": "/proc/self/cwd",
            "proc-pid": f"/proc/{self.node.pid}/root{self.outside}",
            "proc-up": "../" * 40 + f"proc/self/root{self.outside}",
            "dev-fd": "/dev/fd",
            "other-root": "../second",
            "sub/other-root": "../../second",
            "neighbour": "../root-other",
        }

    def seen_outside(self) -> dict[str, tuple[int, ...]]:
        seen = {}
        for folder in (self.outside, self.top / "root-other", self.second):
            for path in (folder, *folder.rglob("*")):
                info = path.lstat()
                seen[str(path)] = (info.st_ino, info.st_mode, info.st_size, info.st_mtime_ns, info.st_ctime_ns)
        return seen

    def look(self) -> None:
        """Nothing outside was changed, nothing of it was brought in, nothing was left."""
        assert self.seen_outside() == self.before
        for path in self.root.rglob("*"):
            assert not path.name.startswith(".windlass-"), f"{path} was left"
            if path.is_file() and not path.is_symlink():
                assert path.read_bytes() != SECRET, f"{path} holds what lies outside"

    def ask(self, source: bytes, target: bytes, **fields: Any) -> TransferReport | StageError:
        try:
            return self.client.stage([Transfer(source, target, **fields)], on_error="report").transfers[0]
        except StageError as error:
            return error

    def ask_raw(self, source: bytes, target: bytes, **fields: Any) -> TransferReport | StageError:
        """On the wire as it is, past all that the client itself refuses."""
        good = os.fsencode(self.root / "good")
        request = StageRequest([Transfer(good, good + b"-copy")])
        request._wire[0] = {"source": source, "target": target, **fields}
        try:
            call = self.client.submit_and_wait(request)
            call.wait(None)
            return call.outcome().transfers[0]
        except StageError as error:
            return error


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("attacks"))
    try:
        yield made
    finally:
        made.client.close()
        made.node.close()


def refusal(end: TransferReport | StageError) -> StageError:
    if isinstance(end, StageError):
        return end
    assert end.state == "failed" and end.error is not None, end
    assert (end.bytes, end.files) == (0, 0)
    return end.error


# ---- Spellings of a thing outside ------------------------------------------------------------------------------------

Spelling = Callable[[World, str], str]


def _from_top(world: World) -> str:
    return str(world.outside).lstrip("/")


SPELLINGS: dict[str, Spelling] = {
    "as it is": lambda w, name: f"{w.outside}/{name}",
    "..": lambda w, name: f"{w.root}/../outside/{name}",
    ".. behind a folder": lambda w, name: f"{w.root}/sub/../../outside/{name}",
    ".. behind what is missing": lambda w, name: f"{w.root}/missing/../../outside/{name}",
    ".. behind a file": lambda w, name: f"{w.root}/good/../../outside/{name}",
    ".. behind a link": lambda w, name: f"{w.root}/way/../../outside/{name}",
    ".. to the very top": lambda w, name: f"{w.root}/{'../' * 60}{_from_top(w)}/{name}",
    ".. among dots": lambda w, name: f"{w.root}/./.././outside/./{name}",
    ".. among slashes": lambda w, name: f"{w.root}//..//outside//{name}",
    ".. in the second root": lambda w, name: f"{w.second}/../outside/{name}",
    ".. from root to root": lambda w, name: f"{w.root}/../second/../outside/{name}",
    ".. far behind": lambda w, name: f"{w.root}/{'sub/../' * 300}../outside/{name}",
    "a neighbour whose name is longer": lambda w, name: f"{w.root}-other/{name}",
    "/proc/self/root": lambda w, name: f"/proc/self/root{w.outside}/{name}",
    "/proc/self/root and a root": lambda w, name: f"/proc/self/root{w.root}/../outside/{name}",
    "/proc/thread-self/root": lambda w, name: f"/proc/thread-self/root{w.outside}/{name}",
    "/proc of the daemon": lambda w, name: f"/proc/{w.node.pid}/root{w.outside}/{name}",
    "/proc/self/cwd": lambda w, name: f"/proc/self/cwd/{'../' * 60}{_from_top(w)}/{name}",
    "a descriptor of the daemon": lambda w, name: f"/proc/{w.node.pid}/fd/{_descriptor(w)}/../outside/{name}",
    "/dev/fd": lambda w, name: f"/dev/fd/0/../../outside/{name}",
    "a URL": lambda w, name: f"file://{w.outside}/{name}",
    "a URL with ..": lambda w, name: f"file://{w.root}/../outside/{name}",
    "a URL with coded dots": lambda w, name: f"file://{w.root}/%2e%2e/outside/{name}",
    "a URL with coded dots, in capitals": lambda w, name: f"FILE://{w.root}/%2E%2E/outside/{name}",
    "a URL with one dot coded": lambda w, name: f"file://localhost{w.root}/sub/.%2e/%2e./outside/{name}",
    "a short URL": lambda w, name: f"file:{w.root}/%2e%2e/outside/{name}",
    "a URL with coded slashes": lambda w, name: f"file://{w.root}/..%2Foutside/{name}",
    "an absolute link": lambda w, name: f"{w.root}/absolute/{name}",
    "an absolute link that begins inside": lambda w, name: f"{w.root}/absolute-inside/{name}",
    "a relative link": lambda w, name: f"{w.root}/relative/{name}",
    "a relative link further down": lambda w, name: f"{w.root}/sub/relative/{name}",
    "a chain of links": lambda w, name: f"{w.root}/chain/{name}",
    "a link to ..": lambda w, name: f"{w.root}/up/outside/{name}",
    "a link to ../..": lambda w, name: f"{w.root}/sub/up/outside/{name}",
    "a link among dots": lambda w, name: f"{w.root}/dots/{name}",
    "a link among slashes": lambda w, name: f"{w.root}/slashes/{name}",
    "a link of many steps": lambda w, name: f"{w.root}/long/{name}",
    "a link behind a link": lambda w, name: f"{w.root}/way/leave/{name}",
    "a link to /proc/self/root": lambda w, name: f"{w.root}/proc-root/{name}",
    "a link to /proc/self/cwd": lambda w, name: f"{w.root}/proc-cwd/{_from_top(w)}/{name}",
    "a link to the daemon's root": lambda w, name: f"{w.root}/proc-pid/{name}",
    "a link up and down to /proc": lambda w, name: f"{w.root}/proc-up/{name}",
    "a link to /dev/fd": lambda w, name: f"{w.root}/dev-fd/0/{name}",
    "a link into another root": lambda w, name: f"{w.root}/other-root/{name}",
    "a link into another root, further down": lambda w, name: f"{w.root}/sub/other-root/{name}",
    "a link to a neighbour": lambda w, name: f"{w.root}/neighbour/{name}",
}

# These look like ways out and are plain names: of folders beneath the root.
LITERALS: dict[str, Spelling] = {
    "a URL coded twice": lambda w, name: f"file://{w.root}/%252e%252e/outside/{name}",
    "coded dots in a path": lambda w, name: f"{w.root}/%2e%2e/outside/{name}",
    "dots in more bytes than they need": lambda w, name: f"{w.root}/\udcc0\udcae\udcc0\udcae/outside/{name}",
    "backslashes": lambda w, name: f"{w.root}/..\\outside/{name}",
}


def _descriptor(world: World) -> str:
    """The daemon's own descriptor of a root."""
    for fd in Path(f"/proc/{world.node.pid}/fd").iterdir():
        if os.readlink(fd) == str(world.root):
            return fd.name
    raise AssertionError("the daemon has no descriptor of its root")


# As what the thing outside is asked for: {kind: (source, target)}
KINDS: dict[str, Callable[[World, Callable[[str], str]], tuple[str, str]]] = {
    "source": lambda w, outside: (outside("secret"), f"{w.root}/stolen"),
    "source of a tree": lambda w, outside: (outside("folder"), f"{w.root}/stolen"),
    "target": lambda w, outside: (f"{w.root}/good", outside("planted")),
    "target that is there": lambda w, outside: (f"{w.root}/good", outside("secret")),
    "target of a tree": lambda w, outside: (f"{w.root}/tree", outside("folder")),
}


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("spelling", list(SPELLINGS))
def test_no_spelling_leads_out(world: World, spelling: str, kind: str) -> None:
    source, target = KINDS[kind](world, lambda name: SPELLINGS[spelling](world, name))
    missing = KINDS[kind](world, lambda name: SPELLINGS[spelling](world, ABSENT[name]))
    for ask in (world.ask, world.ask_raw):
        for whole in (False, True):
            error = refusal(ask(os.fsencode(source), os.fsencode(target), tree_atomic=whole))
            assert error.code in REFUSED, error
            twin = refusal(ask(os.fsencode(missing[0]), os.fsencode(missing[1]), tree_atomic=whole))
            words = str(twin)
            for there, absent in ABSENT.items():
                words = words.replace(absent, there)
            assert (twin.code, words) == (error.code, str(error)), "it tells whether the thing is there"
    world.look()


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("spelling", list(LITERALS))
def test_what_only_looks_like_a_way_out_stays_inside(world: World, spelling: str, kind: str) -> None:
    source, target = KINDS[kind](world, lambda name: LITERALS[spelling](world, name))
    before = set(world.root.iterdir())
    for ask in (world.ask, world.ask_raw):
        end = ask(os.fsencode(source), os.fsencode(target))
        if isinstance(end, StageError) or end.state != "done":
            assert refusal(end).code in REFUSED, end
        world.look()
    for made in set(world.root.iterdir()) - before:
        shutil.rmtree(made)


def test_there_are_a_hundred_of_them_and_more() -> None:
    assert len(SPELLINGS) * len(KINDS) >= 100


# ---- Things that are no files ----------------------------------------------------------------------------------------


def _make(world: World, name: str) -> Path:
    """Something in the root that is neither a file nor a folder."""
    path = world.root / f"special-{name}"
    if os.path.lexists(path):
        return path
    if name == "fifo":
        os.mkfifo(path)
    elif name == "socket":
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(path))
    else:
        kind, numbers = {"null": (0o020000, (1, 3)), "zero": (0o020000, (1, 5)), "disk": (0o060000, (7, 0))}[name]
        try:
            os.mknod(path, 0o666 | kind, os.makedev(*numbers))
        except PermissionError:
            pytest.skip("only root may make devices")
    return path


@pytest.mark.parametrize("link", [False, True])
@pytest.mark.parametrize("name", ["fifo", "socket", "null", "zero", "disk"])
def test_what_is_no_file_is_neither_source_nor_target(world: World, name: str, link: bool) -> None:
    path = _make(world, name)
    if link:
        path, told = world.root / f"link-to-{name}", path.name
        if not os.path.lexists(path):
            os.symlink(told, path)
    good = world.root / "good"
    for source, target in (
        (path, world.root / "stolen"),
        (good, path),
        (world.root / "tree", path),
        (path / "x", good),
    ):
        error = refusal(world.ask(os.fsencode(source), os.fsencode(target)))
        assert error.code in REFUSED, error
    assert good.read_bytes() == b"good" and not (world.root / "stolen").exists()
    world.look()


def test_files_of_the_kernel_beneath_a_root_are_refused(world: World) -> None:
    views = {"proc": "self/environ", "sysfs": "kernel/mm/transparent_hugepage/enabled"}
    for kind, file in views.items():
        mount = world.root / f"mounted-{kind}"
        mount.mkdir()
        if subprocess.run(["mount", "-t", kind, "none", mount], capture_output=True, check=False).returncode != 0:
            pytest.skip("mounts are not allowed here")
        try:
            for source, target in (
                (mount / file, world.root / "stolen"),
                (mount, world.root / "stolen"),
                (world.root / "good", mount / "planted"),
                (world.root / "good", mount / file),
                (world.root / "tree", mount / "planted"),
            ):
                error = refusal(world.ask(os.fsencode(source), os.fsencode(target)))
                assert error.code in REFUSED, error
                assert not (world.root / "stolen").exists()
        finally:
            subprocess.run(["umount", "-l", mount], check=True)
            mount.rmdir()
    world.look()


NAMES = {
    "nothing": b"",
    "a zero byte": b"\0",
    "a zero byte in the middle": b"go\0od",
    "256 bytes": b"n" * 256,
    "4 KiB in one name": b"n" * 4096,
    "6 KiB of folders": b"d/" * 3072 + b"x",
    "100 KiB of folders": b"d/" * 51_200 + b"x",
    "two dots at the end": b"sub/..",
    "two dots alone": b"..",
    "a temporary's name": b".windlass-x",
    "a temporary's name with nothing behind": b".windlass-",
    "a temporary's name for a folder": b".windlass-x/inner",
    "a temporary's name further up": b"sub/.windlass-x/deeper/inner",
    "a file as a folder": b"good/inner",
    "a file with a slash": b"good/",
    "a file with a dot": b"good/.",
}


@pytest.mark.parametrize("name", list(NAMES))
def test_names_that_cannot_be_targets_are_refused(world: World, name: str) -> None:
    root, good = os.fsencode(world.root), os.fsencode(world.root / "good")
    target = NAMES[name] and root + b"/" + NAMES[name]
    for ask in (world.ask, world.ask_raw):
        for source in (good, os.fsencode(world.root / "tree")):
            error = refusal(ask(source, target))
            assert error.code in REFUSED, error
    assert (world.root / "good").read_bytes() == b"good"
    world.look()


@pytest.mark.parametrize(
    "target", ["/", "//", "/.", "/..", "ROOT", "ROOT/", "ROOT/.", "/etc", "/dev/null", "~", "$HOME/x"]
)
def test_a_file_does_not_become_a_folder_that_is_there(world: World, target: str) -> None:
    path = os.fsencode(target.replace("ROOT", str(world.root)))
    for ask in (world.ask, world.ask_raw):
        assert refusal(ask(os.fsencode(world.root / "good"), path)).code in REFUSED
    world.look()


# ---- Trees -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("symlinks", ["keep", "skip", "refuse", None])
def test_links_in_a_tree_are_not_followed(world: World, symlinks: str | None, whole: bool) -> None:
    source, target = world.root / "tree-of-links", world.root / "stolen"
    source.mkdir(exist_ok=True)
    for number, text in enumerate(world.links().values()):
        for name, to in ((f"f{number}", f"{text}/secret"), (f"d{number}", text)):
            if not os.path.lexists(source / name):
                os.symlink(to, source / name)
    world.ask(os.fsencode(source), os.fsencode(target), symlinks=symlinks, tree_atomic=whole)
    world.look()
    for path in target.rglob("*") if target.exists() else ():
        text = os.readlink(path)
        assert text == os.readlink(source / path.name)
        assert symlinks == "keep" or not os.path.normpath(text).startswith(("/", "..")), "it was to be refused"
        assert symlinks != "skip"
    subprocess.run(["rm", "-rf", target], check=True)


@pytest.mark.parametrize(
    "text", ["ABSOLUTE/folder", "../../outside/folder", "../up/outside/folder", "../other-root/folder"]
)
def test_links_that_wait_in_the_target_of_a_tree_are_not_followed(world: World, text: str) -> None:
    target = world.root / "trap"
    target.mkdir()
    os.symlink(text.replace("ABSOLUTE", str(world.outside)), target / "sub")
    error = refusal(world.ask(os.fsencode(world.root / "tree"), os.fsencode(target)))
    assert error.code in REFUSED
    assert [failure.path for failure in error.failures] == ["sub"]
    world.look()
    subprocess.run(["rm", "-rf", target], check=True)


def test_a_hard_link_to_what_lies_outside_is_replaced_and_not_written_to(world: World) -> None:
    before = world.seen_outside()
    os.link(world.outside / "secret", world.root / "hard")
    changed = world.seen_outside()
    assert world.ask(os.fsencode(world.root / "good"), os.fsencode(world.root / "hard")).state == "done"
    after = world.seen_outside()
    assert {path: info[:4] for path, info in after.items()} == {path: info[:4] for path, info in before.items()}
    assert changed.keys() == after.keys()
    assert (world.outside / "secret").read_bytes() == SECRET
    assert (world.root / "hard").read_bytes() == b"good"
    world.before = after  # the number of its links, and with it ctime, was the test's own doing


# ---- Races -----------------------------------------------------------------------------------------------------------

TURNS = 60


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("text", ["../outside", "ABSOLUTE"])
def test_a_link_that_is_swapped_in_midway_leads_nowhere(world: World, kind: str, text: str) -> None:
    """A thread turns a folder into a link that leads out, and back, as fast as it can."""
    honest, trap, name = world.root / "honest", world.root / "trap-link", world.root / "swapped"
    subprocess.run(["rm", "-rf", honest, trap, name, world.root / "stolen"], check=True)
    (honest / "folder").mkdir(parents=True)
    for folder in (honest, honest / "folder"):
        (folder / "secret").write_bytes(b"an honest file")
    os.symlink(text.replace("ABSOLUTE", str(world.outside)), trap)
    os.rename(honest, name)
    stop = threading.Event()
    turned = 0

    def move(old: Path, new: Path) -> None:
        while not stop.is_set():
            try:
                os.rename(old, new)
                break
            except OSError:  # the daemon has made a folder where there was none for a moment
                shutil.rmtree(new, ignore_errors=True)

    def swap() -> None:
        nonlocal turned
        while not stop.is_set():
            move(name, honest)
            move(trap, name)
            move(name, trap)
            move(honest, name)
            turned += 1

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        for turn in range(TURNS):
            source, target = KINDS[kind](world, lambda thing: f"{name}/{thing}")
            end = world.ask(os.fsencode(source), os.fsencode(target), tree_atomic=turn % 2 == 1)
            if isinstance(end, StageError) or end.state != "done":
                assert refusal(end).code in (*REFUSED, Code.UNAVAILABLE), end
    finally:
        stop.set()
        swapper.join()
    assert turned > 0
    world.look()
    subprocess.run(["rm", "-rf", honest, trap, name, world.root / "stolen"], check=True)


def test_a_root_that_is_swapped_for_a_link_stays_the_folder_it_was(world: World) -> None:
    moved = world.top / "root-moved"
    os.rename(world.root, moved)
    os.symlink("outside", world.root)
    try:
        error = refusal(world.ask(os.fsencode(world.root / "secret"), os.fsencode(world.root / "stolen")))
        assert error.code == Code.NOT_FOUND
        end = world.ask(os.fsencode(world.root / "good"), os.fsencode(world.root / "planted"))
        assert end.state == "done" and not (world.outside / "planted").exists()
        assert (moved / "planted").read_bytes() == b"good"
    finally:
        os.unlink(world.root)
        os.rename(moved, world.root)
    world.look()
