"""The house's rules hold, and each of them can find what it is there for."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

TOP = Path(__file__).resolve().parents[2]


def load_house() -> ModuleType:
    spec = importlib.util.spec_from_file_location("windlass_house", TOP / "tools" / "house.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def house() -> ModuleType:
    return load_house()


@pytest.fixture
def empty_house(house: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    monkeypatch.setattr(house, "TOP", tmp_path)
    return house


def put(house: ModuleType, name: str, text: str) -> None:
    path = house.TOP / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def found(house: ModuleType, rule: str) -> list[tuple[str, int]]:
    return [(name, number) for name, number, _ in house.RULES[rule]()]


@pytest.mark.parametrize("rule", sorted(load_house().RULES))
def test_the_house_is_in_order(rule: str) -> None:
    done = subprocess.run(
        [sys.executable, str(TOP / "tools" / "house.py"), rule], capture_output=True, text=True, cwd="/"
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_arrows_against_the_stream_are_found(empty_house: ModuleType) -> None:
    put(empty_house, "proto/a.cpp", '#include "proto/a.hpp"\n#include "plugin/b.hpp"\n#include <plugin/b.hpp>\n')
    put(
        empty_house, "plugin/b.hpp", '#include "proto/a.hpp"\n#include "../worker/c.hpp"\n  #  include "worker/c.hpp"\n'
    )
    put(empty_house, "worker/c.cpp", '#include "plugin/b.hpp"\n#include "worker/c.hpp"\n')
    put(empty_house, "scheduler_bridge/windlass/x.py", "from . import y\n\ndef f():\n    import tests.oracle\n")
    assert found(empty_house, "arrows") == [
        ("plugin/b.hpp", 2),
        ("plugin/b.hpp", 3),
        ("proto/a.cpp", 2),
        ("scheduler_bridge/windlass/x.py", 4),
    ]


def test_arrows_within_the_worker_are_looked_at_but_for_tests(empty_house: ModuleType) -> None:
    includes = '#include "worker/requests/a.hpp"\n#include "worker/core/b.hpp"\n#include "worker/testing.hpp"\n'
    for name in ("core/c.cpp", "requests/c.cpp", "core/c_test.cpp", "core/testing.hpp", "main.cpp"):
        put(empty_house, f"worker/{name}", includes)
    assert found(empty_house, "arrows") == [
        ("worker/core/c.cpp", 1),
        ("worker/core/c.cpp", 3),
        ("worker/requests/c.cpp", 3),
    ]


def test_sources_that_nothing_builds_are_found(empty_house: ModuleType) -> None:
    put(empty_house, "plugin/CMakeLists.txt", "add_library(x c_abi/a.cpp)\n")
    put(empty_house, "plugin/match/CMakeLists.txt", "add_library(y b.cpp d_test.cpp)\n")
    for name in ("c_abi/a.cpp", "c_abi/b.cpp", "match/b.cpp", "match/test.cpp", "match/d.cpp"):
        put(empty_house, f"plugin/{name}", "")
    assert found(empty_house, "listed") == [
        ("plugin/c_abi/b.cpp", 1),
        ("plugin/match/d.cpp", 1),
        ("plugin/match/test.cpp", 1),
    ]


def test_long_files_and_functions_are_found(empty_house: ModuleType) -> None:
    body = "  int a = {0};\n" * 120
    put(empty_house, "plugin/a.cpp", f"namespace x {{\nclass A {{\n public:\n  void f() {{\n{body}  }}\n}};\n}}\n")
    put(empty_house, "plugin/b.cpp", "constexpr int kTable[] = {\n" + "  1,\n" * 150 + "};\nvoid f() {\n}\n")
    put(empty_house, "plugin/c.cpp", "struct stat look(int a) {\n" + "  x('{', \"}\");  // {\n" * 120 + "}\n")
    put(empty_house, "plugin/d.cpp", "// line\n" * 501)
    put(empty_house, "tools/e.py", "def f():\n" + "    x = 1\n" * 101)
    assert found(empty_house, "long") == [
        ("plugin/a.cpp", 4),
        ("plugin/c.cpp", 1),
        ("plugin/d.cpp", 501),
        ("tools/e.py", 1),
    ]


def test_words_that_announce_work_are_found(empty_house: ModuleType) -> None:
    put(empty_house, "docs/a.md", "All is done.\nTO" + "DO: the rest\nTodos los dias\n")
    put(empty_house, "Makefile", "# FIX" + "ME\n")
    assert found(empty_house, "unfinished") == [("Makefile", 1), ("docs/a.md", 2)]


def test_hash_tables_without_a_key_are_found(empty_house: ModuleType) -> None:
    text = "#include <unordered_map>\n// an unordered_map\nstd::unordered_multiset<int> a;\nproto::KeyedSet<int> b;\n"
    for name in ("proto/a.hpp", "proto/keyed_hash.hpp", "worker/core/a_test.cpp", "worker/core/a.cpp", "tests/b.cpp"):
        put(empty_house, name, text)
    assert found(empty_house, "keyed") == [
        ("proto/a.hpp", 1),
        ("proto/a.hpp", 3),
        ("worker/core/a.cpp", 1),
        ("worker/core/a.cpp", 3),
    ]


def test_links_that_lead_nowhere_are_found(empty_house: ModuleType) -> None:
    put(empty_house, "docs/a.md", "[b](b.md) [c](c.md#part) [web](https://example.org) [part](#here)\n")
    put(empty_house, "docs/b.md", "[up](../docs/a.md)\n")
    assert found(empty_house, "links") == [("docs/a.md", 1)]


def test_generated_pages_that_are_stale_are_found(empty_house: ModuleType) -> None:
    assert found(empty_house, "generated") == [("build/release/bin/windlassd", 1)]
    put(
        empty_house,
        "build/release/bin/windlassd",
        '#!/bin/sh\n[ "$1" = --print-config-docs ] && echo new || echo same\n',
    )
    os.chmod(empty_house.TOP / "build/release/bin/windlassd", 0o755)
    put(empty_house, "docs/config.md", "old\n")
    put(empty_house, "docs/metrics.md", "same\n")
    assert found(empty_house, "generated") == [("docs/config.md", 1)]
