"""What `make check` asks for holds: format, lint, types, layout."""

from __future__ import annotations

import subprocess
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]


def test_make_check_is_content() -> None:
    done = subprocess.run([TOP / "tools" / "check"], capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("ok ") == 5
