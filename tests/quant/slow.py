"""An independent executor on Python integers, one value at a time; float32 through struct and fractions only."""

from __future__ import annotations

import struct
from fractions import Fraction

import numpy as np

from tests.quant import slow_spatial
from tvmsr.graph.model import Activation, PadMode
from tvmsr.quant.integer import TERM_LIMIT, Term


def f32(value: float) -> float:
    """A double rounded to float32. A product of two float32 is exact in double, so this rounds it once."""
    return struct.unpack("f", struct.pack("f", value))[0]


def rne(value: float) -> int:
    exact = Fraction(value)
    low = exact.numerator // exact.denominator
    rest = exact - low
    return low + (rest > Fraction(1, 2) or (rest == Fraction(1, 2) and low % 2 == 1))


def scaled(integer, multiplier, lo, hi):
    product = f32(f32(int(integer)) * float(multiplier))
    return rne(min(max(product, float(lo)), float(hi)))


def conv(node, x, form):
    params, attrs = node.params, node.attrs
    weight = params["weight"]
    kernel_h, kernel_w, ins, outs = weight.shape
    top, left, bottom, right = attrs.padding
    height, width, _ = x.shape
    out_h = (height + top + bottom - attrs.dilation * (kernel_h - 1) - 1) // attrs.stride + 1
    out_w = (width + left + right - attrs.dilation * (kernel_w - 1) - 1) // attrs.stride + 1
    result = np.empty((out_h, out_w, outs), object)
    for y, column, oc in np.ndindex(out_h, out_w, outs):
        group = oc // (outs // attrs.groups)
        acc = int(params["bias"][oc])
        for i, j, c in np.ndindex(kernel_h, kernel_w, ins):
            ic = group * ins + c
            row, col = y * attrs.stride + i * attrs.dilation - top, column * attrs.stride + j * attrs.dilation - left
            if attrs.mode is not PadMode.CONSTANT:
                row, col = nearest(row, height, attrs.mode), nearest(col, width, attrs.mode)
            inside = 0 <= row < height and 0 <= col < width
            q = int(x[row, col, ic]) if inside else int(params["pad"][ic])
            acc += (q - form.zero) * int(weight[i, j, c, oc])
        assert node.acc_min is None or node.acc_min[oc] <= acc <= node.acc_max[oc]
        m = params["m_neg"] if attrs.activation is Activation.LEAKY and acc < 0 else params["m"]
        value = scaled(acc, m[oc], params["lo"][oc], params["hi"][oc])
        if attrs.activation.is_table:
            value = int(params["table"][value + node.table_zero])
        elif not isinstance(node.output, Term):
            value += node.output.zero
        result[y, column, oc] = value
    return result


def nearest(at, size, mode):
    """The pixel that stands at a place, perhaps outside of the picture: the nearest one, or as in a mirror."""
    while mode is PadMode.REFLECT and not 0 <= at < size:
        at = -at if at < 0 else 2 * (size - 1) - at
    return min(max(at, 0), size - 1)


def _each(shape, make):
    result = np.empty(shape, object)
    for index in np.ndindex(shape):
        result[index] = make(index[-1], index)
    return result


def _at(x, index):
    """A value of a tensor, or of a 1x1 map that stands for one."""
    return int(x[(0, 0, index[2])] if x.shape[:2] == (1, 1) else x[index])


def add(node, xs, forms):
    def one(c, index):
        total = (1 << node.fraction) // 2
        for i, (x, form) in enumerate(zip(xs, forms, strict=True)):
            if isinstance(form, Term):
                total += _at(x, index)
            else:
                total += scaled(_at(x, index) - form.zero, node.params[f"m{i}"][c], -TERM_LIMIT, TERM_LIMIT)
        total //= 1 << node.fraction
        return min(max(total, int(node.params["lo"][c])), int(node.params["hi"][c])) + node.output.zero

    return _each(max((x.shape for x in xs), key=lambda shape: shape[0] * shape[1]), one)


def requantize(node, x, form):
    def one(c, index):
        centred = int(x[index]) - form.zero
        m = node.params["m_neg0"] if "m_neg0" in node.params and centred < 0 else node.params["m0"]
        return scaled(centred, m[c], node.params["lo"][c], node.params["hi"][c]) + node.output.zero

    return _each(x.shape, one)


def mul(node, xs, forms):
    def one(c, index):
        product = (_at(xs[0], index) - forms[0].zero) * (_at(xs[1], index) - forms[1].zero)
        return scaled(product, node.params["m"][c], node.params["lo"][c], node.params["hi"][c]) + node.output.zero

    return _each(xs[0].shape, one)


def concat(node, xs, forms):
    parts, first = [], 0
    for i, (x, form) in enumerate(zip(xs, forms, strict=True)):

        def one(c, index, i=i, x=x, form=form, first=first):
            lo, hi = node.params["lo"][first + c], node.params["hi"][first + c]
            return scaled(int(x[index]) - form.zero, node.params[f"m{i}"][c], lo, hi) + node.output.zero

        parts.append(_each(x.shape, one))
        first += x.shape[2]
    return np.concatenate(parts, axis=2)


def gather(node, x):
    return np.stack([x[:, :, c] for c in node.attrs.channels], axis=2)


def depth_to_space(node, x):
    r = node.attrs.block
    height, width, channels = x.shape
    out = np.empty((height * r, width * r, channels // r**2), object)
    for y, col, c in np.ndindex(out.shape):
        out[y, col, c] = x[y // r, col // r, ((y % r) * r + col % r) * out.shape[2] + c]
    return out


def execute(node, xs, forms):
    if node.op == "conv":
        return conv(node, xs[0], forms[0])
    if node.op == "requantize":
        return requantize(node, xs[0], forms[0])
    if node.op == "table":
        return np.vectorize(lambda q: int(node.params["table"][q]), otypes=[object])(xs[0])
    if node.op == "gather":
        return gather(node, xs[0])
    if node.op == "depth_to_space":
        return depth_to_space(node, xs[0])
    if node.op in slow_spatial.ROWS:
        return slow_spatial.ROWS[node.op](node, xs, forms, scaled)
    return {"add": add, "mul": mul, "concat": concat}[node.op](node, xs, forms)
