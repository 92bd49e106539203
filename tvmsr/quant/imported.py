"""Networks that another tool has quantized already: its scales become the plan, nothing is measured anew.

The frontend turns QuantizeLinear and DequantizeLinear into marks on tensors of an FP32 graph (Graph.marks), whose
weights are the numbers that the codes stood for. Here the codes are found again.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tvmsr.graph.model import Mark, Model
from tvmsr.quant.plan import LayerPlan, Plan, TensorPlan
from tvmsr.quant.structure import analyse

F64 = NDArray[np.float64]

METHOD = "imported"
#: How far from whole numbers weights may lie that are codes times a float32 scale.
_WHOLE = 1e-3


def imported_plan(model: Model, measured: Plan) -> Plan:
    """The plan that the file brings, `measured` for what it does not say.

    measured: without equalisation and bias correction. Tensors without a mark keep their measured range; so do those
    that no longer exist as such (terms of sums, what a fold has changed); `notes` counts both. The output stays the
    picture's own code.
    """
    structure = analyse(model.graph)
    tensors = dict(measured.tensors)
    marked = [name for name in structure.coded if name in model.graph.marks and name != structure.output]
    for name in marked:
        tensors[name] = _tensor(model.graph.marks[name])
    reads = {name: read for name, read in measured.reads.items() if structure.source[name] not in marked}
    layers, found = {}, 0
    for node in model.graph:
        if node.op != "conv":
            continue
        layer = measured.layers[node.name]
        scales = grid_scales(node.weights["weight"], layer.weight_bits)
        found += scales is not None
        layers[node.name] = _layer(layer, scales, node.inputs[0] in reads)
    note = (
        f"imported: the scales of {len(marked)} of {len(tensors)} tensors and of the weights of {found} of "
        f"{len(layers)} convolutions; the others are measured"
    )
    changes = {"tensors": tensors, "reads": reads, "layers": layers, "method": METHOD, "notes": [*measured.notes, note]}
    return measured.model_copy(update=changes)


def _tensor(mark: Mark) -> TensorPlan:
    top = (1 << mark.bits) - 1
    return TensorPlan(
        bits=mark.bits,
        low=-mark.zero * mark.scale,
        high=(top - mark.zero) * mark.scale,
        scale=mark.scale,
        zero=mark.zero,
        reason="the file's own scale and zero point",
    )


def _layer(layer: LayerPlan, scales: F64 | None, has_reading: bool) -> LayerPlan:
    changes: dict[str, object] = {"reads_stream": layer.reads_stream and has_reading}
    if scales is not None:
        changes |= {"weight_scales": [float(s) for s in scales], "reason": "the file's own weight codes"}
    return layer.model_copy(update=changes)


def grid_scales(weight: NDArray[np.float32], bits: int) -> F64 | None:
    """Of each output channel of weights (..., OC), the scale (float32 value) that all are multiples of; None: no such.

    A channel of codes with a common divisor gets a coarser scale than the file's: the same numbers.
    """
    limit = (1 << (bits - 1)) - 1
    columns = weight.reshape(-1, weight.shape[-1]).astype(np.float64)
    scales = np.empty(columns.shape[1])
    for channel, values in enumerate(columns.T):
        scale = _grid_scale(values, limit)
        if scale is None:
            return None
        scales[channel] = np.float32(scale)
    return scales


def _grid_scale(values: F64, limit: int) -> float | None:
    largest = float(np.abs(values).max())
    if largest == 0:
        return 1.0
    # The largest code may be 128 where -128 was used: it becomes -127 then.
    for code in range(1, limit + 2):
        scale = largest / code
        steps = values / scale
        if np.all(np.abs(steps - np.rint(steps)) < _WHOLE):
            return scale
    return None
