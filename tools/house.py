"""The house's rules that no compiler knows; part of `make check` and of the tests.

    tools/house.py [RULE ...]    prints each breach as FILE:LINE: what; ends with 1 where there is one

Rules: arrows, listed, generated, long, unfinished, keyed, links.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 100

CXX = {".cpp", ".hpp", ".c", ".h"}
# Which of our folders the sources of a folder, and of those below it that are not named, may include. Tests may more.
ARROWS = {
    "proto": {"proto"},
    "plugin": {"proto", "plugin"},
    "worker/base": {"proto", "plugin", "worker/base"},
    "worker/core": {"proto", "plugin", "worker/base", "worker/core"},
    "worker/engines": {"proto", "plugin", "worker/base", "worker/core", "worker/engines"},
    "worker/bridge": {"proto", "plugin", "worker/base", "worker/core", "worker/bridge"},
    "worker/requests": {
        *("proto", "plugin", "worker/base", "worker/core", "worker/engines", "worker/bridge", "worker/requests")
    },
    "worker/front": {"proto", "worker/core", "worker/front"},
    "worker/sockets": {"proto", "worker/base", "worker/core", "worker/front", "worker/sockets"},
}
ARROWS["worker"] = {*ARROWS, "worker"}
FOR_TESTS = re.compile(r"(_test\.cpp|testing\.hpp)$")
# The same for Python: what the modules below a folder must not import.
PYTHON_BARRED = {
    "scheduler_bridge": {"tests", "examples", "benchmarks", "tools"},
    "examples": {"tests"},
    "benchmarks": {"tests"},
}
KEYED = "proto/keyed_hash.hpp"
LONG_ALLOWED = {"plugin/include/windlass/windlass.h"}
# Joined here so that this file does not find itself.
UNFINISHED = re.compile(
    r"\b("
    + "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK", "place" + "holder", "st" + "ub(?:bed|s)?"])
    + r")\b"
)

Breach = tuple[str, int, str]


def tracked(*suffixes: str) -> list[str]:
    """The project's files by suffix: those git knows and new ones it does not ignore."""
    out = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=TOP, capture_output=True, check=True, text=True
    ).stdout
    names = sorted(set(filter(None, out.split("\0"))))
    return [name for name in names if Path(name).suffix in suffixes and (TOP / name).is_file()]


def text_of(name: str) -> str:
    return (TOP / name).read_text(encoding="utf-8", errors="replace")


def house_of(name: str) -> str:
    """The folder of ARROWS that a file is in; "" where it is in none."""
    above = (folder.as_posix() for folder in Path(name).parents)
    return next((folder for folder in above if folder in ARROWS), "")


def arrows() -> Iterator[Breach]:
    """Includes and imports run one way only: proto <- plugin <- worker, and within the worker as ARROWS says."""
    include = re.compile(r'^\s*#\s*include\s*"([^"]+)"')
    for name in tracked(*CXX):
        own = house_of(name)
        allowed = set(ARROWS) if own and FOR_TESTS.search(name) and own.startswith("worker") else ARROWS.get(own)
        for number, line in enumerate(text_of(name).splitlines(), 1):
            found = include.match(line)
            if not found:
                continue
            if ".." in Path(found[1]).parts:
                yield name, number, f'includes "{found[1]}"; write the path from the top folder'
            other = house_of(found[1])
            if allowed is not None and other and other not in allowed:
                yield name, number, f"{own} may not include {other}"
    for name in tracked(".py"):
        barred = PYTHON_BARRED.get(name.split("/")[0], set())
        for number, module in imports(name):
            if module.split(".")[0] in barred:
                yield name, number, f"{name.split('/')[0]} may not import {module}"


