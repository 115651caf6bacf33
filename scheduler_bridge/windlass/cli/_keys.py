"""`windlass keys`: who may speak to whom, as files in a folder. No secret is ever printed."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import Any

from .. import _keys
from .._errors import InvalidArgument, NotFound
from ._output import DONE, print_json, print_table


def run_new(arguments: argparse.Namespace) -> int:
    folder = _folder(arguments)
    own = _keys.new_key(folder, arguments.name, _keys.Role(arguments.role), replace=arguments.replace)
    public = _keys.AllowedKey(own.name, own.role, own.public)
    if arguments.json:
        print_json({"folder": folder, "own": _record(public)})
    else:
        print(public.line())
        print(f"made {folder}/own; the line above is for `windlass keys allow` on the other side", file=sys.stderr)
    return DONE


def run_allow(arguments: argparse.Namespace) -> int:
    folder = _folder(arguments)
    keys = [_keys.parse_line(text) for text in _lines(arguments.line)]
    if not keys:
        raise InvalidArgument("there is no line to allow: give NAME ROLE PUBLIC, or - to read such lines from stdin")
    added = [key for key in keys if _keys.allow(folder, key, again=arguments.again)]
    if arguments.json:
        print_json({"folder": folder, "allowed": [_record(key) for key in keys], "changed": len(added)})
    else:
        for key in keys:
            print(f"{key.name} is allowed as {key.role}" + ("" if key in added else ", as it was"))
    return DONE


def run_revoke(arguments: argparse.Namespace) -> int:
    folder = _folder(arguments)
    revoked = _keys.revoke(folder, arguments.name, arguments.public)
    if not revoked:
        beginning = f" that begins with {arguments.public}" if arguments.public else ""
        raise NotFound(f"{folder}/allowed holds no key of {arguments.name}{beginning} that is not revoked already")
    if arguments.json:
        print_json({"folder": folder, "revoked": [_record(key) for key in revoked]})
    else:
        for key in revoked:
            print(f"{key.name} ({key.role}, {key.public.hex()[:8]}...) is revoked, within seconds where it is used")
    return DONE


def run_list(arguments: argparse.Namespace) -> int:
    folder = _folder(arguments)
    own = _keys.load_own(folder) if os.path.exists(os.path.join(folder, "own")) else None
    allowed = sorted(_keys.load_allowed(folder).values(), key=lambda key: (key.name, key.role, key.public))
    mine = None if own is None else _keys.AllowedKey(own.name, own.role, own.public)
    if arguments.json:
        print_json({"folder": folder, "own": mine and _record(mine), "allowed": [_record(key) for key in allowed]})
        return DONE
    rows = [(mine.name, f"{mine.role} (this folder's own)", mine.public.hex())] if mine else []
    rows += [(key.name, f"{key.role}{' under any name' * key.any_name}", key.public.hex()) for key in allowed]
    print_table(("NAME", "ROLE", "PUBLIC KEY"), rows)
    return DONE


def add(commands: Any, options: Callable[[argparse.ArgumentParser], None]) -> None:
    """The commands beneath `keys`; `options` adds what all commands have."""

    def command(name: str, run: Callable[[Any], int], summary: str, more: str = "") -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = commands.add_parser(
            name, help=summary, description=f"{summary}. {more}".strip()
        )
        made.set_defaults(run=run)
        made.add_argument("--keys", metavar="FOLDER", help="the folder of keys (default: $WINDLASS_SECURITY__KEYS)")
        options(made)
        return made

    new = command("new", run_new, "Make a key, and print its public line", "Its secret half stays in FOLDER/own.")
    new.add_argument("name", metavar="NAME", help="of the node, or whatever you call the owner")
    roles = [str(role) for role in _keys.Role if role != _keys.Role.REVOKED]
    new.add_argument("--role", required=True, choices=roles, help="what its owner is")
    new.add_argument("--replace", action="store_true", help="though there is a key already")
    allow = command("allow", run_allow, "Let the owner of a key in", "Running daemons and bridges see it in seconds.")
    allow.add_argument(
        "line",
        nargs="+",
        metavar="LINE",
        help="NAME ROLE PUBLIC [any-name] as printed by `new`; - reads lines from stdin",
    )
    allow.add_argument("--again", action="store_true", help="even a key that was revoked")
    revoke = command("revoke", run_revoke, "Turn the owner of a key away from now on")
    revoke.add_argument("name", metavar="NAME", help="all keys of this name")
    revoke.add_argument("--public", metavar="DIGITS", help="only the one whose public key begins so")
    command("list", run_list, "Show the folder's own key and whom it lets in")


def _folder(arguments: argparse.Namespace) -> str:
    folder = arguments.keys or os.environ.get("WINDLASS_SECURITY__KEYS")
    if not folder:
        raise InvalidArgument("say which folder of keys: --keys FOLDER, or $WINDLASS_SECURITY__KEYS")
    return str(folder)


def _lines(words: list[str]) -> list[str]:
    text = sys.stdin.read() if words == ["-"] else " ".join(words)
    return [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def _record(key: _keys.AllowedKey) -> dict[str, Any]:
    return {"name": key.name, "role": str(key.role), "public": key.public.hex(), "any_name": key.any_name}
