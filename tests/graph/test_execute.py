from __future__ import annotations

import numpy as np
import pytest

from tests.graph.networks import activate, add, conv, graph
from tvmsr.graph.execute import run_fp32, run_fp32_tensors
from tvmsr.graph.model import Activation, Colour, Model

RNG = np.random.default_rng(0)
NET = graph(
    conv(RNG, "a", "input", 3, 4), activate("b", "a", Activation.RELU), conv(RNG, "c", "b", 4, 4), add("d", "c", "a")
)
X = RNG.random((6, 7, 3), np.float32)


def test_output_of_graph_and_model():
    model = Model(NET, "n", "f", 1, Colour.RGB, False, "unknown", (), "")
    assert np.array_equal(run_fp32(NET, X), run_fp32(model, X))


def test_tensors_keep_and_visit_agree():
    every = run_fp32_tensors(NET, X)
    assert list(every) and set(every) == {"input", "a", "b", "c", "d"}
    assert np.array_equal(every["input"], X)
    kept = run_fp32(NET, X, keep={"b"})
    assert set(kept) == {"b"} and np.array_equal(kept["b"], every["b"])
    seen: list[str] = []
    run_fp32(NET, X, visit=lambda name, value: seen.append(name) or np.testing.assert_array_equal(value, every[name]))
    assert seen == ["input", "a", "b", "c", "d"]


def test_image_of_two_dimensions_is_refused():
    with pytest.raises(ValueError, match="H, W, C"):
        run_fp32(NET, X[:, :, 0])


def test_tensors_are_freed():
    import weakref

    live: list[weakref.ref[np.ndarray]] = []

    def visit(name: str, value: np.ndarray) -> None:
        if name != "input":
            live.append(weakref.ref(value))
            assert sum(ref() is not None for ref in live) <= 2

    chain = graph(*(conv(RNG, f"c{i}", f"c{i - 1}" if i else "input", 3, 3) for i in range(6)))
    run_fp32(chain, X, visit=visit)
