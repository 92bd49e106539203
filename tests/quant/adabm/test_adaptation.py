"""Options of how bits are chosen, as one value."""

from __future__ import annotations

import pytest

from tests.quant import networks
from tvmsr.errors import UsageError
from tvmsr.quant.adabm.adaptation import Adaptation, WeightBits
from tvmsr.quant.adabm.maps import MOST_KEPT
from tvmsr.quant.adabm.table import Costs, Sensitivity
from tvmsr.quant.calibrate import calibrate
from tvmsr.quant.learned import learn


def of(**said) -> Adaptation:
    return Adaptation.of("bits", "tile", [1, 2], **{"keeps": True, **said})


def test_words_become_values():
    how = of(sensitivity="deviation", weight_bits="layer", kept=0.05)
    assert how.costs is Costs.BITS and how.sensitivity is Sensitivity.DEVIATION
    assert how.weight_bits is WeightBits.LAYER
    assert (how.mode, how.complexities, how.most_kept) == ("tile", (1, 2), 0.05)


def test_what_may_be_kept():
    assert of().most_kept == MOST_KEPT and of(keeps=False).most_kept == 0
    assert of(kept=0.0).most_kept == 0 and of(kept=1.0).most_kept == 1


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"kept": -0.1}, "--kept -0.1: expected a share of the multiplications, 0 to 1"),
        ({"kept": 20.0}, "--kept 20: expected a share"),
        ({"kept": float("nan")}, "--kept nan: expected a share"),
        ({"sensitivity": "loud"}, "--sensitivity loud: expected noise, gradient or deviation"),
        ({"weight_bits": "5"}, "--weight-bits 5: expected fixed or layer"),
    ],
)
def test_what_cannot_be(said, words):
    with pytest.raises(UsageError, match=words):
        of(**said)


def test_it_is_said_before_any_work():
    with pytest.raises(UsageError, match="--kept 2: expected"):
        calibrate(networks.plain(), [networks.picture(0)], bits="auto:a6w4", kept=2.0, progress=pytest.fail)


def test_gradients_need_torch(monkeypatch):
    monkeypatch.setattr(learn.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"--sensitivity gradient: needs PyTorch.*tvmsr\[torch\]"):
        of(sensitivity="gradient")
    assert of().sensitivity is Sensitivity.NOISE
