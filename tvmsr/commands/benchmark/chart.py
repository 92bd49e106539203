"""The file of a roofline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tvmsr.errors import UsageError, WorkError

if TYPE_CHECKING:
    from tvmsr.commands.benchmark.results import Benchmark


def check_chart(path: Path, *, layers: bool, overwrite: bool) -> None:
    """UsageError where no chart can be made at `path`: said before the work, not after it."""
    from tvmsr.commands.files import check_out

    if not layers:
        raise UsageError(f"--svg {path} draws the profile of the layers: give --layers, too")
    if path.suffix.lower() != ".svg":
        raise UsageError(f"--svg {path}: the chart is SVG; give it a name that ends in .svg")
    check_out(path)
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists already; choose another name or pass --overwrite")


def write_chart(found: Benchmark, path: Path, *, overwrite: bool) -> None:
    """Write the roofline of a benchmark, whole or not at all. Raises WorkError where that fails."""
    from tvmsr.commands.benchmark.roofline import roofline
    from tvmsr.imaging.files import write_text

    text = roofline(found)
    if path.exists() and not overwrite:
        raise WorkError(f"{path}: somebody else wrote it meanwhile, and it was left as it is")
    write_text(path, text)
