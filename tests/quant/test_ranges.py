"""What is seen of the FP32 network on crops: the same with any number of threads; a word for values without bounds."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pytest

from tests.quant import networks
from tvmsr.abreast import abreast
from tvmsr.errors import InputFileError
from tvmsr.graph.execute import run_fp32_tensors
from tvmsr.quant.ranges import BINS, Watched, as_float, observe_channels, observe_histograms

CROPS = [networks.picture(s) for s in range(5)]


@pytest.mark.parametrize("threads", [1, 4])
def test_channels_of_all_crops(threads):
    model, ticks = networks.residual(1), []
    with abreast(threads):
        seen = observe_channels(model.graph, CROPS, lambda: ticks.append(1))
    assert len(ticks) == len(seen.outputs) == len(CROPS)
    every = [run_fp32_tensors(model, as_float(crop)) for crop in CROPS]
    assert all(np.array_equal(out, one[model.graph.output]) for out, one in zip(seen.outputs, every, strict=True))
    for name, stats in seen.stats.items():
        flat = [one[name].reshape(-1, one[name].shape[2]).astype(np.float64) for one in every]
        assert np.array_equal(stats.low, np.concatenate(flat).min(axis=0))
        assert np.array_equal(stats.high, np.concatenate(flat).max(axis=0))
        assert np.allclose(stats.square, (np.concatenate(flat) ** 2).mean(axis=0), rtol=1e-6)


@pytest.mark.parametrize("threads", [1, 4])
def test_histograms_of_all_crops(threads):
    model, ticks = networks.residual(1), []
    watched = [
        Watched({"head": np.ones(1)}, -1.0, 1.0),
        Watched({"head": np.full(1, 0.5), "input": np.ones(3)}, 0.0, 2.0),
    ]
    with abreast(threads):
        found = observe_histograms(model.graph, CROPS, watched, lambda: ticks.append(1))
    assert len(ticks) == len(CROPS)
    every = [run_fp32_tensors(model, as_float(crop)) for crop in CROPS]
    for entry, histogram in zip(watched, found, strict=True):
        values = [
            (one[name] / factor.astype(np.float32)).ravel() for one in every for name, factor in entry.tensors.items()
        ]
        assert np.array_equal(histogram.counts, np.histogram(np.concatenate(values), BINS, (entry.low, entry.high))[0])


@pytest.mark.parametrize("threads", [1, 4])
def test_values_without_bounds_are_named(threads):
    """And numpy says nothing of them, in whichever thread."""
    model = networks.residual(1)
    huge = [
        dataclasses.replace(node, weights={**node.weights, "weight": node.weights["weight"] * np.float32(1e30)})
        if node.op == "conv"
        else node
        for node in model.graph
    ]
    graph = model.graph.with_nodes(tuple(huge))
    with abreast(threads), warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputFileError, match="the network cannot be quantized"):
            observe_channels(graph, CROPS, lambda: None)
