"""Windlass: offer matching and payload staging for Python schedulers.

In process::

    result = windlass.match(tasks, offers)          # exact, explained, the GIL released
    windlass.stage([windlass.Transfer("/a", "/b")])  # complete or absent

Through the node's daemon: `Client`, `aio.Client`; in the scheduler: `Bridge`; for tests and notebooks: `LocalNode`.
`windlass.legacy` answers the same in Python. Names are loaded when first used, so importing the package costs little
and never fails for want of the library or the daemon.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from . import aio as aio
    from . import legacy as legacy
    from ._bridge import Bridge as Bridge
    from ._client import Client as Client
    from ._errors import Cancelled as Cancelled
    from ._errors import Code as Code
    from ._errors import DataLoss as DataLoss
    from ._errors import DeadlineExceeded as DeadlineExceeded
    from ._errors import FailedPrecondition as FailedPrecondition
    from ._errors import Internal as Internal
    from ._errors import InvalidArgument as InvalidArgument
    from ._errors import InvalidTransfer as InvalidTransfer
    from ._errors import NotFound as NotFound
    from ._errors import PermissionDenied as PermissionDenied
    from ._errors import ResourceExhausted as ResourceExhausted
    from ._errors import StageError as StageError
    from ._errors import Unavailable as Unavailable
    from ._errors import Unimplemented as Unimplemented
    from ._errors import WindlassError as WindlassError
    from ._local_node import LocalNode as LocalNode
    from ._match import match as match
    from ._match import match_tasks_to_offers as match_tasks_to_offers
    from ._result import MatchResult as MatchResult
    from ._session import Session as Session
    from ._stage import StageFuture as StageFuture
    from ._stage import StageReport as StageReport
    from ._stage import Transfer as Transfer
    from ._stage import stage as stage
    from ._stats import stats as stats

_MODULES = {"aio": "aio", "legacy": "legacy"}
_NAMES = {
    "Cancelled": "_errors",
    "Code": "_errors",
    "DataLoss": "_errors",
    "DeadlineExceeded": "_errors",
    "FailedPrecondition": "_errors",
    "Internal": "_errors",
    "InvalidArgument": "_errors",
    "InvalidTransfer": "_errors",
    "NotFound": "_errors",
    "PermissionDenied": "_errors",
    "ResourceExhausted": "_errors",
    "StageError": "_errors",
    "Unavailable": "_errors",
    "Unimplemented": "_errors",
    "WindlassError": "_errors",
    "Bridge": "_bridge",
    "Client": "_client",
    "LocalNode": "_local_node",
    "MatchResult": "_result",
    "Session": "_session",
    "StageFuture": "_stage",
    "StageReport": "_stage",
    "Transfer": "_stage",
    "match": "_match",
    "match_tasks_to_offers": "_match",
    "stage": "_stage",
    "stats": "_stats",
}
__all__ = ["__version__", *_MODULES, *_NAMES]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f".{_MODULES[name]}", __name__)
    if name in _NAMES:
        value = getattr(importlib.import_module(f".{_NAMES[name]}", __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
