"""What a plan loses, measured by the reference executor against the FP32 network, without the true pictures.

The noise of a plan on a crop is the mean square difference, in gray levels of luma, between the integer network and the
FP32 one, borders left out, less what storing bytes costs anyway; that of a plan is the median over the crops. What it
does to PSNR depends on the error e that the FP32 network makes itself: 10 * log10(1 + noise / e). The true pictures are
not there to tell e, but photographs at one scale are alike enough for a table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from tvmsr.graph.analysis import size_rule
from tvmsr.graph.execute import run_fp32
from tvmsr.graph.model import F32, Colour, Model
from tvmsr.quant.bind import bind
from tvmsr.quant.picture import fitted
from tvmsr.quant.plan import Plan
from tvmsr.quant.ranges import as_float, spaced
from tvmsr.quant.reference import run

F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]

#: Mean square error of FP32 networks on photographs (luma, squared gray levels), by scale: Set5 PSNR 37.8, 33.8, 31.9.
TYPICAL_ERROR: Mapping[int, float] = {2: 10.8, 3: 27.0, 4: 42.0}
#: Weights of R, G, B in luma (BT.601, 16..235).
LUMA = np.array([65.481, 128.553, 24.966]) / 255
#: Pixels at a crop's borders, of the input, that are not judged: a picture has fewer of them.
BORDER = 8
#: Crops that a plan is judged on; and how many of which size where many plans are.
JUDGED_CROPS = 8
FEW_CROPS, FEW_SIZE = 4, 48


def expected_drop(noise: float, scale: int) -> float:
    """PSNR, in dB, that this noise takes from a typical network of the scale."""
    error = TYPICAL_ERROR.get(scale, TYPICAL_ERROR[2])
    return 10 * math.log10(1 + max(noise, 0.0) / error)


@dataclass(frozen=True, eq=False)
class Judge:
    """Crops with the FP32 network's luma on them."""

    model: Model
    crops: Sequence[U8]
    exact: Sequence[F64]

    def noise(self, plan: Plan) -> float:
        """The median over the crops, in squared gray levels."""
        graph, found = bind(self.model, plan), []
        for crop, exact in zip(self.crops, self.exact, strict=True):
            error = _inner(_luma(run(graph, crop).astype(np.float64)) - exact, self.model.scale)
            found.append(float((error**2).mean()))
        weights = LUMA if self.model.colour is Colour.RGB else np.ones(1)
        return float(np.median(found)) - float((weights**2).sum()) / 12


def make_judge(model: Model, crops: Sequence[U8], outputs: Sequence[F32] | None = None) -> Judge:
    """A judge over crops; outputs of the FP32 network on them, where they are known and the crops fit it."""
    if outputs is None:
        crops = [fitted(crop, size_rule(model.graph)) for crop in crops]
        outputs = [cast(F32, run_fp32(model, as_float(crop))) for crop in crops]
    exact = [_luma(np.clip(output.astype(np.float64) * 255, 0, 255)) for output in outputs]
    return Judge(model, crops, exact)


def few(crops: Sequence[U8]) -> list[U8]:
    """A few small crops out of the middle, for measurements that are repeated for every layer."""
    return [middle(crop, FEW_SIZE) for crop in spaced(crops, FEW_CROPS)]


def middle(crop: U8, most: int) -> U8:
    """The middle of a crop, at most so many pixels a side."""
    top, left = (max(0, (size - most) // 2) for size in crop.shape[:2])
    return np.ascontiguousarray(crop[top : top + most, left : left + most])


def _inner(error: F64, scale: int) -> F64:
    edge = BORDER * scale
    return error[edge:-edge, edge:-edge] if min(error.shape) > 4 * edge else error


def _luma(value: F64) -> F64:
    return value @ LUMA if value.shape[2] == 3 else value[:, :, 0]
