"""Formats and colour of the driver against the definition in tvmsr/imaging/colour.py."""

from __future__ import annotations

import numpy as np
import pytest

from tests.artifact import fake_reference
from tests.artifact.test_driver import picture
from tvmsr.artifact.link import link_shared
from tvmsr.imaging.colour import gray_of_rgb, join_luma, resize_bytes
from tvmsr.runtime import load

SIZES = ((1, 1), (2, 3), (5, 1), (17, 63), (9, 64), (8, 67), (40, 200))


def extremes(height: int, width: int) -> np.ndarray:
    """Samples of 0 and 255 only: the largest overshoot there is."""
    return np.random.default_rng(5).integers(0, 2, (height, width, 4)).astype(np.uint8) * 255


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 5, 8])
def test_y_network(fake_y, scale):
    with load(fake_y(scale), threads=2) as session:
        for height, width in SIZES:
            for image in (picture(height, width, 4), extremes(height, width)):
                want = join_luma(image[:, :, :3], fake_reference.luma(image[:, :, :3], scale))
                np.testing.assert_array_equal(session.upscale(image[:, :, :3].copy()), want)
                got = session.upscale(image)
                np.testing.assert_array_equal(got[:, :, :3], want)
                np.testing.assert_array_equal(got[:, :, 3], resize_bytes(image[:, :, 3], scale))


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 7])
def test_without_avx2(tmp_path, triple, scale):
    parts, path = fake_reference.parts("model_y.c", define=f"#define SCALE {scale}\n"), tmp_path / "y.so"
    link_shared(parts, path, link_triple=triple, cc=fake_reference.compiler_with(triple, "-DSR_PLAIN_COLOUR"))
    with load(path, threads=2) as session:
        for height, width in SIZES:
            image = extremes(height, width)
            got = session.upscale(image)
            want = join_luma(image[:, :, :3], fake_reference.luma(image[:, :, :3], scale))
            np.testing.assert_array_equal(got[:, :, :3], want)
            np.testing.assert_array_equal(got[:, :, 3], resize_bytes(image[:, :, 3], scale))
            np.testing.assert_array_equal(session.upscale(image[:, :, :3].copy()), want)


def test_gray_through_a_y_network(fake_y):
    with load(fake_y(3), threads=1) as session:
        for height, width in SIZES:
            image = picture(height, width, 1)
            rgb = np.repeat(image[:, :, None], 3, axis=2)
            want = gray_of_rgb(join_luma(rgb, fake_reference.luma(rgb, 3)))
            np.testing.assert_array_equal(session.upscale(image), want)


@pytest.mark.parametrize("level", ["direct", "copied"])
def test_rgb_network(fake, level):
    with load(fake, threads=2, level=level) as session:
        for height, width in SIZES:
            image = picture(height, width, 4)
            got = session.upscale(image)
            np.testing.assert_array_equal(got[:, :, :3], fake_reference.upscale(image[:, :, :3]))
            np.testing.assert_array_equal(got[:, :, 3], resize_bytes(image[:, :, 3], 2))
            gray = image[:, :, 0].copy()
            want = gray_of_rgb(fake_reference.upscale(np.repeat(gray[:, :, None], 3, axis=2)))
            np.testing.assert_array_equal(session.upscale(gray), want)


def test_strips_do_not_change_colour(fake_y):
    image = picture(90, 300, 4)
    with load(fake_y(4), threads=1) as session:
        want, whole = session.upscale(image), session.last()
    for part in (0.3, 0.5):
        with load(fake_y(4), threads=2, memory=whole.workspace * part / 2**20) as session:
            np.testing.assert_array_equal(session.upscale(image), want)
            assert session.last().strips > whole.strips
