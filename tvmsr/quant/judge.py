"""What a plan loses, measured by the reference executor against the FP32 network, without the true pictures.

The noise of a plan on a crop is the mean square difference, in gray levels of luma, between the integer network and the
FP32 one, borders left out, less what storing bytes costs anyway; that of a plan is the median over the crops. What it
does to PSNR depends on the error e that the FP32 network makes itself: drop = 10 * log10(1 + noise / e). The true
pictures are not there to tell e, but photographs at one scale are alike enough for a table. So a drop is the same as a
PSNR against the FP32 output: 10 * log10(255**2 / noise) = P - 10 * log10(10**(drop / 10) - 1), P being that of e.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from tvmsr.abreast import mapped
from tvmsr.graph.analysis import macs_per_pixel, size_rule
from tvmsr.graph.execute import run_fp32
from tvmsr.graph.model import F32, Colour, Model
from tvmsr.quant.again import Known, run_all
from tvmsr.quant.bind import bind
from tvmsr.quant.held import Values
from tvmsr.quant.integer import IntegerGraph
from tvmsr.quant.picture import fitted
from tvmsr.quant.plan import Plan
from tvmsr.quant.ranges import as_float, spaced
from tvmsr.quant.reference import run

F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]
Item = TypeVar("Item")

#: Mean square error of FP32 networks on photographs (luma, squared gray levels), by scale: Set5 PSNR 37.8, 33.8, 31.9.
TYPICAL_ERROR: Mapping[int, float] = {2: 10.8, 3: 27.0, 4: 42.0}
#: Weights of R, G, B in luma (BT.601, 16..235).
LUMA = np.array([65.481, 128.553, 24.966]) / 255
#: Pixels at a crop's borders, of the input, that are not judged: a picture has fewer of them.
BORDER = 8
#: Crops that a plan is judged on; and how many of which size where many plans are.
JUDGED_CROPS = 8
FEW_CROPS, FEW_SIZE = 4, 48
#: Multiplications that one judgement may cost about: of crops for networks that need more, only the middles are judged,
#: but never fewer pixels a side than this.
JUDGED_WORK, LEAST_JUDGED = 4e10, 48
#: Multiplications that a judgement repeated for every layer may cost in all, if two crops do not cost more.
REPEATED_WORK, LEAST_CROPS = 4e11, 2
#: Noise below it is as good as none: PSNR against the FP32 output is then called 100 dB or more.
_NO_NOISE = 255**2 / 1e10


def expected_drop(noise: float, scale: int) -> float:
    """PSNR, in dB, that this noise takes from a typical network of the scale."""
    return 10 * math.log10(1 + max(noise, 0.0) / typical_error(scale))


def typical_error(scale: int) -> float:
    """Of FP32 networks of the scale, in squared gray levels."""
    return TYPICAL_ERROR.get(scale, TYPICAL_ERROR[2])


def psnr_of(noise: float) -> float:
    """PSNR of luma against the FP32 output, in dB, at most 100: what storing bytes costs anyway is left out."""
    return 10 * math.log10(255**2 / max(noise, _NO_NOISE))


def least_psnr(drop: float, scale: int) -> float:
    """The PSNR against the FP32 output at which `expected_drop` is `drop` dB."""
    return psnr_of(typical_error(scale) * (10 ** (drop / 10) - 1))


@dataclass(frozen=True, eq=False)
class Judge:
    """Crops with the FP32 network's luma on them."""

    model: Model
    crops: Sequence[U8]
    exact: Sequence[F64]

    def graph(self, plan: Plan | IntegerGraph) -> IntegerGraph:
        """The plan, bound to the model; a graph that was bound before as it is."""
        return plan if isinstance(plan, IntegerGraph) else bind(self.model, plan)

    def noise(self, plan: Plan | IntegerGraph) -> float:
        """The median over the crops, in squared gray levels."""
        return self._median(self.noises(plan))

    def noises(self, plan: Plan | IntegerGraph) -> list[float]:
        """Of each crop, with what storing bytes costs."""
        graph = self.graph(plan)
        return self._noises_of(lambda crop: run(graph, crop), self.crops)

    def known(self, plan: Plan | IntegerGraph) -> list[Known]:
        """All tensors of a plan on the crops, for what is judged beside it; small crops, as memory holds them."""
        graph = self.graph(plan)
        return mapped(lambda crop: run_all(graph, crop), self.crops)

    def noise_of(self, known: Sequence[Known]) -> float:
        """`noise` of the plan that was run."""
        return self._median(self._noises_of(lambda one: one.output, known))

    def noise_beside(self, plan: Plan | IntegerGraph, known: Sequence[Known]) -> float:
        """`noise`; only what differs from the plan that was run is computed."""
        graph = self.graph(plan)
        pairs = zip(self.crops, known, strict=True)
        return self._median(self._noises_of(lambda pair: run_all(graph, *pair).output, pairs))

    def _noises_of(self, output: Callable[[Item], Values], given: Iterable[Item]) -> list[float]:
        """output: of what is given for each crop."""

        def noise(pair: tuple[Item, F64]) -> float:
            error = _inner(_luma(output(pair[0]).astype(np.float64)) - pair[1], self.model.scale)
            return float((error**2).mean())

        return mapped(noise, zip(given, self.exact, strict=True))

    def _median(self, noises: Sequence[float]) -> float:
        """Less what storing bytes costs."""
        weights = LUMA if self.model.colour is Colour.RGB else np.ones(1)
        return float(np.median(noises)) - float((weights**2).sum()) / 12


def make_judge(model: Model, crops: Sequence[U8], outputs: Sequence[F32] | None = None) -> Judge:
    """A judge over crops; outputs of the FP32 network on them, where they are known and the crops fit it."""
    if outputs is None:
        crops = [fitted(crop, size_rule(model.graph)) for crop in crops]
        outputs = mapped(lambda crop: cast(F32, run_fp32(model, as_float(crop))), crops)
    exact = [_luma(np.clip(output.astype(np.float64) * 255, 0, 255)) for output in outputs]
    return Judge(model, crops, exact)


def few(crops: Sequence[U8], count: int = FEW_CROPS) -> list[U8]:
    """A few small crops out of the middle, for measurements that are repeated for every layer."""
    return [middle(crop, FEW_SIZE) for crop in spaced(crops, count)]


def few_for(model: Model, times: int) -> int:
    """How many such crops may be judged so many times: fewer where the network is large."""
    once = float(macs_per_pixel(model.graph)) * FEW_SIZE**2 * max(times, 1)
    return int(np.clip(REPEATED_WORK / max(once, 1.0), LEAST_CROPS, FEW_CROPS))


def affordable(crops: Sequence[U8], model: Model) -> list[U8]:
    """The crops, of large networks their middles, so that to judge a plan on them costs about `JUDGED_WORK`."""
    pixels = JUDGED_WORK / (max(float(macs_per_pixel(model.graph)), 1.0) * max(len(crops), 1))
    return [middle(crop, max(LEAST_JUDGED, math.isqrt(int(pixels)))) for crop in crops]


def middle(crop: U8, most: int) -> U8:
    """The middle of a crop, at most so many pixels a side."""
    top, left = (max(0, (size - most) // 2) for size in crop.shape[:2])
    return np.ascontiguousarray(crop[top : top + most, left : left + most])


def _inner(error: F64, scale: int) -> F64:
    edge = BORDER * scale
    return error[edge:-edge, edge:-edge] if min(error.shape) > 4 * edge else error


def _luma(value: F64) -> F64:
    return value @ LUMA if value.shape[2] == 3 else value[:, :, 0]
