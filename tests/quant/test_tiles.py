"""Tiles that choose for themselves: their complexities, how results are blended, and that no seam shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.quant.adaptive_plans import adaptive_plan, busy, flat
from tests.quant.networks import residual
from tests.quant.test_representative import near
from tvmsr.quant.adaptive import Choosing, bind_choices, choosing_of
from tvmsr.quant.complexity import complexity
from tvmsr.quant.picture import upscale_picture
from tvmsr.quant.tiles import (
    BAND,
    blend,
    complexities,
    offsets,
    repeated,
    shares,
    tile_bounds,
    upscale_tiles,
    weights_of,
)

BOARD = [[0, 1], [1, 0]]


@pytest.mark.parametrize(
    ("side", "tile", "bounds"), [(1, 16, [0, 1]), (31, 16, [0, 31]), (32, 16, [0, 16, 32]), (100, 32, [0, 32, 64, 100])]
)
def test_the_last_tile_takes_the_rest(side, tile, bounds):
    assert tile_bounds(side, tile) == bounds


def test_complexities():
    """Gradients look beyond their tile, within the picture: with each tile's edges repeated they would be others."""
    image = busy(70, 53)
    found = complexities(image, 20)
    assert found.shape == (3, 2)
    for i, (top, bottom) in enumerate(((0, 20), (20, 40), (40, 70))):
        for j, (left, right) in enumerate(((0, 20), (20, 53))):
            wide = image[max(0, top - 1) : bottom + 1, max(0, left - 1) : right + 1].astype(np.int64)
            wide = np.pad(wide, ((top == 0, bottom == 70), (left == 0, right == 53), (0, 0)), mode="edge")
            y = (wide @ np.array([19595, 38470, 7471]) + (1 << 15)) >> 16
            total = 0
            for r in range(1, y.shape[0] - 1):
                for c in range(1, y.shape[1] - 1):
                    a = y[r - 1 : r + 2, c - 1 : c + 2]
                    total += abs(int((a[:, 2] - a[:, 0]) @ [1, 2, 1])) + abs(int((a[2] - a[0]) @ [1, 2, 1]))
            assert found[i, j] == 256 * total // ((bottom - top) * (right - left))
    np.testing.assert_array_equal(complexities(image, 64), [[complexity(image)]])


def test_a_picture_of_one_tile_chooses_as_a_whole():
    whole = Choosing(("a", "b", "c"), (0, -1, 1), 6_000, 60_000)
    tiled = replace(whole, tile=32)
    for image in (flat(40, 60), busy(63, 33)):
        np.testing.assert_array_equal(tiled.of_tiles(image), [[whole.of(image)]])
        assert tiled.of(image) == whole.of(image) == whole.of_tiles(image)
    image = np.concatenate([flat(32, 96), busy(32, 64)], axis=1)
    np.testing.assert_array_equal(tiled.of_tiles(image), [[1, 1, 1, 2, 2]])
    assert tiled.of(image) == 1


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 8), st.integers(16, 40), st.integers(1, 90), st.integers(1, 90), st.integers(0, 999))
def test_weights_sum_to_one_and_equal_choices_are_left_alone(scale, tile, height, width, seed):
    rng = np.random.default_rng(seed)
    down, across = (len(tile_bounds(side, tile)) - 1 for side in (height, width))
    choices = rng.integers(0, 3, (down, across)).astype(np.uint8)
    each = [weights_of(choices, choice, (height, width), tile, scale) for choice in range(3)]
    assert min(w.min() for w in each) >= 0
    np.testing.assert_array_equal(sum(each), np.full((scale * height, scale * width), 256))
    image = rng.integers(0, 256, (scale * height, scale * width, 3), np.uint8)
    np.testing.assert_array_equal(blend({0: image, 1: image, 2: image}, choices, tile, scale), image)


