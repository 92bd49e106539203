"""Real kernels in bands and layer by layer: all that is stored is the reference executor's, whatever the groups."""

from __future__ import annotations

import pytest

from tests.artifact.fake_reference import layer_by_layer
from tests.lower import networks, spatial_nets
from tests.lower.integer_nets import extremes
from tests.lower.made import compare, make
from tests.lower.test_programs import integer_graph
from tests.quant.networks import Builder
from tvmsr.hardware import host_levels, host_target
from tvmsr.quant.integer import IntegerGraph
from tvmsr.runtime import load

LEVELS = host_levels()[:1]
SIZES = ((1, 1), (1, 9), (13, 17), (60, 33))


@pytest.mark.parametrize("name", [*spatial_nets.ALL, *networks.ALL])
def test_layer_by_layer(tmp_path, name):
    target = host_target()
    found = spatial_nets.ALL.get(name)
    graph = found() if found else integer_graph(networks.ALL[name](), "8")
    made = make(graph, tmp_path / "l.so", target, LEVELS, cc=layer_by_layer(target.link_triple))
    for size in SIZES:
        compare(made, extremes(1, *size), memory=(1.0, 0.5))


def deep(layers: int) -> IntegerGraph:
    b, x = Builder(0), "input"
    for i in range(layers):
        x = b.conv(f"c{i}", x, 8)
    model = b.model(b.shuffle("out", b.conv("last", x, 12, bias=0.3), 2), 2)
    return integer_graph(model, "8")


def test_memory_grows_with_layers_not_with_how_far_the_first_are_ahead(tmp_path):
    """No strip makes more rows than another: rings hold a strip and what its readers look at, at any depth."""
    sizes = []
    for layers in (8, 24):
        made = make(deep(layers), tmp_path / f"{layers}.so", host_target(), LEVELS)
        compare(made, extremes(1, 90, 420), memory=(1.0, 0.5))
        with load(made.path, threads=1) as session:
            sizes.append(session.workspace(30_000, 1000))
    assert sizes[1] < 3.4 * sizes[0]
