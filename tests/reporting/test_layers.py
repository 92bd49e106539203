"""How an artifact was made, in words, and the plans that its bits were chosen among."""

from __future__ import annotations

from tvmsr.quant.adabm.figures import SETTINGS
from tvmsr.quant.adabm.frontier import POINTS
from tvmsr.quant.plan import Plan
from tvmsr.reporting.facts import Tried
from tvmsr.reporting.layers import made_of, tried

ROWS = [
    {"cost": 1.0, "activations": 8.0, "weights": 8.0, "drop": 0.01, "psnr": 60.0},
    {"cost": 0.6, "activations": 6.5, "weights": 4.0, "milliseconds": 3.5, "chosen": True},
]


class Manifest:
    """What is asked of one."""

    bits, target, levels, weights_size, model, family, scale = "a6w4", "host", (), 10, "net", "srvgg", 2
    colour, weights_licence, model_checksum, plan_checksum, tvmsr, compiler = "rgb", "MIT", "c", "p", "0.1.0", ""
    tools = {"ziglang": "1"}  # noqa: RUF012


def plan(**settings: object) -> Plan:
    return Plan(
        model="net", checksum="c", bits="auto", method="adabm", settings=settings, seed=3, tensors={}, layers={}
    )


def test_settings_are_said_and_the_frontier_is_not_among_them() -> None:
    said = {"base": "auto", "kept": ["a", "b"], "layer_factors": {"c": 1}, "where": "", POINTS: ROWS}
    facts = dict(made_of(Manifest(), plan(equalise=True, max_drop=None, **{SETTINGS: said}), 2048))  # type: ignore[arg-type]
    assert facts["settings"] == "equalise yes, adabm (base auto, kept a b, layer_factors (c 1))"
    assert facts["seed"] == "3" and facts["made by"] == "tvmsr 0.1.0, ziglang 1" and "compiler" not in facts
    assert facts["file"] == "2,048 bytes, of which weights 10" and "calibrated with" not in facts
    odd = dict(made_of(Manifest(), plan(note="a\u202eb"), 1))  # type: ignore[arg-type]
    assert odd["settings"] == "note a\\u202eb"


def test_plans_that_were_tried() -> None:
    found, unit = tried(plan(**{SETTINGS: {"where": "avx2", POINTS: ROWS}}))
    assert found == (Tried(1.0, 8.0, 8.0, 0.01), Tried(0.6, 6.5, 4.0, None, 3.5, chosen=True))
    assert unit == "modelled time on avx2"
    assert tried(plan()) == ((), "") == tried(plan(**{SETTINGS: {POINTS: "nonsense"}}))
    for wrong in ("1", [8], 10**400):
        assert tried(plan(**{SETTINGS: {POINTS: [{**ROWS[0], "cost": wrong}]}})) == ((), "")
