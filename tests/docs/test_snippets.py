"""Every Python and shell snippet in README.md and docs/ is run, page by page, in a folder of its own beside a daemon.

A snippet that installs, builds or starts the demo is checked by other means; it stands after a line
`<!-- run by: what runs it -->`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import windlass

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_FENCE = re.compile(r"(?:<!-- run by: (?P<by>[^\n]*) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.S | re.M)
_LANGUAGES = {"python", "bash", "sh", "console", "yaml", "json", "text", "c", "cpp", "ini", ""}
_ELSEWHERE = re.compile(r"^\s*(sudo |make |git clone|pip |systemctl|srun|cmake|windlassd|kubectl)")


def snippets(page: Path) -> list[tuple[int, str, str, str | None]]:
    """(line, language, text, what else runs it) in the order of the page."""
    text = page.read_text()
    found = []
    for match in _FENCE.finditer(text):
        line = text[: match.start("text")].count("\n") + 1
        found.append((line, match["language"], match["text"], match["by"]))
    return found


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[windlass.LocalNode]:
    top = tmp_path_factory.mktemp("docs")
    with windlass.LocalNode(config={"stage.roots": [str(top)]}) as node:
        yield node


@pytest.fixture
def desk(node: windlass.LocalNode, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder beneath the daemon's root, with the daemon as the one that clients find."""
    folder = tmp_path_factory.mktemp("page", numbered=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("WINDLASS_LOCAL__SOCKET", node.address.removeprefix("ipc://"))
    programs = [str(Path(sys.executable).parent), str(ROOT / "build/release/bin"), os.environ["PATH"]]
    monkeypatch.setenv("PATH", os.pathsep.join(programs))
    (folder / "benchmarks").symlink_to(ROOT / "benchmarks")
    (folder / "examples").symlink_to(ROOT / "examples")
    return folder


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_snippet_of_a_page_runs(page: Path, desk: Path) -> None:
    names: dict[str, object] = {"__name__": "page"}
    for line, language, text, by in snippets(page):
        where = f"{page.relative_to(ROOT)}, line {line}"
        assert language in _LANGUAGES, f"{where}: what is a {language!r} snippet?"
        if by is not None:
            assert _ELSEWHERE.match(text), f"{where}: can be run here, so it has to be"
        elif language == "python":
            exec(compile("\n" * (line - 1) + text, str(page), "exec"), names)
        elif language in ("bash", "sh", "console"):
            done = subprocess.run(["bash", "-euc", text], cwd=desk, capture_output=True, text=True, timeout=120)
            assert done.returncode == 0, f"{where} ended with {done.returncode}:\n{done.stdout}{done.stderr}"


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}"


def test_every_invariant_names_checks_that_exist() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    invariants = re.findall(r"^Invariant: .*?(?=\n\n)", text, re.S | re.M)
    assert invariants
    for invariant in invariants:
        named = [name for name in re.findall(r"`([\w./]+)`", invariant) if "/" in name]
        assert named, invariant
        assert [name for name in named if not (ROOT / name).exists()] == [], invariant
