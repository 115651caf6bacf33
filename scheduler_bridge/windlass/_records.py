"""Reports of other processes as they are: mappings whose keys may be read as attributes."""

from __future__ import annotations

from typing import Any


class Record(dict[str, Any]):
    """A mapping with ``record.key`` for ``record["key"]``. What is not there is an AttributeError."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"there is no {name!r} here; there are {', '.join(self)}") from None


def record_of(value: Any) -> Record:
    """A Record of a mapping, {} of anything else."""
    return Record(value) if isinstance(value, dict) else Record()
