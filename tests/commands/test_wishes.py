"""Options of a calibration that cannot be met are refused, those that change nothing are said: table and commands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import tvmsr
from tvmsr.cli.main import main
from tvmsr.commands.calibrate import Calibration, plan_for
from tvmsr.commands.comparison.variants import chosen
from tvmsr.commands.source import open_model
from tvmsr.commands.wishes import asked, option, unheard
from tvmsr.errors import UsageError
from tvmsr.graph.model import Mark
from tvmsr.quant.calibrate import TOO_ALIKE

from .conftest import Made


@pytest.fixture(scope="module")
def model():
    return open_model("default:x2")


@pytest.fixture(scope="module")
def quantized(model):
    return replace(model, graph=replace(model.graph, marks={"input": Mark(8, 1.0, 0)}))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"max_drop": 0.1, "strict_bits": True}, "--max-drop 0.1: --strict-bits lets no layer"),
        (
            {"max_drop": 0.0, "bits": "6"},
            "--max-drop 0.0: only at --bits 8 do layers read more bits to keep to it, not",
        ),
        ({"max_drop": 1.0, "bits": "a8w4"}, "not at a8w4"),
        ({"max_drop": 1.0, "method": "cfqp-paper"}, "--method cfqp-paper is there to be compared with"),
        ({"save_data": Path("x"), "method": "mse"}, "--save-data x: --method mse makes no pictures"),
        ({"hr": True}, "--hr: it says what the pictures of --calib are"),
        ({"bits": "99"}, "99"),
        ({"method": "magic"}, "known are"),
        ({"bits": "auto:a6w8", "max_drop": 0.2}, "--max-drop 0.2: --bits auto:a6w8 names the bits, whatever they lose"),
        ({"bits": "auto:a9w8"}, "--bits auto:a9w8: activations and weights have 2 to 8 bits"),
        ({"bits": "auto:a4"}, "--bits auto:a4: expected the base bits of activations and weights"),
        ({"bits": "auto:"}, "--bits auto:: expected the base bits"),
        ({"bits": "auto", "kept": 0.1}, "--kept 0.1: only bits around a base, such as auto:a6w4, have it, not"),
        ({"bits": "a6w4", "weight_bits": "layer"}, "--weight-bits layer: only bits around a base"),
        ({"bits": "auto:a6w4", "kept": 0.1, "strict_bits": True}, "--kept 0.1: --strict-bits keeps no layer"),
        ({"bits": "auto:a6w4", "method": "minmax"}, "--method minmax: --bits auto:a6w4 has a method of its own"),
        ({"bits": "auto:a4w4", "costs": "bits", "learn_bits": True}, "--learn-bits: --learn is what learns"),
        ({"bits": "auto:a4w4", "learn": True, "learn_bits": True}, "--learn-bits: only bits around a base that are"),
        ({"bits": "a4w4", "costs": "bits", "learn": True, "learn_bits": True}, "--learn-bits: only bits around a base"),
        ({"bits": "a6w4", "method": "adabm"}, "--method adabm: it chooses bits itself"),
    ],
)
def test_wishes_that_cannot_be_met(how, words, model):
    with pytest.raises(UsageError, match=words):
        unheard(model, Calibration(**how))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"strict_bits": True, "bits": "6"}, "--strict-bits changes nothing: only at --bits 8 do layers"),
        ({"strict_bits": True, "method": "free-minmax"}, "--strict-bits changes nothing: --method free-minmax never"),
        (
            {"equalise": False, "method": "cfqp-paper"},
            "--no-equalise changes nothing: --method cfqp-paper does nothing",
        ),
        ({"rounding": False, "method": "clip-minmax"}, "--no-rounding changes nothing: --method clip-minmax"),
        ({"bias_correction": False, "method": "clip-minmax"}, "--no-bias-correction changes nothing"),
        ({"way": "tone", "method": "minmax"}, "--way tone changes nothing: --method minmax makes no pictures"),
        ({"adaptive": "tile"}, "--adaptive tile changes nothing: only --bits auto chooses by the picture"),
        ({"sensitivity": "gradient"}, "--sensitivity gradient changes nothing: only --bits auto asks"),
        ({"costs": "bits"}, "--costs bits changes nothing: only --bits auto asks what bits cost"),
    ],
)
def test_wishes_that_change_nothing(how, words, model):
    (said,) = unheard(model, Calibration(**how))
    assert said.startswith(words)


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"seed": 5, "max_drop": 0.1},
        {"strict_bits": True, "way": "tone", "save_data": Path("x")},
        {"method": "minmax", "max_drop": 0.0, "rounding": False, "layer_bits": {"conv.1": 12}},
        {"bits": "6", "equalise": False, "bias_correction": False},
        {"hr": True, "calib": Path("x"), "method": "cfqp-paper", "way": "crop"},
        {"bits": "auto:a6w8", "costs": "bits", "strict_bits": True, "layer_bits": {"conv.1": 8}, "way": "crop"},
        {"bits": "auto", "max_drop": 0.2, "method": "adabm"},
        {"bits": "auto:a4w4", "costs": "bits", "learn": True, "learn_bits": True},
        {"bits": "auto:a4w4", "kept": 0.0, "weight_bits": "layer", "sensitivity": "deviation"},
    ],
)
def test_the_others_are_met_in_silence(how, model):
    assert unheard(model, Calibration(**how)) == ()


@pytest.mark.parametrize("how", [{"max_drop": 0.2}, {"save_data": Path("x")}])
def test_refused_for_a_quantized_network(how, quantized):
    with pytest.raises(UsageError, match=r"another tool has quantized this network, .* give its FP32 file"):
        unheard(quantized, Calibration(**how))


@pytest.mark.parametrize(
    "how",
    [{"way": "tone"}, {"rounding": False}, {"equalise": False}, {"strict_bits": True}, {"bias_correction": False}],
)
def test_said_for_a_quantized_network(how, quantized):
    (said,) = unheard(quantized, Calibration(**how))
    assert "changes nothing: another tool has quantized" in said


def test_auto_bits_and_their_method_imply_each_other(quantized):
    how = Calibration(bits="AUTO:A6W8").settled()
    assert (how.bits, how.method, how.is_auto) == ("auto:a6w8", "adabm", True)
    how = Calibration(method="adabm").settled()
    assert (how.bits, how.method) == ("auto", "adabm") and how.settled() == how
    assert Calibration().settled() == Calibration() and not Calibration().is_auto
    with pytest.raises(UsageError, match="its bits and scales stay"):
        plan_for(quantized, Calibration(bits="auto:a6w4"))


def test_options_by_name():
    how = Calibration(rounding=False, layer_bits={"a": 9}, max_drop=0.0, seed=3)
    assert [option(name) for name in asked(how)] == ["--layer-bits", "--no-rounding", "--max-drop"]
    assert asked(Calibration(layer_bits={})) == []


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (["--no-rounding"], "--no-rounding"),
        (["--no-equalise"], "--no-equalise"),
        (["--no-bias-correction"], "--no-bias-correction"),
        (["--max-drop", "0"], "--max-drop"),
        (["--strict-bits"], "--strict-bits"),
    ],
)
def test_a_plan_names_the_option_that_was_written(given, named, made: Made, tmp_path, capfd):
    assert main(["compile", "--plan", str(made.plan), *given, "-o", str(tmp_path / "sr.so")]) == 2
    assert f"so {named} cannot be given beside it" in capfd.readouterr().err


def test_a_way_of_all_variants_is_nothing_to_those_without_pictures(model):
    shared = Calibration(way="tone")
    ways = {one.name: one.calibration(shared) for one in chosen("8,minmax,minmax+crop,cfqp-paper")}
    assert {name: how.way for name, how in ways.items()} == {
        "8": "tone", "minmax": Calibration.way, "minmax+crop": "crop", "cfqp-paper": "tone",
    }  # fmt: skip
    assert [len(unheard(model, how)) for how in ways.values()] == [0, 0, 1, 0]


def test_what_is_lost_is_shown_and_a_missed_limit_in_a_line(tmp_path, capsys):
    out = str(tmp_path / "a.json")
    assert main(["calibrate", "default:x2", "-o", out, "--max-drop", "0.0001", "--target", "x86-64"]) == 0
    said = capsys.readouterr()
    missed = [line for line in said.err.splitlines() if "--max-drop 0.0001 was missed" in line]
    assert len(missed) == 1 and missed[0].startswith("note: ") and "--calib" in missed[0]
    assert "dB PSNR against the FP32 output on 8 held-back crops" in said.out
    assert "% of the modelled time on x86_64 " in said.out
    assert main(["inspect", out]) == 0
    assert "dB PSNR against the FP32 output on 8 held-back crops" in capsys.readouterr().out


def test_pictures_that_are_too_alike_are_said(monkeypatch, tmp_path):
    monkeypatch.setattr("tvmsr.quant.calibrate.OVERFITTED", 0.0)
    made = tvmsr.calibrate("default:x2", max_drop=5.0, out=tmp_path / "a.json")
    assert made.notes.count(TOO_ALIKE) == 1 and not any(note.startswith("learned step") for note in made.notes)


def test_a_target_that_is_none(tmp_path, capsys):
    assert main(["calibrate", "default:x2", "-o", str(tmp_path / "a.json"), "--target", "nowhere"]) == 2
    assert "nowhere" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_what_evaluate_would_not_hear(made: Made, tmp_path):
    with pytest.raises(UsageError, match=r"--plan .* is for a network"):
        tvmsr.evaluate(made.artifact, data=tmp_path, plan=made.plan)
    for how in ({"model": "default:x2"}, {"threads": 2}, {"level": "avx2"}):
        with pytest.raises(UsageError, match="is for an artifact; default:x2 is a network"):
            tvmsr.evaluate("default:x2", data=tmp_path, **how)  # type: ignore[arg-type]


@pytest.mark.parametrize(("field", "name"), [("costs", "--costs"), ("adaptive", "--adaptive"),
                         ("sensitivity", "--sensitivity"), ("weight_bits", "--weight-bits")])  # fmt: skip
@pytest.mark.parametrize("bits", ["8", "auto:a6w4"])
def test_words_that_are_none_are_refused_whatever_the_bits(field, name, bits):
    with pytest.raises(UsageError, match=f"{name} bogus: expected .* or "):
        Calibration(bits=bits, **{field: "bogus"}).settled()
