"""`calibrate --learn --learn-bits`: both maps of a plan with choices, as the command makes them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tests.needs import installed

installed("torch", "pip install 'tvmsr[torch]'")

from tvmsr.cli.main import main  # noqa: E402
from tvmsr.commands import inputs  # noqa: E402
from tvmsr.quant.adabm import fitted, words  # noqa: E402
from tvmsr.quant.learned import learn, tune  # noqa: E402
from tvmsr.quant.plan import Plan  # noqa: E402


@pytest.fixture
def folder(tmp_path):
    """Pictures from flat to busy."""
    rng, at = np.random.default_rng(0), np.mgrid[:96, :96].sum(axis=0)[:, :, None] * [1.0, 0.8, 0.6]
    (tmp_path / "calib").mkdir()
    for number, strength in enumerate(np.geomspace(2, 60, 12)):
        noise = rng.normal(size=(12, 12, 3)).repeat(8, axis=0).repeat(8, axis=1)
        pixels = np.clip(40 + at + strength * noise, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "calib" / f"{number}.png")
    return tmp_path


SHORT = ((tune, "MOST_STEPS", 40), (tune, "DRAWN", 6 * tune.SIZE**2), (inputs, "CROP_SIZE", 48))
#: Busy pictures are much noisier than flat ones, so that more of them should choose.
STEEP = np.array([[np.log(4), 0.0, -np.log(4)], [5.0] * 3])


@pytest.fixture
def asked(folder, monkeypatch):
    for where, name, value in SHORT:
        monkeypatch.setattr(where, name, value)
    options = ["--calib", str(folder / "calib"), "--bits", "auto:a4w4", "--costs", "bits", "--learn", "--learn-bits"]
    return ["calibrate", "default:x2", *options, "-o", str(folder / "plan.json")]


def test_bits_and_thresholds_are_said(folder, asked, monkeypatch, capsys):
    monkeypatch.setattr(fitted, "_lines", lambda *_: STEEP)
    assert main(asked) == 0
    said, plan = capsys.readouterr().err, Plan.load(folder / "plan.json")
    assert "learned step" in said and (learn.LEARNED_BITS in plan.settings) is (learn.BITS_STAY not in said)
    (note,) = [note for note in plan.notes if note.startswith(words.THRESHOLDS)]
    assert "of 12 pictures, fitted, in the place of" in note and note in said.replace("\n", " ")
    assert f"{plan.adaptive.low} and busy above {plan.adaptive.high}" in note


def test_an_interrupt_while_thresholds_are_fitted_leaves_what_was_learned(folder, asked, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(fitted, "_lines", interrupted)
    assert main(asked) == 130
    plan = Plan.load(folder / "plan.json")
    assert "best plan so far" in capsys.readouterr().err
    assert not any("not finished" in note for note in plan.notes if note.startswith(learn.NOTED))
    assert any(note.startswith(learn.NOTED) for note in plan.notes)
