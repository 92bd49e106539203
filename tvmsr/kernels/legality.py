"""When an algorithm computes a convolution exactly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tvmsr.kernels.isa import Kind, Primitive
from tvmsr.kernels.layout import row_inputs, tap_by_tap
from tvmsr.kernels.spec import Conv, Form, Load
from tvmsr.kernels.transforms import TYPE_RANGE, Matrix, Transform, code_range

Weight = NDArray[np.int8]

_SATURATION = 32767

#: |U| of byte transforms: -128 would be a byte too, but two of its products with -128 do not fit 16 bits.
_LARGEST_BYTE = 127
_LARGEST_WORD = 32767

#: Output channels that may fill vectors so badly that another way of filling lanes pays.
_MOST_CHANNELS = 32

#: Begins the refusal of an algorithm that the isa has no primitive for at all.
NO_PRIMITIVE = "no primitive reads"

#: The refusal of transforms for convolutions that have none.
NOT_3X3 = "not a 3x3 convolution of stride, dilation and groups 1"


def direct_legal(source: Conv | Load, primitive: Primitive | None, weight: Weight | None) -> str:
    """Why a direct convolution with this primitive is not exact, "" where it is."""
    if not isinstance(source, Conv):
        return "not a convolution"
    if primitive is None:
        return f"{NO_PRIMITIVE} {source.x.form.value}"
    if source.max_bits > primitive.code_bits:
        return f"{primitive.name} takes codes of {primitive.code_bits} bits"
    if source.x.form is Form.U16 and source.max_bits > 15 and primitive.kind is not Kind.PLAIN:
        return f"{primitive.name} takes signed codes: 16 bits need the form s16"
    if primitive.pair_limit:
        largest = largest_pair(source, primitive, weight)
        if largest * (2**source.max_bits - 1) > _SATURATION:
            return f"pairs of a{source.max_bits} with weights up to {largest} saturate 16 bits"
    return ""


def planar_legal(source: Conv | Load, primitive: Primitive | None, weight: Weight | None) -> str:
    """Why a convolution with pixels in the lanes is not exact, or not written, "" where it is.

    Primitives that take a word of inputs in every lane do not mind whose they are. ARM's, of four lanes, find inputs or
    weights by their place in a register of 16 bytes; there is less to fill, too: 9 channels take 12 lanes, not 16.
    """
    if not isinstance(source, Conv):
        return "not a convolution"
    if primitive is None or primitive.kind not in (Kind.BROADCAST, Kind.WINDOW):
        return f"{NO_PRIMITIVE} words of {source.x.form.value} in every lane"
    if (source.stride, source.dilation, source.groups) != (1, 1, 1):
        return "its pixels do not lie side by side"
    if source.outputs > _MOST_CHANNELS:
        return f"more than {_MOST_CHANNELS} channels fill vectors"
    return direct_legal(tap_by_tap(source), primitive, weight)


def largest_pair(conv: Conv, primitive: Primitive, weight: Weight | None) -> int:
    """Largest sum of weights of one sign that one pair of neighbouring inputs meets.

    Codes are not negative: the sum of a pair of products lies between its negative and its positive products.
    """
    if weight is None:
        return 2 * (2 ** (conv.weight_bits - 1) - 1)
    rows = weight.reshape(conv.kernel[0], -1, conv.outputs).astype(np.int32)
    with_none = np.pad(rows, ((0, 0), (0, 1), (0, 0)))  # -1, no weight, finds the zero at the end
    pairs = with_none[:, row_inputs(conv, primitive).reshape(-1, 2)]  # (KH, pairs, 2, OC)
    positive, negative = np.maximum(pairs, 0).sum(2), np.minimum(pairs, 0).sum(2)
    return int(max(positive.max(), -negative.min()))


def winograd_legal(
    source: Conv | Load, primitive: Primitive | None, weight: Weight | None, transform: Transform
) -> str:
    """Why a convolution by this transform is not exact, "" where it is.

    Exact if nothing but the sums of an int16 transform wraps: those are taken modulo 2**32, which holds scale * y.
    """
    if not isinstance(source, Conv):
        return "not a convolution"
    if (source.kernel, source.stride, source.dilation, source.groups) != ((3, 3), 1, 1, 1):
        return NOT_3X3
    v_form = source.x.form if transform.bytes else Form.S16
    if primitive is None or v_form not in primitive.forms or (primitive.weight_bytes == 1) != transform.bytes:
        return f"{NO_PRIMITIVE} transformed {source.x.form.value}"
    return (
        _inputs_fit(source, transform, v_form)
        or _weights_fit(source, weight, transform)
        or _pairs_fit(source, primitive, weight, transform)
        or (_byte_sums_fit if transform.bytes else _results_fit)(source, weight, transform)
    )


def _inputs_fit(conv: Conv, transform: Transform, v_form: Form) -> str:
    low, high = transform.stored_range(conv.x.form, conv.max_bits)
    least, greatest = TYPE_RANGE[v_form]
    if least <= low.min() and high.max() <= greatest:
        return ""
    where = "a byte" if transform.bytes else "16 bits"
    return f"transformed {conv.x.form.value} a{conv.max_bits}, {low.min()} to {high.max()}, do not fit {where}"


def largest_transformed(conv: Conv, weight: Weight | None, transform: Transform) -> Matrix:
    """Largest |U| of every position: (t, t)."""
    if weight is not None:
        return np.abs(transform.transformed(weight)).max((2, 3))
    rows = np.abs(np.array(transform.weights, np.int64)).sum(1)
    return np.multiply.outer(rows, rows) * (2 ** (conv.weight_bits - 1) - 1)


def _weights_fit(conv: Conv, weight: Weight | None, transform: Transform) -> str:
    limit, where = (_LARGEST_BYTE, "a byte") if transform.bytes else (_LARGEST_WORD, "16 bits")
    if largest_transformed(conv, None, transform).max() <= limit:  # their bits are enough
        return ""
    largest = int(largest_transformed(conv, weight, transform).max())
    return f"transformed weights up to {largest} do not fit {where}" if largest > limit else ""


def transformed_pairs(conv: Conv, primitive: Primitive, weight: Weight | None, transform: Transform) -> Matrix:
    """Of every position, the largest sum of U of one sign that a pair of neighbouring inputs meets: (t, t)."""
    if weight is None:
        return 2 * largest_transformed(conv, None, transform)
    t, group = transform.points, primitive.group
    u = np.pad(transform.transformed(weight), ((0, 0), (0, 0), (0, -conv.inputs % group), (0, 0)))
    pairs = u.reshape(t, t, -1, primitive.depth, primitive.halves, conv.outputs).swapaxes(3, 4)
    pairs = pairs.reshape(t, t, -1, 2, conv.outputs)
    positive, negative = np.maximum(pairs, 0).sum(3), np.minimum(pairs, 0).sum(3)
    return np.maximum(positive, -negative).max((2, 3))


def _pairs_fit(conv: Conv, primitive: Primitive, weight: Weight | None, transform: Transform) -> str:
    """Stored inputs are not negative, so a pair's sum lies between its negative and its positive products."""
    if not primitive.pair_limit:
        return ""
    _, high = transform.stored_range(conv.x.form, conv.max_bits)
    if (transformed_pairs(conv, primitive, None, transform) * high).max() <= _SATURATION:
        return ""
    largest = transformed_pairs(conv, primitive, weight, transform)
    worst = np.unravel_index((largest * high).argmax(), largest.shape)
    if largest[worst] * high[worst] <= _SATURATION:
        return ""
    return f"pairs of transformed inputs up to {high[worst]} with weights up to {largest[worst]} saturate 16 bits"


