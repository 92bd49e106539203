"""What lowering promises about a step's numbers holds, and is not promised where it does not."""

from dataclasses import replace

import numpy as np
import pytest

from tests.lower.native import compile_programs, execute
from tests.lower.networks import ALL
from tests.lower.test_programs import LEVELS, integer_graph
from tests.quant.networks import picture
from tvmsr.hardware import host_levels
from tvmsr.kernels.spec import Conv
from tvmsr.lower.pipeline import lower
from tvmsr.quant import reference
from tvmsr.quant.integer import TERM_LIMIT


def kernels(graph):
    return [step for step in lower(graph, LEVELS[0]).steps if step.spec is not None]


@pytest.mark.parametrize(("name", "bits"), [("residual", "8"), ("imdn", "a12w8"), ("tables", "16")])
def test_ordinary_networks_are_tame(name, bits):
    assert all(step.spec.epilogue.tame for step in kernels(integer_graph(ALL[name](), bits)))


def test_bytes_with_all_codes_are_full():
    found = [s.full for step in kernels(integer_graph(ALL["residual"](), "8")) for s in step.spec.epilogue.stores]
    assert any(found)
    stored = [s for step in kernels(integer_graph(ALL["residual"](), "a6w4")) for s in step.spec.epilogue.stores]
    assert not any(s.full for s in stored[:-1] if s.form.bytes == 1)  # streams have all 16 bits
    assert stored[-1].full  # the picture has all bytes


@pytest.mark.parametrize("steep", [2.0**22, 2.0**100])
def test_steep_multipliers_are_not_tame(steep):
    """Products beyond what is promised: every kernel still gives the reference's bytes."""
    graph = integer_graph(ALL["residual"](), "8")
    first = next(node for node in graph if node.op == "conv")
    m = first.params["m"] * np.float32(steep)
    assert float(np.max(m * np.maximum(-first.acc_min, first.acc_max))) > TERM_LIMIT
    nodes = tuple(replace(n, params={**n.params, "m": m}) if n is first else n for n in graph)
    graph = replace(graph, nodes=nodes)
    (step,) = (s for s in kernels(graph) if isinstance(s.spec.source, Conv) and s.layer.name == first.name)
    assert not step.spec.epilogue.tame
    _compare(graph)


@pytest.mark.parametrize("slope", ["m0", "m_neg0"])
def test_a_steep_activation_of_a_sum_is_not_tame(slope):
    graph = integer_graph(ALL["leaky_sums"](), "8")
    first = next(node for node in graph if "m_neg0" in node.params)
    steep = first.params[slope] * np.float32(2.0**22)
    nodes = tuple(replace(n, params={**n.params, slope: steep}) if n is first else n for n in graph)
    graph = replace(graph, nodes=nodes)
    ended = [step.spec.epilogue for step in kernels(graph) if step.spec.epilogue.post]
    assert [epilogue.tame for epilogue in ended] == [False, True, True, True]
    _compare(graph)


def _compare(graph):
    image = picture(3, 11, 12)
    expected = reference.run(graph, image)
    programs = [lower(graph, level) for level in host_levels()]
    compiled, names = compile_programs(programs)
    for program in programs:
        np.testing.assert_array_equal(execute(program, image, compiled, names, graph, 2), expected, program.level)
