"""The `windlass` command. `main` answers the exit code: 0 done, 1 failed, 2 usage, 3 partly."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence

from .._errors import InvalidArgument, InvalidTransfer, WindlassError
from ._output import DONE, FAILED, INTERRUPTED, USAGE, print_error
from ._parser import new_parser

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command. Called without arguments it takes those of the process."""
    parser = new_parser()
    arguments = parser.parse_args(argv)
    as_json = bool(getattr(arguments, "json", False))
    try:
        code = int(arguments.run(arguments))
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        with contextlib.suppress(OSError):  # whoever read has enough; the interpreter's last flush must not complain
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except KeyboardInterrupt:
        print("windlass: interrupted", file=sys.stderr)
        return INTERRUPTED
    except (InvalidArgument, InvalidTransfer) as error:
        print_error(error, as_json)
        return USAGE
    except WindlassError as error:
        print_error(error, as_json)
        return FAILED
    except OSError as error:
        print_error(error, as_json)
        return FAILED
