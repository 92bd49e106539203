"""The packer against numpy, and under the undefined behaviour sanitizer."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernels.harness import Case, operand, random_params, store
from tvmsr.kernels.algorithms import weight_layout
from tvmsr.kernels.host import HostKernels
from tvmsr.kernels.isa import ISAS
from tvmsr.kernels.layout import (
    FieldKind,
    WeightLayout,
    depthwise_layout,
    direct_layout,
    param_fields,
    param_layout,
    plain_params,
    plain_weights,
    winograd_layout,
)
from tvmsr.kernels.spec import Conv, Epilogue, Form, Reads, Residual, Tile
from tvmsr.kernels.transforms import transform_of


@pytest.fixture(scope="module")
def packer():
    return HostKernels({})


def random_weight(rng, shape, limit):
    """Codes up to `limit`, both of its ends among them."""
    ends, between = rng.choice([-limit, limit], shape), rng.integers(-limit, limit + 1, shape)
    return np.where(rng.random(shape) < 0.3, ends, between).astype(np.int8)


def expected_direct(layout, weight):
    """Packed weights as the comment in pack.h describes them."""
    kh, kw, ins, outs = weight.shape
    shape = (layout.groups, layout.blocks, kh, layout.runs, layout.steps, layout.halves, layout.vectors * layout.lanes)
    packed = np.zeros((*shape, layout.depth), np.int16 if layout.element_bytes == 2 else np.int8)
    width, block = outs // layout.groups, layout.vectors * layout.lanes
    for g, b, i, run, step, half, d in np.ndindex(*packed.shape[:6], layout.depth):
        e = (step * layout.depth + d) * layout.halves + half
        tap, c = divmod(e, layout.tap_pitch) if layout.tap_pitch else (run, e)
        if tap < kw and c < ins:
            lanes = weight[i, tap, c, g * width : (g + 1) * width][b * block : (b + 1) * block]
            packed[g, b, i, run, step, half, : len(lanes), d] = lanes
    return packed.tobytes()


def expected_transformed(layout, weight):
    """The same of a transform: start values and U of every position."""
    transform, ins = transform_of(layout.transform, layout.element_bytes), weight.shape[2]
    u, block, packed = transform.transformed(weight), layout.vectors * layout.lanes, b""
    for b, i, j in np.ndindex(layout.blocks, transform.points, transform.points):
        mine = u[i, j, :, b * block : (b + 1) * block]
        whole = np.zeros((layout.steps * layout.depth * layout.halves, block), np.int64)
        whole[:ins, : mine.shape[1]] = mine
        if layout.element_bytes == 1:
            packed += (-(layout.centre if i == j == 1 else layout.offset) * whole.sum(0)).astype(np.int32).tobytes()
        elements = whole.reshape(layout.steps, layout.depth, layout.halves, block).transpose(0, 2, 3, 1)
        packed += elements.astype(np.int16 if layout.element_bytes == 2 else np.int8).tobytes()
    return packed


def check(packer, layout, weight, bits):
    packed = packer.pack_weights(layout, weight, bits).tobytes()
    assert len(packed) == layout.bytes
    assert packed == (expected_transformed if layout.transform else expected_direct)(layout, weight)


def direct_rows():
    return [(isa, p.name, p.forms[0]) for isa, row in ISAS.items() for p in row.primitives if p.name != "lanewise"]


def transformed_rows():
    primitives = [(isa, p) for isa, row in ISAS.items() for p in row.primitives]
    narrow = [(isa, p.name, p.forms[0], 2) for isa, p in primitives if p.weight_bytes == 1]
    forms = ((Form.U8, 4), (Form.S8, 4), (Form.S16, 2))
    return narrow + [(isa, p.name, form, m) for isa, p in primitives if p.name == "pair16" for form, m in forms]


#: Kernel, inputs, outputs, groups, elements beside the inputs, dilation: taps in one run or each by itself, blocks that
#: are full, cut and single, codes that begin in the middle of a byte.
SHAPES = [
    ((3, 3), 5, 37, 1, 0, 1),
    ((3, 3), 3, 64, 1, 1, 1),
    ((1, 1), 17, 21, 1, 0, 1),
    ((5, 1), 2, 13, 1, 0, 2),
    ((2, 5), 33, 3, 1, 2, 1),
    ((3, 2), 6, 51, 3, 0, 1),
    ((1, 3), 1, 1, 1, 0, 1),
    ((1, 1), 9, 130, 1, 0, 1),
]


@pytest.mark.parametrize(("isa", "name", "form"), direct_rows(), ids=str)
def test_direct(packer, isa, name, form):
    row, rng = ISAS[isa], np.random.default_rng(0)
    primitive = row.primitive(name)
    tiles = [Tile(*shape) for shape in primitive.tiles or row.tiles]
    for n, (kernel, inputs, outputs, groups, beside, dilation) in enumerate(SHAPES * 2):
        x, bits = operand(inputs, form, inputs + beside), 2 + n % 7
        conv = Conv(kernel, inputs, outputs, x, 6, bits, 1, dilation, groups)
        layout = direct_layout(conv, row, primitive, tiles[n % len(tiles)])
        check(packer, layout, random_weight(rng, (*kernel, inputs // groups, outputs), 2 ** (bits - 1) - 1), bits)


@pytest.mark.parametrize(("isa", "name", "form", "m"), transformed_rows(), ids=str)
def test_transformed(packer, isa, name, form, m):
    """Weights of 5 bits and more are narrow enough for a byte once they are transformed: 9 * 14 = 126."""
    row, rng = ISAS[isa], np.random.default_rng(1)
    primitive = row.primitive(name)
    tiles = [Tile(*shape) for shape in primitive.tiles or row.tiles]
    for n, (inputs, outputs) in enumerate([(5, 37), (16, 64), (1, 1), (9, 3), (3, 130), (33, 21), (8, 48)] * 2):
        bits = 2 + n % 7
        conv = Conv((3, 3), inputs, outputs, operand(inputs, form), 6, bits)
        layout = winograd_layout(conv, row, primitive, tiles[n % len(tiles)], transform_of(m, primitive.weight_bytes))
        limit = 2 ** (bits - 1) - 1
        check(
            packer,
            layout,
            random_weight(rng, (3, 3, inputs, outputs), min(limit, 14) if layout.starts else limit),
            bits,
        )


@pytest.mark.parametrize("isa", [isa for isa, row in ISAS.items() if any(p.name == "lanewise" for p in row.primitives)])
def test_depthwise(packer, isa):
    row, rng = ISAS[isa], np.random.default_rng(2)
    primitive = row.primitive("lanewise")
    for bits, channels, vectors in ((4, 37, 1), (8, 64, 2), (3, 5, 4)):
        conv = Conv((3, 3), channels, channels, operand(channels, primitive.forms[0]), 6, bits, groups=channels)
        layout = depthwise_layout(conv, row, primitive, Tile(4, vectors))
        check(packer, layout, random_weight(rng, (3, 3, 1, channels), 2 ** (bits - 1) - 1), bits)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_layout(packer, data):
    """Layouts that no isa has, too: the packer is written for any."""
    m, bits = data.draw(st.sampled_from([0, 0, 2, 4])), data.draw(st.integers(2, 8))
    groups = 1 if m else data.draw(st.sampled_from([1, 1, 2, 3]))
    kernel = (3, 3) if m else (data.draw(st.integers(1, 3)), data.draw(st.integers(1, 4)))
    inputs, width = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 90))
    element_bytes = {0: data.draw(st.integers(1, 2)), 2: 1, 4: 2}[m]
    depth, halves = data.draw(st.integers(1, 4 if m == 4 else 8)), data.draw(st.integers(1, 4))
    pitch = 0 if m or kernel[1] == 1 else data.draw(st.sampled_from([0, inputs, inputs + 1]))
    walked = (kernel[1] - 1) * pitch + inputs
    vectors, lanes = data.draw(st.integers(1, 5)), data.draw(st.sampled_from([1, 3, 4, 8, 16, 40]))
    layout = WeightLayout(
        element_bytes, *kernel, inputs, groups * width, groups, pitch, 1 if m or pitch else kernel[1],
        -(-walked // (depth * halves)), halves, depth, -(-width // (vectors * lanes)), vectors, lanes, m,
        *((126, 384) if m == 2 else (0, 0)),
    )  # fmt: skip
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    limit = 2 ** (bits - 1) - 1
    shape = (*kernel, inputs, groups * width)
    check(packer, layout, random_weight(rng, shape, min(limit, 14) if layout.starts else limit), bits)


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize(("inputs", "outputs", "groups"), [(40, 21, 1), (90, 39, 3), (7, 64, 1), (130, 1, 1)])
def test_start_values(packer, bits, inputs, outputs, groups):
    """Bias - zero point * sum of weights: as great as they can be, and more of them than 16 bits hold the sum of."""
    source = Conv((3, 3), inputs, outputs, operand(inputs), 8, bits, groups=groups)
    case, top = Case("start", source, Epilogue((store(outputs),))), 2 ** (bits - 1) - 1
    spec, rng = case.spec_for("avx2"), np.random.default_rng(bits)
    for weight in (
        np.full((3, 3, inputs // groups, outputs), -top, np.int8),
        np.full((3, 3, inputs // groups, outputs), top, np.int8),
        random_weight(rng, (3, 3, inputs // groups, outputs), top),
    ):
        params = random_params(case, spec, rng)
        words = packer.pack_params(spec, params, weight, bits).view(np.int32)
        layout = param_layout(spec)
        got = words[16 : 16 + groups * layout.positions].reshape(groups, -1)[:, : outputs // groups].reshape(-1)
        assert np.array_equal(got, params["bias"] - params["x_zero"] * weight.sum((0, 1, 2), dtype=np.int64))


def everything():
    source = Conv((3, 3), 6, 21, operand(6), 8, 4, groups=3)
    stores = (store(21, Form.U16), store(21, reads=Reads.CODE))
    return Case("everything", source, Epilogue(stores, (Residual(operand(21)),), 5, leaky=True, table=True))


def test_parameter_block(packer):
    case = everything()
    spec, weight = case.spec_for("avx2"), case.weights().astype(np.int8)
    params = random_params(case, spec, np.random.default_rng(0))
    words = packer.pack_params(spec, params, weight, 4).view(np.int32)
    layout, fields = param_layout(spec), param_fields(spec)
    scalars = [f.name for f in fields if f.kind is FieldKind.SCALAR]
    params["table_length"] = len(params["table"])
    assert words[: len(scalars)].tolist() == [params[n] for n in scalars]
    params["bias"] = params["bias"] - params["x_zero"] * weight.sum((0, 1, 2), dtype=np.int64).astype(np.int32)
    at = 16
    for name in [f.name for f in fields if f.kind in (FieldKind.INT, FieldKind.FLOAT)]:
        array = words[at : at + layout.groups * layout.positions].reshape(layout.groups, layout.positions)
        want = np.ascontiguousarray(params[name]).view(np.int32).reshape(layout.groups, -1)
        assert np.array_equal(array[:, : want.shape[1]], want), name
        assert not array[:, want.shape[1] :].any(), name
        at += -(-array.size // 16) * 16
    assert np.array_equal(words[at : at + 64], params["table"].astype(np.int32) - params["code_zero"])


def test_plain_params_are_checked():
    case = everything()
    spec = case.spec_for("avx2")
    params = random_params(case, spec, np.random.default_rng(0))
    plain_params(spec, params)
    with pytest.raises(ValueError, match="missing: \\['bias'\\]"):
        plain_params(spec, {k: v for k, v in params.items() if k != "bias"})
    with pytest.raises(ValueError, match="shape"):
        plain_params(spec, {**params, "m": params["m"][:3]})
    with pytest.raises(TypeError, match="float64"):
        plain_params(spec, {**params, "m": params["m"].astype(np.float64)})


def test_nibbles():
    assert plain_weights(np.array([1, -1, 7, -7, 3], np.int8), 4) == bytes([0xF1, 0x97, 0x03])


def sanitized_layouts():
    """Layouts and plain weights, as ints and bytes: every way through the packer, codes that end with their memory."""
    rng, avx2, neon = np.random.default_rng(3), ISAS["avx2"], ISAS["neon"]
    for bits, (inputs, outputs) in ((4, (6, 21)), (3, (5, 37)), (8, (5, 37)), (4, (7, 64))):
        weight = random_weight(rng, (3, 3, inputs, outputs), 7 if bits < 8 else 14)
        weight.reshape(-1)[-1] = -7
        conv = Conv((3, 3), inputs, outputs, operand(inputs), 6, bits)
        words = replace(conv, x=operand(inputs, Form.S16))
        layouts = [
            direct_layout(conv, avx2, avx2.primitive("dot4"), Tile(12, 1)),
            direct_layout(conv, avx2, avx2.primitive("wide4"), Tile(4, 2)),
            direct_layout(words, avx2, avx2.primitive("pair16"), Tile(4, 2)),
            winograd_layout(conv, avx2, avx2.primitive("dot4"), Tile(4, 2), transform_of(2, 1)),
            winograd_layout(conv, avx2, avx2.primitive("pair16"), Tile(4, 2), transform_of(4, 2)),
            winograd_layout(words, avx2, avx2.primitive("pair16"), Tile(4, 2), transform_of(2, 2)),
            winograd_layout(conv, neon, neon.primitive("chain"), Tile(4, 3), transform_of(2, 1)),
        ]
        for layout in layouts:
            yield layout.ints(), bits, plain_weights(weight, bits)


def test_no_undefined_behaviour(tmp_path):
    """A C program packs extreme values with every layout under UBSan and ASan; gcc has both runtimes."""
    case = everything()
    spec, weight = case.spec_for("avx2"), case.weights().astype(np.int8)
    params = random_params(case, spec, np.random.default_rng(0))
    params["bias"] = np.where(np.arange(21) % 2, 2**31 - 1, -(2**31)).astype(np.int32)
    layout, block = weight_layout(spec), param_layout(spec)
    ints = {"weights": layout.ints(), "layout": block.ints()}
    raw = {"plain": plain_params(spec, params), "codes": plain_weights(weight, 4)}
    calls = []
    for i, (numbers, bits, codes) in enumerate(sanitized_layouts()):
        ints[f"weights{i}"], raw[f"codes{i}"] = numbers, codes
        calls.append(f"    pack(weights{i}, codes{i}, sizeof codes{i}, {bits});")
    lines = ['#include "pack.c"', "#include <stdlib.h>"]
    lines += [f"static const int32_t {n}[] = {{{', '.join(map(str, v))}}};" for n, v in ints.items()]
    lines += [f"static const unsigned char {n}[] = {{{', '.join(map(str, v))}}};" for n, v in raw.items()]
    lines.append(
        """static void pack(const int32_t *layout, const unsigned char *codes, size_t size, int32_t bits) {
    const tvmsr_weight_layout *w = (const void *)layout;
    unsigned char *exactly = malloc(size), *packed = malloc(tvmsr_weight_bytes(w));
    memcpy(exactly, codes, size);
    tvmsr_pack_weights(w, exactly, bits, packed);
    free(exactly);
    free(packed);
}

int main(void) {
    const tvmsr_weight_layout *w = (const void *)weights;
    const tvmsr_param_layout *l = (const void *)layout;
    void *packed = malloc(tvmsr_weight_bytes(w)), *block = malloc(tvmsr_block_bytes(l, plain));
    if (tvmsr_plain_bytes(l, plain) != sizeof plain) return 1;
    tvmsr_pack_weights(w, codes, 4, packed);
    tvmsr_pack_params(l, plain, w, codes, 4, block);
    free(packed);
    free(block);
"""
        + "\n".join(calls)
        + "\n    return 0;\n}"
    )
    source, program = tmp_path / "main.c", tmp_path / "main"
    source.write_text("\n".join(lines))
    folder = __import__("tvmsr.kernels").kernels.__path__[0]
    flags = [
        "-std=c99",
        "-O2",
        "-Wall",
        "-Wextra",
        "-Wconversion",
        "-Werror",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=all",
    ]
    try:
        subprocess.run(["gcc", *flags, f"-I{folder}", str(source), "-o", str(program)], check=True)
    except FileNotFoundError:
        pytest.skip("no gcc with sanitizers")
    subprocess.run([str(program)], check=True)
