"""What each ATen operator becomes in Relax, where TVM's frontend has no converter or a wrong one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tvmsr.frontend import torch_elements as elements
from tvmsr.frontend import torch_parts as parts
from tvmsr.frontend.torch_call import Call, Converter, GiveUpError, listed, pair


def _activation(name: str, **attributes: Any) -> Converter:
    return lambda call: call.own(name, **attributes)


def _resize(method: str, mode: str = "half_pixel", rounding: str = "") -> Converter:
    """interpolate, to a size or by factors: these go into the roi, which nothing else uses."""

    def convert(call: Call) -> Any:
        from tvm import relax

        scales = call.args.get("scale_factors") or (call.args.get("scales_h"), call.args.get("scales_w"))
        factors = [float(s) for s in scales if s is not None]
        roi = (0.0, 0.0, *factors) if factors else None
        return call.emit(
            relax.op.image.resize2d(
                call.args["input"] if "input" in call.args else call.args["self"],
                tuple(int(n) for n in call.node.meta["val"].shape[2:]),
                roi,
                method=method,
                coordinate_transformation_mode="align_corners" if call.args.get("align_corners") else mode,
                rounding_method=rounding,
                cubic_alpha=-0.75,
            )
        )

    return convert


def _deviation(name: str) -> Converter:
    def convert(call: Call) -> Any:
        correction = call.args.get("correction", None)
        if "unbiased" in call.args:
            correction = int(call["unbiased"])
        correction = 1 if correction is None else correction
        if correction not in (0, 1):
            raise GiveUpError(f"with correction {correction}")
        axis = call.args.get("dim")
        return call.own(name, axis=axis, keepdims=bool(call.args.get("keepdim")), unbiased=bool(correction))

    return convert


def _pad(mode: str | None = None) -> Converter:
    """Torch lists amounts from the last dimension to the first."""

    def convert(call: Call) -> Any:
        from tvm import relax

        amounts = [int(n) for n in call.args.get("pad", call.args.get("padding"))]
        rank = len(call.node.meta["val"].shape)
        widths = [0] * (2 * rank - len(amounts))
        for i in range(len(amounts) - 2, -1, -2):
            widths += amounts[i : i + 2]
        value = float(call.args.get("value") or 0)
        return call.emit(relax.op.nn.pad(call["self"], widths, mode or call["mode"], value))

    return convert


def _pool(name: str) -> Converter:
    def convert(call: Call) -> Any:
        from tvm import relax

        if call.args.get("divisor_override") is not None:
            raise GiveUpError("with a divisor of its own")
        options = {"count_include_pad": call["count_include_pad"]} if "count_include_pad" in call.args else {}
        kernel = pair(call["kernel_size"])
        made = call.emit(
            getattr(relax.op.nn, name)(
                call["self"],
                pool_size=kernel,
                strides=pair(call["stride"]) if call["stride"] else kernel,
                padding=pair(call["padding"]),
                dilation=pair(call.args.get("dilation") or 1),
                ceil_mode=bool(call["ceil_mode"]),
                **options,
            )
        )
        return (made, None) if len(call.kinds) > 1 else made

    return convert


def _scaled_operand(name: str) -> Converter:
    """Add and sub with alpha, which TVM's converters do not read."""

    def convert(call: Call) -> Any:
        from tvm import relax

        left, right, alpha = call["self"], call["other"], call.args.get("alpha", 1)
        if name == "rsub":
            left, right = right, left
        constant = [isinstance(side, int | float) for side in (left, right)]
        if all(constant):
            raise GiveUpError("of two numbers")
        if alpha != 1:
            right = right * alpha if constant[1] else call.emit(relax.op.multiply(right, relax.const(alpha, "float32")))
        sides = [relax.const(v, "float32") if flag else v for v, flag in zip((left, right), constant, strict=True)]
        return call.emit({"add": relax.op.add, "sub": relax.op.subtract, "rsub": relax.op.subtract}[name](*sides))

    return convert


