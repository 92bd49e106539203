"""Winograd's matrices: exact whatever the numbers are, and ranges that are reached and never left."""

from __future__ import annotations

import numpy as np
import pytest

from tvmsr.kernels.spec import Form
from tvmsr.kernels.transforms import (
    F2_BYTES,
    F2_WORDS,
    F4_WORDS,
    TRANSFORMS,
    TYPE_RANGE,
    Transform,
    code_range,
    transform_of,
)

each = pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda t: t.name)


def direct(x, w):
    """The outputs of a window x (t, t, IC) with weights (3, 3, IC, OC)."""
    m = x.shape[0] - 2
    return np.array([[np.einsum("abc,abco->o", x[i : i + 3, j : j + 3], w) for j in range(m)] for i in range(m)])


def by_transform(transform, x, w):
    """A' (sum over channels of U * V) A."""
    b, a = np.array(transform.inputs, np.int64), np.array(transform.results, np.int64)
    v = np.einsum("ik,klc,jl->ijc", b, x, b)
    products = np.einsum("ijc,ijco->ijo", v, transform.transformed(w.astype(np.int8)))
    return np.einsum("ri,ijo,sj->rso", a, products, a)


def inputs(transform, rng):
    t = transform.points
    yield rng.integers(-(2**15), 2**15, (t, t, 5))
    yield rng.choice([0, 255], (t, t, 5))
    yield np.full((t, t, 5), -128)


@each
def test_exact(transform: Transform):
    rng, shape = np.random.default_rng(0), (3, 3, 5, 7)
    for w in (rng.integers(-127, 128, shape), rng.choice([-127, 127], shape), np.full(shape, -127)):
        for x in inputs(transform, rng):
            assert np.array_equal(by_transform(transform, x, w), transform.scale * direct(x, w))


@each
def test_matrices_are_of_one_size(transform: Transform):
    t, m = transform.points, transform.outputs
    assert np.array(transform.weights).shape == (t, 3)
    assert np.array(transform.inputs).shape == (t, t)
    assert np.array(transform.results).shape == (m, t)
    assert transform_of(m, 1 if transform.bytes else 2) is transform


@each
@pytest.mark.parametrize(("low", "high"), [(0, 255), (-128, 127), (-128, -65), (5, 5), (-32768, 32767)])
def test_input_range_is_reached_and_not_left(transform: Transform, low, high):
    b = np.array(transform.inputs, np.int64)
    least, greatest = transform.input_range(low, high)
    for i, j in np.ndindex(*least.shape):
        factors = np.outer(b[i], b[j])
        assert (factors * np.where(factors > 0, high, low)).sum() == greatest[i, j]
        assert (factors * np.where(factors > 0, low, high)).sum() == least[i, j]
    x = np.random.default_rng(1).choice([low, high], (1000, transform.points, transform.points))
    v = np.einsum("ik,nkl,jl->nij", b, x, b)
    assert (v >= least).all() and (v <= greatest).all()


@pytest.mark.parametrize("bits", range(1, 7))
def test_transformed_codes_fit_a_byte(bits):
    transform, top = F2_BYTES, 2**bits - 1
    low, high = transform.stored_range(Form.U8, bits)
    assert (low == 0).all() and (high == 4 * top).all()
    low, high = transform.stored_range(Form.S8, bits)
    assert low.min() == -128 and (low[1, 1], high[1, 1]) == (-128, 4 * top - 128)
    low[1, 1] = high[1, 1] = 0
    assert low.min() == -2 * top and high.max() == 2 * top


@pytest.mark.parametrize("form", [Form.U8, Form.S8])
@pytest.mark.parametrize("bits", [1, 4, 6])
def test_bytes_may_wrap_on_the_way(form, bits):
    """Bytes modulo 256 and the offset alone give what is stored."""
    transform = F2_BYTES
    b, kind = np.array(transform.inputs, np.int64), np.uint8 if form is Form.U8 else np.int8
    low, high = code_range(form, bits)
    x = np.random.default_rng(2).choice([low, high], (500, 4, 4))
    offset, centre = transform.offsets(form, bits)
    added = np.full((4, 4), offset)
    added[1, 1] = centre
    stored = np.einsum("ik,nkl,jl->nij", b, x, b) + added
    wrapped = np.einsum("ik,nkl,jl->nij", b.astype(kind), x.astype(kind), b.astype(kind)) + added.astype(kind)
    assert wrapped.dtype == kind
    assert np.array_equal(wrapped, stored)


def test_seven_bits_do_not_fit_a_byte():
    low, high = F2_BYTES.stored_range(Form.U8, 7)
    assert high.max() > 255
    low, high = F2_BYTES.stored_range(Form.S8, 7)
    assert low.min() < -128 and high.max() > 127


@pytest.mark.parametrize("form", [Form.U8, Form.S8])
def test_any_byte_fits_sixteen_bits(form):
    transform = F4_WORDS
    assert transform.offsets(form, 8) == (0, 0)
    low, high = transform.stored_range(form, 8)
    assert np.array_equal((low, high), transform.input_range(*TYPE_RANGE[form]))
    assert low.min() >= -(2**15) and high.max() < 2**15


def test_thirteen_bits_fit_words():
    """Four codes are added up: 2**15 less four."""
    for bits, fits in ((13, True), (14, False)):
        low, high = F2_WORDS.stored_range(Form.S16, bits)
        assert (low.min() >= -(2**15) and high.max() < 2**15) == fits
