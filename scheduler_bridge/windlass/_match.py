"""`windlass.match`: inputs to a Problem, a backend, and the names put back.

A *backend* takes a Problem and answers a Placement: the library in this process, a client's daemon, or `legacy`.
The fallback rule stands here and nowhere else: where a backend cannot answer, `legacy` does.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable
from typing import Any

from . import _inputs, _native, _stats
from ._errors import DeadlineExceeded, Internal, Unavailable, Unimplemented
from ._problem import Backend, Placement, Problem
from ._result import MatchResult

_log = logging.getLogger("windlass.match")
_said: set[str] = set()
_said_lock = threading.Lock()

CANNOT_ANSWER = (Unavailable, Unimplemented, Internal, DeadlineExceeded)

DEFAULTS: dict[str, Any] = {
    "mode": "exclusive",
    "policy": "best_fit",
    "ties": "stable",
    "weights": None,
    "normalize": True,
    "scale": None,
    "max_score": None,
    "max_price": None,
    "quotas": None,
    "running": None,
    "locality_weight": 1.0,
    "dimensions": None,
}


def match(
    tasks: Any,
    offers: Any,
    *,
    mode: str = "exclusive",
    policy: str = "best_fit",
    ties: str = "stable",
    weights: Any = None,
    normalize: bool = True,
    scale: Any = None,
    max_score: Any = None,
    max_price: Any = None,
    quotas: Any = None,
    running: Any = None,
    locality_weight: Any = 1.0,
    dimensions: Any = None,
) -> MatchResult:
    """Which task goes to which offer (docs/matching.md says exactly), in this process with the GIL released.

    Either side may be a sequence of mappings or objects, {name: mapping}, a mapping of columns, a numpy structured
    array, a pandas DataFrame or an Arrow table. Raises InvalidArgument, naming side, row, field and value, before
    anything is placed.
    """
    return solve(
        tasks,
        offers,
        backend=_native.place,
        waits=True,
        fallback=True,
        mode=mode,
        policy=policy,
        ties=ties,
        weights=weights,
        normalize=normalize,
        scale=scale,
        max_score=max_score,
        max_price=max_price,
        quotas=quotas,
        running=running,
        locality_weight=locality_weight,
        dimensions=dimensions,
    )


def match_tasks_to_offers(tasks: Any, offers: Any, **options: Any) -> dict[Any, Any]:
    """{offer name: task name} in the order placed; in place of the loop that takes a used offer out of the list.

    Options are those of `match`, but `mode` is exclusive and `ties` "swap_remove" unless given. Inputs are unchanged.
    """
    return offers_to_tasks(match, tasks, offers, options)


def offers_to_tasks(
    matcher: Callable[..., MatchResult], tasks: Any, offers: Any, options: dict[str, Any]
) -> dict[Any, Any]:
    """`match_tasks_to_offers` by the matcher given."""
    if options.get("mode", "exclusive") != "exclusive":
        raise _inputs.fault("options", "mode", options["mode"], "'exclusive' in match_tasks_to_offers")
    placed, taken = matcher(tasks, offers, **{"ties": "swap_remove", **options}).pairs()
    return dict(zip(taken, placed, strict=True))


def solve(
    tasks: Any,
    offers: Any,
    *,
    backend: Callable[..., Placement],
    fallback: bool,
    waits: bool = False,
    cut: _inputs.Cut | None = None,
    **options: Any,
) -> MatchResult:
    """One call of `match` over a backend.

    `options` are the keywords of `match`; what is not given has its default, what is unknown is a TypeError.
    A backend that `waits` has a keyword `meanwhile`, which it calls while others work: names, of which no backend
    knows, are checked then.
    With `fallback`, a backend that raises Unavailable, Unimplemented, Internal or DeadlineExceeded (which a backend
    raises for silence only) is replaced by `legacy`, said once and always counted; InvalidArgument and everything else
    pass through.
    """
    for name in options:
        if name not in DEFAULTS:
            raise TypeError(f"match() got an unexpected keyword argument {name!r}")
    if cut is None:
        cut = cutter()
    inputs = _inputs.read(tasks, offers, cut=cut, **{**DEFAULTS, **options})
    if waits and inputs.is_named:
        backend = functools.partial(backend, meanwhile=inputs.check_names)
    else:
        inputs.check_names()
    placement = _ask(backend, inputs) if fallback else backend(inputs.problem)
    return MatchResult(inputs, placement, place_here)


def place_here(problem: Problem) -> Placement:
    """In this process, by the library where it can be had; a backend that always answers."""
    from .legacy.match import place

    try:
        return _native.place(problem)
    except CANNOT_ANSWER:
        return place(problem)


def cutter() -> _inputs.Cut:
    """What cuts numbers to amounts: the library, or Python where it can't be had."""
    if _native.available():
        return _native.cut
    from .legacy import _amounts

    return _amounts.cut


def _ask(backend: Backend, inputs: _inputs.Inputs) -> Placement:
    try:
        return backend(inputs.problem)
    except CANNOT_ANSWER as error:
        inputs.check_names()  # where the backend came to nothing before
        say_fallback(error)
    from .legacy.match import place

    return place(inputs.problem)


def say_fallback(error: Exception) -> None:
    """Counts a fallback, and says it in the log once for each cause."""
    _stats.count("fallbacks", "match")
    cause = type(error).__name__
    with _said_lock:
        first = cause not in _said
        _said.add(cause)
    if first:
        _log.warning(
            "matching falls back to windlass.legacy (same answers, slower): %s. Said once; windlass.stats() counts.",
            error,
        )
