from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.quant import networks, spatial_networks
from tvmsr.graph.analysis import receptive_radius
from tvmsr.quant.windows import best_window

SHARES = (7 / 8, 3 / 4, 1 / 2, 3 / 8, 1 / 4)


def pointwise():
    """A network that looks at one pixel at a time: all of a window's output is that of the crop."""
    b = networks.Builder()
    model = b.model(b.shuffle("out", b.conv("c", "input", 12, k=1), 2))
    assert receptive_radius(model.graph) == 0
    return model


def expected(output, size, low, high):
    """Every window, one after another: the error of the best, by share."""
    found = {}
    for share in SHARES:
        tall, wide = (int(side * share) for side in size)
        if min(tall, wide) < 16:
            break
        cuts = [
            output[2 * y : 2 * (y + tall), 2 * x : 2 * (x + wide)]
            for y in range(size[0] - tall + 1)
            for x in range(size[1] - wide + 1)
        ]
        found[tall, wide] = min(abs(cut.min() - low) + abs(cut.max() - high) for cut in cuts)
    return found


@settings(max_examples=30, deadline=None)
@given(size=st.tuples(st.integers(10, 30), st.integers(10, 30)), seed=st.integers(0, 99))
def test_the_best_of_all_windows(size, seed):
    rng = np.random.default_rng(seed)
    output = rng.normal(0.5, 0.25, (2 * size[0], 2 * size[1], 3)).astype(np.float32)
    low, high = rng.uniform(-0.2, 0.2), rng.uniform(0.8, 1.2)
    window, errors = best_window(pointwise(), size, output, low, high), expected(output, size, low, high)
    if window is None:
        assert not errors
        return
    cut = output[2 * window.rows.start : 2 * window.rows.stop, 2 * window.columns.start : 2 * window.columns.stop]
    assert np.isclose(window.error, abs(cut.min() - low) + abs(cut.max() - high), atol=1e-5)
    assert window.error <= min(errors.values()) + 0.005 + 1e-5
    shape = window.rows.stop - window.rows.start, window.columns.stop - window.columns.start
    assert np.isclose(window.error, errors[shape], atol=1e-5)


def test_windows_of_equal_worth_are_large():
    output = np.full((80, 80, 3), 0.3, np.float32)
    window = best_window(networks.plain(), (40, 40), output, 0.0, 1.0)
    assert window is not None
    assert (window.rows, window.columns) == (slice(0, 35), slice(0, 35))


def test_ends_reached_at_a_windows_edge_count_little():
    """The network sees something else there."""
    output = np.full((48, 80, 3), 0.5, np.float32)
    output[:, 32:34], output[:, 44:46] = 0.0, 1.0
    window = best_window(networks.plain(), (24, 40), output, 0.0, 1.0)
    assert window is not None
    assert window.columns.start < 16
    assert window.columns.stop > 23
    assert window.error == 0.0
    far = best_window(networks.plain(), (24, 40), np.roll(output, -32, axis=1), 0.0, 1.0)
    assert far is not None
    assert far.error > 0.3


def test_too_small_to_be_cut():
    assert best_window(networks.plain(), (15, 40), np.zeros((30, 80, 3), np.float32), 0.0, 1.0) is None


def test_windows_are_of_sizes_that_the_network_runs_on():
    b = networks.Builder()
    x = b.conv("c1", b.put_unshuffle("down", "input", 4), 192)
    model = b.model(b.shuffle("out", x, 8))
    rng = np.random.default_rng(0)
    for _ in range(5):
        output = rng.normal(0.5, 0.25, (80, 96, 3)).astype(np.float32)
        window = best_window(model, (40, 48), output, 0.0, 1.0)
        assert window is not None
        assert all(end % 4 == 0 for cut in (window.rows, window.columns) for end in (cut.start, cut.stop))


def test_statistics_of_the_whole_have_no_margin():
    output = np.full((80, 80, 3), 0.5, np.float32)
    output[:, 0], output[:, -1] = 0.0, 1.0
    window = best_window(spatial_networks.squeeze(), (40, 40), output, 0.5, 1.0)
    assert window is not None
    assert window.error == 0.0
    assert window.columns.start > 0
    assert window.columns.stop == 40
