"""Parsing of the options that have a form of their own."""

from __future__ import annotations

import pytest

from tvmsr.cli import options
from tvmsr.errors import UsageError


def test_layer_bits() -> None:
    assert options.layer_bits(["body.3=16", "a=b=4"]) == {"body.3": 16, "a=b": 4}
    assert options.layer_bits(None) == {}


@pytest.mark.parametrize("text", ["", "x", "=4", "name=", "name=four"])
def test_layer_bits_refuses(text: str) -> None:
    with pytest.raises(UsageError, match="NAME=BITS"):
        options.layer_bits([text])


def test_size_and_counts() -> None:
    assert options.size("640x360") == (640, 360)
    assert options.counts("1, 2") == (1, 2)


@pytest.mark.parametrize("text", ["640", "x", "0x4", "4x-1", "axb"])
def test_size_refuses(text: str) -> None:
    with pytest.raises(UsageError):
        options.size(text)
