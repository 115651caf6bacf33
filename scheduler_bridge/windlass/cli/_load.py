"""`windlass load`."""

from __future__ import annotations

import argparse
from typing import Any

from . import _ask
from ._output import DONE, bytes_text, print_json, print_table


def run(arguments: argparse.Namespace) -> int:
    with _ask.daemon(arguments.address, _ask.keys_of(arguments)) as asker:
        load = _ask.load_of(asker.ask())
    if arguments.json:
        print_json(load)
    else:
        print_table(("WHAT", "HOW MUCH"), _rows(load))
    return DONE


def _rows(load: dict[str, Any]) -> list[tuple[str, str]]:
    queue = load.get("queue") or {}
    rows = [
        ("cores", f"{load.get('cores', 0):g}"),
        ("cpu busy", f"{load.get('cpu_ratio', 0):.0%}"),
        ("memory free", bytes_text(load.get("memory_available_bytes"))),
        ("memory in all", bytes_text(load.get("memory_total_bytes"))),
        ("matches waiting", str(queue.get("match", 0))),
        ("transfers waiting", f"{queue.get('stage', 0)} (the oldest {queue.get('oldest_seconds', 0):.1f} s)"),
        ("bytes in flight", bytes_text(load.get("bytes_in_flight"))),
        ("staging engine", str(load.get("engine") or "-")),
        ("draining", "yes" if load.get("draining") else "no"),
        ("degraded", ", ".join(load.get("degraded") or []) or "no"),
        ("age of the report", f"{load.get('age_seconds', 0):.1f} s"),
    ]
    for name, pressure in (load.get("psi") or {}).items():
        rows.append((f"pressure of {name}", f"{pressure.get('some_avg10', 0):.1f} % of the last 10 s"))
    for name, disk in (load.get("disk") or {}).items():
        read, write = disk.get("read_bytes_per_s", 0), disk.get("write_bytes_per_s", 0)
        rows.append(
            (
                f"disk {name}",
                f"reads {bytes_text(read)}/s, writes {bytes_text(write)}/s, busy {disk.get('busy_ratio', 0):.0%}",
            )
        )
    for name, net in (load.get("net") or {}).items():
        into, out = net.get("receive_bytes_per_s", 0), net.get("transmit_bytes_per_s", 0)
        rows.append((f"net {name}", f"in {bytes_text(into)}/s, out {bytes_text(out)}/s"))
    for path, space in (load.get("roots") or {}).items():
        rows.append(
            (f"root {path}", f"{bytes_text(space.get('free_bytes'))} and {space.get('free_inodes')} inodes free")
        )
    return rows
