from dataclasses import replace

import numpy as np
import pytest

from tests.needs import installed
from tests.quant import networks
from tvmsr.adabm_paper.protocol import Draw, Keep, Protocol, Quirks
from tvmsr.errors import UsageError

torch = installed("torch", "pip install tvmsr[torch]")

from tvmsr.adabm_paper.data import Crops  # noqa: E402

GRAPH = networks.residual().graph
PLAIN = Protocol(crop=12, batch=2)


def pictures(count: int = 5, height: int = 16, width: int = 14):
    return [networks.picture(seed, height, width) for seed in range(count)]


def epoch(crops: Crops, number: int) -> np.ndarray:
    return np.concatenate([batch.numpy() for batch in crops.batches(number, 2)])


def test_batches_are_squares_of_all_crops():
    crops = Crops(pictures(), PLAIN, GRAPH, 0)
    found = list(crops.batches(1, 2))
    assert [tuple(batch.shape) for batch in found] == [(2, 3, 12, 12), (2, 3, 12, 12), (1, 3, 12, 12)]
    assert crops.steps(2) == 3
    values = sorted(round(float(batch[k].sum()), 3) for batch in found for k in range(len(batch)))
    want = sorted(round(float((picture[:12, :12] / 255).sum()), 3) for picture in pictures())
    np.testing.assert_allclose(values, want, rtol=1e-5)


def test_crops_are_turned():
    crops = Crops([pictures(1)[0]] * 200, PLAIN, GRAPH, 0)
    kinds = {picture.tobytes() for picture in epoch(crops, 1)}
    assert len(kinds) == 8


def test_published_epochs_are_the_same_and_fresh_ones_are_not():
    repeated = Crops(pictures(), PLAIN, GRAPH, 3)
    assert np.array_equal(epoch(repeated, 1), epoch(repeated, 2))
    assert not np.array_equal(epoch(repeated, 0), epoch(repeated, 1))
    fresh = Crops(pictures(), replace(PLAIN, quirks=Quirks(draw=Draw.FRESH)), GRAPH, 3)
    assert not np.array_equal(epoch(fresh, 1), epoch(fresh, 2))
    assert np.array_equal(epoch(fresh, 1), epoch(repeated, 1))


def test_seeds():
    one, same, other = (Crops(pictures(), PLAIN, GRAPH, seed) for seed in (1, 1, 2))
    assert np.array_equal(epoch(one, 1), epoch(same, 1))
    assert not np.array_equal(epoch(one, 1), epoch(other, 1))


def test_held_crops_are_not_trained_on():
    crops = Crops(pictures(5), replace(PLAIN, quirks=Quirks(keep=Keep.BEST, held=2)), GRAPH, 0)
    assert len(crops.held) == 2
    assert crops.count == 3
    alone = Crops(pictures(1), replace(PLAIN, quirks=Quirks(keep=Keep.BEST, held=2)), GRAPH, 0)
    assert (len(alone.held), alone.count) == (0, 1)


def test_the_smallest_picture_says_the_size():
    crops = Crops([*pictures(2), networks.picture(0, 9, 20)], PLAIN, GRAPH, 0)
    assert crops.side == 9


def test_too_small_or_none():
    with pytest.raises(UsageError, match="squares of 5 pixels"):
        Crops([networks.picture(0, 5, 20)], PLAIN, GRAPH, 0)
    with pytest.raises(UsageError, match="at least one"):
        Crops([], PLAIN, GRAPH, 0)
