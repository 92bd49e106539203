"""What was learned, back in a Plan, in the form that any plan has."""

from __future__ import annotations

import numpy as np
import torch

from tvmsr.quant.learned.grids import Grid
from tvmsr.quant.learned.layers import Layer
from tvmsr.quant.learned.student import Student
from tvmsr.quant.plan import LayerPlan, Plan, TensorPlan, encode_codes
from tvmsr.quant.structure import READ_SUFFIX

#: What reasons say behind what they said.
SAID = "; learned against the FP32 output"


def written(student: Student, plan: Plan) -> Plan:
    """The plan that the student was made of, with the ranges, weight codes, scales and biases that it has now."""
    with torch.no_grad():
        layers = {name: _layer(layer, plan.layers[name]) for name, layer in student.layers.items()}
        tensors = {name: _codes(code, student.grids[name]) for name, code in plan.tensors.items()}
        reads = {name: _codes(code, student.grids[name + READ_SUFFIX]) for name, code in plan.reads.items()}
    return plan.model_copy(update={"tensors": tensors, "reads": reads, "layers": {**plan.layers, **layers}})


def _codes(code: TensorPlan, grid: Grid) -> TensorPlan:
    if not grid.learns:
        return code
    scale, zero = float(grid.scale()), int(grid.zero())
    update = {
        "scale": scale,
        "zero": zero,
        "low": -zero * scale,
        "high": (grid.top - zero) * scale,
        "reason": code.reason.removesuffix(SAID) + SAID,
    }
    return code.model_copy(update=update)


def _layer(layer: Layer, plan: LayerPlan) -> LayerPlan:
    codes = layer.codes().permute(2, 3, 1, 0).numpy().astype(np.int8)
    update = {
        "weight_codes": encode_codes(codes),
        "weight_scales": [float(scale) for scale in layer.scales()],
        "bias_correction": [float(b) for b in layer.bias() - layer.exact_bias],
        "reason": plan.reason.removesuffix(SAID) + SAID,
    }
    return plan.model_copy(update=update)