@pytest.mark.parametrize("scale", range(1, 9))
def test_a_band_is_a_ramp(scale):
    first, share = shares(70, 20, scale)
    border, half = 20 * scale, scale * BAND // 2
    ramp = share[border - half : border + half]
    assert ((ramp > 0) & (ramp <= 128)).all() and (np.diff(ramp) >= 0).all()
    assert np.diff(ramp).max() <= -(-128 // (2 * half)) and abs(int(ramp[half - 1] + ramp[half]) - 128) <= 1
    assert not share[half + border : 2 * border - half].any()
    np.testing.assert_array_equal(first[[0, border - half, border + half - 1, border + half]], [0, 0, 0, 1])
    odd = offsets(70, 20, scale)
    np.testing.assert_array_equal(odd[border : border + half], odd[border - half : border][::-1])


def test_few_codes_of_difference_do_not_step_at_the_border():
    """Flat results, up to 15 codes apart, one way or the other, on both sides."""
    for scale in (2, 3, 4):
        choices, border = np.array(BOARD, np.uint8), 32 * scale
        for more in range(-15, 16):
            low = np.full((64 * scale, 64 * scale, 3), 100, np.uint8)
            out = blend({0: low, 1: low + np.uint8(more % 256)}, choices, 32, scale).astype(np.int64)
            np.testing.assert_array_equal(out[border - 1], out[border])
            np.testing.assert_array_equal(out[:, border - 1], out[:, border])


def pictures(height: int, width: int) -> dict[str, np.ndarray]:
    y, x = np.mgrid[:height, :width]
    smooth = [255 * (x + y) / (height + width), 128 + 100 * np.sin(x / 17), 128 + 100 * np.cos(y / 23)]
    return {
        "flat": np.full((height, width, 3), 90, np.uint8),
        "coloured": np.broadcast_to(np.array([200, 40, 120], np.uint8), (height, width, 3)),
        "smooth": np.stack(smooth, axis=-1).astype(np.uint8),
        "busy": busy(height, width),
    }


def border_and_inside(out: np.ndarray, tile: int, scale: int) -> list[tuple[float, float]]:
    """The mean step across tile borders, and between other pixels of neighbouring LR pixels; down, then across.

    What the network does at the picture's edges is left out.
    """
    edge, found = 12 * scale, []
    for axis in (0, 1):
        turned = np.moveaxis(out.astype(np.int64), axis, 0)
        step = np.abs(np.diff(turned, axis=0))[:, edge:-edge].mean(axis=(1, 2))
        borders = np.array(tile_bounds(turned.shape[0] // scale, tile)[1:-1]) * scale - 1
        others = np.arange(scale - 1, len(step), scale)
        others = others[~np.isin(others, borders) & (others > edge) & (others < len(step) - edge)]
        found.append((step[borders].mean(), step[others].mean()))
    return found


@pytest.fixture(scope="module", params=[residual, near])
def graphs(request):
    model = request.param()
    return bind_choices(model, adaptive_plan(model))


@pytest.mark.parametrize("tile", [32, 64])
@pytest.mark.parametrize("pair", [(0, 1), (0, 2), (1, 2)])
def test_no_seam_shows(graphs, tile, pair):
    """Choices by turns, as on a chessboard: the mean step across borders is at most that inside the tiles.

    A picture's own steps are others at every place: what the single choices have there is taken off, of flat ones too,
    where one choice has some tiles more than the other. Two thousandths are what the rounding of pixels leaves.
    """
    scale = graphs[0].scale
    for name, image in pictures(128, 192).items():
        choices = np.array(pair, np.uint8)[repeated(BOARD, image, tile)]
        results = {choice: upscale_picture(graphs[choice], image) for choice in pair}
        blended = border_and_inside(blend(results, choices, tile, scale), tile, scale)
        alone = np.mean([border_and_inside(result, tile, scale) for result in results.values()], axis=0)
        for (border, inside), (own_border, own_inside) in zip(blended, alone, strict=True):
            left = own_border / 500
            assert border - own_border <= inside - own_inside + left, (name, border, inside)
            assert border <= own_border + left, name


def test_upscale_tiles(graphs):
    model = residual()
    plan = adaptive_plan(model)
    adaptive = plan.adaptive
    assert adaptive is not None
    choosing = choosing_of(
        plan.model_copy(update={"adaptive": adaptive.model_copy(update={"mode": "tile", "tile": 24})})
    )
    assert choosing.tile == 24 and choosing_of(plan).tile == 0
    image = np.concatenate([flat(50, 60), busy(50, 60)], axis=1)
    choices = choosing.of_tiles(image)
    assert set(choices.flat) >= {1, 2}
    made = upscale_tiles(graphs, choosing, image)
    np.testing.assert_array_equal(made, upscale_tiles(graphs, choosing, image, choices))
    for choice in (1, 2):
        alone = upscale_picture(graphs[choice], image)
        np.testing.assert_array_equal(upscale_tiles(graphs, choosing, image, np.full((2, 5), choice, np.uint8)), alone)
    np.testing.assert_array_equal(made[:, :60], upscale_picture(graphs[1], image)[:, :60])
    whole = choosing_of(plan)
    np.testing.assert_array_equal(upscale_tiles(graphs, whole, image), upscale_picture(graphs[whole.of(image)], image))
