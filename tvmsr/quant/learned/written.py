"""What was learned, back in a Plan, in the form that any plan has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch

from tvmsr.quant.learned.grids import Coded, Grid
from tvmsr.quant.learned.layers import Layer
from tvmsr.quant.learned.student import Student
from tvmsr.quant.plan import ChoiceLayer, ChoicePlan, CodePlan, LayerPlan, Plan, TensorPlan, encode_codes
from tvmsr.quant.structure import READ_SUFFIX

Held = TypeVar("Held", bound=CodePlan)

#: What reasons say behind what they said.
SAID = "; learned against the FP32 output"


def written(made: Sequence[Student], plan: Plan) -> Plan:
    """The plan that the students were made of, with the ranges, weight codes, scales and biases that they have now.

    made: of `students`; what a choice has of its own are ranges and biases.
    """
    base = made[0]
    with torch.no_grad():
        layers = {name: _layer(layer, plan.layers[name]) for name, layer in base.layers.items()}
        tensors = {name: _codes(code, base.grids[name]) for name, code in plan.tensors.items()}
        reads = {name: _read(code, base, name + READ_SUFFIX) for name, code in plan.reads.items()}
        adaptive = plan.adaptive
        if adaptive is not None:
            choices = [_choice(one, choice) for one, choice in zip(made[1:], adaptive.choices, strict=True)]
            adaptive = adaptive.model_copy(update={"choices": choices})
    update = {"tensors": tensors, "reads": reads, "layers": {**plan.layers, **layers}, "adaptive": adaptive}
    return plan.model_copy(update=update)


def _choice(student: Student, choice: ChoicePlan) -> ChoicePlan:
    tensors = {name: _codes(code, student.grids[name]) for name, code in choice.tensors.items()}
    reads = {name: _codes(code, student.grids[name + READ_SUFFIX]) for name, code in choice.reads.items()}
    layers = dict(choice.layers)
    for name, layer in student.layers.items():
        known = layers.get(name, ChoiceLayer())
        update = {"bias_correction": _correction(layer), "reason": known.reason.removesuffix(SAID) + SAID}
        layers[name] = known.model_copy(update=update)
    return choice.model_copy(update={"tensors": tensors, "reads": reads, "layers": layers})


def _read(code: TensorPlan, student: Student, slot: str) -> TensorPlan:
    """A reading, whose factors per channel are learned too."""
    made, form = _codes(code, student.grids[slot]), student.forms[slot]
    if slot not in student.factors or not isinstance(form, Coded):
        return made
    return made.model_copy(update={"equal": [float(factor) for factor in form.factors()]})


def _codes(code: Held, grid: Grid) -> Held:
    if not grid.learns:
        return code
    scale, zero = float(grid.scale()), int(grid.zero())
    update = {
        "scale": scale,
        "zero": zero,
        "low": -zero * scale,
        "high": (int(grid.top_now()) - zero) * scale,
        "reason": code.reason.removesuffix(SAID) + SAID,
    }
    if grid.lean is not None and int(grid.bits_now()) != code.bits:
        _, _, rest = code.reason.removesuffix(SAID).partition(";")
        said = f"{int(grid.bits_now())} activation bits, learned" + (f";{rest}" if rest else "")
        update |= {"bits": int(grid.bits_now()), "reason": said + SAID}
    return code.model_copy(update=update)


def _layer(layer: Layer, plan: LayerPlan) -> LayerPlan:
    codes = layer.codes().permute(2, 3, 1, 0).numpy().astype(np.int8)
    update = {
        "weight_codes": encode_codes(codes),
        "weight_scales": [float(scale) for scale in layer.scales()],
        "bias_correction": _correction(layer),
        "reason": plan.reason.removesuffix(SAID) + SAID,
    }
    return plan.model_copy(update=update)


def _correction(layer: Layer) -> list[float]:
    return [float(b) for b in layer.bias() - layer.exact_bias]
