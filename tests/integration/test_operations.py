"""Every integer operation in random graphs, compiled: what is stored equals the reference, at the ends of codes too."""

from __future__ import annotations

import numpy as np
import pytest

from tests.integration.artifacts import LEVELS, one_level
from tests.integration.random_graphs import OPERATIONS, random_graph
from tests.lower.integer_nets import Net, extremes
from tests.lower.made import compare, make
from tvmsr.graph.model import INPUT, PadMode

SEEDS = range(2)


def pictures(seed: int) -> list[np.ndarray]:
    """Noise with ends, black, white, checks, one pixel; no two of one size."""
    rng = np.random.default_rng(seed)
    sizes = [(int(height), int(width)) for height, width in rng.integers(2, 36, (3, 2))]
    checks = np.indices((*sizes[2], 3)).sum(axis=0) % 2 * 255
    return [
        extremes(seed, *rng.integers(20, 48, 2)),
        np.zeros((*sizes[0], 3), np.uint8),
        np.full((*sizes[1], 3), 255, np.uint8),
        checks.astype(np.uint8),
        extremes(seed, 1, 1),
    ]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_equals_the_reference(tmp_path, operation, seed):
    index = list(OPERATIONS).index(operation) * len(SEEDS) + seed
    target = one_level(index % len(LEVELS) + seed)
    made = make(random_graph(index, operation), tmp_path / "sr.so", target, target.levels)
    first, *others = pictures(index)
    compare(made, first, threads=(1, 3), memory=(1.0, 0.6, 0.3))
    for image in others:
        compare(made, image, threads=(2,), memory=(1.0, 0.5))


def test_depthwise_of_a_concat(tmp_path):
    """It reads all slices, though its weights lie as those of one input."""
    net = Net(1)
    parts = [net.conv(f"part{i}", INPUT, 5, mode=PadMode.REFLECT) for i in range(3)]
    joined = net.concat("joined", *parts)
    graph = net.end(net.conv("depth", joined, 15, (5, 3), groups=15))
    target = one_level(0)
    made = make(graph, tmp_path / "sr.so", target, target.levels)
    assert compare(made, extremes(1, 40, 30), threads=(1, 2), memory=(1.0, 0.5)) > 1


def test_a_mirrored_slice_of_a_concat_whose_rest_is_made_of_it(tmp_path):
    """What the driver's own step stored is copied for the other surroundings before the whole concat is there."""
    net = Net(2)
    x = net.conv("head", INPUT, 6)
    pooled = net.max_pool("pooled", x, (3, 3), 1, (1, 1, 1, 1))
    parts = [net.conv(mode.value, pooled, 4, mode=mode) for mode in PadMode]
    joined = net.concat("joined", *parts, pooled, keep=(pooled,))
    graph = net.end(net.conv("plain", joined, 5))
    target = one_level(0)
    made = make(graph, tmp_path / "sr.so", target, target.levels)
    assert compare(made, extremes(2, 40, 30), threads=(1, 2), memory=(1.0, 0.5)) > 1
