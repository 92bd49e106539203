"""The packer against numpy, and under the undefined behaviour sanitizer."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernels.harness import Case, operand, random_params, store
from tvmsr.kernels.algorithms import weight_layout
from tvmsr.kernels.choice import choose
from tvmsr.kernels.host import HostKernels
from tvmsr.kernels.layout import FieldKind, param_fields, param_layout, plain_params, plain_weights
from tvmsr.kernels.spec import Conv, Epilogue, Form, Reads, Residual


@pytest.fixture(scope="module")
def packer():
    return HostKernels({})


@st.composite
def convolutions(draw):
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    inputs, outputs = groups * draw(st.integers(1, 9)), groups * draw(st.integers(1, 40))
    kernel = (draw(st.integers(1, 5)), draw(st.integers(1, 5)))
    x = operand(inputs, draw(st.sampled_from([Form.U8, Form.S16])), inputs + draw(st.integers(0, 3)))
    bits = 8 if x.form is Form.U8 else 12
    weight_bits = draw(st.integers(2, 8))
    return Conv(kernel, inputs, outputs, x, bits, weight_bits, 1, draw(st.integers(1, 2)), groups)


def expected_weights(conv, layout, weight):
    """Packed weights as the comment in pack.h describes them."""
    kh, kw, ins, outs = weight.shape
    shape = (layout.groups, layout.blocks, kh, layout.runs, layout.steps, layout.halves, layout.vectors * layout.lanes)
    packed = np.zeros((*shape, layout.depth), np.int16 if layout.element_bytes == 2 else np.int8)
    width = outs // layout.groups
    for g, b, i, run, step, half, lane, d in np.ndindex(*packed.shape):
        e = (step * layout.depth + d) * layout.halves + half
        tap, c = divmod(e, layout.tap_pitch) if layout.tap_pitch else (run, e)
        channel = b * layout.vectors * layout.lanes + lane
        if tap < kw and c < ins and channel < width:
            packed[g, b, i, run, step, half, lane, d] = weight[i, tap, c, g * width + channel]
    return packed


@settings(max_examples=25, deadline=None)
@given(convolutions(), st.sampled_from(["avx2", "avx512vnni", "portable"]), st.integers(0, 2**32 - 1))
def test_weights(packer, conv, isa, seed):
    limit = 2 ** (conv.weight_bits - 1) - 1
    shape = (*conv.kernel, conv.inputs // conv.groups, conv.outputs)
    weight = np.random.default_rng(seed).integers(-limit, limit + 1, shape).astype(np.int8)
    spec = choose(conv, Epilogue((store(conv.outputs),)), isa, weight).spec
    if spec.algorithm == "depthwise":
        return
    layout = weight_layout(spec)
    packed = packer.pack_weights(layout, weight, conv.weight_bits)
    assert packed.size == layout.bytes
    want = expected_weights(conv, layout, weight)
    assert np.array_equal(packed.view(want.dtype), want.reshape(-1))


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


def test_no_undefined_behaviour(tmp_path):
    """A C program packs extreme values with every layout under UBSan and ASan; gcc has both runtimes."""
    case = everything()
    spec, weight = case.spec_for("avx2"), case.weights().astype(np.int8)
    params = random_params(case, spec, np.random.default_rng(0))
    params["bias"] = np.where(np.arange(21) % 2, 2**31 - 1, -(2**31)).astype(np.int32)
    layout, block = weight_layout(spec), param_layout(spec)
    ints = {"weights": layout.ints(), "layout": block.ints()}
    raw = {"plain": plain_params(spec, params), "codes": plain_weights(weight, 4)}
    lines = ['#include "pack.c"', "#include <stdlib.h>"]
    lines += [f"static const int32_t {n}[] = {{{', '.join(map(str, v))}}};" for n, v in ints.items()]
    lines += [f"static const unsigned char {n}[] = {{{', '.join(map(str, v))}}};" for n, v in raw.items()]
    lines.append(
        """int main(void) {
    const tvmsr_weight_layout *w = (const void *)weights;
    const tvmsr_param_layout *l = (const void *)layout;
    void *packed = malloc(tvmsr_weight_bytes(w)), *block = malloc(tvmsr_block_bytes(l, plain));
    if (tvmsr_plain_bytes(l, plain) != sizeof plain) return 1;
    tvmsr_pack_weights(w, codes, 4, packed);
    tvmsr_pack_params(l, plain, w, codes, 4, block);
    free(packed);
    free(block);
    return 0;
}"""
    )
    source, program = tmp_path / "main.c", tmp_path / "main"
    source.write_text("\n".join(lines))
    folder = __import__("tvmsr.kernels").kernels.__path__[0]
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    try:
        subprocess.run(["gcc", *flags, f"-I{folder}", str(source), "-o", str(program)], check=True)
    except FileNotFoundError:
        pytest.skip("no gcc with sanitizers")
    subprocess.run([str(program)], check=True)
