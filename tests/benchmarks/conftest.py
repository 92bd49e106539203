"""benchmarks/ is no package: its scripts find `peering` beside them, and so do these tests."""

from __future__ import annotations

import sys
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

# Last: its scripts have names that others may have, too.
if str(BENCHMARKS) not in sys.path:
    sys.path.append(str(BENCHMARKS))
