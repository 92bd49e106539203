"""What is done with a model that was read although its file is broken: described, quantized, bound."""

from __future__ import annotations

import numpy as np

from tvmsr.graph.analysis import macs_per_pixel, parameter_count, receptive_radius, tensor_types
from tvmsr.graph.model import Model
from tvmsr.quant.bind import bind
from tvmsr.quant.calibrate import calibrate

#: Larger networks are described only.
_MOST_PARAMETERS, _MOST_WORK = 200_000, 500_000


def go_on(model: Model) -> str:
    """As `tvmsr inspect` and, for small networks, `tvmsr calibrate` and the first half of `tvmsr compile` do."""
    tensor_types(model.graph)
    receptive_radius(model.graph)
    if parameter_count(model.graph) > _MOST_PARAMETERS or macs_per_pixel(model.graph) > _MOST_WORK:
        return "read"
    crop = np.random.default_rng(0).integers(0, 256, (16, 18, 3), np.uint8)
    plan = calibrate(model, [crop], equalise=False, bias_correction=False, max_drop=None)
    bind(model, type(plan).from_json(plan.to_json()))
    return "bound"
