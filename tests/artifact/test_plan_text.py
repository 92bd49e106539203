"""Plans as artifacts hold them: the same text again, in a third of its deflated bytes; damage is found."""

from __future__ import annotations

import json
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvmsr.artifact.plan_text import pack_plan, unpack_plan

MOST = 1 << 24
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.floats(width=32, allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBERS | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
)


@given(value=VALUES)
def test_the_same_text(value):
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False, indent=2)):
        assert unpack_plan(pack_plan(text), MOST) == text


@pytest.mark.parametrize(
    "text", ["", "1.5", "[1.50, 1e5, 1.5e+300, -0.0, 0.1, 1.2.3, 1e400]", '"range 0.25, or 1.0e-7"']
)
def test_numbers_that_python_writes_otherwise(text):
    assert unpack_plan(pack_plan(text), MOST) == text


def test_smaller_than_digits():
    numbers = np.random.default_rng(0).random(2000)
    text = json.dumps({"single": numbers.astype(np.float32).astype(float).tolist(), "double": numbers.tolist()})
    assert len(pack_plan(text)) < 0.65 * len(zlib.compress(text.encode(), 9))


def test_files_of_earlier_releases():
    text = json.dumps([0.1, "ä"], ensure_ascii=False)
    assert unpack_plan(zlib.compress(text.encode(), 9), MOST) == text


def test_control_characters_are_no_json():
    for mark in "\0\x01\x02":
        with pytest.raises(ValueError, match="control"):
            pack_plan(f'"{mark}"')


@given(data=st.data())
def test_damage_is_a_value_error(data):
    plain = zlib.decompress(pack_plan(json.dumps([0.1, 0.5, 1e-9, "text", 0.25])))
    raw = bytearray(plain)
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    for damaged in (zlib.compress(bytes(raw)), zlib.compress(plain[:cut]), zlib.compress(plain)[:cut], plain):
        try:
            unpack_plan(damaged, MOST)
        except ValueError:
            continue


def test_what_is_too_long():
    for text in ("[" + "0.5," * 1000 + "0.5]", "x" * 5000):
        with pytest.raises(ValueError, match="too long"):
            unpack_plan(pack_plan(text), 4000)
