"""Operations that are no kernels, any sizes, 1x1 maps, crops and padding modes: lowering without C."""

import numpy as np
import pytest

from tests.lower.integer_nets import Net, extremes
from tests.lower.simulate import simulate
from tests.lower.spatial_nets import ALL, cca_twice, esa_block, modes, se_chain
from tests.lower.test_programs import LEVELS
from tvmsr.errors import WorkError
from tvmsr.graph.model import INPUT, PadMode, Resampling, Statistic
from tvmsr.kernels.spec import Conv, Load
from tvmsr.lower.pipeline import lower
from tvmsr.lower.program import Kind
from tvmsr.quant import reference
from tvmsr.quant.picture import fitted

VNNI = next(level for level in LEVELS if level.name == "avx512vnni")


@pytest.mark.parametrize("name", ALL)
def test_equals_the_reference(name):
    graph = ALL[name]()
    for size in ((1, 1), (13, 17)):
        image = extremes(1, *size)
        expected = reference.run(graph, fitted(image, graph.sizes))
        for level in LEVELS:
            np.testing.assert_array_equal(simulate(lower(graph, level), image, graph), expected, level.name)


@pytest.mark.parametrize(("name", "bits"), [("cca_twice", 12), ("esa_block", 6), ("statistics", 16), ("pools", 16)])
def test_other_bits(name, bits):
    graph = ALL[name](3, bits)
    image = extremes(2, 20, 9)
    expected = reference.run(graph, fitted(image, graph.sizes))
    for level in LEVELS[::2]:
        np.testing.assert_array_equal(simulate(lower(graph, level), image, graph), expected, level.name)


def steps(graph):
    return {step.name: step for step in lower(graph, VNNI).steps}


def test_gates_are_operands_without_a_pitch():
    """A 1x1 map is multiplied or added where it lies; nothing as large as the picture is made of it."""
    done = steps(cca_twice())
    gate = done["a0.out"]
    assert isinstance(gate.spec.source, Load) and gate.spec.source.times.pitch == 0
    assert [view.broadcast for view in gate.operands] == [False, True, False]
    shift = steps(ALL["statistics"]())["sum"]
    assert shift.operands[0].buffer == "head" and sum(view.broadcast for view in shift.operands) == 2


def test_a_statistic_reads_a_slice_where_it_lies():
    done = steps(cca_twice())
    mean = done["mean_of_part"]
    assert mean.spatial.kind is Kind.STATISTIC and mean.operands[0].offset == 3 and mean.spatial.channels == 5
    assert "part" not in {view.buffer for step in done.values() for view in step.operands}


def test_statistics_of_the_same_channels_are_one_step():
    """As many as operands go; those of a slice are another step."""
    net = Net()
    x = net.conv("head", INPUT, 8)
    part = net.gather("part", x, range(4))
    found = [net.statistic(f"s{i}", x, kind) for i, kind in enumerate((*Statistic, *Statistic))]
    found += [net.statistic(f"p{i}", part, kind) for i, kind in enumerate(Statistic)]
    gate = net.conv("gate", net.concat("found", *found), 8, (1, 1))
    done = steps(net.end(net.mul("gated", x, gate)))
    seven, one, four = (done[name] for name in ("s0", "s7", "p0"))
    assert [len(step.stored) for step in (seven, one, four)] == [7, 1, 4]
    assert seven.nodes == tuple(f"s{i}" for i in range(7)) == tuple(held.tensor for held in seven.stored)
    assert [s.method for s in seven.spatial.each] == [0, 1, 2, 3, 0, 1, 2]
    assert seven.spatial.words == "statistic mean, variance, deviation, max, mean, variance, deviation"
    assert [view.buffer for view in four.operands] == ["head", "p0", "p1", "p2", "p3"]


def test_what_reads_a_step_of_the_driver_is_a_step():
    """Readings, slices and shuffles are no stores of it; a concat that keeps its codes is where it stores."""
    net = Net()
    x = net.conv("head", INPUT, 8)
    pooled = net.max_pool("pooled", x, (3, 3), 1, (1, 1, 1, 1))
    read = net.requantize("read", pooled, bits=6)
    joined = net.concat("joined", pooled, net.gather("part", pooled, range(2, 4)), read, keep=(pooled, "part"))
    shuffled = net.conv("c", net.shuffle("fine", pooled, 2), 4, stride=2, k=(2, 2), padding=(0, 0, 0, 0))
    done = steps(net.end(net.concat("all", net.conv("d", joined, 4), shuffled)))
    assert done["pooled"].operands[1].buffer == "joined" and len(done["pooled"].operands) == 2
    assert {"read", "fine"} <= set(done) and isinstance(done["fine"].spec.source, Load)


def test_readers_of_other_surroundings_get_copies():
    done = lower(modes(), VNNI)
    buffers = {buffer.name: buffer for buffer in done.buffers}
    assert {buffers[name].mode for name in ("input", "input.2", "input.3")} == set(PadMode)
    assert buffers["up"].mode is PadMode.REFLECT and buffers["up"].border == 2
    # A step of the driver's own has one store: what it made is copied by a pass.
    net = Net()
    x = net.max_pool("pool", net.conv("head", INPUT, 4), (3, 3), 1, (1, 1, 1, 1))
    parts = [net.conv(mode.value, x, 4, mode=mode) for mode in PadMode]
    done = steps(net.end(net.concat("all", *parts)))
    assert len(done["pool"].operands) == 2 and {"pool.2", "pool.3"} <= set(done)


def test_crops_and_even_kernels_are_one_convolution():
    done = steps(ALL["crops"]())
    assert done["crop"].padding == (-2, 1, -1, -3) and isinstance(done["crop"].spec.source, Conv)


def test_what_only_gives_a_size_is_not_computed():
    net = Net()
    x = net.conv("head", INPUT, 4)
    size = net.conv("size", x, 4, stride=2)
    small = net.resize("small", x, like=size, method=Resampling.NEAREST)
    done = lower(net.end(net.resize("back", small, like=x)), VNNI)
    assert {"small", "back"} < {step.name for step in done.steps} and "size" not in {b.name for b in done.buffers}


def test_sizes_are_in_the_tables():
    done = lower(esa_block(), VNNI)
    buffers = {buffer.name: buffer for buffer in done.buffers}
    assert [buffers["first.pool"].rows(side) for side in (15, 16, 100)] == [1, 1, 15]
    assert done.radius == 99


def test_phases_are_as_many_as_statistics_in_a_row():
    graph = se_chain(count=7)
    assert sum(step.spatial is not None for step in lower(graph, VNNI).steps) == 7


def test_numbers_beyond_the_driver_are_named():
    net = Net(bits=16)
    x = net.conv("head", INPUT, 2000, (1, 1))
    with pytest.raises(WorkError, match=r"'norm' .*beyond 62 bits"):
        lower(net.end(net.layer_norm("norm", x)), VNNI)
    net = Net()
    net.statistic("mean", net.conv("head", INPUT, 4), Statistic.VARIANCE)
    net.nodes[-1].params["eps"][:] = -1
    with pytest.raises(WorkError, match=r"'mean' .*epsilon"):
        lower(net.end(net.mul("gated", "head", "mean")), VNNI)
    net = Net()
    wild = net.resize("wild", net.conv("head", INPUT, 4), factor=1, method=Resampling.CUBIC, cubic=-3.5)
    with pytest.raises(WorkError, match=r"'wild' .*beyond 32 bits"):
        lower(net.end(wild), VNNI)
