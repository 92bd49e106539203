"""The peak is the process's own, and the table."""

import subprocess
import sys
from pathlib import Path

import calibration_memory
import pytest
from calibration_memory import GIB, run, table

BENCHMARKS = Path(calibration_memory.__file__).parent

MIB = 2**20


def test_peak_of_another_process():
    """Asked by a small process, whose own pages count, too."""
    child = [sys.executable, "-c", f"bytearray(b'x') * {200 * MIB}"]
    asked = f"import calibration_memory; print(calibration_memory.run({child!r})['peak'])"
    said = subprocess.run([sys.executable, "-c", asked], cwd=BENCHMARKS, check=True, capture_output=True, text=True)
    assert 200 * MIB < float(said.stdout) < 300 * MIB


def test_a_failure_says_what_the_process_said():
    with pytest.raises(SystemExit, match="this is why"):
        run([sys.executable, "-c", "raise SystemExit('this is why')"])


def test_table():
    rows = table([{"network": "a", "way": "--bits a4w4", "peak": 1.5 * GIB, "seconds": 12.4}])
    assert rows[2] == "| a | `--bits a4w4` | 1.50 | 12 |"
