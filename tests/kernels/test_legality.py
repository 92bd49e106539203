"""Legality at its edges: what is just legal is exact in the kernel's own arithmetic, and one more is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tvmsr.kernels.isa import ISAS, Primitive
from tvmsr.kernels.legality import NO_PRIMITIVE, NOT_3X3, direct_legal, winograd_legal
from tvmsr.kernels.spec import Conv, Form, Load, Operand
from tvmsr.kernels.transforms import F2_BYTES, F2_WORDS, F4_WORDS, code_range

F2, F4 = F2_BYTES, F4_WORDS
BYTE_ROWS = [
    (isa, primitive.name)
    for isa, row in ISAS.items()
    for primitive in row.primitives
    if primitive.weight_bytes == 1 and primitive.name in ("dot4", "chain", "matrix")
]
WORD_ROWS = [isa for isa, row in ISAS.items() if any(p.name == "pair16" for p in row.primitives)]


def conv(form=Form.U8, inputs=4, bits=6, weight_bits=8, outputs=3):
    return Conv((3, 3), inputs, outputs, Operand(form, inputs * form.bytes), bits, weight_bits)


def primitive_of(isa, name):
    return ISAS[isa].primitive(name)


def weights(inputs=4, outputs=3):
    return np.zeros((3, 3, inputs, outputs), np.int8)


def spread(total, count):
    """`count` codes, as equal as they can be, whose sum is `total`."""
    codes = np.full(count, total // count)
    codes[: total % count] += 1
    return codes


def convolved(x, weight):
    m, w = x.shape[0] - 2, weight.astype(np.int64)
    return np.array([[np.einsum("abc,abco->o", x[i : i + 3, j : j + 3], w) for j in range(m)] for i in range(m)])


def wrapped(values, bits):
    """Modulo 2**bits, signed."""
    return (values + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)


def computed(source: Conv, primitive: Primitive, transform, x, weight):
    """One window's outputs as kernels compute them: bytes and words wrap, pairs saturate, sums are modulo 2**32."""
    b, a = np.array(transform.inputs, np.int64), np.array(transform.results, np.int64)
    offset, centre = transform.offsets(source.x.form, source.max_bits)
    added = np.full((transform.points,) * 2, offset)
    added[1, 1] = centre
    v = np.einsum("ik,klc,jl->ijc", b, x.astype(np.int64), b) + added[..., None]
    u = transform.transformed(weight)
    if transform.bytes:
        v = v % 256 if source.x.form is Form.U8 else wrapped(v, 8)
        u = wrapped(u, 8)
    else:
        v, u = wrapped(v, 16), wrapped(u, 16)
    products = v[..., None] * u
    if primitive.pair_limit:
        padded = np.pad(products, ((0, 0), (0, 0), (0, source.inputs % 2), (0, 0)))
        products = (padded[:, :, 0::2] + padded[:, :, 1::2]).clip(-32768, 32767)
    sums = products.sum(2) - added[..., None] * u.sum(2)
    y = wrapped(np.einsum("ri,ijo,sj->rso", a, wrapped(sums, 32), a), 32)
    if transform.bytes:
        return y >> 2
    return wrapped((y >> 6) * pow(9, -1, 2**32), 32)


def extremes(source, transform, weight, rng):
    """Windows of the least and the greatest codes, those among them that drive each position to its ends."""
    low, high = code_range(source.x.form, source.max_bits)
    b, u, t = np.array(transform.inputs), transform.transformed(weight), transform.points
    shape = (t, t, source.inputs)
    yield np.full(shape, low)
    yield np.full(shape, high)
    for _ in range(8):
        yield rng.choice([low, high], shape)
    for i, j, channel in np.ndindex(t, t, source.outputs):
        for sign in (1, -1):
            lanes = np.where(sign * u[i, j, :, channel] > 0, 1, -1)
            yield np.where(np.outer(b[i], b[j])[..., None] * lanes > 0, high, low)