def imports(name: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(text_of(name))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.lineno, node.module


def listed() -> Iterator[Breach]:
    """Every C and C++ source stands in the CMakeLists.txt of its folder or of one above."""
    for name in tracked(".cpp", ".c"):
        if name.split("/")[0] == "benchmarks":
            continue  # built by its own script where its tools are found
        path = Path(name)
        for folder in path.parents:
            lists = TOP / folder / "CMakeLists.txt"
            spelled = path.relative_to(folder).as_posix()
            if lists.exists() and re.search(rf"(?<![\w/.-]){re.escape(spelled)}(?![\w.-])", lists.read_text()):
                break
        else:
            yield name, 1, "no CMakeLists.txt lists it"


def generated() -> Iterator[Breach]:
    """Pages that the daemon prints are what it prints today."""
    daemon = TOP / "build/release/bin/windlassd"
    if not daemon.exists():
        yield str(daemon.relative_to(TOP)), 1, "is not built; run make build"
        return
    for flag, page in (("--print-config-docs", "docs/config.md"), ("--print-metrics-docs", "docs/metrics.md")):
        made = subprocess.run([daemon, flag], capture_output=True, text=True, check=True).stdout
        if made != text_of(page):
            yield page, 1, f"is stale; run build/release/bin/windlassd {flag} >{page}"


def long() -> Iterator[Breach]:
    """Files and functions that hold too much."""
    for name in tracked(".py", ".sh", *CXX):
        lines = text_of(name).splitlines()
        if len(lines) > FILE_LINES_MAX and name not in LONG_ALLOWED:
            yield name, len(lines), f"has {len(lines)} lines, {FILE_LINES_MAX} are allowed; part it"
        functions = python_functions(name) if name.endswith(".py") else cxx_functions(lines)
        for first, last in functions:
            if last - first + 1 > FUNCTION_LINES_MAX:
                yield name, first, f"a function of {last - first + 1} lines, {FUNCTION_LINES_MAX} are allowed; part it"


def python_functions(name: str) -> Iterator[tuple[int, int]]:
    for node in ast.walk(ast.parse(text_of(name))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.lineno, node.end_lineno or node.lineno


def cxx_functions(lines: list[str]) -> Iterator[tuple[int, int]]:
    """By the braces of formatted code: outermost blocks that are no namespace, type, array or extern."""
    other = re.compile(r"^\s*(inline )?(namespace|extern|enum|struct|class|union|template <[^>]*> (struct|class))\b")
    returns_type = re.compile(r"\)\s*(const )?(noexcept )?{$")  # "struct stat look(...) {" is a function all the same
    stack: list[tuple[int, bool]] = []
    for number, line in enumerate(lines, 1):
        code = re.sub(r'"(\\.|[^"\\])*"|\'(\\.|[^\'\\])\'|//.*', "", line)
        for mark in re.findall(r"[{}]", code):
            if mark == "{":
                begins_type = bool(other.match(line)) and not returns_type.search(code.rstrip())
                stack.append((number, "=" not in code.partition("{")[0] and not begins_type))
            elif stack:
                first, is_function = stack.pop()
                if is_function and not any(inside for _, inside in stack):
                    yield first, number


def unfinished() -> Iterator[Breach]:
    """Words that announce work which is still to be done."""
    for name in tracked(".py", ".md", ".txt", ".cmake", ".toml", ".yaml", ".yml", ".rs", ".sh", "", *CXX):
        for number, line in enumerate(text_of(name).splitlines(), 1):
            found = UNFINISHED.search(line)
            if found:
                yield name, number, f"says {found[0]!r}; finish it or leave it out"


def keyed() -> Iterator[Breach]:
    """No hash table without a key: whoever chooses what goes in could make all of it meet at one place."""
    for name in tracked(*CXX):
        if name.split("/")[0] not in ("proto", "plugin", "worker") or name == KEYED or FOR_TESTS.search(name):
            continue
        for number, line in enumerate(text_of(name).splitlines(), 1):
            found = re.search(r"\bunordered_(multi)?(map|set)\b", line.partition("//")[0])
            if found:
                yield name, number, f"has an {found[0]}; KeyedMap and KeyedSet of {KEYED} take keys of others"


def links() -> Iterator[Breach]:
    """Links between the project's pages lead somewhere."""
    link = re.compile(r"\]\(([^)\s#]+)(?:#[^)\s]*)?\)")
    for name in tracked(".md"):
        for number, line in enumerate(text_of(name).splitlines(), 1):
            for target in link.findall(line):
                if "://" not in target and not (TOP / name).parent.joinpath(target).exists():
                    yield name, number, f"links to {target}, which is not there"


RULES: dict[str, Callable[[], Iterator[Breach]]] = {
    rule.__name__: rule for rule in (arrows, listed, generated, long, unfinished, keyed, links)
}


def main(words: list[str]) -> int:
    unknown = [word for word in words if word not in RULES]
    if unknown:
        print(f"house: no rule {unknown[0]!r}; there are {', '.join(RULES)}", file=sys.stderr)
        return 2
    breaches = [breach for rule in words or RULES for breach in RULES[rule]()]
    for name, number, what in breaches:
        print(f"{name}:{number}: {what}")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
