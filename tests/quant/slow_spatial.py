"""Pools, resizes, statistics and layer norm on fractions and Python integers, one value at a time: docs/numerics.md."""

from __future__ import annotations

from fractions import Fraction
from math import floor, isqrt

import numpy as np

from tvmsr.graph.model import Grid, Resampling, Statistic
from tvmsr.quant.integer import TERM_LIMIT


def half_up(value):
    return floor(value + Fraction(1, 2))


def max_pool(node, xs, forms, scaled):
    (rows, columns), (top, left, bottom, right), step = node.attrs.kernel, node.attrs.padding, node.attrs.stride
    x = xs[0]
    height = (x.shape[0] + top + bottom - rows) // step + 1
    width = (x.shape[1] + left + right - columns) // step + 1
    out = np.empty((height, width, x.shape[2]), object)
    for y, col, c in np.ndindex(out.shape):
        window = x[
            max(0, y * step - top) : y * step - top + rows, max(0, col * step - left) : col * step - left + columns, c
        ]
        out[y, col, c] = int(window.max())
    return out


def place(index, count, size, attrs):
    if attrs.grid is Grid.ALIGN_CORNERS:
        return Fraction(index * (size - 1), count - 1) if count > 1 else Fraction(0)
    step = 1 / attrs.factor if attrs.factor else Fraction(size, count)
    if attrs.grid is Grid.ASYMMETRIC:
        return index * step
    return (index + Fraction(1, 2)) * step - (0 if attrs.method is Resampling.NEAREST else Fraction(1, 2))


def keys(distance, a):
    d = abs(distance)
    if d <= 1:
        return ((a + 2) * d - (a + 3)) * d * d + 1
    return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a if d < 2 else Fraction(0)


def weights_at(position, attrs):
    """{source pixel: weight of 2048} of an exact position."""
    base = floor(position)
    if attrs.method is Resampling.NEAREST:
        return {base: 2048}
    phase = Fraction(half_up((position - base) * 2048), 2048)
    if attrs.method is Resampling.LINEAR:
        return {base: 2048 - int(phase * 2048), base + 1: int(phase * 2048)}
    found = {base + i: half_up(2048 * keys(i - phase, Fraction(attrs.cubic))) for i in (-1, 0, 1, 2)}
    missing = 2048 - sum(found.values())
    found[base if found[base] >= found[base + 1] else base + 1] += missing
    return found


def lines(x, count, attrs):
    """The first dimension resized, times 2048."""
    out = np.zeros((count, *x.shape[1:]), object)
    for index in range(count):
        for at, weight in weights_at(place(index, count, x.shape[0], attrs), attrs).items():
            out[index] += weight * x[min(max(at, 0), x.shape[0] - 1)]
    return out


def shifted(values, bits):
    return np.vectorize(lambda v: half_up(Fraction(int(v), 2**bits)), otypes=[object])(values)


def resize(node, xs, forms, scaled):
    attrs, x, form = node.attrs, xs[0].astype(object), forms[0]
    height, width = (floor(s * attrs.factor) for s in x.shape[:2]) if attrs.factor else xs[1].shape[:2]
    kept = min(11, 19 - form.bits)
    tall = shifted(lines(x, height, attrs), 11 - kept)
    assert np.abs(tall).max() < 2**31
    wide = lines(tall.transpose(1, 0, 2), width, attrs).transpose(1, 0, 2)
    assert np.abs(wide).max() + 2**21 < 2**31
    if attrs.method is not Resampling.CUBIC:
        return shifted(wide, 11 + kept)
    value = shifted(wide, 11 + kept - node.fraction)
    out = np.empty(value.shape, object)
    for index in np.ndindex(value.shape):
        c = index[2]
        centred = int(value[index]) - form.zero * 2**node.fraction
        assert abs(centred) < 2**24
        out[index] = scaled(centred, node.params["m"][c], node.params["lo"][c], node.params["hi"][c]) + node.output.zero
    return out


def statistic_value(attrs, values, eps, bits):
    """The integer statistic of centred codes."""
    count = len(values)
    if attrs.kind is Statistic.MAX:
        return max(values)
    if attrs.kind is Statistic.MEAN:
        return floor((256 * Fraction(sum(values)) + count // 2) / count)
    spread = -floor(Fraction(sum(values) ** 2, count) - sum(v * v for v in values))
    divisor = count - 1 if attrs.unbiased and count > 1 else count
    variance = floor(Fraction(spread * 2**16, divisor)) + eps
    if attrs.kind is Statistic.DEVIATION:
        return min(isqrt(variance), 2**31 - 1)
    return min(variance // 2 ** max(0, 2 * bits - 15), 2**31 - 1)


def statistic(node, xs, forms, scaled):
    x, form, params = xs[0], forms[0], node.params
    out = np.empty((1, 1, x.shape[2]), object)
    for c in range(x.shape[2]):
        values = [int(q) - form.zero for q in x[:, :, c].ravel()]
        value = statistic_value(node.attrs, values, int(params["eps"][c]), form.bits)
        assert abs(value) < 2**31
        out[0, 0, c] = scaled(value, params["m"][c], params["lo"][c], params["hi"][c]) + node.output.zero
    return out


def layer_norm(node, xs, forms, scaled):
    x, params, channels = xs[0], node.params, node.channels
    out = np.empty(x.shape, object)
    for row, col in np.ndindex(x.shape[:2]):
        centred = [int(q) - forms[0].zero for q in x[row, col]]
        distance = [channels * d - sum(centred) for d in centred]
        variance = floor(Fraction(sum(d * d for d in distance) * 2**12, channels)) + int(params["eps"])
        assert variance < 2**63
        reciprocal = 2**46 // max(isqrt(variance), 1)
        for c, d in enumerate(distance):
            assert abs(d * reciprocal) + 2**27 < 2**63
            normal = half_up(Fraction(d * reciprocal, 2**28))
            assert abs(normal) < 2**24
            term = scaled(normal, params["m"][c], -TERM_LIMIT, TERM_LIMIT) + int(params["beta"][c])
            total = (term + 2**node.fraction // 2) // 2**node.fraction
            out[row, col, c] = min(max(total, int(params["lo"][c])), int(params["hi"][c])) + node.output.zero
    return out


ROWS = {"max_pool": max_pool, "resize": resize, "statistic": statistic, "layer_norm": layer_norm}
