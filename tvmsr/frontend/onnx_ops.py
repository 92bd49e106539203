"""What each ONNX operator becomes in Relax. Sizes and constants are numbers here (onnx_prepare.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tvmsr.frontend.onnx_call import Call, Converter, GiveUpError
from tvmsr.frontend.quantized import dequantize_linear, quantize_linear

#: What TVM's own converters are trusted with.
TRUSTED = frozenset(
    ("BatchNormalization", "Constant", "Greater", "GreaterOrEqual", "LayerNormalization", "PRelu", "Where")
)


def _unary(name: str) -> Converter:
    def convert(call: Call) -> Any:
        found = call.op
        for part in name.split("."):
            found = getattr(found, part)
        return found(call.x)

    return convert


def _folded(name: str) -> Converter:
    """An operator of any number of tensors, one after another."""

    def convert(call: Call) -> Any:
        made = call.x
        for other in call.inputs[1:]:
            made = call.emit(getattr(call.op, name)(made, other))
        return made

    return convert


def _window(call: Call, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]) -> list[int]:
    """The padding of a convolution or a pool: top, left, bottom, right."""
    auto = call.text("auto_pad", "NOTSET")
    if auto in ("NOTSET", "VALID", ""):
        return call.ints("pads", (0,) * 2 * len(kernel)) if auto != "VALID" else [0] * 2 * len(kernel)
    total = [
        max((-(-size // s) - 1) * s + (k - 1) * d + 1 - size, 0)
        for size, k, s, d in zip(call.size()[2:], kernel, strides, dilations, strict=True)
    ]
    small, large = [t // 2 for t in total], [t - t // 2 for t in total]
    return [*small, *large] if auto == "SAME_UPPER" else [*large, *small]


def _two_dimensional(call: Call) -> None:
    if len(call.size()) != 4:
        raise GiveUpError(f"over {len(call.size()) - 2} dimensions")


def _with_bias(call: Call, made: Any) -> Any:
    if len(call.inputs) < 3 or call.inputs[2] is None:
        return made
    return call.op.add(call.emit(made), call.op.reshape(call.inputs[2], (1, -1, 1, 1)))


def _conv(call: Call) -> Any:
    _two_dimensional(call)
    strides, dilations = call.positive("strides", (1, 1)), call.positive("dilations", (1, 1))
    made = call.op.nn.conv2d(
        call.x,
        call.inputs[1],
        strides=strides,
        padding=_window(call, call.size(1)[2:], strides, dilations),
        dilation=dilations,
        groups=int(call.attrs.get("group", 1)),
    )
    return _with_bias(call, made)


def _conv_transpose(call: Call) -> Any:
    _two_dimensional(call)
    strides, dilations = call.positive("strides", (1, 1)), call.positive("dilations", (1, 1))
    more, pads = call.ints("output_padding", (0, 0)), call.ints("pads", (0, 0, 0, 0))
    auto = call.text("auto_pad", "NOTSET")
    same = auto in ("SAME_UPPER", "SAME_LOWER")
    if "output_shape" in call.attrs or same:
        sizes = call.size()[2:]
        wanted = [n * s for n, s in zip(sizes, strides, strict=True)]
        wanted = call.ints("output_shape", wanted)[-2:]
        whole = [
            (n - 1) * s + (k - 1) * d + 1 + o
            for n, s, k, d, o in zip(sizes, strides, call.size(1)[2:], dilations, more, strict=True)
        ]
        total = [a - b for a, b in zip(whole, wanted, strict=True)]
        small, large = [t // 2 for t in total], [t - t // 2 for t in total]
        pads = [*small, *large] if auto == "SAME_UPPER" else [*large, *small]
        if min(total) < 0:
            raise GiveUpError(f"to an output of {wanted}, which is more than it makes")
    made = call.op.nn.conv2d_transpose(
        call.x,
        call.inputs[1],
        strides=strides,
        padding=pads if auto != "VALID" else 0,
        output_padding=more,
        dilation=dilations,
        groups=int(call.attrs.get("group", 1)),
        kernel_layout="IOHW",
    )
    return _with_bias(call, made)


def _pool(name: str) -> Converter:
    def convert(call: Call) -> Any:
        _two_dimensional(call)
        kernel = call.ints("kernel_shape", ())
        strides, dilations = call.positive("strides", (1, 1)), call.positive("dilations", (1, 1))
        return getattr(call.op.nn, name)(
            call.x,
            pool_size=kernel,
            strides=strides,
            padding=_window(call, kernel, strides, dilations),
            dilation=dilations,
            ceil_mode=bool(call.attrs.get("ceil_mode", 0)),
            count_include_pad=bool(call.attrs.get("count_include_pad", 0)),
        )

    return convert


def _global(name: str) -> Converter:
    return lambda call: getattr(call.op, name)(call.x, [2, 3], True)


def _reduction(name: str) -> Converter:
    def convert(call: Call) -> Any:
        axes = call.listed("axes", 1)
        if axes is None and call.attrs.get("noop_with_empty_axes", 0):
            return call.x
        return getattr(call.op, name)(call.x, axes, bool(call.attrs.get("keepdims", 1)))

    return convert


def _resize(call: Call) -> Any:
    """Resize and Upsample, of all opsets; factors go into the roi, which nothing else uses."""
    first = 2 if call.opset >= 11 and len(call.inputs) > 2 else 1
    scales = call.attrs.get("scales")
    scales = call.constant(first) if scales is None else np.asarray(scales)
    sizes = call.constant(3)
    axes = [n % 4 for n in call.ints("axes", (0, 1, 2, 3))]
    _two_dimensional(call)
    odd = call.text("keep_aspect_ratio_policy", "stretch") != "stretch" or int(call.attrs.get("antialias", 0))
    if odd:
        raise GiveUpError("with antialias, or an aspect ratio that is kept")
    given = dict.fromkeys(range(4), 1.0)
    if scales is not None and scales.size:
        given |= dict(zip(axes, (float(v) for v in scales), strict=True))
    if given[0] != 1 or given[1] != 1:
        raise GiveUpError(f"by {list(given.values())}")
    target = [int(np.floor(np.float32(n) * np.float32(given[i]))) for i, n in enumerate(call.size())]
    if sizes is not None and sizes.size:
        for axis, size in zip(axes, sizes, strict=True):
            target[axis] = int(size)
    roi = (0.0, 0.0, given[2], given[3]) if scales is not None and scales.size else None
    method = {"nearest": "nearest_neighbor"}.get(call.text("mode", "nearest"), call.text("mode", "nearest"))
    grid, rounding = ("half_pixel", "round_prefer_floor") if call.opset >= 11 else ("asymmetric", "floor")
    return call.op.image.resize2d(
        call.x,
        tuple(target[2:]),
        roi,
        method=method,
        coordinate_transformation_mode=call.text("coordinate_transformation_mode", grid),
        rounding_method=call.text("nearest_mode", rounding),
        cubic_alpha=call.number("cubic_coeff_a", -0.75),
        cubic_exclude=int(call.attrs.get("exclude_outside", 0)),
    )


def _pad(call: Call) -> Any:
    pads, rank = call.listed("pads", 1) or [], len(call.size())
    value = call.constant(2)
    constant = call.number("value", 0.0) if value is None else float(value.reshape(-1)[0])
    axes = call.constant(3)
    order = [int(a) % rank for a in axes] if axes is not None else list(range(rank))
    widths = [0] * 2 * rank
    for i, axis in enumerate(order):
        widths[2 * axis], widths[2 * axis + 1] = pads[i], pads[len(order) + i]
    return call.op.nn.pad(call.x, widths, call.text("mode", "constant"), constant)


def _clip(call: Call) -> Any:
    bounds = []
    for name, index, default in (("min", 1, -np.inf), ("max", 2, np.inf)):
        value = call.constant(index)
        bounds.append(call.number(name, default) if value is None else float(value.reshape(-1)[0]))
    return call.op.clip(call.x, *bounds)


def _reshaped(call: Call) -> Any:
    """Reshape, Flatten, Squeeze and Unsqueeze: whatever the attributes say, the shape is known."""
    return call.op.reshape(call.x, call.target)


def _transpose(call: Call) -> Any:
    rank = len(call.size())
    return call.op.permute_dims(call.x, call.ints("perm", range(rank)[::-1]))


def _slice(call: Call) -> Any:
    starts, ends = call.listed("starts", 1) or [], call.listed("ends", 2) or []
    axes = call.listed("axes", 3) or list(range(len(starts)))
    steps = call.listed("steps", 4) or [1] * len(starts)
    if min(steps) < 1:
        raise GiveUpError("backwards")
    size = call.size()
    starts, ends = (
        [max(min(v + size[a] if v < 0 else v, size[a]), 0) for v, a in zip(values, axes, strict=True)]
        for values in (starts, ends)
    )
    return call.op.strided_slice(call.x, axes, starts, ends, steps)


def _split(call: Call) -> Any:
    axis, count = int(call.attrs.get("axis", 0)), call.outputs
    size = call.size()[axis]
    each = -(-size // count)
    parts = call.listed("split", 1) or [each] * (count - 1) + [size - each * (count - 1)]
    if count == 1:
        return call.x
    return call.op.split(call.x, [int(v) for v in np.cumsum(parts)[:-1]], axis)


def _gather(call: Call) -> Any:
    from tvm import relax

    index, axis = call.constant(1), int(call.attrs.get("axis", 0))
    if index is None:
        raise GiveUpError("without indices")
    count = call.size()[axis]
    return call.op.take(call.x, relax.const(np.asarray(index) % count, "int64"), axis)


def _gather_nd(call: Call) -> Any:
    """Of rows of the first dimension: how the newer exporter writes an index with a list."""
    from tvm import relax

    index = call.constant(1)
    if index is None or index.shape[-1:] != (1,) or index.ndim != 2 or int(call.attrs.get("batch_dims", 0)):
        raise GiveUpError("of anything but the first dimension")
    return call.op.take(call.x, relax.const(index[:, 0] % call.size()[0], "int64"), 0)


def _depth_to_space(call: Call) -> Any:
    block, (n, c, h, w) = call.positive("blocksize", ())[0], call.size()
    split, order = (n, block, block, c // block**2, h, w), [0, 3, 4, 1, 5, 2]
    if call.text("mode", "DCR") == "CRD":
        split, order = (n, c // block**2, block, block, h, w), [0, 1, 4, 2, 5, 3]
    moved = call.op.permute_dims(call.op.reshape(call.x, split), order)
    return call.op.reshape(moved, (n, c // block**2, h * block, w * block))


def _space_to_depth(call: Call) -> Any:
    block, (n, c, h, w) = call.positive("blocksize", ())[0], call.size()
    split = call.op.reshape(call.x, (n, c, h // block, block, w // block, block))
    moved = call.op.permute_dims(split, [0, 3, 5, 1, 2, 4])
    return call.op.reshape(moved, (n, c * block**2, h // block, w // block))


def _gemm(call: Call) -> Any:
    from tvm import relax

    sides = [
        call.op.permute_dims(side, [1, 0]) if int(call.attrs.get(name, 0)) else side
        for side, name in zip(call.inputs[:2], ("transA", "transB"), strict=True)
    ]
    made = call.emit(call.op.matmul(*sides))
    if call.number("alpha", 1.0) != 1:
        made = call.emit(call.op.multiply(made, relax.const(call.number("alpha", 1.0), "float32")))
    if len(call.inputs) < 3 or call.inputs[2] is None:
        return made
    bias = call.inputs[2]
    if call.number("beta", 1.0) != 1:
        bias = call.op.multiply(bias, relax.const(call.number("beta", 1.0), "float32"))
    return call.op.add(made, bias)


def _gelu(call: Call) -> Any:
    tanh = call.text("approximate", "none") == "tanh"
    return call.op.nn.gelu_tanh(call.x) if tanh else call.op.nn.gelu(call.x)


def _cast(call: Call) -> Any:
    if int(call.attrs["to"]) != 1:
        raise GiveUpError(f"to type {int(call.attrs['to'])}")
    return call.x


def _hard_sigmoid(call: Call) -> Any:
    return call.own("hard_sigmoid", alpha=call.number("alpha", 0.2), beta=call.number("beta", 0.5))


def _expand(call: Call) -> Any:
    return call.op.broadcast_to(call.x, call.target)


def _constant_of_shape(call: Call) -> Any:
    from onnx import numpy_helper
    from tvm import relax

    value = numpy_helper.to_array(call.attrs["value"]) if "value" in call.attrs else np.zeros(1, np.float32)
    return call.op.broadcast_to(relax.const(value.reshape((1,) * len(call.target)), str(value.dtype)), call.target)


def _scalar(value: float) -> Any:
    from tvm import relax

    return relax.const(value, "float32")


CONVERTERS: Mapping[str, Converter] = {
    "Abs": _unary("abs"),
    "Add": _folded("add"),
    "AveragePool": _pool("avg_pool2d"),
    "Cast": _cast,
    "Clip": _clip,
    "Concat": lambda call: call.op.concat(list(call.inputs), int(call.attrs["axis"])),
    "ConstantOfShape": _constant_of_shape,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "DepthToSpace": _depth_to_space,
    "DequantizeLinear": dequantize_linear,
    "Div": _folded("divide"),
    "Dropout": lambda call: call.x,
    "Elu": lambda call: call.own("elu", alpha=call.number("alpha", 1.0)),
    "Erf": _unary("erf"),
    "Exp": _unary("exp"),
    "Expand": _expand,
    "Flatten": _reshaped,
    "Gather": _gather,
    "GatherND": _gather_nd,
    "Gelu": _gelu,
    "Gemm": _gemm,
    "GlobalAveragePool": _global("mean"),
    "GlobalMaxPool": _global("max"),
    "HardSigmoid": lambda call: call.own(
        "hard_sigmoid", alpha=call.number("alpha", 0.2), beta=call.number("beta", 0.5)
    ),
    "HardSwish": lambda call: call.own("hard_swish"),
    "Identity": lambda call: call.x,
    "LeakyRelu": lambda call: call.op.nn.leakyrelu(call.x, call.number("alpha", 0.01)),
    "MatMul": _folded("matmul"),
    "Max": _folded("maximum"),
    "MaxPool": _pool("max_pool2d"),
    "Min": _folded("minimum"),
    "Mish": lambda call: call.own("mish"),
    "Mul": _folded("multiply"),
    "Neg": _unary("negative"),
    "Pad": _pad,
    "Pow": _folded("power"),
    "QuantizeLinear": quantize_linear,
    "Reciprocal": lambda call: call.op.power(call.x, _scalar(-1.0)),
    "ReduceMax": _reduction("max"),
    "ReduceMean": _reduction("mean"),
    "ReduceSum": _reduction("sum"),
    "Relu": _unary("nn.relu"),
    "Reshape": _reshaped,
    "Resize": _resize,
    "Sigmoid": _unary("sigmoid"),
    "Slice": _slice,
    "Softplus": _unary("nn.softplus"),
    "SpaceToDepth": _space_to_depth,
    "Split": _split,
    "Sqrt": _unary("sqrt"),
    "Squeeze": _reshaped,
    "Sub": _folded("subtract"),
    "Sum": _folded("add"),
    "Tanh": _unary("tanh"),
    "Tile": lambda call: call.op.tile(call.x, [int(v) for v in call.constant(1)]),  # type: ignore[union-attr]
    "Transpose": _transpose,
    "Unsqueeze": _reshaped,
    "Upsample": _resize,
}

#: Every operator that can become part of the canonical graph, and those that vanish on the way.
SUPPORTED = TRUSTED | CONVERTERS.keys()
