"""Every network, with its compiled kernels on every level this CPU has, gives the reference executor's bytes."""

import numpy as np
import pytest

from tests.lower.native import compile_programs, execute
from tests.lower.networks import ALL, strided
from tests.lower.test_programs import integer_graph
from tests.quant.networks import picture
from tvmsr.hardware import host_levels
from tvmsr.lower.pipeline import lower
from tvmsr.quant import reference


@pytest.mark.parametrize(
    ("name", "bits"), [*((name, "8") for name in ALL), ("residual", "a6w4"), ("imdn", "a12w8"), ("tables", "16")]
)
def test_equals_the_reference(name, bits):
    graph = integer_graph(ALL[name](), bits)
    _compare(graph, picture(3, 13, 17))


def test_strides():
    _compare(integer_graph(strided()), picture(3, 14, 18))


def _compare(graph, image):
    expected = reference.run(graph, image)
    programs = [lower(graph, level) for level in host_levels()]
    kernels, names = compile_programs(programs)
    for program in programs:
        for bands in (1, 3):
            got = execute(program, image, kernels, names, graph, bands)
            np.testing.assert_array_equal(got, expected, program.level)
