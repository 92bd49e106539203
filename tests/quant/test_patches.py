from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest

from tests.quant import networks
from tvmsr.abreast import abreast
from tvmsr.graph.model import Activation, PadMode
from tvmsr.quant import patches
from tvmsr.quant.beside import walk
from tvmsr.quant.calibrate import calibrate
from tvmsr.quant.correct import mean_error
from tvmsr.quant.reference import conv_blocks

CROPS = [networks.picture(s, 17, 14) for s in range(3)]

#: What a convolution in the middle can be: of 12 channels, with its arguments.
KINDS = {
    "plain": {},
    "pointwise": {"k": 1},
    "padded": {"pad": 0.4},
    "uneven padding": {"padding": (0, 2, 1, 0), "pad": -0.3},
    "cropped": {"padding": (-1, 0, 1, -2)},
    "reflected": {"mode": PadMode.REFLECT},
    "strided": {"stride": 2},
    "dilated": {"dilation": 2, "padding": (2, 2, 2, 2)},
    "grouped": {"groups": 3},
    "depthwise": {"groups": 12, "stride": 2, "pad": 0.2},
}


def network(kind, activation=Activation.LEAKY):
    b = networks.Builder(3)
    x = b.conv("c0", "input", 12, activation=activation)
    y = b.conv("c1", x, 12, activation=activation, bias=0.3, **KINDS[kind])
    return b.model(b.shuffle("out", b.conv("c2", y, 12, gain=0.3, bias=0.3), 2))


def met(model, name, crops=CROPS, bits="a8w4"):
    """(integer node, what it meets) of a convolution."""
    found = []

    def adjust(node, seen):
        if node.name == name:
            found.append((node, seen))
        return node

    walk(model, calibrate(model, crops, bits=bits, max_drop=None, rounding=False), crops, adjust, lambda: None)
    return found[0]


def distance(node, seen):
    """Of the executor's sums from the FP32 network's, in steps: one array (N, OC) over all crops."""
    rows = []
    for one in seen:
        acc = np.concatenate([block for _, block in conv_blocks(node, one.x)], axis=0)
        rows.append((one.sums / node.step - acc).reshape(-1, node.channels))
    return np.concatenate(rows)


@pytest.mark.parametrize("kind", KINDS)
def test_moments_tell_the_error_of_any_codes(kind):
    node, seen = met(network(kind), "c1")
    found, groups = patches.moments(node, seen), node.attrs.groups
    weight = node.params["weight"]
    for seed in range(3):
        codes = np.random.default_rng(seed).integers(-7, 8, weight.shape).astype(np.int8)
        off = distance(replace(node, params={**node.params, "weight": codes}), seen)
        wanted = ((off - off.mean(axis=0)) ** 2).sum(axis=0)
        assert np.allclose(found.error(patches.by_group(codes, groups)).reshape(-1), wanted, rtol=1e-9)
    assert found.patches == len(off)


def in_turn(node, seen):
    """The sums of `moments`, block after block: in this order, and no other, are they what plans were made with."""
    rng, groups, parts = np.random.default_rng(patches.SEED), node.attrs.groups, []
    for one in seen:
        pixels = one.sums.shape[0] * one.sums.shape[1]
        chosen = np.sort(rng.choice(pixels, min(-(-patches.MOST_PATCHES // len(seen)), pixels), replace=False))
        windows = patches._windows(node, one.x).astype(np.float64)
        for where in patches._blocks(chosen, int(np.prod(windows.shape[2:]))):
            rows, columns = np.divmod(where, one.sums.shape[1])
            codes = windows[rows, columns].reshape(len(where), -1, groups, windows.shape[4] // groups)
            codes = codes.transpose(2, 0, 1, 3).reshape(groups, len(where), -1)
            sums = (one.sums[rows, columns] / node.step).reshape(len(where), groups, -1).transpose(1, 0, 2)
            parts.append((codes.transpose(0, 2, 1) @ codes, codes.transpose(0, 2, 1) @ sums, codes.sum(1), sums.sum(1)))
    return [functools.reduce(np.add, each) for each in zip(*parts, strict=True)]


@pytest.mark.parametrize("threads", [1, 3, 8])
def test_moments_are_summed_in_one_order(threads, monkeypatch):
    """To the last digit, with any number of threads, in several blocks a crop."""
    monkeypatch.setattr(patches, "_BLOCK_VALUES", 5000)
    node, seen = met(network("grouped"), "c1", [networks.picture(s, 17, 14) for s in range(8)])
    inputs, cross, sums_in, sums_out = in_turn(node, seen)
    for _ in range(5):
        with abreast(threads):
            found = patches.moments(node, seen)
        count = found.patches
        assert np.array_equal(found.inputs, inputs - sums_in[:, :, None] * sums_in[:, None, :] / count)
        assert np.array_equal(found.cross, cross - sums_in[:, :, None] * sums_out[:, None, :] / count)


@pytest.mark.parametrize("kind", KINDS)
def test_mean_error_is_that_of_the_executors_sums(kind):
    node, seen = met(network(kind), "c1")
    assert np.allclose(mean_error(node, seen), (distance(node, seen) * node.step).mean(axis=0), rtol=1e-7, atol=1e-9)


def test_a_sample_is_of_the_size_asked_for_and_always_the_same():
    node, seen = met(network("plain"), "c1")
    found, again = (patches.moments(node, seen, 100) for _ in range(2))
    assert found.patches == 102  # three crops, 34 each
    assert np.array_equal(found.inputs, again.inputs)
    assert np.array_equal(found.cross, again.cross)
    everything = patches.moments(node, seen)
    assert np.all(np.diagonal(found.inputs[0]) < np.diagonal(everything.inputs[0]))


@pytest.mark.parametrize("bits", ["a8w4", "a12w8"])
@pytest.mark.parametrize("kind", ["plain", "grouped", "strided"])
def test_products_of_codes_are_exact(kind, bits, monkeypatch):
    """In float32 a few patches at a time, and where codes are too wide for that."""
    monkeypatch.setattr(patches, "_FLOAT32_LIMIT", 1 << 22)
    node, seen = met(network(kind), "c1", bits=bits)
    found, (kernel_h, kernel_w, ins, _) = patches.moments(node, seen), node.params["weight"].shape
    groups, read = node.attrs.groups, []
    for one in seen:
        whole = np.eye(kernel_h * kernel_w * ins, dtype=np.int8).reshape(kernel_h, kernel_w, ins, -1)
        params = {**node.params, "weight": np.tile(whole, groups), "bias": np.zeros(whole.shape[3] * groups, np.int32)}
        rows = [block for _, block in conv_blocks(replace(node, params=params), one.x)]
        read.append(np.concatenate(rows, axis=0).reshape(-1, groups, whole.shape[3]))
    codes = np.concatenate(read).transpose(1, 0, 2)  # (G, N, K)
    total = codes.sum(axis=1)
    assert np.abs(codes).max() > (255 if bits == "a12w8" else 0)
    wanted = codes.transpose(0, 2, 1) @ codes - total[:, :, None] * total[:, None, :] / codes.shape[1]
    assert np.array_equal(found.inputs, wanted)


def test_blocks_of_patches_add_up(monkeypatch):
    node, seen = met(network("grouped"), "c1")
    whole = patches.moments(node, seen)
    monkeypatch.setattr(patches, "_BLOCK_VALUES", 1000)
    parts = patches.moments(node, seen)
    assert np.array_equal(whole.inputs, parts.inputs)  # of integers
    assert np.allclose(whole.cross, parts.cross)
    assert np.allclose(whole.wanted, parts.wanted)
