"""Plans with three choices, made by hand: fewer bits for flat pictures, more for busy ones."""

from __future__ import annotations

import numpy as np

from tests.quant import networks
from tvmsr.graph.model import Model
from tvmsr.quant.calibrate import calibrate
from tvmsr.quant.plan import AdaptivePlan, ChoiceCode, ChoiceLayer, ChoicePlan, Plan

LOW, HIGH = 6_000, 60_000


def adaptive_plan(model: Model, bits: tuple[int, int, int] = (4, 6, 8), weight_bits: int = 8) -> Plan:
    """bits: of activations below LOW, of the plan itself, and above HIGH."""
    low, base, high = bits
    pictures = [networks.picture(seed) for seed in range(2)]
    plan = calibrate(model, pictures, bits=f"a{base}w{weight_bits}", rounding=False)
    choices = [_choice(plan, "low", -1, base, low), _choice(plan, "high", 1, base, high)]
    return plan.model_copy(update={"adaptive": AdaptivePlan(low=LOW, high=HIGH, choices=choices)})


def _choice(plan: Plan, name: str, factor: int, base: int, bits: int) -> ChoicePlan:
    """Tensors and readings of `base` bits have `bits`; the first layer a correction of its own."""
    changed = {
        field: {
            key: ChoiceCode(bits=bits, low=part.low, high=part.high, reason=f"factor {factor:+d}")
            for key, part in getattr(plan, field).items()
            if part.bits == base and key != list(plan.tensors)[-1]
        }
        for field in ("tensors", "reads")
    }
    layers = {}
    if factor > 0:
        key, layer = next(iter(plan.layers.items()))
        count = len(layer.weight_scales or layer.bias_correction or ())
        layers[key] = ChoiceLayer(bias_correction=[1e-3] * count)
    weights = next(iter(plan.layers.values())).weight_bits
    return ChoicePlan(name=name, factor=factor, bits=f"a{bits}w{weights}", layers=layers, **changed)


def flat(height: int = 20, width: int = 30) -> np.ndarray:
    return np.full((height, width, 3), 90, np.uint8) + np.arange(width, dtype=np.uint8)[:, None] // 8


def busy(height: int = 20, width: int = 30, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def between(height: int = 20, width: int = 30) -> np.ndarray:
    """Of a complexity between LOW and HIGH."""
    ramp = (np.arange(width) * 13 % 256).astype(np.uint8)
    return np.repeat(np.repeat(ramp[None, :, None], height, axis=0), 3, axis=2)
