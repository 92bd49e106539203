"""The choice of algorithms: what is legal, what is cheap, what kernels are called."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from tests.kernels.harness import operand, store
from tvmsr.kernels.algorithms import ALGORITHMS, weight_layout
from tvmsr.kernels.choice import accepted_forms, choose, wanted_form
from tvmsr.kernels.isa import ISAS
from tvmsr.kernels.naming import symbol
from tvmsr.kernels.spec import Conv, Epilogue, Form, Load, Residual, Tile

PLAIN = Epilogue((store(64),))
ENDED = replace(PLAIN, residuals=(Residual(operand(64)),), post=True)


def conv(inputs=64, outputs=64, bits=8, weight_bits=8, form=Form.U8, **more):
    return Conv((3, 3), inputs, outputs, operand(inputs, form), bits, weight_bits, **more)


def direct_of(source, epilogue, isa, weight=None):
    """The cheapest of the direct algorithms."""
    choice = choose(source, epilogue, isa, weight)
    return next(c.algorithm for c in (choice.best, *choice.others) if c.algorithm.startswith("direct"))


@pytest.mark.parametrize(
    ("bits", "weight_bits", "algorithm"),
    [(8, 7, "direct"), (8, 8, "direct_wide"), (7, 8, "direct"), (4, 4, "direct_window")],
)
def test_avx2_saturation_by_bits(bits, weight_bits, algorithm):
    assert direct_of(conv(bits=bits, weight_bits=weight_bits), PLAIN, "avx2") == algorithm


def test_avx2_saturation_by_weights():
    weight = np.zeros((3, 3, 64, 64), np.int8)
    weight[1, 1, 0::2] = 127  # one of each pair: 127 * 255 fits
    assert direct_of(conv(), PLAIN, "avx2", weight) == "direct"
    weight[1, 1, 1, 5] = 2
    assert direct_of(conv(), PLAIN, "avx2", weight) == "direct_wide"
    assert "saturate" in choose(conv(), PLAIN, "avx2", weight).reason
    weight[1, 1, 1, 5] = -127  # opposite signs do not add up
    assert direct_of(conv(), PLAIN, "avx2", weight) == "direct"


def test_choices_are_remembered_by_value_and_not_for_ever(monkeypatch):
    weight = np.ones((3, 3, 64, 64), np.int8)
    first = choose(conv(), PLAIN, "avx2", weight)
    assert choose(conv(), replace(PLAIN), "avx2", weight.copy()) is first
    others = [(conv(bits=7), "avx2", weight), (conv(), "avx512vnni", weight), (conv(), "avx2", weight * 2)]
    assert all(choose(source, PLAIN, isa, codes) is not first for source, isa, codes in others)
    monkeypatch.setattr("tvmsr.kernels.choice._MOST_KNOWN", 1)
    choose(conv(inputs=60), PLAIN, "avx2", weight[:, :, 4:])  # a new one
    again = choose(conv(), PLAIN, "avx2", weight)
    assert again == first and again is not first


def test_avx2_pairs_are_those_of_the_packed_order():
    """3 channels side by side: the third is paired with the next tap's first."""
    weight = np.zeros((3, 3, 3, 8), np.int8)
    weight[0, :2, 0] = weight[0, 0, 2, 0] = 100  # and the next step has the next tap's first
    tight, plain = Conv((3, 3), 3, 8, operand(3), 8, 8), Epilogue((store(8),))
    assert direct_of(tight, plain, "avx2", weight) == "direct_wide"
    padded = replace(tight, x=operand(3, pitch=4))
    assert direct_of(padded, plain, "avx2", weight) == "direct"


def test_forms():
    assert wanted_form("avx2", 8) is wanted_form("portable", 3) is Form.U8
    assert wanted_form("avx512vnni", 12) is Form.S16
    assert Form.U16 not in accepted_forms("avx2", 16)
    assert Form.U16 in accepted_forms("portable", 16)
    for isa in ISAS:
        for bits in range(2, 17):
            for form in accepted_forms(isa, bits):
                choose(conv(bits=bits, form=form), PLAIN, isa)


