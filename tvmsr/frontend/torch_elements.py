"""What ATen's operators on each value for itself become in Relax, where TVM has no converter or a wrong one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tvmsr.frontend.torch_call import Call, Converter, GiveUpError

#: Beyond that, softplus is its argument to float32's precision: whatever threshold a network has says the same.
_SOFTPLUS_IS_LINEAR = 15.0


def _clamp(call: Call) -> Any:
    """TVM's converters do not read the upper bound of clamp_max, and have no clip at all. Bounds may be tensors."""
    from tvm import relax

    made, low, high = call["self"], call.args.get("min"), call.args.get("max")
    numbers = [bound is None or isinstance(bound, int | float) for bound in (low, high)]
    if all(numbers):
        return call.emit(relax.op.clip(made, -math.inf if low is None else low, math.inf if high is None else high))
    for bound, number, name in ((low, numbers[0], "maximum"), (high, numbers[1], "minimum")):
        if bound is not None:
            side = relax.const(bound, "float32") if number else bound
            made = call.emit(getattr(relax.op, name)(made, side))
    return made


def _softplus(call: Call) -> Any:
    from tvm import relax

    beta, threshold = float(call["beta"]), float(call["threshold"])
    if threshold < _SOFTPLUS_IS_LINEAR:
        raise GiveUpError(f"with threshold {threshold:g}, from which on it is a line; torch's own threshold is 20")
    return call.emit(relax.op.nn.softplus(call["self"], beta, threshold))


def _in_evaluation(call: Call) -> Any:
    """Dropout of every kind: nothing, unless the network trains."""
    if call.args.get("train", call.args.get("training")):
        raise GiveUpError("in training mode")
    return call.args["self"] if "self" in call.args else call["input"]


def _rrelu(call: Call) -> Any:
    from tvm import relax

    if call["training"]:
        raise GiveUpError("in training mode")
    return call.emit(relax.op.nn.leakyrelu(call["self"], (float(call["lower"]) + float(call["upper"])) / 2))


def _addcmul(call: Call) -> Any:
    from tvm import relax

    made = call.emit(relax.op.multiply(call["tensor1"], call["tensor2"]))
    if call["value"] != 1:
        made = call.emit(relax.op.multiply(made, relax.const(call["value"], "float32")))
    return call.emit(relax.op.add(call["self"], made))


_CLAMPS = ("clamp", "clamp_", "clip", "clip_", "clamp_min", "clamp_min_", "clamp_max", "clamp_max_")
_DROPOUTS = ("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout")

CONVERTERS: Mapping[str, Converter] = {
    **{f"{name}.{kind}": _clamp for name in _CLAMPS for kind in ("default", "Tensor")},
    "softplus.default": _softplus,
    **{f"{name}{ending}.default": _in_evaluation for name in _DROPOUTS for ending in ("", "_")},
    **dict.fromkeys(("rrelu.default", "rrelu_.default"), _rrelu),
    **dict.fromkeys(("addcmul.default", "addcmul_.default"), _addcmul),
}
