"""Tables: an activation that is not piecewise linear, as a code for every code."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from tvmsr.graph.model import Activation
from tvmsr.quant.integer import Code


def _sigmoid(x: float) -> float:
    return 0.5 * math.tanh(0.5 * x) + 0.5


#: In double and without numpy, whose vectorised functions differ from CPU to CPU in their last digits.
FUNCTIONS: Mapping[Activation, Callable[[float], float]] = {
    Activation.TANH: math.tanh,
    Activation.SIGMOID: _sigmoid,
    Activation.GELU: lambda x: 0.5 * x * (1.0 + math.erf(x * math.sqrt(0.5))),
    Activation.SILU: lambda x: x * _sigmoid(x),
}


def code_table(activation: Activation, x: Code, out: Code) -> NDArray[np.uint16]:
    """uint16 (2**x.bits,): entry q is the code in `out` of the function's value at (q - zero) * scale, ties to even.

    Neither side may have factors per channel: all channels share the table.
    """
    if np.any(x.equal != 1) or np.any(out.equal != 1):
        raise ValueError("a table's input and output cannot have a scale per channel (equal)")
    function = FUNCTIONS[activation]
    values = [function((q - x.zero) * float(x.scale)) for q in range(1 << x.bits)]
    codes = np.rint(np.asarray(values) / float(out.scale)) + out.zero
    return np.clip(codes, 0, (1 << out.bits) - 1).astype(np.uint16)
