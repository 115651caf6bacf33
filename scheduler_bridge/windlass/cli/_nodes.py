"""`windlass nodes` and `windlass top`."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from . import _ask
from ._output import DONE, Figure, bytes_text, print_json, print_table

Nodes = dict[str, dict[str, Any]]

_HEADER = ("NODE", "STATE", "CPU", "CORES", "MEMORY FREE", "MATCHES", "STAGES", "IN FLIGHT", "ENGINE", "AGE", "NOTES")


def run_nodes(arguments: argparse.Namespace) -> int:
    with _source(arguments) as nodes:
        _show(nodes(), arguments.json)
    return DONE


def run_top(arguments: argparse.Namespace) -> int:
    live = sys.stdout.isatty() and not arguments.json
    left = arguments.count or (None if live else 1)
    with _source(arguments) as nodes:
        try:
            while True:
                found = dict(sorted(nodes().items(), key=_busiest_first))
                if live:
                    sys.stdout.write("\x1b[H\x1b[2J")
                _show(found, arguments.json)
                sys.stdout.flush()
                left = None if left is None else left - 1
                if left == 0:
                    return DONE
                time.sleep(arguments.interval)
        except KeyboardInterrupt:
            return DONE  # the way to leave it


@contextlib.contextmanager
def _source(arguments: argparse.Namespace) -> Iterator[Callable[[], Nodes]]:
    """All nodes of a bridge; where none is named, the one daemon of this machine."""
    address = None if arguments.address else _ask.bridge_address(arguments.bridge)
    if address:
        with _ask.bridge(address, _ask.keys_of(arguments)) as asker:
            yield lambda: dict(asker.ask().get("nodes") or {})
    else:
        with _ask.daemon(arguments.address, _ask.keys_of(arguments)) as asker:
            yield lambda: {arguments.address or "local": _as_node(_ask.load_of(asker.ask()))}


def _as_node(load: dict[str, Any]) -> dict[str, Any]:
    return {
        "state": "draining" if load.get("draining") else "alive",
        "incarnation": load.get("incarnation"),
        "labels": load.get("labels", {}),
        "load": load,
    }


def _busiest_first(item: tuple[str, dict[str, Any]]) -> tuple[float, str]:
    name, node = item
    return -float((node.get("load") or {}).get("cpu_ratio") or 0.0), name


def _show(nodes: Nodes, as_json: bool) -> None:
    if as_json:
        print_json({"nodes": nodes})
    elif not nodes:
        print("no nodes; start windlassd on each with bridge.address set to this bridge")
    else:
        print_table(_HEADER, [_row(name, node) for name, node in nodes.items()])


def _row(name: str, node: dict[str, Any]) -> list[Any]:
    load = node.get("load") or {}
    queue = load.get("queue") or {}
    ratio, age = load.get("cpu_ratio"), load.get("age_seconds")
    return [
        name,
        node.get("state", "-"),
        None if ratio is None else Figure(f"{ratio:.0%}"),
        load.get("cores"),
        _memory(load),
        queue.get("match"),
        queue.get("stage"),
        Figure(bytes_text(load.get("bytes_in_flight"))),
        load.get("engine") or "-",
        None if age is None else Figure(f"{age:.1f} s"),
        ", ".join(_notes(node)) or "-",
    ]


def _notes(node: dict[str, Any]) -> list[str]:
    """What an operator is to look at."""
    notes = list((node.get("load") or {}).get("degraded") or [])
    left_out = node.get("left_out") or {}
    if left_out:
        name, why = next(iter(left_out.items()))
        others = node.get("left_out_count", len(left_out)) - 1
        notes.append(f"offer {name} left out{f' and {others} more' if others else ''}: {why}")
    return notes


def _memory(load: dict[str, Any]) -> Figure:
    total = load.get("memory_total_bytes")
    free = bytes_text(load.get("memory_available_bytes"))
    return Figure(free if total is None else f"{free} of {bytes_text(total)}")
