"""The embedded default networks keep what is promised of them."""

from __future__ import annotations

import pytest

import tvmsr
from tvmsr.defaults import default_weights


@pytest.mark.parametrize("scale", [2, 4])
def test_small_clip_free_and_with_a_licence(scale: int) -> None:
    path = default_weights(f"default:x{scale}")
    model = tvmsr.load_model(path)
    assert path.stat().st_size <= 250_000
    assert model.scale == scale
    assert model.licence == "Apache-2.0"
    assert not model.assumed, "nothing about our own network may be a guess"
