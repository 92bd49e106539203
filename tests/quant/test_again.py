"""Only what differs from a known run is computed, and the bytes are those of a whole run."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.quant import networks
from tvmsr.quant import again
from tvmsr.quant.again import run_all
from tvmsr.quant.bind import bind
from tvmsr.quant.calibrate import calibrate
from tvmsr.quant.reference import run_tensors

CROPS = [networks.picture(s) for s in range(3)]


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []
    real: Callable = again.execute
    monkeypatch.setattr(again, "execute", lambda node, operands: names.append(node.name) or real(node, operands))
    return names


@pytest.mark.parametrize("name", networks.ALL)
def test_the_same_tensors(name, computed):
    model = networks.ALL[name]()
    graphs = [bind(model, calibrate(model, CROPS, bits=bits, max_drop=None, rounding=False)) for bits in (8, "a7w8")]
    known = run_all(graphs[0], CROPS[0])
    assert computed == [node.name for node in graphs[0]]
    computed.clear()
    found = run_all(graphs[1], CROPS[0], known)
    assert computed
    for key, values in run_tensors(graphs[1], CROPS[0]).items():
        np.testing.assert_array_equal(found.tensors[key].values, values, key)
    computed.clear()
    np.testing.assert_array_equal(run_all(graphs[0], CROPS[0], known).output, known.output)
    assert not computed


def test_what_lies_before_the_change_is_kept(computed):
    model = networks.residual()
    plan = calibrate(model, CROPS, max_drop=None)
    graph = bind(model, plan)
    known = run_all(graph, CROPS[1])
    bias = plan.layers["b1b"].model_copy(update={"bias_correction": [0.5] * graph.nodes[0].channels})
    changed = bind(model, plan.model_copy(update={"layers": {**plan.layers, "b1b": bias}}))
    computed.clear()
    found = run_all(changed, CROPS[1], known)
    order = [node.name for node in changed]
    assert computed[0] == "b1b" and computed == [name for name in order if name in computed]
    assert not {"head", "b0a", "b0b", "b1a"} & set(computed)
    np.testing.assert_array_equal(found.output, run_tensors(changed, CROPS[1])[changed.output])
