"""The configuration and the environment of a LocalNode's daemon."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ._errors import InvalidArgument


def settings_of(config: Mapping[str, Any], folder: Path) -> dict[str, dict[str, Any]]:
    """The configuration by sections: the defaults of a LocalNode, then what the caller gave."""
    settings: dict[str, dict[str, Any]] = {
        "node": {"name": f"local-{secrets.token_hex(4)}"},
        "local": {"socket": str(folder / "windlass.sock"), "listen": "127.0.0.1:0"},
        "http": {"listen": "127.0.0.1:0"},
        "state": {"path": str(folder / "state")},
    }
    for key, value in config.items():
        section, dot, rest = key.partition(".")
        if dot:
            settings.setdefault(section, {})[rest] = _plain(value)
        elif isinstance(value, Mapping):
            settings.setdefault(section, {}).update(_plain(value))
        else:
            raise InvalidArgument(
                f"config[{key!r}] = {value!r}: give dotted keys such as 'stage.roots', or mappings by section",
                side="options",
                field=f"config.{key}",
                value=value,
            )
    return {name: _nested(section) for name, section in settings.items()}


def roots_of(config: Mapping[str, Any]) -> list[Path]:
    """`stage.roots` of a caller's configuration, resolved; the daemon refuses what is no list of paths."""
    section = config.get("stage")
    roots = config.get("stage.roots", section.get("roots") if isinstance(section, Mapping) else None)
    if not isinstance(roots, (list, tuple, set)):
        return []
    return [Path(os.path.realpath(root)) for root in roots if isinstance(root, (str, os.PathLike))]


def _nested(section: dict[str, Any]) -> dict[str, Any]:
    """`s3.endpoint` inside a section becomes a mapping of its own; None leaves a key to the daemon's default."""
    nested: dict[str, Any] = {}
    for key, value in section.items():
        if value is None:
            continue
        *outer, last = key.split(".")
        place = nested
        for name in outer:
            place = place.setdefault(name, {})
        place[last] = value
    return nested


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [_plain(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    return value


def environment() -> dict[str, str]:
    """This process's, without what would configure the daemon behind `config` or speak to this process's keeper."""
    return {
        key: value
        for key, value in os.environ.items()
        if not (key.startswith("WINDLASS_") and "__" in key) and key not in ("NOTIFY_SOCKET", "WATCHDOG_USEC")
    }
