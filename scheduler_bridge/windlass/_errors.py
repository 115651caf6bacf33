"""The tree of errors.

    WindlassError                what every error of the package is
    ├── InvalidArgument          the request itself is wrong (also a ValueError); names side, row, name, field and value
    ├── StageError               a transfer did not end `done`; `.report` tells of all
    │   ├── InvalidTransfer      the same, where the request itself is wrong (also a ValueError)
    │   └── StageUnavailable ... the same, and the class of its code beneath (StageNotFound is a NotFound too)
    ├── Unavailable              no daemon, a daemon that went away, or silence
    ├── Unimplemented            the other side does not serve this yet, or is too old
    ├── DeadlineExceeded         (also a TimeoutError)
    ├── ResourceExhausted        a limit; `.retry_after` tells when to come again
    ├── FailedPrecondition       the state of things does not allow it
    ├── NotFound, PermissionDenied, Cancelled, DataLoss, Internal

`code` is the protocol's (gRPC's numbers), `retryable` whether the same call may succeed later, and the message says
what happened, where, why, and what to do.
"""

from __future__ import annotations

import enum
from typing import Any


class Code(enum.IntEnum):
    """gRPC's status codes, as they stand on the wire."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class WindlassError(Exception):
    """What every error of the package is. `retry_after` is in seconds, None where unknown."""

    default_code = Code.UNKNOWN

    def __init__(
        self, message: str, *, code: int | None = None, retryable: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.code = code_of(self.default_code if code is None else code)
        self.retryable = retryable
        self.retry_after = retry_after


class InvalidArgument(WindlassError, ValueError):
    """The request itself is wrong.

    `side` is "tasks", "offers", "options" or None; `row` counts from 0; `field` begins with the field or dimension
    (`cpu`, `labels.zone`, `devices.gpu`); `value` is what was found there.
    """

    default_code = Code.INVALID_ARGUMENT

    def __init__(
        self,
        message: str,
        *,
        side: str | None = None,
        row: int | None = None,
        name: Any = None,
        field: str | None = None,
        value: Any = None,
        code: int | None = None,
    ) -> None:
        super().__init__(message, code=code)
        self.side = side
        self.row = row
        self.name = name
        self.field = field
        self.value = value


class Unavailable(WindlassError):
    """No daemon, a daemon that went away, or one that stayed silent."""

    default_code = Code.UNAVAILABLE

    def __init__(
        self, message: str, *, code: int | None = None, retryable: bool = True, retry_after: float | None = None
    ) -> None:
        super().__init__(message, code=code, retryable=retryable, retry_after=retry_after)


class Unimplemented(WindlassError):
    """The other side does not serve this yet, or is too old."""

    default_code = Code.UNIMPLEMENTED


class DeadlineExceeded(WindlassError, TimeoutError):
    """The time given was over before the answer came."""

    default_code = Code.DEADLINE_EXCEEDED


class ResourceExhausted(WindlassError):
    """A limit was met: a full queue, a quota, a disk."""

    default_code = Code.RESOURCE_EXHAUSTED


class FailedPrecondition(WindlassError):
    """The state of things does not allow the call."""

    default_code = Code.FAILED_PRECONDITION


class NotFound(WindlassError):
    """What the call names does not exist."""

    default_code = Code.NOT_FOUND


class PermissionDenied(WindlassError):
    """What the call names may not be touched."""

    default_code = Code.PERMISSION_DENIED


class Cancelled(WindlassError):
    """The request was cancelled."""

    default_code = Code.CANCELLED


class DataLoss(WindlassError):
    """Bytes are not what they should be."""

    default_code = Code.DATA_LOSS


class Internal(WindlassError):
    """A fault of Windlass itself."""

    default_code = Code.INTERNAL


class StageError(WindlassError):
    """A transfer did not end `done`. `report` is the StageReport of the whole call, where there is one."""

    def __init__(
        self,
        message: str,
        *,
        code: int | None = None,
        source: Any = None,
        target: Any = None,
        retryable: bool = False,
        retry_after: float | None = None,
        failures: list[Any] | None = None,
        failure_count: int = 0,
    ) -> None:
        super().__init__(message, code=code, retryable=retryable, retry_after=retry_after)
        self.source = source
        self.target = target
        self.failures = failures or []
        self.failure_count = failure_count
        self.report: Any = None


class InvalidTransfer(StageError, ValueError):
    """A StageError of code INVALID_ARGUMENT."""

    default_code = Code.INVALID_ARGUMENT


_BY_CODE: dict[int, type[WindlassError]] = {
    cls.default_code: cls
    for cls in (
        InvalidArgument,
        Unavailable,
        Unimplemented,
        DeadlineExceeded,
        ResourceExhausted,
        FailedPrecondition,
        NotFound,
        PermissionDenied,
        Cancelled,
        DataLoss,
        Internal,
    )
}


def _stage_class(of: type[WindlassError]) -> type[StageError]:
    """A StageError that `except NotFound` (and so on) catches as well. Bound to its name here, so that it pickles."""
    name = f"Stage{of.__name__}"
    made: type[StageError] = type(
        name, (StageError, of), {"__module__": __name__, "__doc__": f"A StageError that is {name[5:]} too."}
    )
    globals()[name] = made
    return made


_STAGE_BY_CODE: dict[int, type[StageError]] = {
    code: InvalidTransfer if cls is InvalidArgument else _stage_class(cls) for code, cls in _BY_CODE.items()
}


def code_of(value: int) -> Code:
    """The code of a number, UNKNOWN where it is none."""
    try:
        return Code(value)
    except ValueError:
        return Code.UNKNOWN


def error_of(code: int, message: str, *, retryable: bool = False, retry_after: float | None = None) -> WindlassError:
    """The error of the tree for a code that came from the engine or over the wire."""
    cls = _BY_CODE.get(code, WindlassError)
    if cls is InvalidArgument:
        return InvalidArgument(message)
    return cls(message, code=code, retryable=retryable, retry_after=retry_after)


def stage_error_of(code: int, message: str, **fields: Any) -> StageError:
    """The StageError for a code; INVALID_ARGUMENT ones are ValueErrors too."""
    return _STAGE_BY_CODE.get(code, StageError)(message, code=code, **fields)
