"""What --method can be: which pictures ranges are measured on, how they are chosen, what the network's end becomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from tvmsr.errors import UsageError
from tvmsr.quant.bits import Auto, Bits
from tvmsr.quant.ending import Ending
from tvmsr.quant.ranges import Histogram, mse_range, percentile_range


class Shown(Enum):
    """The pictures that ranges are measured on."""

    GIVEN = "given"
    FULL_RANGE = "full range"  # those that tvmsr.quant.representative makes of them
    BOTH = "both"


@dataclass(frozen=True)
class Method:
    """A row. choose(histogram, bits, settings) is None where least and largest value are taken.

    alone: without equalisation, bias correction and wider layers, whatever the options say. adapts: bits are chosen by
    layer and by picture (tvmsr.quant.adabm), and are auto ones.
    """

    text: str
    choose: Callable[[Histogram, int, Mapping[str, float]], tuple[float, float]] | None = None
    settings: Mapping[str, float] | None = None
    pictures: Shown = Shown.GIVEN
    ending: Ending = Ending.PINNED
    alone: bool = False
    adapts: bool = False


DEFAULT_METHOD = "cfqp"
#: What chooses bits by layer and by picture.
ADAPTIVE_METHOD = "adabm"

#: CFQP: Kalay, Bilecen, Ayazoglu (BMVC 2023, arXiv 2308.11365), of which the abstract is known: the pictures are made
#: of FP32 outputs, and no clip is needed. How they are made here is tvmsr.quant.representative's own.
METHODS: Mapping[str, Method] = {
    "cfqp": Method("least and largest value over the crops and pictures of full range", pictures=Shown.BOTH),
    "cfqp-paper": Method(
        "least and largest value over pictures of full range, the output's too",
        pictures=Shown.FULL_RANGE,
        ending=Ending.FREE,
        alone=True,
    ),
    "adabm": Method(
        "as cfqp, drawn in for the bits of each layer where that helps; bits by layer and by picture",
        pictures=Shown.BOTH,
        adapts=True,
    ),
    "minmax": Method("least and largest value over the calibration crops"),
    "percentile": Method("percentile of the values over the calibration crops", percentile_range, {"percentile": 99.9}),
    "mse": Method("least mean square error over the calibration crops", mse_range),
    "free-minmax": Method("minmax, the output's range measured too", ending=Ending.FREE, alone=True),
    "clip-minmax": Method("the same, with a clip in the network", ending=Ending.CLIPPED, alone=True),
}


def method_of(name: str) -> Method:
    if name not in METHODS:
        raise UsageError(f"--method {name!r}: known are {', '.join(METHODS)}")
    return METHODS[name]


def method_for(wish: Bits | Auto, name: str) -> str:
    """The method's name for bits that were wished for: auto bits are AdaBM's. UsageError where the two contradict."""
    adapts = method_of(name).adapts
    if isinstance(wish, Auto):
        if not adapts and name != DEFAULT_METHOD:
            raise UsageError(f"--method {name}: --bits {wish} has a method of its own; leave one of both out")
        return ADAPTIVE_METHOD
    if adapts:
        raise UsageError(f"--method {name}: it chooses bits itself, so give --bits auto:a6w4 or auto, and not {wish}")
    return name