def _same_padding(call: Call) -> Any:
    """conv2d with padding "same" or "valid"."""
    from tvm import relax

    dilation, kernel = pair(call["dilation"]), [int(n) for n in call.node.args[1].meta["val"].shape[2:]]
    total = [(k - 1) * d if call["padding"] == "same" else 0 for k, d in zip(kernel, dilation, strict=True)]
    small = [t // 2 for t in total]
    padding = (*small, *(t - s for t, s in zip(total, small, strict=True)))
    made = call.emit(
        relax.op.nn.conv2d(
            call["input"],
            call["weight"],
            strides=pair(call["stride"]),
            padding=padding,
            dilation=dilation,
            groups=int(call["groups"]),
        )
    )
    if call.args.get("bias") is None:
        return made
    return call.emit(relax.op.add(made, relax.op.reshape(call["bias"], (1, -1, 1, 1))))


def _repeat_interleave(call: Call) -> Any:
    from tvm import relax

    if call.args.get("dim") is None or not isinstance(call["repeats"], int):
        raise GiveUpError("of anything but channels")
    return call.emit(relax.op.repeat(call["self"], call["repeats"], int(call["dim"])))


def _channel_shuffle(call: Call) -> Any:
    from tvm import relax

    (shape, _), groups = call.kinds[0], int(call["groups"])
    split = relax.op.reshape(call["self"], (shape[0], groups, shape[1] // groups, *shape[2:]))
    moved = relax.op.permute_dims(split, [0, 2, 1, *range(3, len(shape) + 1)])
    return call.emit(relax.op.reshape(moved, shape))


def _move_dims(call: Call) -> Any:
    from tvm import relax

    rank = len(call.kinds[0][0])
    names = ("source", "destination") if "source" in call.args else ("axis0", "axis1")
    names = ("dim0", "dim1") if "dim0" in call.args else names
    source, target = (listed(call[name]) for name in names)
    source, target = [n % rank for n in source], [n % rank for n in target]
    if names[0] == "source":
        order = [n for n in range(rank) if n not in source]
        for place, dim in sorted(zip(target, source, strict=True)):
            order.insert(place, dim)
    else:
        order = list(range(rank))
        order[source[0]], order[target[0]] = order[target[0]], order[source[0]]
    return call.emit(relax.op.permute_dims(call["self"], order))


def _view(call: Call) -> Any:
    from tvm import relax

    return call.emit(relax.op.reshape(call["self"], call.kinds[0][0]))


def _layer_norm(call: Call) -> Any:
    from tvm import relax

    shape = [int(n) for n in call["normalized_shape"]]
    gamma, beta = (
        relax.const(np.full(shape, neutral, np.float32), "float32") if call.args.get(name) is None else call[name]
        for name, neutral in (("weight", 1.0), ("bias", 0.0))
    )
    axes = list(range(-len(shape), 0))
    return call.emit(relax.op.nn.layer_norm(call["input"], gamma, beta, axes, float(call["eps"])))


def _batch_norm(call: Call) -> Any:
    from tvm import relax

    if call["training"]:
        raise GiveUpError("in training mode")
    count = call.kinds[0][0][1]
    parts = [
        relax.const(np.full(count, neutral, np.float32), "float32") if call.args.get(name) is None else call[name]
        for name, neutral in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0))
    ]
    made = relax.op.nn.batch_norm(call["input"], *parts, axis=1, epsilon=float(call["eps"]), training=False)
    return call.emit(call.emit(made)[0])


def _glu(call: Call) -> Any:
    from tvm import relax

    halves = call.emit(relax.op.split(call["self"], 2, int(call["dim"])))
    return call.emit(relax.op.multiply(call.emit(halves[0]), relax.op.sigmoid(call.emit(halves[1]))))


def _adaptive_max_pool(call: Call) -> Any:
    return call.own("adaptive_max_pool2d", output_size=listed(call["output_size"])), None


CONVERTERS: Mapping[str, Converter] = {
    **elements.CONVERTERS,
    **parts.CONVERTERS,
    **dict.fromkeys(("hardswish.default", "hardswish_.default"), _activation("hard_swish")),
    **dict.fromkeys(
        ("hardsigmoid.default", "hardsigmoid_.default"), _activation("hard_sigmoid", alpha=1 / 6, beta=0.5)
    ),
    "mish.default": _activation("mish"),
    "elu.default": lambda call: call.own("elu", alpha=float(call["alpha"])),
    **dict.fromkeys(
        ("upsample_nearest2d.vec", "upsample_nearest2d.default"), _resize("nearest_neighbor", "asymmetric", "floor")
    ),
    **dict.fromkeys(
        ("_upsample_nearest_exact2d.vec", "_upsample_nearest_exact2d.default"),
        _resize("nearest_neighbor", "tf_half_pixel_for_nn", "floor"),
    ),
    **dict.fromkeys(("upsample_bilinear2d.vec", "upsample_bilinear2d.default"), _resize("linear")),
    **dict.fromkeys(("upsample_bicubic2d.vec", "upsample_bicubic2d.default"), _resize("cubic")),
    **dict.fromkeys(("std.dim", "std.correction", "std.default"), _deviation("deviation")),
    **dict.fromkeys(("var.dim", "var.correction", "var.default"), _deviation("variance")),
    "pad.default": _pad(),
    "constant_pad_nd.default": _pad("constant"),
    "reflection_pad2d.default": _pad("reflect"),
    "replication_pad2d.default": _pad("replicate"),
    **dict.fromkeys(("max_pool2d.default", "max_pool2d_with_indices.default"), _pool("max_pool2d")),
    "avg_pool2d.default": _pool("avg_pool2d"),
    "adaptive_max_pool2d.default": _adaptive_max_pool,
    "conv2d.padding": _same_padding,
    "pixel_unshuffle.default": lambda call: call.own("pixel_unshuffle", downscale_factor=int(call["downscale_factor"])),
    "repeat_interleave.self_int": _repeat_interleave,
    **dict.fromkeys(("channel_shuffle.default", "native_channel_shuffle.default"), _channel_shuffle),
    **dict.fromkeys(
        ("movedim.int", "movedim.intlist", "moveaxis.int", "swapaxes.default", "swapdims.default"), _move_dims
    ),
    "glu.default": _glu,
    "layer_norm.default": _layer_norm,
    "batch_norm.default": _batch_norm,
    **dict.fromkeys(("_unsafe_view.default", "view.default", "reshape.default", "flatten.using_ints"), _view),
    **dict.fromkeys(("add.Tensor", "add.Scalar"), _scaled_operand("add")),
    **dict.fromkeys(("sub.Tensor", "sub.Scalar"), _scaled_operand("sub")),
    **dict.fromkeys(("rsub.Tensor", "rsub.Scalar"), _scaled_operand("rsub")),
}
