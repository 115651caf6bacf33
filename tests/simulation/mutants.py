"""Deliberate faults in the Python half of the conversation. Those of the C++ half are made by CMakeLists.txt here.

Each is a place in a module's source and what stands there instead; the sources themselves stay as they are.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

MODULES = ["windlass._nodes", "windlass._requests", "windlass._bridge_core", "windlass._bridge_thread"]

PYTHON = {
    # A node that starts anew: what ran on it is not given up.
    "kept_request": (
        "windlass._bridge_core",
        'self.lose(older.routing, f"node {name} has started anew',
        "older.name == '' and self.lose(older.routing, f\"node {name} has started anew",
    ),
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
