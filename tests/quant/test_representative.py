from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.quant import networks, spatial_networks
from tvmsr.errors import UsageError
from tvmsr.graph.analysis import size_rule
from tvmsr.graph.execute import run_fp32
from tvmsr.graph.model import Activation, Colour
from tvmsr.quant import representative
from tvmsr.quant.picture import fitted
from tvmsr.quant.ranges import as_float
from tvmsr.quant.representative import PASSES, TRIED, WAYS, Search, described, representatives

#: Sides of crops: some too small for windows, patches or the network.
SIDES = st.integers(1, 40)


def near(seed=0, gain=0.1):
    """A network that enlarges and overshoots a little, as those do that were trained."""
    b = networks.Builder(seed)
    x = b.conv("c0", "input", 12, activation=Activation.RELU)
    details = b.conv("c1", x, 12, gain=gain, bias=0.0)
    return b.model(b.shuffle("out", b.add("sum", details, b.gather("anchor", "input", [0, 1, 2] * 4)), 2))


def luma(seed=0):
    """One of Y: 16/255 to 235/255 for black to white, and details."""
    b = networks.Builder(seed)
    y = b.conv("y", "input", 1, k=1)
    b.nodes[-1].weights["weight"][0, 0, :, 0] = np.array([65.481, 128.553, 24.966], np.float32) / 255
    b.nodes[-1].weights["bias"][:] = 16 / 255
    details = b.conv("c1", b.conv("c0", y, 6, activation=Activation.RELU), 4, gain=0.1, bias=0.0)
    model = b.model(b.shuffle("out", b.add("sum", details, b.gather("anchor", y, [0] * 4)), 2))
    return replace(model, colour=Colour.Y)


def unshuffled(seed=0):
    """One whose pictures have even sides."""
    b = networks.Builder(seed)
    x = b.conv("c1", b.put_unshuffle("down", "input", 2), 8, activation=Activation.RELU)
    model = b.model(b.shuffle("out", b.conv("c2", x, 48, gain=0.3, bias=0.3), 4))
    assert size_rule(model.graph).multiple == 2
    return model


MODELS = {
    "near": near,
    "luma": luma,
    "unshuffled": unshuffled,
    "split_concat": networks.split_concat,
    "statistics": spatial_networks.squeeze,
    "attention": spatial_networks.esa,
}


def outputs_of(model, crops):
    return [run_fp32(model, as_float(crop)) for crop in crops]


def made(model, crops, **how):
    crops = [fitted(crop, size_rule(model.graph)) for crop in crops]
    return representatives(model, crops, outputs_of(model, crops), **how)


def pictures(count=6, side=40):
    return [networks.picture(seed, side, side) for seed in range(count)]


def ends(model):
    return (16 / 255, 235 / 255) if model.colour is Colour.Y else (0.0, 1.0)


def check(model, found, overshoot=0.0):
    """What is said of each picture is so for its bytes alone."""
    rule, (black, white) = size_rule(model.graph), ends(model)
    for picture in found:
        assert picture.pixels.dtype == np.uint8
        assert picture.pixels.ndim == 3
        assert picture.pixels.shape[2] == 3
        assert min(picture.pixels.shape[:2]) >= rule.minimum
        assert all(side % rule.multiple == 0 for side in picture.pixels.shape[:2])
        output = run_fp32(model, as_float(picture.pixels))
        assert np.array_equal([picture.low, picture.high], [output.min(), output.max()])
        error = abs(picture.low - (black - overshoot)) + abs(picture.high - (white + overshoot))
        assert picture.error == pytest.approx(error, abs=1e-12)
    errors = [picture.error for picture in found]
    assert errors == sorted(errors)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", MODELS)
def test_every_way(name, way):
    model = MODELS[name]()
    plain, found = (made(model, pictures(), way=which) for which in ("selection", way))
    check(model, found)
    assert len(found) == len(plain) == representative.COUNT
    assert all(one.error <= other.error for one, other in zip(found, plain, strict=True))
    again = made(model, pictures(), way=way)
    assert all(np.array_equal(one.pixels, other.pixels) for one, other in zip(found, again, strict=True))


