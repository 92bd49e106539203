from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.graph.networks import conv
from tvmsr.graph.model import Activation, ConvAttrs, Node
from tvmsr.operations import conv as module


def plain(x: np.ndarray, node: Node, attrs: ConvAttrs) -> np.ndarray:
    """The definition, one output value at a time, in float64."""
    weight, pad = node.weights["weight"].astype(np.float64), node.weights["pad"]
    kernel_h, kernel_w, ins, outs = weight.shape
    top, left, bottom, right = attrs.padding
    height = (x.shape[0] + top + bottom - attrs.dilation * (kernel_h - 1) - 1) // attrs.stride + 1
    width = (x.shape[1] + left + right - attrs.dilation * (kernel_w - 1) - 1) // attrs.stride + 1
    out = np.zeros((height, width, outs))
    for row, column, channel in np.ndindex(out.shape):
        group = channel // (outs // attrs.groups)
        total = float(node.weights["bias"][channel])
        for i, j, c in np.ndindex(kernel_h, kernel_w, ins):
            y = row * attrs.stride + i * attrs.dilation - top
            z = column * attrs.stride + j * attrs.dilation - left
            source = group * ins + c
            inside = 0 <= y < x.shape[0] and 0 <= z < x.shape[1]
            total += weight[i, j, c, channel] * float(x[y, z, source] if inside else pad[source])
        out[row, column, channel] = total
    return out


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    kernel=st.sampled_from([(1, 1), (3, 3), (2, 5), (1, 3)]),
    padding=st.tuples(*[st.integers(0, 2)] * 4),
    stride=st.integers(1, 2),
    dilation=st.integers(1, 2),
    groups=st.sampled_from([1, 2, 4]),
)
def test_equals_the_definition(seed, kernel, padding, stride, dilation, groups):
    rng = np.random.default_rng(seed)
    attrs = ConvAttrs(padding, stride, dilation, groups)
    node = conv(rng, "n", "x", 4, 8, kernel=kernel, attrs=attrs)
    x = rng.standard_normal((int(rng.integers(9, 13)), int(rng.integers(9, 13)), 4)).astype(np.float32)
    assert np.allclose(module.reference((x,), node), plain(x, node, attrs), atol=1e-4)


def test_blocks_do_not_matter(monkeypatch):
    rng = np.random.default_rng(0)
    x, weight = rng.random((17, 9, 3), np.float32), rng.random((3, 3, 3, 5), np.float32)
    whole = module.convolve(x, weight)
    monkeypatch.setattr(module, "_BLOCK_VALUES", 1)
    assert np.allclose(module.convolve(x, weight), whole, atol=1e-5)


def test_activation_is_fused():
    rng = np.random.default_rng(0)
    node = conv(rng, "n", "x", 3, 4, attrs=ConvAttrs((1, 1, 1, 1), activation=Activation.RELU))
    assert module.reference((rng.standard_normal((6, 6, 3)).astype(np.float32),), node).min() == 0
