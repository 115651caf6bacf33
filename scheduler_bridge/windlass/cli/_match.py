"""`windlass match` and `windlass explain`."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from typing import Any

from .._errors import InvalidArgument, Unimplemented
from . import _files
from ._output import DONE, FAILED, PARTLY, print_json, print_table

_FLAGS = ("mode", "policy", "ties", "max_score", "max_price")


def run_match(arguments: argparse.Namespace) -> int:
    begun = time.monotonic()
    result = _result(arguments)
    seconds = time.monotonic() - begun
    if arguments.json:
        print_json(_record(result, seconds))
    else:
        _print(result, seconds, arguments.limit)
    if not result.unmatched:
        return DONE
    return PARTLY if result.assignments else FAILED


def run_explain(arguments: argparse.Namespace) -> int:
    result = _result(arguments)
    name = _named(result, arguments.task)
    if not hasattr(result, "explain"):
        raise Unimplemented("explain is not served by this version of windlass")
    why = result.explain(name)
    if arguments.json:
        print_json(
            {
                "task": name,
                "placed": why is None,
                "offer": result.assignments.get(name),
                "why": None if why is None else str(why),
            }
        )
    elif why is None:
        print(f"{name} was placed on {result.assignments[name]}")
    else:
        print(why)
    return DONE


def _result(arguments: argparse.Namespace) -> Any:
    tasks, offers, options = _inputs(arguments)
    options = {**options, **{name: value for name in _FLAGS if (value := getattr(arguments, name)) is not None}}
    if arguments.no_normalize:
        options["normalize"] = False
    try:
        if arguments.address:
            from .._client import Client

            with Client(arguments.address, keys=arguments.keys, server=arguments.server) as client:
                return client.match(tasks, offers, **options)
        from .._match import match

        return match(tasks, offers, **options)
    except TypeError as error:
        if "unexpected keyword" in str(error):
            raise InvalidArgument(f"options: {error}", side="options") from None
        raise


def _inputs(arguments: argparse.Namespace) -> tuple[Any, Any, dict[str, Any]]:
    whole: Any = {}
    if arguments.file is not None:
        whole = _files.read(arguments.file)
        if not isinstance(whole, Mapping) or not {"tasks", "offers"} & set(whole):
            raise InvalidArgument(
                f'{arguments.file} holds no "tasks" and "offers"; for one of them alone use --tasks and --offers',
                field="file",
            )
    unknown = set(whole) - {"tasks", "offers", "options"}
    if unknown:
        raise InvalidArgument(
            f"{arguments.file}: {min(unknown)!r} is not known; there are tasks, offers and options", field="file"
        )
    sides = []
    for side in ("tasks", "offers"):
        path = getattr(arguments, side)
        if path is None and side not in whole:
            raise InvalidArgument(f"no {side}: give a FILE that holds them, or --{side} FILE", field=side)
        sides.append(_files.read(path) if path is not None else whole[side])
    options = whole.get("options") or {}
    if not isinstance(options, Mapping):
        raise InvalidArgument(f"{arguments.file}: options is no mapping of names to values", field="options")
    return sides[0], sides[1], dict(options)


def _named(result: Any, text: str) -> Any:
    """The task of that name; names in files may be numbers."""
    for name in (*result.unmatched, *result.assignments):
        if str(name) == text:
            return name
    raise InvalidArgument(f"there is no task {text!r}", side="tasks", field="name", value=text)


def _record(result: Any, seconds: float) -> dict[str, Any]:
    return {
        "assignments": {str(task): offer for task, offer in result.assignments.items()},
        "scores": {str(task): result.score(task) for task in result.assignments},
        "unmatched": list(result.unmatched),
        "warnings": list(result.warnings),
        "seconds": seconds,
    }


def _print(result: Any, seconds: float, limit: int) -> None:
    shown = list(result.assignments.items())[:limit]
    if shown:
        print_table(("TASK", "OFFER", "SCORE"), [(str(task), str(offer), result.score(task)) for task, offer in shown])
    placed, tasks = len(result.assignments), len(result.assignments) + len(result.unmatched)
    if placed > len(shown):
        print(f"... and {placed - len(shown)} more (--limit, or --json for all)")
    print(f"{placed} of {tasks} tasks placed in {seconds:.3f} s")
    if result.unmatched:
        some = ", ".join(str(task) for task in result.unmatched[:10])
        print(f"not placed: {some}{' ...' if len(result.unmatched) > 10 else ''}")
    for warning in result.warnings:
        print(f"note: {warning}")
