"""Requantizations that are kept apart are passes of their own, and give the same bytes."""

import numpy as np
import pytest

from tests.lower.native import compile_programs, execute
from tests.lower.networks import ALL
from tests.lower.simulate import simulate
from tests.lower.test_programs import LEVELS, integer_graph
from tests.quant.networks import picture
from tvmsr.errors import WorkError
from tvmsr.hardware import host_levels
from tvmsr.kernels.spec import Load
from tvmsr.lower.pipeline import lower
from tvmsr.quant import reference


def clipped(name):
    """A network with a clip of its own behind its end."""
    graph = integer_graph(ALL[name](), method="clip-minmax")
    assert next(node for node in graph if node.name == graph.output).op == "requantize"
    return graph


def passes(program):
    return [step.name for step in program.steps if step.spec is not None and isinstance(step.spec.source, Load)]


@pytest.mark.parametrize("name", ["plain", "srvgg", "srresnet", "imdn"])
def test_a_clip_kept_apart_is_one_more_pass_with_the_same_bytes(name):
    graph, image = clipped(name), picture(1, 7, 9)
    expected = reference.run(graph, image)
    for level in LEVELS:
        fused, apart = lower(graph, level), lower(graph, level, frozenset({graph.output}))
        assert passes(apart) == [*passes(fused), graph.output] and len(apart.steps) == len(fused.steps) + 1
        assert apart.steps[-1].nodes == (graph.output,)
        for program in (fused, apart):
            np.testing.assert_array_equal(simulate(program, image, graph), expected)


def test_kernels_of_what_is_kept_apart():
    graph, image = clipped("plain"), picture(3, 13, 17)
    programs = [lower(graph, level, frozenset({graph.output})) for level in host_levels()]
    kernels, names = compile_programs(programs)
    for program in programs:
        got = execute(program, image, kernels, names, graph)
        np.testing.assert_array_equal(got, reference.run(graph, image), program.level)


def test_readings_of_a_stream_kept_apart():
    graph, image = integer_graph(ALL["residual"]()), picture(1, 7, 9)
    reads = frozenset(node.name for node in graph if node.op == "requantize")
    program = lower(graph, LEVELS[0], reads)
    assert reads and reads <= set(passes(program))
    np.testing.assert_array_equal(simulate(program, image, graph), reference.run(graph, image))


@pytest.mark.parametrize("name", ["nothing", "c0"])
def test_only_requantizations_can_be_kept_apart(name):
    with pytest.raises(WorkError, match=f"'{name}' cannot be a pass of its own"):
        lower(clipped("plain"), LEVELS[0], frozenset({name}))
