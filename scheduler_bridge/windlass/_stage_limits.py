"""What staging in this process may take, from its environment."""

from __future__ import annotations

import os

from ._errors import InvalidTransfer

RATIO_VARIABLE = "WINDLASS_STAGE__DECOMPRESS_RATIO_MAX"
RATIO_DEFAULT = 1000.0
RATIO_MOST = 1e6


def decompress_ratio_max() -> float:
    """How many times larger than its source a decompressed file may get, as a daemon is told in its configuration."""
    given = os.environ.get(RATIO_VARIABLE, "")
    if not given:
        return RATIO_DEFAULT
    try:
        ratio = float(given)
    except ValueError:
        ratio = 0.0
    if not 1 <= ratio <= RATIO_MOST:
        raise InvalidTransfer(f"{RATIO_VARIABLE} = {given!r}: give a number from 1 to {RATIO_MOST:.0f}")
    return ratio
