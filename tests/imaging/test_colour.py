"""The integer colour arithmetic against floats, and the bounds its document states."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tvmsr.errors import UsageError
from tvmsr.imaging import colour

MATRIX = np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]]) / 255
PICTURES = arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)))


def float_resize(plane, scale):
    """Keys bicubic by its definition, sample by sample, in double."""

    def cubic(x):
        x = abs(x)
        if x <= 1:
            return 1.5 * x**3 - 2.5 * x**2 + 1
        return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x <= 2 else 0.0

    def axis(values):
        size = values.shape[0]
        out = np.zeros((size * scale, *values.shape[1:]))
        for o in range(size * scale):
            centre = (o + 0.5) / scale - 0.5
            for i in range(int(np.floor(centre)) - 1, int(np.floor(centre)) + 3):
                out[o] += cubic(centre - i) * values[min(max(i, 0), size - 1)]
        return out

    return axis(axis(plane.astype(np.float64)).T).T


def float_join(lr, y):
    scale = y.shape[0] // lr.shape[0]
    chroma = [float_resize(lr @ MATRIX[row], scale) for row in (1, 2)]
    ycc = np.stack([y.astype(np.float64) - 16, *chroma], axis=-1)
    return np.clip(ycc @ np.linalg.inv(MATRIX).T, 0, 255)


def test_factors_are_the_matrix() -> None:
    assert np.array_equal(np.rint(MATRIX[1:] * 2**20), [colour.CB_OF_RGB, colour.CR_OF_RGB])
    assert sum(colour.CB_OF_RGB) == sum(colour.CR_OF_RGB) == 0
    inverse = np.rint(np.linalg.inv(MATRIX) * 2**13)
    ours = [[9539, 0, 13075], [9539, colour.G_OF_CB, colour.G_OF_CR], [9539, colour.B_OF_CB, 0]]
    assert np.array_equal(inverse, ours)
    assert sum(colour.GRAY_OF_RGB) == 1 << colour.GRAY_SHIFT


@pytest.mark.parametrize("scale", colour.SCALES)
def test_weights(scale) -> None:
    weights = colour.bicubic_weights(scale)
    assert (weights.sum(axis=1) == 2048).all()
    assert (np.abs(weights).sum(axis=1) < 1.25 * 2048).all()
    assert np.array_equal(weights, weights[::-1, ::-1]) or scale in (1, 3, 5, 7)
    middle = [p for p in range(scale) if 2 * p + 1 != scale]
    assert np.array_equal(weights[middle], weights[middle][::-1, ::-1])


@pytest.mark.parametrize("scale", [0, 9, 2.5])
def test_scale_out_of_range(scale) -> None:
    with pytest.raises(UsageError, match="1 to 8"):
        colour.bicubic_weights(scale)


def test_document_has_the_weights() -> None:
    from pathlib import Path

    folder = Path(__file__).parents[2] / "docs"
    text = "".join(file.read_text() for file in sorted(folder.glob("numerics*.md")))
    for scale in (2, 3, 4):
        for phase, row in enumerate(colour.bicubic_weights(scale).tolist()):
            first = colour.first_tap(scale, phase)
            assert f"| {scale} | {phase} | {first} | " + " | ".join(map(str, row)) + " |" in text


@settings(deadline=None, max_examples=60)
@given(PICTURES, st.sampled_from([1, 2, 3, 4]), st.randoms(use_true_random=False))
def test_join_is_close_to_float(lr, scale, random) -> None:
    y = np.array(
        [[random.randrange(256) for _ in range(lr.shape[1] * scale)] for _ in range(lr.shape[0] * scale)], np.uint8
    )
    error = np.abs(colour.join_luma(lr, y) - float_join(lr, y))
    assert error.max() < 0.75


@settings(deadline=None, max_examples=60)
@given(arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12))), st.sampled_from([1, 2, 3, 4, 8]))
def test_resize_bytes_is_close_to_float(plane, scale) -> None:
    want = np.clip(float_resize(plane, scale), 0, 255)
    assert np.abs(colour.resize_bytes(plane, scale) - want).max() < (0.75 if scale < 8 else 1.0)


@pytest.mark.parametrize("value", [0, 1, 128, 254, 255])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_constant_planes_stay(value, scale) -> None:
    plane = np.full((5, 3), value, np.uint8)
    assert np.array_equal(colour.resize_bytes(plane, scale), np.full((5 * scale, 3 * scale), value))


@given(PICTURES)
def test_gray_stays_gray(lr) -> None:
    gray = np.repeat(lr[..., :1], 3, axis=-1)
    y = np.repeat(np.repeat(lr[..., 1], 2, axis=0), 2, axis=1)
    out = colour.join_luma(gray, y)
    assert (out[..., 0] == out[..., 1]).all() and (out[..., 1] == out[..., 2]).all()
    assert np.array_equal(colour.gray_of_rgb(gray), gray[..., 0])


@settings(max_examples=200)
@given(PICTURES)
def test_round_trip_at_scale_one(rgb) -> None:
    y = np.rint(colour.luma(rgb)).astype(np.uint8)
    assert np.abs(colour.join_luma(rgb, y).astype(int) - rgb).max() <= 1


@settings(deadline=None)
@given(arrays(np.uint8, (8, 8, 3), elements=st.sampled_from([0, 255])), st.sampled_from([2, 3, 4]))
def test_extremes_fit_int16(lr, scale) -> None:
    """Nothing wraps: a wrapped int16 would be off by 65536, rounding is a quarter of a level (16 of 64ths) at most."""
    for plane in colour.chroma_of_rgb(lr):
        assert np.abs(plane.astype(int)).max() <= 7168
        wide = colour.resize_plane(plane, scale).astype(int)
        assert np.abs(wide - float_resize(plane, scale)).max() < 12
    alpha = lr[..., 0].astype(np.int16) << 6
    assert np.abs(colour.resize_plane(alpha, scale) - float_resize(alpha, scale)).max() < 16


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bands_give_the_same_rows(scale) -> None:
    """Rows that lie two or more input rows inside a band are those of the whole plane."""
    plane = np.random.default_rng(0).integers(-7168, 7169, (24, 7)).astype(np.int16)
    whole, band = colour.resize_plane(plane, scale), colour.resize_plane(plane[6:16], scale)
    assert np.array_equal(whole[8 * scale : 14 * scale], band[2 * scale : 8 * scale])


def test_join_needs_a_whole_multiple() -> None:
    with pytest.raises(UsageError, match="no whole multiple"):
        colour.join_luma(np.zeros((4, 4, 3), np.uint8), np.zeros((8, 9), np.uint8))


def test_luma_of_white_and_black() -> None:
    assert colour.luma(np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)) == pytest.approx(np.array([[16.0, 235.0]]))
