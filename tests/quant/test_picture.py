from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.quant import networks, spatial_networks
from tests.quant.test_bind import bound
from tvmsr.graph.analysis import SizeRule
from tvmsr.graph.execute import run_fp32
from tvmsr.graph.model import Colour
from tvmsr.imaging.colour import join_luma
from tvmsr.quant.picture import fitted, fitted_side, fp32_picture, upscale_picture
from tvmsr.quant.ranges import as_float
from tvmsr.quant.reference import run


@pytest.mark.parametrize(
    ("side", "rule", "wanted"),
    [
        (1, SizeRule(1, 1), 1),
        (7, SizeRule(1, 1), 7),
        (3, SizeRule(15, 1), 15),
        (16, SizeRule(15, 1), 16),
        (1, SizeRule(8, 4), 8),
        (8, SizeRule(8, 4), 8),
        (9, SizeRule(8, 4), 12),
        (12, SizeRule(4, 4), 12),
    ],
)
def test_sides(side, rule, wanted):
    assert fitted_side(side, rule) == wanted


def test_the_last_row_and_column_are_repeated():
    image = networks.picture(0, 5, 6)
    seen = fitted(image, SizeRule(4, 4))
    assert seen.shape == (8, 8, 3)
    assert seen.dtype == np.uint8
    assert np.array_equal(seen[:5, :6], image)
    assert np.all(seen[5:, :6] == image[4])
    assert np.all(seen[:5, 6:] == image[:, 5:])
    assert np.all(seen[5:, 6:] == image[4, 5])
    assert fitted(image, SizeRule(5, 1)) is image


@pytest.mark.parametrize("name", ["esa", "halved", "cca"])
@pytest.mark.parametrize("size", [(1, 1), (5, 16), (17, 19)])
def test_pictures_of_any_size(name, size):
    model = spatial_networks.SPATIAL[name]()
    graph, image = bound(model)[1], networks.picture(1, *size)
    seen = fitted(image, graph.sizes)
    out = upscale_picture(graph, image)
    assert out.shape == (2 * size[0], 2 * size[1], 3)
    assert out.flags.c_contiguous
    assert np.array_equal(out, run(graph, seen)[: out.shape[0], : out.shape[1]])
    exact = fp32_picture(model, as_float(image))
    assert np.array_equal(exact, run_fp32(model, as_float(seen))[: out.shape[0], : out.shape[1]])


def test_the_chroma_of_a_continued_picture_is_that_of_the_picture():
    model = spatial_networks.esa()
    graph = bound(model)[1]
    luma = dataclasses.replace(graph, colour=Colour.Y)
    image = networks.picture(1, 9, 30)
    y = run(graph, fitted(image, graph.sizes))[:18, :60, 0]
    assert np.array_equal(upscale_picture(luma, image), join_luma(image, y))
