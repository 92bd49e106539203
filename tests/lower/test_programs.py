"""Every network of networks.py, lowered and run on bytes, gives the reference executor's bytes: lowering without C."""

import numpy as np
import pytest

from tests.lower.networks import ALL, pads, strided
from tests.lower.simulate import simulate
from tests.quant.networks import picture
from tvmsr.hardware.target import Level
from tvmsr.kernels.isa import ISAS
from tvmsr.lower.pipeline import lower
from tvmsr.quant import reference
from tvmsr.quant.bind import bind
from tvmsr.quant.calibrate import calibrate

LEVELS = [Level(name, name, "generic") for name in ISAS]


def integer_graph(model, bits="8", **options):
    return bind(model, calibrate(model, [picture()], bits=bits, bias_correction=False, **options))


@pytest.mark.parametrize("bits", ["8", "a6w4", "a12w8", "16"])
@pytest.mark.parametrize("name", ALL)
def test_equals_the_reference(name, bits):
    graph = integer_graph(ALL[name](), bits)
    image = picture(1, 7, 9)
    expected = reference.run(graph, image)
    for level in LEVELS:
        np.testing.assert_array_equal(simulate(lower(graph, level), image, graph), expected)


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (4, 2), (8, 6)])
def test_small_and_strided_pictures(size):
    graph = integer_graph(pads())
    image = picture(2, *size)
    np.testing.assert_array_equal(simulate(lower(graph, LEVELS[0]), image, graph), reference.run(graph, image))


def test_strides():
    graph = integer_graph(strided())
    image = picture(2, 8, 6)
    np.testing.assert_array_equal(simulate(lower(graph, LEVELS[0]), image, graph), reference.run(graph, image))


def test_same_input_same_program():
    graph = integer_graph(ALL["imdn"]())
    one, two = (lower(graph, LEVELS[0]) for _ in range(2))
    assert [step.spec for step in one.steps] == [step.spec for step in two.steps]
    assert [b.name for b in one.buffers] == [b.name for b in two.buffers]
