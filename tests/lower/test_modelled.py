"""Modelled time of a network, by layer."""

from __future__ import annotations

import pytest

from tests.lower.networks import ALL
from tests.lower.test_programs import LEVELS, integer_graph
from tvmsr.kernels.choice import choose
from tvmsr.kernels.cost import storage_cycles
from tvmsr.kernels.spec import Conv
from tvmsr.lower.modelled import modelled_cycles
from tvmsr.lower.pipeline import lower


@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.name)
def test_every_layer_has_a_time(level):
    for name in ("plain", "srvgg", "imdn"):
        graph = integer_graph(ALL[name]())
        found = modelled_cycles(graph, level)
        weighed = {step.layer.name for step in lower(graph, level).steps if step.layer is not None}
        assert weighed <= set(found) and all(cycles >= 0 for cycles in found.values())
        assert found == modelled_cycles(graph, level)


def test_a_layer_takes_what_its_kernel_was_chosen_for_and_its_maps():
    graph, level = integer_graph(ALL["plain"]()), LEVELS[0]
    found = modelled_cycles(graph, level)
    for step in lower(graph, level).steps:
        if step.spec is None or not isinstance(step.spec.source, Conv) or step.blocks != (1,):
            continue
        best = choose(step.spec.source, step.spec.epilogue, level.isa, step.layer.weight).cycles_per_pixel
        (store,) = step.spec.epilogue.stores
        assert found[step.layer.name] == pytest.approx(best + storage_cycles(store.channels, store.form))


@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.name)
def test_wider_codes_take_longer(level):
    model = ALL["plain"]()
    narrow, wide = (sum(modelled_cycles(integer_graph(model, bits=bits), level).values()) for bits in (8, 12))
    assert wide > narrow
