from dataclasses import replace

import pytest

from tvmsr.adabm_paper.protocol import (
    Adapt,
    Draw,
    Grouping,
    Keep,
    Norm,
    Observer,
    Order,
    Protocol,
    Quirks,
    Scope,
    SearchBits,
    Shrink,
    Sides,
    WeightStart,
)
from tvmsr.errors import UsageError


def test_defaults_are_as_published():
    p = Protocol()
    assert (p.bits, p.weight_bits, p.adapt, p.clipping) == (6, 8, Adapt.BOTH, True)
    assert (p.observer, p.weight_observer, p.momentum, p.clipping_momentum) == (
        Observer.MINMAX,
        Observer.OMSE,
        0.9,
        0.5,
    )
    assert (p.image_percentile, p.layer_percentile) == (10, 30)
    assert (p.pictures, p.crop, p.calibration_batch, p.batch, p.epochs) == (100, 96, 16, 2, 10)
    assert (p.rate_weights, p.rate_activations, p.rate_layers, p.rate_image, p.decay) == (0.01, 0.01, 0.01, 0.1, 0.9)
    assert (p.transfer, p.bit_price, p.patch) == (10, 50, None)
    assert p.quirks == Quirks(
        weight_start=WeightStart.LARGEST,
        eight_searched_at=SearchBits.BASE,
        weight_percentile=Sides.ONE,
        order=Order.FREE,
        clipping_pictures=2,
        shrink=Shrink.COMMON,
        norm=Norm.BATCH,
        keep=Keep.LAST,
        held=8,
        draw=Draw.REPEATED,
        scope=Scope.BODY,
    )


@pytest.mark.parametrize(
    ("grouping", "adapt", "cyclic"),
    [
        (Grouping.PUBLISHED, Adapt.IMAGE, True),
        (Grouping.PUBLISHED, Adapt.NONE, False),
        (Grouping.CYCLIC, Adapt.NONE, True),
        (Grouping.JOINT, Adapt.BOTH, False),
    ],
)
def test_grouping(grouping: Grouping, adapt: Adapt, cyclic: bool):
    assert Protocol(grouping=grouping, adapt=adapt).is_cyclic is cyclic


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"bits": 2}, "give at least 3"),
        ({"bits": 1, "adapt": Adapt.IMAGE}, "give at least 2"),
        ({"batch": 0}, "1 or more"),
        ({"epochs": -1}, "0 or more"),
        ({"layer_percentile": 51.0}, "between 0 and 50"),
        ({"image_percentile": float("nan")}, "between 0 and 50"),
        ({"clipping_momentum": float("nan")}, "between 0 and 1"),
        ({"decay": float("inf")}, "a number, 0 or more"),
        ({"patch": 0}, "patch .* is 1 or more"),
        ({"inside": 0.0}, "inside a number above 0"),
        ({"pictures": 8, "quirks": Quirks(keep=Keep.BEST)}, "none is left to train on"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict, says: str):
    with pytest.raises(UsageError, match=says):
        replace(Protocol(), **changes).check()


def test_the_least_bits_are_accepted():
    Protocol(bits=3).check()
    Protocol(bits=1, adapt=Adapt.NONE).check()
