"""Tables: an activation that is not piecewise linear, as a code for every code."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from tvmsr.graph.model import ActivateAttrs, Activation, ConvAttrs
from tvmsr.quant.integer import Code

#: Beyond it, exp is taken as constant: codes that stand for more have long been cut off.
_LARGEST_EXPONENT = 80.0


def _sigmoid(x: float) -> float:
    return 0.5 * math.tanh(0.5 * x) + 0.5


def _gelu_tanh(x: float) -> float:
    return 0.5 * x * (1.0 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))


def _hard_sigmoid(x: float) -> float:
    return min(max(x / 6 + 0.5, 0.0), 1.0)


def _softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


#: In double and without numpy, whose vectorised functions differ from CPU to CPU in their last digits.
FUNCTIONS: Mapping[Activation, Callable[[float], float]] = {
    Activation.TANH: math.tanh,
    Activation.SIGMOID: _sigmoid,
    Activation.GELU: lambda x: 0.5 * x * (1.0 + math.erf(x * math.sqrt(0.5))),
    Activation.GELU_TANH: _gelu_tanh,
    Activation.SILU: lambda x: x * _sigmoid(x),
    Activation.HARD_SIGMOID: _hard_sigmoid,
    Activation.HARD_SWISH: lambda x: x * _hard_sigmoid(x),
    Activation.MISH: lambda x: x * math.tanh(_softplus(x)),
    Activation.SOFTPLUS: _softplus,
    Activation.ELU: lambda x: x if x > 0 else math.expm1(x),
    Activation.EXP: lambda x: math.exp(min(x, _LARGEST_EXPONENT)),
    Activation.SQUARE: lambda x: x * x,
    Activation.SQRT: lambda x: math.sqrt(max(x, 0.0)),
}


def code_table(attrs: ConvAttrs | ActivateAttrs, x: Code, out: Code) -> NDArray[np.uint16]:
    """uint16 (2**x.bits,): entry q is the code in `out` of gain * f + offset at (q - zero) * scale, ties to even.

    Neither side may have factors per channel: all channels share the table.
    """
    if np.any(x.equal != 1) or np.any(out.equal != 1):
        raise ValueError("a table's input and output cannot have a scale per channel (equal)")
    function = FUNCTIONS[attrs.activation]
    values = [attrs.gain * function((q - x.zero) * float(x.scale)) + attrs.offset for q in range(1 << x.bits)]
    codes = np.rint(np.asarray(values) / float(out.scale)) + out.zero
    return np.clip(codes, 0, (1 << out.bits) - 1).astype(np.uint16)
