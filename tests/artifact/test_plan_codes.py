"""Weight codes of a plan, by reference to an artifact's data."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvmsr.artifact.plan_codes import with_codes, with_references
from tvmsr.kernels.layout import plain_weights
from tvmsr.quant.plan import encode_codes


def _text(codes: np.ndarray) -> str:
    return json.dumps({"layers": {"a": {"weight_codes": encode_codes(codes), "reason": "@1:2:8"}}})


@given(st.binary(min_size=1, max_size=60), st.sampled_from([4, 8]), st.binary(max_size=20), st.binary(max_size=20))
def test_what_is_in_the_data_comes_back(raw, bits, before, after):
    codes = np.frombuffer(raw, np.int8)
    codes = np.clip(codes, -7, 7).astype(np.int8) if bits == 4 else codes
    text = _text(codes)
    data = before + plain_weights(codes, bits) + after
    short = with_references(text, data)
    assert "@" in json.loads(short)["layers"]["a"]["weight_codes"]
    assert with_codes(short, data, 10_000) == text


def test_what_is_not_there_stays():
    text = _text(np.arange(-60, 60, dtype=np.int8))
    assert with_references(text, b"nothing of it") == text and with_codes(text, b"", 10_000) == text


@pytest.mark.parametrize("reference", ["@1:4:8", "@0:9:4", "@999999999999:1:8"])
def test_out_of_the_data(reference):
    text = json.dumps({"weight_codes": reference})
    with pytest.raises(ValueError, match="out of the data"):
        with_codes(text, b"1234", 1 << 60)


def test_many_references_to_the_same_codes():
    """A small plan must not grow without end."""
    text = json.dumps([{"weight_codes": "@0:1000:8"}] * 50)
    assert len(with_codes(text, bytes(1000), 80_000)) > 50_000
    with pytest.raises(ValueError, match="too long"):
        with_codes(text, bytes(1000), 50_000)