def assert_exact(source, primitive, transform, weight):
    rng = np.random.default_rng(0)
    for x in extremes(source, transform, weight, rng):
        assert np.array_equal(computed(source, primitive, transform, x, weight), convolved(x, weight))


@pytest.mark.parametrize(("isa", "name"), BYTE_ROWS)
@pytest.mark.parametrize("sign", [1, -1])
def test_transformed_weights_at_the_limit_of_a_byte(isa, name, sign):
    primitive = primitive_of(isa, name)
    source, weight = conv(primitive.forms[0]), weights()
    weight[:, :, 2, 1] = sign * spread(127, 9).reshape(3, 3)
    assert winograd_legal(source, primitive, weight, F2) == ""
    assert_exact(source, primitive, F2, weight)
    weight[1, 1, 2, 1] += sign
    assert winograd_legal(source, primitive, weight, F2) == "transformed weights up to 128 do not fit a byte"


@pytest.mark.parametrize(("isa", "name"), BYTE_ROWS)
def test_codes_of_six_bits_fit_a_byte(isa, name):
    primitive = primitive_of(isa, name)
    source = conv(primitive.forms[0], weight_bits=4)
    assert winograd_legal(source, primitive, None, F2) == ""
    refused = winograd_legal(replace(source, max_bits=7), primitive, None, F2)
    assert "a7" in refused and "do not fit a byte" in refused


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("position", ["added", "subtracted"])
def test_pairs_at_the_limit_of_avx2(sign, position):
    """Stored inputs reach 252, so two neighbouring weights of one sign may reach 130, at any position."""
    row, source, weight = ISAS["avx2"], conv(), weights()
    pattern = np.ones((3, 3), int) if position == "added" else np.array([[1, -1, 1], [-1, 1, -1], [1, -1, 1]])
    for c, total in ((2, 65), (3, 65)):
        weight[:, :, c, 0] = sign * pattern * spread(total, 9).reshape(3, 3)
    dot4 = row.primitive("dot4")
    assert winograd_legal(source, dot4, weight, F2) == ""
    assert_exact(source, dot4, F2, weight)
    weight[2, 2, 3, 0] += sign
    refused = winograd_legal(source, dot4, weight, F2)
    assert refused == "pairs of transformed inputs up to 252 with weights up to 131 saturate 16 bits"
    with pytest.raises(AssertionError):
        assert_exact(source, dot4, F2, weight)
    assert winograd_legal(source, ISAS["avx512vnni"].primitive("dot4"), weight, F2) == ""


def test_pairs_are_those_of_neighbours():
    """The same weights, but in inputs 1 and 2, which no pair holds together; an odd last input has none beside it."""
    dot4, weight = ISAS["avx2"].primitive("dot4"), weights(5)
    weight[:, :, 1, 0] = weight[:, :, 2, 0] = weight[:, :, 4, 0] = spread(66, 9).reshape(3, 3)
    assert winograd_legal(conv(inputs=5), dot4, weight, F2) == ""
    assert_exact(conv(inputs=5), dot4, F2, weight)
    weight[:, :, 3, 0] = weight[:, :, 2, 0]
    assert "saturate" in winograd_legal(conv(inputs=5), dot4, weight, F2)


def limit_of_results(form, bits):
    """The largest sum of positive weights whose 576 y stays below 2**31."""
    low, high = code_range(form, bits)
    return (2**31 - 1) // (576 * max(-low, high))


