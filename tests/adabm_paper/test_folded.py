from dataclasses import replace

import numpy as np
from safetensors.numpy import save_file

from tests.quant import networks
from tvmsr.adabm_paper.folded import factors_of, folded_factors

MODEL = networks.residual()
FACTORS = np.linspace(-2, 3, 8).astype(np.float32)


def scaled(names: dict[str, np.ndarray]):
    """The network with output channels scaled, as folding a normalisation does."""
    nodes = [
        replace(node, weights={**node.weights, "weight": node.weights["weight"] * names[node.name]})
        if node.name in names
        else node
        for node in MODEL.graph
    ]
    return replace(MODEL, graph=MODEL.graph.with_nodes(tuple(nodes)))


def state(pattern: str = "{}.weight") -> dict[str, np.ndarray]:
    convolutions = [node for node in MODEL.graph if node.op == "conv"]
    return {
        pattern.format(node.name): np.ascontiguousarray(node.weights["weight"].transpose(3, 2, 0, 1))
        for node in convolutions
    }


def test_factors_are_found():
    for pattern in ("{}.weight", "arg:{}_weight"):
        found = factors_of(scaled({"b0a": FACTORS}), state(pattern))
        assert list(found) == ["b0a"]
        np.testing.assert_allclose(found["b0a"], FACTORS, rtol=1e-5)


def test_one_factor_for_all_channels_and_none_are_no_normalisation():
    assert factors_of(scaled({"b0a": np.full(8, 0.5, np.float32)}), state()) == {}
    assert factors_of(MODEL, {}) == {}


def test_weights_that_are_not_scaled_ones_are_left_alone():
    other = state()
    other["b0a.weight"] = other["b1b.weight"]
    other["b1a.weight"] = other["b1a.weight"][:4]
    assert factors_of(scaled({"b0a": FACTORS, "b1a": FACTORS}), other) == {}


def test_channels_of_nothing_have_factor_1():
    factors = FACTORS.copy()
    factors[3] = 0
    found = factors_of(scaled({"b0a": factors}), state())["b0a"]
    assert found[3] == 1
    assert (found != 0).all()


def test_files(tmp_path):
    file = tmp_path / "net.safetensors"
    save_file(state(), file)
    assert list(folded_factors(scaled({"b1b": FACTORS}), file)) == ["b1b"]
    assert folded_factors(MODEL, "default:x2") == {}
    assert folded_factors(MODEL, tmp_path / "missing.safetensors") == {}
