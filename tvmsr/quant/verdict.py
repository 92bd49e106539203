"""What a plan loses, in words: for its notes and for the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tvmsr.graph.analysis import size_rule
from tvmsr.graph.model import Model
from tvmsr.quant.bind import bind
from tvmsr.quant.judge import Judge, expected_drop, few, least_psnr, psnr_of
from tvmsr.quant.picture import fitted
from tvmsr.quant.plan import Judged, Plan, Wider
from tvmsr.quant.saturation import saturation, saturation_note


def judged(judge: Judge, noise: float, limit: float, *, held: bool) -> Judged:
    """The figures of a plan whose noise this is."""
    scale = judge.model.scale
    return Judged(
        psnr=round(psnr_of(noise), 3),
        drop=round(expected_drop(noise, scale), 4),
        limit=limit,
        least_psnr=round(least_psnr(limit, scale), 3),
        crops=len(judge.crops),
        held=held,
    )


def loss_words(found: Judged) -> str:
    """One line: the drop to expect, and the PSNR against the FP32 output that it is made of; asked for and found."""
    crops = f"{found.crops} {'held-back ' if found.held else ''}crop{'s' if found.crops > 1 else ''}"
    asked = (
        f"at most {found.limit:g} dB, which takes {found.least_psnr:.1f} dB," if found.limit else "as little as can be"
    )
    return (
        f"expected drop {found.drop:.3f} dB, from {found.psnr:.1f} dB PSNR against the FP32 output on {crops}; "
        f"{asked} was asked for"
    )


def wider_words(found: Judged) -> str | None:
    """One line, where there are any: which layers read how many bits, what that saves, and what it costs."""
    if found.wider is None or found.before is None:
        return None
    psnr, drop = found.before
    return (
        f"{_readers(found.wider.layers)}, or the expected drop would be {drop:.3f} dB ({psnr:.1f} dB against the "
        f"FP32 output): {_cost(found.wider)}"
    )


def saturation_words(model: Model, plan: Plan, crops: Sequence[NDArray[np.uint8]]) -> str:
    """One line: of which tensors codes are at an end of their range, on a few of these crops."""
    shown = [fitted(crop, size_rule(model.graph)) for crop in few(crops)]
    return saturation_note(saturation(bind(model, plan), shown))


def facts(found: Judged | None) -> tuple[tuple[str, str], ...]:
    """Label and value, for the command line; none where nothing was judged."""
    if found is None:
        return ()
    wider = wider_words(found)
    return (("loss", loss_words(found)), *([("wider layers", wider)] if wider else ()))


def missed_words(found: Judged) -> str | None:
    """One line, where the plan loses more than was allowed: that it does, and what can be done."""
    if not found.is_missed:
        return None
    tried = "no layer gains by reading" if found.wider is None else "the layers that gain most by it read"
    return (
        f"--max-drop {found.limit:g} was missed: {tried} more bits, and the expected drop is "
        f"{found.drop:.3f} dB ({found.psnr:.1f} dB against the FP32 output; {found.least_psnr:.1f} were needed); "
        "calibrate with more pictures like those to be upscaled (--calib), give all layers more bits (--bits a12w8), "
        "or allow more"
    )


def _readers(layers: Mapping[str, int]) -> str:
    """Layers "a, b read 12 bits, c reads 16 bits", by bits, else in their order."""
    said = []
    for width in sorted(set(layers.values())):
        some = [name for name, bits in layers.items() if bits == width]
        said.append(f"{', '.join(some)} {'reads' if len(some) == 1 else 'read'} {width} bits")
    return ", ".join(said)


def _cost(wider: Wider) -> str:
    words = f"{100 * wider.macs:.1f} % of the MACs"
    if wider.time is None or wider.slower is None:
        return words
    return (
        f"{words}, {100 * wider.time:.1f} % of the modelled time on {wider.where}, "
        f"which is {wider.slower:.2f} times as long as without"
    )
