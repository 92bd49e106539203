"""How the plans that `--bits auto` looked at are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvmsr.cli import show

if TYPE_CHECKING:
    from tvmsr.quant.adabm.frontier import Frontier

_COLUMNS = ("cost", "activations", "weights", "drop dB", "PSNR to FP32", "ms", "")


def frontier(found: Frontier | None) -> None:
    """A table, with the plan that was taken told; nothing where there is no frontier."""
    if found is None:
        return
    lines = [
        [
            f"{point.cost:.3f}",
            f"{point.activations:.2f}",
            f"{point.weights:.2f}",
            "-" if point.drop is None else f"{point.drop:.3f}",
            "-" if point.psnr is None else f"{point.psnr:.1f}",
            "-" if point.milliseconds is None else f"{point.milliseconds:.2f}",
            "taken" if point.chosen else "",
        ]
        for point in found.points
    ]
    show.say(f"plans that were looked at; cost is {found.unit}, 1 at 8 bits")
    show.rows(_COLUMNS, lines)