def test_bytes_are_stored_in_16_bits_where_that_pays():
    """Where pmaddubsw multiplies bytes, for weights whose pairs of products saturate."""
    weight = np.full((5, 5, 64, 64), 127, np.int8)
    large = Conv((5, 5), 64, 64, operand(64), 8, 8)
    assert wanted_form("avx2", 8, [(large, weight)]) is Form.S16
    assert wanted_form("avx2", 8, [(large, weight // 2)]) is Form.U8
    point = Conv((1, 1), 64, 64, operand(64), 8, 8)
    assert wanted_form("avx2", 8, [(point, weight[:1, :1])]) is Form.U8
    for isa in set(ISAS) - {"avx2", "sse41"}:
        assert wanted_form(isa, 8, [(large, weight)]) is ISAS[isa].byte_form


def test_illegal_is_named():
    with pytest.raises(ValueError, match="signed codes"):
        choose(conv(bits=16, form=Form.U16), PLAIN, "avx2")


def test_tiles_follow_channels():
    def tile(outputs):
        return choose(conv(outputs=outputs), Epilogue((store(outputs),)), "avx512vnni").spec.tile

    assert [tile(n)[:2] for n in (64, 48, 32)] == [(6, 4), (8, 3), (12, 2)]
    assert tile(16)[:2] == (14, 1)


def test_short_loops_have_short_tiles():
    def tile(size, inputs, outputs):
        source = Conv((size, size), inputs, outputs, operand(inputs), 8, 8)
        return choose(source, Epilogue((store(outputs),)), "avx512vnni").spec.tile[:2]

    assert (tile(3, 3, 64), tile(1, 64, 64), tile(3, 3, 28)) == ((4, 4), (4, 4), (8, 2))
    assert tile(1, 320, 64) == tile(5, 64, 64) == (6, 4)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(
    "source", [conv(), conv(48, 48, groups=48), conv(bits=4, weight_bits=4), Load(64, 64, operand(64))]
)
def test_one_pixel_has_tiles_of_one(isa, source):
    x = replace(source.x, form=ISAS[isa].byte_form)
    choice = choose(replace(source, x=x), Epilogue((store(source.outputs),)), isa, one_pixel=True)
    assert choice.spec.tile.pixels == 1
    assert all(ALGORITHMS[c.algorithm].granule == (1, 1) for c in (choice.best, *choice.others))


@pytest.mark.parametrize("isa", ["neon", "neon32", "dotprod"])
def test_first_layers_of_arm_are_direct(isa):
    """Transforms cost as much for 3 inputs as for 8, and results as much as ever."""
    first = Conv((3, 3), 3, 64, operand(3, Form.S8, 4), 8, 8)
    assert choose(first, PLAIN, isa).spec.algorithm == "direct"


def test_depthwise():
    source = conv(48, 48, groups=48)
    assert choose(source, Epilogue((store(48),)), "avx512vnni").spec.algorithm == "depthwise"


def test_rows_are_one_run_where_taps_touch():
    spec = choose(conv(), PLAIN, "avx512vnni").spec
    assert (weight_layout(spec).runs, weight_layout(spec).steps) == (1, 48)
    dilated = choose(conv(dilation=2), PLAIN, "avx512vnni").spec
    assert (weight_layout(dilated).runs, weight_layout(dilated).steps) == (3, 16)


def test_names():
    spec = choose(conv(), PLAIN, "avx512vnni").spec
    assert re.fullmatch(r"tvmsr_conv3x3_u8w8_64x64_t6x4_requant_[0-9a-f]{6}", symbol(spec))
    other = replace(spec, epilogue=Epilogue((store(16, block=2),), (Residual(operand(64)),), leaky=True))
    assert "_leaky_add1_shuffle2_" in symbol(other)
    assert "_add1_post_table_" in symbol(replace(spec, epilogue=replace(ENDED, table=True)))
    assert "_t6x4u2_" in symbol(replace(spec, tile=spec.tile._replace(unroll=2)))
    assert "_t3x2x4s6_" in symbol(replace(spec, tile=Tile(3, 2, strip=6, positions=4)))
    assert repr(spec.tile) == "Tile(pixels=6, vectors=4, window=0, strip=0)"  # by which kernels are named


@pytest.mark.parametrize(("inputs", "outputs", "vectors"), [(64, 16, 1), (28, 28, 2), (48, 48, 3), (64, 256, 2)])
def test_rows_of_positions(inputs, outputs, vectors):
    """On AVX-512 they are what F(2x2) takes at few bits."""
    source = conv(inputs, outputs, 6, 4)
    choice = choose(source, Epilogue((store(outputs),)), "avx512vnni")
    assert (choice.spec.algorithm, choice.spec.tile.positions) == ("winograd2", 4)
    assert choice.spec.tile.vectors == vectors
    load = choose(Load(3, 3, operand(3)), Epilogue((store(3),)), "avx2").spec
    assert symbol(load).startswith("tvmsr_point_u8_3x3_t")


def test_table_is_complete():
    direct = ["direct", "direct_window", "direct_wide", "direct_matrix"]
    planar = ["planar", "planar_window", "planar_wide"]
    winograd = {"winograd2": 2, "winograd2_window": 2, "winograd2_words": 2, "winograd4": 4}
    assert list(ALGORITHMS) == [*direct, *planar, *winograd, "depthwise", "pointwise"]
    assert {name: a.granule for name, a in ALGORITHMS.items()} == {n: (winograd.get(n, 1), 1) for n in ALGORITHMS}
    assert all(a.read_ahead == (0, 0) for a in ALGORITHMS.values())
