from __future__ import annotations

import json

import numpy as np
import pytest

from tests.quant import networks
from tvmsr.commands.source import open_model
from tvmsr.errors import InputFileError
from tvmsr.quant.bind import bind
from tvmsr.quant.calibrate import calibrate
from tvmsr.quant.plan import CodePlan, Plan, PlanError, affine, encode_codes
from tvmsr.quant.weights import weight_limit


@pytest.fixture(scope="module")
def model():
    return networks.residual(blocks=2)


@pytest.fixture(scope="module")
def plan(model):
    return calibrate(model, [networks.picture(s) for s in range(3)], rounding=False)


def edited(plan: Plan, path: str, value) -> str:
    """The plan's JSON with one field set, or removed where value is ...; a dot separates."""
    data = json.loads(plan.to_json())
    *parents, last = path.split("/")
    place = data
    for parent in parents:
        place = place[parent]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return json.dumps(data)


def test_round_trip(plan, tmp_path):
    path = tmp_path / "plan.json"
    plan.save(path)
    assert Plan.load(path) == plan
    assert Plan.from_json(json.loads(plan.to_json())) == plan
    assert [p.name for p in tmp_path.iterdir()] == ["plan.json"]


def test_every_choice_has_a_reason(plan):
    parts = [*plan.tensors.values(), *plan.reads.values(), *plan.layers.values()]
    assert all(part.reason for part in parts)


def test_a_failed_write_leaves_the_old_file(plan, tmp_path, monkeypatch):
    path = tmp_path / "plan.json"
    plan.save(path)
    monkeypatch.setattr(Plan, "to_json", lambda self: "half \ud800")
    with pytest.raises(UnicodeEncodeError):
        plan.save(path)
    assert Plan.load(path) == plan
    assert [p.name for p in tmp_path.iterdir()] == ["plan.json"]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("tensors/b0a/bits", 17, "tensors.b0a.bits"),
        ("tensors/b0a/bits", 1, "tensors.b0a.bits"),
        ("tensors/b0a/bits", 8.5, "tensors.b0a.bits"),
        ("tensors/b0a/scale", 0, "tensors.b0a.scale"),
        ("tensors/b0a/scale", -1.0, "tensors.b0a.scale"),
        ("tensors/b0a/scale", float("inf"), "tensors.b0a.scale"),
        ("tensors/b0a/scale", float("nan"), "tensors.b0a.scale"),
        ("tensors/b0a/zero", 256, "zero 256 is no code of 8 bits"),
        ("tensors/b0a/zero", -1, "tensors.b0a.zero"),
        ("tensors/b0a/low", 1e9, "is above high"),
        ("tensors/b0a/equal", [1.0, 0.0], "tensors.b0a.equal.1"),
        ("tensors/b0a/what", 1, "tensors.b0a.what"),
        ("layers/b0a/weight_bits", 9, "layers.b0a.weight_bits"),
        ("layers/b0a/weight_bits", 1, "layers.b0a.weight_bits"),
        ("version", 99, "version 99"),
        ("format", "other", "format"),
        ("layers", ..., "layers"),
    ],
)
def test_impossible_values_are_refused_when_read(plan, path, value, message):
    with pytest.raises(PlanError, match=message) as error:
        Plan.from_json(edited(plan, path, value))
    assert "\n" not in str(error.value)
    assert isinstance(error.value, InputFileError)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("checksum", "1" * 64, "checksum"),
        ("tensors/nobody", {"bits": 8, "low": 0, "high": 1}, "tensors.nobody"),
        ("tensors/b0a", ..., "tensors.b0a: missing"),
        ("layers/nobody", {"weight_bits": 8}, "layers.nobody"),
        ("layers/up", ..., "layers.up: missing"),
        ("tensors/b0a/equal", [1.0], "tensors.b0a.equal: 1 factors for 8 channels"),
        ("layers/up/weight_scales", [1.0], "layers.up.weight_scales"),
        ("layers/up/bias_correction", [1.0], "layers.up.bias_correction"),
        ("layers/up/table", {"bits": 8, "low": 0, "high": 1}, "layers.up.table"),
        ("layers/up/weight_codes", "!!", "base64"),
        ("layers/up/weight_codes", "AAAA", "holds 3 codes"),
        ("layers/b0b/reads_stream", True, "reads_stream"),
        ("reads/b0a", {"bits": 4, "low": 0, "high": 1}, "reads.b0a.bits"),
        ("reads/nobody", {"bits": 4, "low": 0, "high": 1}, "reads.nobody"),
        ("reads/b0/bits", 16, "reads.b0.bits"),
        ("tensors/last/zero", 3, "tensors.last"),
        ("tensors/last/bits", 16, "tensors.last"),
    ],
)
def test_what_does_not_fit_the_model_is_refused(model, plan, path, value, message):
    with pytest.raises(PlanError, match=message) as error:
        bind(model, Plan.from_json(edited(plan, path, value)))
    assert "\n" not in str(error.value)


def test_multipliers_are_finite(model, plan):
    text = edited(plan, "layers/up/weight_scales", [1e29] * 32)
    text = edited(Plan.from_json(text), "tensors/up/scale", 1e-29)
    with pytest.raises(PlanError, match="not finite"):
        bind(model, Plan.from_json(text))


def test_no_json_and_no_file(tmp_path):
    with pytest.raises(PlanError, match="not JSON"):
        Plan.from_json("{")
    with pytest.raises(PlanError, match="cannot be read"):
        Plan.load(tmp_path / "none.json")
    (tmp_path / "b.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PlanError, match="cannot be read"):
        Plan.load(tmp_path / "b.json")
    with pytest.raises(PlanError):
        Plan.from_json("[]")


def test_scale_and_zero_follow_from_the_range_where_they_are_left_out():
    part = CodePlan.model_validate({"bits": 8, "low": -1.0, "high": 3.0})
    assert (part.scale, part.zero) == affine(-1.0, 3.0, 8)


def test_affine():
    assert affine(0, 255, 8) == (1.0, 0)
    assert affine(3, 255, 8) == (1.0, 0)
    assert affine(-255, 0, 8) == (1.0, 255)
    assert affine(0, 0, 8) == (1.0, 0)
    scale, zero = affine(-1, 2, 16)
    assert scale == np.float32(scale)
    assert 0 < zero < 65535


def test_weight_scales_follow_from_the_weights_where_they_are_left_out(model, plan):
    graph = bind(model, Plan.from_json(edited(plan, "layers/up/weight_scales", ...)))
    node = next(n for n in graph if n.name == "up")
    assert np.all(np.abs(node.params["weight"].astype(int)).max(axis=(0, 1, 2)) == weight_limit(8))


def test_explicit_weight_codes_are_used(model, plan):
    codes = np.random.default_rng(0).integers(-127, 128, (3, 3, 8, 32)).astype(np.int8)
    graph = bind(model, Plan.from_json(edited(plan, "layers/up/weight_codes", encode_codes(codes))))
    assert np.array_equal(next(n for n in graph if n.name == "up").params["weight"], codes)


@pytest.mark.parametrize(("name", "checksum"), [("default:x2", "1f53c079ca18a110"), ("default:x4", "9047a0162aea6ecc")])
def test_plans_of_earlier_releases_fit(name, checksum):
    """A plan holds the checksum of its model: new attributes of operations must not change it."""
    assert open_model(name).checksum.startswith(checksum)
