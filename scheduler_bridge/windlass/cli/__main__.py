"""`python -m windlass.cli`, where the script is not on PATH."""

from __future__ import annotations

import sys

from . import main

sys.exit(main())
