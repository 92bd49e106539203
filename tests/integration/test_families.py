"""One network of every family that we have no published file of, with random weights: the .so and the reference agree.

On every tensor that is stored, for random weights may well make a picture of little but black and white. The networks
are those that tests/frontend compares with torch, small.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.frontend import states, states_published, test_families_published  # which asks for torch
from tests.frontend.test_published import PUBLISHED
from tests.integration.artifacts import CHEAP, make, one_level
from tests.lower.made import compare
from tests.quant.networks import picture
from tvmsr.frontend import load_model
from tvmsr.frontend.families.registry import REGISTRY

#: Makes a state dict, and what it cannot tell of itself.
Sample = tuple[Callable[[], Any], dict[str, Any]]


def in_torch(build: Callable[..., Any], shape: dict[str, Any]) -> Any:
    return test_families_published.state_of(test_families_published.network(build, shape))


def samples() -> dict[str, Sample]:
    """The first case of each family that is written in torch, and random states of the others."""
    found: dict[str, Sample] = {
        "edsr": (partial(states.edsr, 3), {"residual_scale": 0.1}),
        "edsr_basicsr": (partial(states_published.edsr_basicsr, 4), {}),
        "srresnet": (states.srresnet, {}),
        "msrresnet": (partial(states_published.msrresnet, 4), {}),
        "plain_anchor": (partial(states.plain_anchor, 3), {}),
    }
    for family, build, shape, options in test_families_published.CASES:
        found.setdefault(family, (partial(in_torch, build, shape), options))
    published = {case.family for case in PUBLISHED}
    return {family: sample for family, sample in found.items() if family not in published}


SAMPLES = samples()
#: Other shapes of networks above: sides that are multiples of 2, several inputs of one block, Y alone.
MORE = {
    "rrdb unshuffle": (partial(in_torch, test_families_published.plain.rrdb, {"unshuffle": 2}), {"scale": 2}),
    "rcan basicsr": (partial(in_torch, test_families_published.gated.rcan, {"style": "basicsr", "groups": 1}), {}),
    "rdn y": (partial(in_torch, test_families_published.last.rdn, {"style": "lower", "scale": 3, "colours": 1}), {}),
    "plksr real": (partial(in_torch, test_families_published.gated.plksr, {"mixer": (3, 3), "real": True}), {}),
}
ALL = SAMPLES | MORE


def test_no_family_is_forgotten():
    assert set(SAMPLES) | {case.family for case in PUBLISHED} == {family.name for family in REGISTRY}


@pytest.mark.parametrize("name", ALL)
def test_equals_the_reference(tmp_path, name):
    state, options = ALL[name]
    target = one_level(list(ALL).index(name))
    made = make(load_model(state(), **options), tmp_path, [picture(0, 24, 24)], target=target, **CHEAP)
    compare(made, picture(1, 29, 24), threads=(1, 2), memory=(1.0, 0.5))
    compare(made, picture(2, 1, 1), threads=(2,), memory=(1.0,))