def _byte_sums_fit(conv: Conv, weight: Weight | None, transform: Transform) -> str:
    """No sum of a byte transform wraps, whatever the bytes are and in whichever order they are added.

    A sum at a position p is start + sum(U * stored), |U| <= 127, and ends as sum(U * V), V = stored - offset. An output
    adds nine of them. What is largest: per input 127 times the |V| of those nine; that covers the way from the start,
    127 * (|offset| + |stored|), as nine positions weigh more than one.
    """
    del weight
    least, greatest = TYPE_RANGE[conv.x.form]
    offset, centre = transform.offsets(conv.x.form, conv.max_bits)
    added = np.full((transform.points,) * 2, offset)
    added[1, 1] = centre
    v = np.maximum(np.abs(least - added), np.abs(greatest - added))
    results = np.abs(np.array(transform.results, np.int64))
    largest = int(conv.inputs * _LARGEST_BYTE * (results @ v @ results.T).max())
    return f"sums over {conv.inputs} inputs may leave 32 bits" if largest >= 2**31 else ""


def _results_fit(conv: Conv, weight: Weight | None, transform: Transform) -> str:
    """What is computed is scale * y modulo 2**32: enough where that lies within 32 bits."""
    low, high = code_range(conv.x.form, conv.max_bits)
    if weight is None:
        limit = 9 * conv.inputs * (2 ** (conv.weight_bits - 1) - 1)
        share = transform.scale * limit * max(-low, high) / 2**31
        return f"{transform.scale} y could reach {share:.2f} of 2^31" if share >= 1 else ""
    codes = weight.reshape(-1, conv.outputs).astype(np.int64)
    positive, negative = np.maximum(codes, 0).sum(0), np.maximum(-codes, 0).sum(0)
    largest = np.maximum(positive * high - negative * low, negative * high - positive * low)
    channel = int(largest.argmax())
    share = transform.scale * int(largest[channel]) / 2**31
    return f"{transform.scale} y can reach {share:.2f} of 2^31 in channel {channel}" if share >= 1 else ""
