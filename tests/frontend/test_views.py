from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tvmsr.frontend import views
from tvmsr.frontend.views import ViewError

H, W = 5, 7


def shown(view: views.View, x: np.ndarray) -> np.ndarray:
    """What the gather and the depth to space of a view make of x (C, H, W)."""
    moves = views.resolve(view)
    assert moves.fold == 1
    order, block = list(moves.order), moves.block
    y = x[order].reshape(block, block, -1, *x.shape[1:])
    return y.transpose(2, 3, 0, 4, 1).reshape(-1, x.shape[1] * block, x.shape[2] * block)[None]


def test_pixel_shuffles_of_both_orders():
    x = np.random.default_rng(0).random((12, H, W))
    view, array = views.whole("x", 12, H, W), x[None]
    for split, order in (((1, 3, 2, 2, H, W), (0, 1, 4, 2, 5, 3)), ((1, 2, 2, 3, H, W), (0, 3, 4, 1, 5, 2))):
        moved = views.reshape(views.permute(views.reshape(view, split), order), (1, 3, 2 * H, 2 * W))
        assert np.array_equal(shown(moved, x), array.reshape(split).transpose(order).reshape(1, 3, 2 * H, 2 * W))


def test_channel_shuffle_repeat_tile_and_expand():
    x = np.random.default_rng(0).random((6, H, W))
    view, array = views.whole("x", 6, H, W), x[None]
    grouped = views.permute(views.reshape(view, (1, 2, 3, H, W)), (0, 2, 1, 3, 4))
    wanted = array.reshape(1, 2, 3, H, W).transpose(0, 2, 1, 3, 4).reshape(1, 6, H, W)
    assert np.array_equal(shown(views.reshape(grouped, (1, 6, H, W)), x), wanted)
    assert np.array_equal(shown(views.repeat(view, 1, 4), x), np.repeat(array, 4, 1))
    assert np.array_equal(shown(views.tile(view, (1, 4, 1, 1)), x), np.tile(array, (1, 4, 1, 1)))
    grown = views.broadcast(views.reshape(view, (1, 6, 1, H, W)), (1, 6, 3, H, W))
    assert np.array_equal(shown(views.reshape(grown, (1, 18, H, W)), x), np.repeat(array, 3, 1))


@settings(deadline=None)
@given(st.permutations(range(3)))
def test_any_channel_order(outer: list[int]):
    x = np.random.default_rng(0).random((12, H, W))
    split = views.reshape(views.whole("x", 12, H, W), (1, 3, 2, 2, H, W))
    order = (0, *(1 + i for i in outer), 4, 5)
    wanted = x[None].reshape(1, 3, 2, 2, H, W).transpose(order).reshape(1, 12, H, W)
    assert np.array_equal(shown(views.reshape(views.permute(split, order), (1, 12, H, W)), x), wanted)


def test_pixel_unshuffle():
    """Pixels of blocks among the channels, and back in one step as a whole."""
    x = np.random.default_rng(0).random((3, 4, 6))
    view = views.whole("x", 3, 4, 6)
    split = views.reshape(view, (1, 3, 2, 2, 3, 2))
    moves = views.resolve(views.reshape(views.permute(split, (0, 1, 3, 5, 2, 4)), (1, 12, 2, 3)), 4, 6)
    wanted = x.reshape(3, 2, 2, 3, 2).transpose(0, 2, 4, 1, 3).reshape(12, 2, 3)
    phases = x.reshape(3, 2, 2, 3, 2).transpose(2, 4, 0, 1, 3).reshape(12, 2, 3)  # (dy*2 + dx)*C + c
    assert (moves.block, moves.fold) == (1, 2)
    assert np.array_equal(phases[list(moves.order)], wanted)
    again = views.permute(views.reshape(split, (1, 3, 2, 2, 3, 2)), (0, 1, 2, 3, 4, 5))
    assert views.reshape(again, (1, 3, 4, 6)) == view


def test_channels_last():
    """What stands beside a view is found in the order of its source."""
    frame = views.permute(views.whole("x", 4, H, W), (0, 2, 3, 1))
    beside = views.View("y", ((), (), (), (views.Atom(views.CHANNEL, 4, 1),)))
    assert views.pulled_back(beside, frame) == views.whole("y", 4, 1, 1)
    assert views.pulled_back(views.View("z", frame.axes), frame) == views.whole("z", 4, H, W)
    tokens = views.reshape(frame, (1, H * W, 4))
    assert views.pulled_back(views.View("z", tokens.axes), tokens) == views.whole("z", 4, H, W)
    assert views.channel_axis(tokens, 2, 4) == [0, 1, 2, 3]
    assert views.channel_axis(tokens, 1, 4) is None
    assert views.positions(tokens, 4) == [(0, 0, 0), (0, 0, 1), (0, 0, 2), (0, 0, 3)]


def test_windows_are_refused():
    view = views.reshape(views.whole("x", 4, 8, 8), (1, 4, 2, 4, 2, 4))
    windows = views.reshape(views.permute(view, (0, 2, 4, 1, 3, 5)), (4, 4, 4, 4))
    with pytest.raises(ViewError, match="mix"):
        views.resolve(windows, 8, 8)


def test_what_is_no_gather_is_refused():
    view = views.whole("x", 4, H, W)
    with pytest.raises(ViewError, match="reshape"):
        views.reshape(view, (1, 4, H * 2, W))
    with pytest.raises(ViewError, match="reshape"):
        views.reshape(view, (1, 4, 7, 5))
    with pytest.raises(ViewError, match="mix"):
        views.resolve(views.permute(view, (0, 1, 3, 2)))
    with pytest.raises(ViewError, match="mix"):
        views.resolve(views.permute(view, (0, 2, 3, 1)))
    with pytest.raises(ViewError, match="not square"):
        tall = views.permute(views.reshape(view, (1, 2, 2, H, W)), (0, 1, 3, 2, 4))
        views.resolve(views.reshape(tall, (1, 2, 2 * H, W)))
    with pytest.raises(ViewError, match="5 dimensions"):
        views.resolve(views.reshape(view, (1, 2, 2, H, W)))
