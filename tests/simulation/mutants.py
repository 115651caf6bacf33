"""Deliberate faults in the Python half of the conversation. Those of the C++ half are made by CMakeLists.txt here.

Each is a place in a module's source and what stands there instead; the sources themselves stay as they are.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

NAMES = ("credits", "nodes", "requests", "flow", "grants", "bridge_core", "bridge_thread")  # each after what it uses
MODULES = [f"windlass._{name}" for name in NAMES]

PYTHON = {
    # A node that starts anew: what ran on it is not given up.
    "kept_request": (
        "windlass._bridge_core",
        'self.lose(older.routing, f"node {name} has started anew',
        "older.name == '' and self.lose(older.routing, f\"node {name} has started anew",
    ),
    # The node's first word on a request does not free the credit that it holds.
    "kept_bulk_credit": ("windlass._flow", "if lane is not None and lane.credits.free(request_id)", "if False"),
    # However much is under way at a node, there is credit.
    "unheeded_credit": ("windlass._credits", "if not self._held:", "if True:"),
    # A grant is asked for by the newest version of the offers, and not by the one that was matched on.
    "newest_epoch": (
        "windlass._grants",
        "            grant.until = self._now + 2 * self.lease  # from when the node reads it",
        "            grant.until, grant.epoch = self._now + 2 * self.lease, entry.offers_version",
    ),
    # What a session held when it ended is not given back.
    "kept_grants": (
        "windlass._grants",
        "return self.release([grant.id for grant in self._by_id.values() if grant.owner is owner])",
        "return []",
    ),
    # What a node refused is held for granted.
    "unheard_refusal": ("windlass._grants", "for row, code, why in told.refused:", "for row, code, why in ():"),
    # A suspect node is taken for dead at once.
    "hasty_death": ("windlass._nodes", "if silent >= self.dead_after:", "if silent >= self.suspect_after:"),
}


def apply(name: str) -> None:
    """Loads the modules of the bridge anew, one of them broken. Before anything else has taken names from them."""
    module, old, new = PYTHON[name]
    for each in MODULES:
        loaded = importlib.import_module(each)
        assert loaded.__file__ is not None
        source = Path(loaded.__file__).read_text()
        if each == module:
            if source.count(old) != 1:
                raise ValueError(f"mutant {name}: {old!r} stands {source.count(old)} times in {module}")
            source = source.replace(old, new)
        exec(compile(source, loaded.__file__, "exec"), sys.modules[each].__dict__)
