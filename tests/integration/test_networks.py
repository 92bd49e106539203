"""Small networks of every kind, compiled to one .so: the reference executor's bytes at every size and setting."""

import pytest

from tests.integration.artifacts import CHEAP, compare, make, one_level, two_levels
from tests.lower import made as stored
from tests.lower.networks import ALL
from tests.lower.test_random import random_model
from tests.quant.networks import picture
from tests.quant.spatial_networks import SPATIAL, extremes

SIZES = ((1, 1), (1, 9), (13, 17), (70, 33))


NETWORKS = (
    *((name, "8") for name in ALL),
    *(("imdn", "a6w4"), ("residual", "a4w4"), ("srvgg", "a12w8"), ("gated", "16")),
)


@pytest.mark.parametrize(("name", "bits"), NETWORKS, ids=lambda value: value)
def test_equals_the_reference(tmp_path, name, bits):
    """At two levels, others for every network; random ones have all, and tests/lower simulates all of every network."""
    target = two_levels(NETWORKS.index((name, bits)))
    made = make(ALL[name](), tmp_path, [picture()], bits, target=target, bias_correction=False)
    strips = [compare(made, picture(5, *size)) for size in SIZES]
    assert strips[-1] > 1, "no picture was cut into strips"


@pytest.mark.parametrize("seed", range(100, 106))
def test_random_networks(tmp_path, seed):
    made = make(random_model(seed), tmp_path, [picture()], bias_correction=False)
    compare(made, picture(seed, 40, 26), threads=(1, 2))


@pytest.mark.parametrize("bits", ["8", "a6w4", "16"])
@pytest.mark.parametrize("name", SPATIAL)
def test_beyond_convolutions(tmp_path, name, bits):
    """Attention, skips, norms, factors, paddings, tables with a gain, as a plan makes them: all that is stored."""
    target = one_level(list(SPATIAL).index(name) + len(bits))
    made = make(SPATIAL[name](), tmp_path, [picture()], bits, target=target, **CHEAP)
    for image in (picture(5, 37, 22), extremes(3, 16, 19), picture(6, 1, 1)):
        stored.compare(made, image, threads=(1, 3), memory=(1.0, 0.6))
