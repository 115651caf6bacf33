"""The commands and their flags, in one place; what each does lies in its own module."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, TypeVar

from .. import __version__
from .._stage_encode import CHECKSUM_DIGITS
from . import _doctor, _keys, _load, _match, _nodes, _stage

_Number = TypeVar("_Number", int, float)
_ADDRESS = (
    "the daemon to ask: a socket's path, ipc://PATH or tcp://HOST:PORT "
    "(default: $WINDLASS_LOCAL__SOCKET, then the usual places)"
)
_BRIDGE = "ask the scheduler's bridge, tcp://HOST:PORT, about all nodes (default: $WINDLASS_BRIDGE__ADDRESS)"
_JSON = "print JSON for programs instead of a table"
_EXIT = "exit codes: 0 done, 1 failed, 2 wrong usage, 3 partly done"


def new_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="windlass",
        description="Windlass matches tasks to machines, brings files to where they are needed, and tells how loaded "
        "each machine is. Begin with `windlass doctor`, which says what is there and what is missing.",
        epilog=_EXIT,
    )
    parser.add_argument("--version", action="version", version=f"windlass {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[Any], int], summary: str, more: str = "") -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=summary, description=f"{summary}. {more}".strip(), epilog=_EXIT)
        made.set_defaults(run=run)
        _add_json(made)
        return made

    _add_node_commands(command)
    _add_match_commands(command)
    _add_stage_command(command)
    doctor = command(
        "doctor",
        _doctor.run,
        "Say what Windlass finds on this machine and what to do about what is missing",
        "Exit code 1 where something does not work.",
    )
    _add_address(doctor, help=_ADDRESS)
    keys = commands.add_parser("keys", help="Make keys for encrypted tcp, and say who is let in", epilog=_EXIT)
    beneath = keys.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _keys.add(beneath, _add_json)
    return parser


def _add_json(made: argparse.ArgumentParser) -> None:
    made.add_argument("--json", action="store_true", help=_JSON)


def _add_address(made: argparse.ArgumentParser, **how: Any) -> None:
    made.add_argument("--address", **how)
    made.add_argument("--keys", metavar="FOLDER", help="over tcp: the folder of keys ($WINDLASS_SECURITY__KEYS)")
    made.add_argument(
        "--server", metavar="NAME", help="whose key in the list is the other side's, where there are many"
    )


def _add_node_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    top = command("top", _nodes.run_top, "Show how loaded the nodes are, again and again, the busiest first")
    nodes = command("nodes", _nodes.run_nodes, "List the nodes, their state and their load")
    for made in (top, nodes):
        made.add_argument("--bridge", metavar="ADDRESS", help=_BRIDGE)
        _add_address(made, help="without a bridge, " + _ADDRESS)
    top.add_argument("--interval", type=_positive, default=1.0, metavar="SECONDS", help="between two looks (1)")
    top.add_argument("--count", type=_count, metavar="N", help="stop after N looks (1 where stdout is no terminal)")
    load = command("load", _load.run, "Show the load report of one daemon")
    _add_address(load, help=_ADDRESS)


def _add_match_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    more = (
        "FILE is JSON or YAML with tasks, offers and (as you like) options: "
        '{"tasks": [{"name": "t1", "cpu": 2}], "offers": [{"name": "m1", "cpu": 8}], "options": {"mode": "packing"}}. '
        "Or give two files, --tasks and --offers, as CSV, JSON, JSON lines, YAML or Parquet."
    )
    match = command("match", _match.run_match, "Match the tasks in a file to the offers in it", more)
    explain = command("explain", _match.run_explain, "Say why a task was not placed", more)
    for made in (match, explain):
        made.add_argument("file", nargs="?", metavar="FILE", help="tasks, offers and options in one file")
        made.add_argument("--tasks", metavar="FILE", help="tasks alone")
        made.add_argument("--offers", metavar="FILE", help="offers alone")
        made.add_argument("--mode", choices=["exclusive", "packing"], help="one task per offer, or as many as fit")
        made.add_argument(
            "--policy",
            choices=["best_fit", "worst_fit", "dot_product", "cost", "fragmentation"],
            help="which offer is best",
        )
        made.add_argument(
            "--ties", choices=["stable", "swap_remove"], help="among equals: the first given, or as an in-place loop"
        )
        made.add_argument("--max-score", type=float, metavar="X", help="worse offers do not qualify")
        made.add_argument("--max-price", type=float, metavar="X", help="dearer offers do not qualify")
        made.add_argument(
            "--no-normalize", action="store_true", help="compare amounts as they are, not by the largest offer"
        )
        _add_address(made, metavar="ADDRESS", help="match in that daemon instead of in this process")
    explain.add_argument("task", metavar="TASK", help="the name of the task")
    match.add_argument("--limit", type=_count, default=50, metavar="N", help="rows of the table (50)")


def _add_stage_command(command: Callable[..., argparse.ArgumentParser]) -> None:
    stage = command(
        "stage",
        _stage.run,
        "Bring a file or a folder to a target: complete, or not at all",
        "Copies in this process unless --address or --daemon is given. An existing target is replaced in one step.",
    )
    stage.add_argument(
        "source", nargs="?", metavar="SRC", help="a path or URL; a folder is staged with everything in it"
    )
    stage.add_argument("target", nargs="?", metavar="DST", help="the path of the file (or folder) itself")
    stage.add_argument(
        "--from", dest="batch", metavar="FILE", help='many: JSON [{"source": ..., "target": ..., "checksum": ...}, ...]'
    )
    stage.add_argument(
        "--checksum", metavar="NAME[:HEX]", help=f"check, or compute and report: {', '.join(CHECKSUM_DIGITS)}"
    )
    stage.add_argument("--range", type=_range, metavar="FIRST:LENGTH", help="only these bytes of the source")
    stage.add_argument("--size", type=int, metavar="BYTES", help="how many bytes there must be")
    stage.add_argument("--mode", type=_octal, metavar="OCTAL", help="permission bits, such as 640 (the source's)")
    stage.add_argument("--priority", type=int, default=0, metavar="N", help="higher goes first (0)")
    stage.add_argument("--deadline", type=float, metavar="SECONDS", help="do not begin after this time")
    stage.add_argument("--decompress", metavar="HOW", help="undo gzip or zstd on the way, or auto: by the first bytes")
    stage.add_argument(
        "--kind", default="input", metavar="KIND", help="input (default) or result, which is fully synced"
    )
    stage.add_argument(
        "--durability", metavar="HOW", help="none, file (default) or full: what is synced to disk before done"
    )
    stage.add_argument("--symlinks", metavar="HOW", help="in folders: keep, skip or refuse those that lead out")
    stage.add_argument("--tree-atomic", action="store_true", help="a folder appears all at once or not at all")
    stage.add_argument("--cache", action="store_true", help="through the node's cache")
    stage.add_argument("--pin", action="store_true", help="and keep it there")
    stage.add_argument(
        "--root", action="append", metavar="FOLDER", help="in process: touch nothing outside (may be repeated)"
    )
    stage.add_argument("--state", metavar="FOLDER", help="in process: keep a journal there, to resume after a crash")
    _add_address(stage, metavar="ADDRESS", help="by that daemon (a socket's path, ipc:// or tcp://)")
    stage.add_argument("--daemon", action="store_true", help="by this node's daemon at its usual address")
    stage.add_argument("--quiet", action="store_true", help="no progress bar")


def _positive(text: str) -> float:
    value = _read(float, text, "a number above 0")
    if not value > 0:
        raise argparse.ArgumentTypeError("give a number above 0")
    return value


def _count(text: str) -> int:
    value = _read(int, text, "1 or more")
    if value < 1:
        raise argparse.ArgumentTypeError("give 1 or more")
    return value


def _range(text: str) -> tuple[int, int]:
    first, _, length = text.partition(":")
    what = "FIRST:LENGTH in bytes, such as 0:4096"
    return _read(int, first, what), _read(int, length, what)


def _octal(text: str) -> int:
    return _read(lambda digits: int(digits, 8), text, "octal digits, such as 640")


def _read(reading: Callable[[str], _Number], text: str, what: str) -> _Number:
    try:
        return reading(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: give {what}") from None