@pytest.mark.parametrize("isa", WORD_ROWS)
@pytest.mark.parametrize("form", [Form.U8, Form.S8])
@pytest.mark.parametrize("bits", [8, 7])
@pytest.mark.parametrize("sign", [1, -1])
def test_results_at_the_limit_of_32_bits(isa, form, bits, sign):
    pair16 = primitive_of(isa, "pair16")
    total = limit_of_results(form, bits)
    inputs = -(-total // (9 * 100))
    source, weight = conv(form, inputs, bits, outputs=2), weights(inputs, 2)
    weight[..., 1] = sign * spread(total, 9 * inputs).reshape(3, 3, inputs)
    assert winograd_legal(source, pair16, weight, F4) == ""
    assert_exact(source, pair16, F4, weight)
    weight[0, 0, 0, 1] += sign
    assert winograd_legal(source, pair16, weight, F4) == "576 y can reach 1.00 of 2^31 in channel 1"
    with pytest.raises(AssertionError):
        assert_exact(source, pair16, F4, weight)


@pytest.mark.parametrize("form", [Form.U8, Form.S8])
def test_both_signs_of_weights_count(form):
    """Codes on either side of zero: positive weights meet one end, negative ones the other."""
    pair16, inputs = ISAS["avx2"].primitive("pair16"), 40
    source, weight = conv(form, inputs, 8, outputs=1), weights(inputs, 1)
    weight[..., : inputs // 2, 0], weight[..., inputs // 2 :, 0] = 127, -127
    each = 9 * 127 * inputs // 2
    low, high = code_range(form, 8)
    share = 576 * each * max(high - low, abs(high + low) if form is Form.U8 else 0) / 2**31
    refused = winograd_legal(source, pair16, weight, F4)
    assert (refused != "") == (share >= 1)
    assert form is Form.U8 or refused == f"576 y can reach {share:.2f} of 2^31 in channel 0"


@pytest.mark.parametrize("form", [Form.S16, Form.U16])
def test_codes_in_sixteen_bits_have_as_many_bits_as_fit(form):
    """Four codes are added up in F(2x2), and much more in F(4x4)."""
    pair16 = ISAS["avx2"].primitive("pair16")
    for transform, bits in ((F2_WORDS, 13), (F4, 8)):
        source = replace(conv(form, weight_bits=4), max_bits=bits)
        assert winograd_legal(source, pair16, None, transform) == ""
        assert "do not fit 16 bits" in winograd_legal(replace(source, max_bits=bits + 1), pair16, None, transform)


@pytest.mark.parametrize(("isa", "name"), BYTE_ROWS)
def test_rubbish_beside_a_picture_does_no_harm(isa, name):
    """Codes that only outputs past the edge need may be any bytes: F(2x2) does not read them, in F(4x4) they cancel."""
    primitive, rng = primitive_of(isa, name), np.random.default_rng(3)
    form = primitive.forms[0]
    cases = [(F2, primitive, 1)]
    if isa in WORD_ROWS:
        cases += [(F4, primitive_of(isa, "pair16"), valid) for valid in (1, 2, 3)]
    for transform, used, valid in cases:
        source, weight = conv(form, 6, 6, outputs=5), rng.integers(-7, 8, (3, 3, 6, 5)).astype(np.int8)
        assert winograd_legal(source, used, weight, transform) == ""
        for rubbish in (np.iinfo(form.value.replace("s", "int").replace("u", "uint")).min, 127, None):
            x = rng.integers(*code_range(form, 6), (transform.points,) * 2 + (6,))
            any_byte = rng.integers(*((0, 256) if form is Form.U8 else (-128, 128)), x.shape)
            any_byte = any_byte if rubbish is None else np.full_like(x, rubbish)
            there = np.arange(transform.points) < valid + 2
            x = np.where((there[:, None] & there)[..., None], x, any_byte)
            got, want = computed(source, used, transform, x, weight), convolved(x, weight)
            assert np.array_equal(got[:valid, :valid], want[:valid, :valid])


@pytest.mark.parametrize("form", [Form.U8, Form.S8])
def test_sums_of_bytes_stay_within_32_bits(form):
    """Any bytes, weights of 127, all of one sign at the position and the output where that is worst."""
    primitive = next(primitive_of(*row) for row in BYTE_ROWS if form in primitive_of(*row).forms)
    primitive = replace(primitive, pair_limit=False)
    offset, centre = F2.offsets(form, 6)
    least, greatest = (0, 255) if form is Form.U8 else (-128, 127)
    others = max(greatest - offset, offset - least)
    most = (2**31 - 1) // (127 * (8 * others + max(abs(least - centre), abs(greatest - centre))))
    assert winograd_legal(conv(form, most, 6, 4), primitive, None, F2) == ""
    refused = winograd_legal(conv(form, most + 1, 6, 4), primitive, None, F2)
    assert refused == f"sums over {most + 1} inputs may leave 32 bits"


@pytest.mark.parametrize(
    "change", [{"kernel": (1, 3)}, {"kernel": (5, 5)}, {"stride": 2}, {"dilation": 2}, {"groups": 2}], ids=str
)
def test_other_convolutions_have_no_transform(change):
    for transform, name in ((F2, "dot4"), (F4, "pair16")):
        assert winograd_legal(replace(conv(), **change), ISAS["avx2"].primitive(name), None, transform) == NOT_3X3


def test_primitives_that_do_not_fit():
    source = conv(weight_bits=4)
    assert winograd_legal(Load(4, 4, source.x), None, None, F2) == "not a convolution"
    assert NO_PRIMITIVE in winograd_legal(source, None, None, F2)
    assert NO_PRIMITIVE in winograd_legal(source, ISAS["avx2"].primitive("wide4"), None, F2)
    assert NO_PRIMITIVE in winograd_legal(source, ISAS["avx2"].primitive("dot4"), None, F4)
    assert NO_PRIMITIVE in winograd_legal(source, ISAS["neon"].primitive("chain"), None, F2)


def test_without_weights_their_bits_decide():
    dot4, pair16 = ISAS["avx512vnni"].primitive("dot4"), ISAS["avx512vnni"].primitive("pair16")
    assert winograd_legal(conv(weight_bits=4), dot4, None, F2) == ""
    assert winograd_legal(conv(weight_bits=5), dot4, None, F2) == "transformed weights up to 135 do not fit a byte"
    assert winograd_legal(conv(inputs=12, bits=8), pair16, None, F4) == ""
    assert winograd_legal(conv(inputs=13, bits=8), pair16, None, F4) == "576 y could reach 1.02 of 2^31"


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([*BYTE_ROWS, *((isa, "pair16") for isa in WORD_ROWS)]), st.data())
def test_legal_is_exact(row, data):
    """Whatever is legal is exact; and what is legal for bits is legal for all weights of so many bits."""
    primitive = primitive_of(*row)
    transform = F2 if primitive.weight_bytes == 1 else F4
    form = primitive.forms[0] if transform.bytes else data.draw(st.sampled_from([Form.U8, Form.S8]))
    bits = data.draw(st.integers(1, 6 if transform.bytes else 8))
    weight_bits, inputs = data.draw(st.integers(2, 8)), data.draw(st.integers(1, 40))
    source = conv(form, inputs, bits, weight_bits)
    rng, top = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1))), 2 ** (weight_bits - 1) - 1
    steep = data.draw(st.sampled_from([1, 3, 10]))
    weight = np.rint(top * rng.uniform(-1, 1, (3, 3, inputs, 3)) ** steep).astype(np.int8)
    problem = winograd_legal(source, primitive, weight, transform)
    if winograd_legal(source, primitive, None, transform) == "":
        assert problem == ""
    if problem == "":
        assert_exact(source, primitive, transform, weight)


@pytest.mark.parametrize("sign", [1, -1])
def test_pairs_of_a_direct_convolution(sign):
    """a8 on AVX2: 32767 // 255 = 128 in two neighbouring weights of one sign."""
    dot4, weight = ISAS["avx2"].primitive("dot4"), weights()
    weight[1, 1, :2, 0] = sign * 64
    assert direct_legal(conv(bits=8), dot4, weight) == ""
    weight[1, 1, 1, 0] += sign
    assert direct_legal(conv(bits=8), dot4, weight) == "pairs of a8 with weights up to 129 saturate 16 bits"
    assert direct_legal(conv(bits=7), dot4, weight) == ""
