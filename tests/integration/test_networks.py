"""Small networks of every kind, compiled to one .so: the reference executor's bytes at every size and setting."""

import pytest

from tests.integration.artifacts import compare, make
from tests.lower.networks import ALL
from tests.lower.test_random import random_model
from tests.quant.networks import picture

SIZES = ((1, 1), (1, 9), (13, 17), (70, 33))


@pytest.mark.parametrize(
    ("name", "bits"),
    [*((name, "8") for name in ALL), ("imdn", "a6w4"), ("residual", "a4w4"), ("srvgg", "a12w8"), ("gated", "16")],
)
def test_equals_the_reference(tmp_path, name, bits):
    made = make(ALL[name](), tmp_path, [picture()], bits, bias_correction=False)
    strips = [compare(made, picture(5, *size)) for size in SIZES]
    assert strips[-1] > 1, "no picture was cut into strips"


@pytest.mark.parametrize("seed", range(100, 106))
def test_random_networks(tmp_path, seed):
    made = make(random_model(seed), tmp_path, [picture()], bias_correction=False)
    compare(made, picture(seed, 40, 26), threads=(1, 2))
