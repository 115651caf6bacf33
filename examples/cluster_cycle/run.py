"""`make demo`: one whole cycle on a real Dask cluster of three nodes, beside today's Python loop.

    python -m examples.cluster_cycle [--tasks a.csv --offers b.csv] [--out demo-out] [--small]

Ends with 0 when every check held, 1 when one failed, 2 on a fault in the user's files.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

if __package__ in (None, ""):  # run as a file
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from windlass import WindlassError

from examples.cluster_cycle import demo
from examples.cluster_cycle.cluster import ClusterError
from examples.cluster_cycle.inputs import InputError


def _arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="examples.cluster_cycle", description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", type=Path, metavar="FILE", help="CSV: name and a column per dimension")
    parser.add_argument("--offers", type=Path, metavar="FILE", help="the same for offers")
    parser.add_argument("--out", type=Path, default=Path("demo-out"), metavar="DIR", help="where the figures go")
    parser.add_argument("--small", action="store_true", help="2,000 x 2,000 and 24 files: seconds, for trying out")
    parser.add_argument("--today-seconds", type=float, default=300.0, help="how long today's matching loop may take")
    parser.add_argument("--kill-scheduler-daemon", action="store_true", help="SIGKILL the daemon that matches, midway")
    parser.add_argument("--kill-node-daemon", action="store_true", help="SIGKILL a node's daemon while it stages")
    asked = parser.parse_args(words)
    if (asked.tasks is None) != (asked.offers is None):
        parser.error("give both --tasks and --offers (make demo TASKS=a.csv OFFERS=b.csv), or neither")
    return asked


def main(words: list[str] | None = None) -> int:
    asked = _arguments(words)
    signal.signal(signal.SIGTERM, _interrupt)
    work = Path(tempfile.mkdtemp(prefix="windlass-demo-"))
    try:
        return demo.run(asked, work)
    except InputError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    except (ClusterError, WindlassError, demo.Broken) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: stopped", file=sys.stderr)
        return 130
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())