@settings(max_examples=100, deadline=None)
@given(
    way=st.sampled_from(sorted(WAYS)),
    name=st.sampled_from(sorted(MODELS)),
    sides=st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=5),
    levels=st.lists(st.sampled_from([None, 0, 1, 128, 255]), min_size=5, max_size=5),
    count=st.integers(1, 9),
    overshoot=st.sampled_from([-0.02, 0.0, 0.05]),
    seed=st.integers(0, 3),
)
def test_any_crops(way, name, sides, levels, count, overshoot, seed):
    model = MODELS[name](seed)
    crops = [networks.picture(seed + place, *size) for place, size in enumerate(sides)]
    crops = [crop if level is None else np.full_like(crop, level) for crop, level in zip(crops, levels, strict=False)]
    kept = [crop.copy() for crop in crops]
    how = {"count": count, "overshoot": overshoot, "seed": seed}
    plain, found = (made(model, crops, way=which, **how) for which in ("selection", way))
    check(model, found, overshoot)
    assert min(count, len(crops)) <= len(found) <= count
    assert all(one.error <= other.error for one, other in zip(found, plain, strict=False))
    assert found[-1].error <= plain[-1].error
    assert all(np.array_equal(crop, before) for crop, before in zip(crops, kept, strict=True))


@pytest.mark.parametrize("way", ["tone", "mix"])
@pytest.mark.parametrize("make", [near, luma])
def test_tones_reach_both_ends(way, make):
    model = make()
    plain, found = (made(model, pictures(), way=which) for which in ("selection", way))
    assert max(picture.error for picture in found) < 0.02
    assert max(picture.error for picture in found) < 0.2 * min(picture.error for picture in plain)


def test_tone_meets_an_overshoot_that_is_wanted():
    found = made(near(), pictures(), way="tone", overshoot=0.03)
    assert all(abs(picture.low + 0.03) < 0.02 and abs(picture.high - 1.03) < 0.02 for picture in found)


def test_a_single_crop_gives_several_pictures():
    crop = networks.picture(0, 40, 40)
    for way in ("tone", "mix"):
        found = made(near(), [crop], way=way, count=4)
        assert len({picture.pixels.tobytes() for picture in found}) == 4
    assert len(made(near(), [crop], way="tone", count=9)) == 4
    for way in ("selection", "crop"):
        assert len(made(near(), [crop], way=way, count=4)) == 1


def test_a_dark_and_a_light_patch():
    flat = np.full((40, 40, 3), 128, np.uint8)
    found = made(near(), [flat], way="mix", count=1)[0]
    for end in (found.pixels.min(), found.pixels.max()):
        assert np.all(found.pixels == end, axis=2).sum() >= 16
    assert found.pixels.max() > found.pixels.min() + 200
    assert found.error < 0.02
    other = made(near(), [flat], way="mix", count=1, seed=1)[0]
    assert not np.array_equal(found.pixels, other.pixels)


def test_flat_crops_and_those_too_small_stay():
    model, flat = near(gain=0.0), np.full((40, 40, 3), 77, np.uint8)
    for way in ("selection", "crop", "tone"):
        found = made(model, [flat], way=way, count=1)[0]
        assert np.array_equal(found.pixels, flat)
        assert found.low == found.high
    small = networks.picture(0, 7, 7)
    assert np.array_equal(made(model, [small], way="crop")[0].pixels, small)


def crossed(side=40):
    """Smooth in the middle, from black to white; a checkerboard around it that overshoots."""
    rows, columns = np.mgrid[:side, :side]
    picture = np.where((rows + columns) % 2 == 0, 0, 255)
    inner = slice(side // 4, side - side // 4)
    picture[inner, inner] = np.linspace(0, 255, side // 2).astype(int)
    return np.repeat(picture[:, :, None], 3, axis=2).astype(np.uint8)


def test_crop_leaves_out_what_overshoots():
    model, whole = near(gain=0.4), crossed()
    before, found = (made(model, [whole], way=way)[0] for way in ("selection", "crop"))
    assert found.error < before.error
    height, width = found.pixels.shape[:2]
    assert max(height, width) < 40
    places = np.lib.stride_tricks.sliding_window_view(whole, (height, width, 3))[:, :, 0]
    assert np.any(np.all(places == found.pixels, axis=(2, 3, 4)))


def test_few_passes(monkeypatch):
    passes = []
    real = Search.measured
    monkeypatch.setattr(Search, "measured", lambda search, pixels: passes.append(pixels) or real(search, pixels))
    most = {"selection": 0, "crop": TRIED * 4, "tone": PASSES * 4, "mix": PASSES * 4}
    for way, limit in most.items():
        passes.clear()
        made(near(), pictures(8), way=way, count=4)
        assert len(passes) <= limit
    monkeypatch.setattr(representative, "MOST_WORK", 1.0)
    for way in WAYS:
        passes.clear()
        check(near(), made(near(), pictures(8), way=way, count=4))
        assert len(passes) <= (0 if way == "selection" else 4)


def test_words_and_mistakes():
    found = made(near(), pictures(), way="tone")
    said = described(found, "tone")
    assert said.startswith("pictures of full range: 4 by tone")
    assert f"{max(picture.error for picture in found):.3f}" in said
    with pytest.raises(UsageError, match=r"--way 'magic': known are selection, crop, tone, mix"):
        made(near(), pictures(), way="magic")
