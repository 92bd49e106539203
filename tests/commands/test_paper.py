from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.needs import installed
from tests.quant import networks
from tvmsr.adabm_paper.protocol import Protocol, Quirks, Scope
from tvmsr.commands.paper import evaluate_paper
from tvmsr.errors import InputFileError, UsageError

installed("torch", "pip install tvmsr[torch]")

SMALL = Protocol(pictures=4, crop=16, calibration_batch=2, epochs=3)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "hr"
    folder.mkdir()
    Image.fromarray(networks.picture(0, 48, 40)).save(folder / "one.png")
    return folder


def test_figures_and_notes(data: Path):
    stages = []

    def progress(stage: str, _done: int, _total: int) -> None:
        stages.append(stage)

    found = evaluate_paper(data=data, bits="a6w8", settings=SMALL, progress=progress)
    assert list(dict.fromkeys(stages)) == ["calibrate", "fine-tune", "evaluate"]
    figures = found.rows[0].figures
    assert {"psnr_y", "ssim_y", "fp32_psnr_y", "bicubic_psnr_y", "fab", "tera_bitops", "bitops_share"} <= set(figures)
    assert 4 <= figures["fab"] <= 8
    assert figures["fp32_psnr_y"] > figures["psnr_y"] - 0.5
    assert any("--calib" in note for note in found.notes)
    again = evaluate_paper(data=data, bits="a6w8", settings=SMALL)
    assert again.rows[0].figures == figures


def test_a_folder_and_full_scope(data: Path):
    body = evaluate_paper(data=data, calib=data, hr=True, settings=SMALL)
    full = evaluate_paper(data=data, calib=data, hr=True, scope="full", settings=SMALL)
    assert not any("--calib" in note for note in full.notes)
    assert full.mean["bitops_share"] < body.mean["bitops_share"]


def test_settings_say_what_options_do_not(data: Path):
    full = replace(SMALL, bits=4, weight_bits=5, epochs=0, quirks=Quirks(scope=Scope.FULL))
    own, both = evaluate_paper(data=data, settings=full), evaluate_paper(data=data, bits="a6w8", settings=full)
    assert "W5A4, " in own.notes[-2] and "W8A6, " in both.notes[-2] and "ends at 8 bits" in own.notes[-2]
    assert "not as published: pictures=4, crop=16, calibration_batch=2, epochs=0" in own.notes
    assert "ends in FP32" in evaluate_paper(data=data, scope="body", settings=full).notes[-2]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"bits": "auto"}, "auto"),
        ({"bits": "2"}, "give at least 3"),
        ({"seed": -1}, "--seed -1"),
        ({"scope": "all"}, "body or full"),
        ({"protocol": "lab"}, "no protocol"),
    ],
)
def test_mistakes_are_said(data: Path, options: dict, says: str):
    with pytest.raises(UsageError, match=says):
        evaluate_paper(data=data, settings=SMALL, **options)


def test_hostile_folders(data: Path, tmp_path: Path):
    flat = tmp_path / "flat"
    flat.mkdir()
    for name in "ab":
        Image.fromarray(np.full((20, 20, 3), 128, np.uint8)).save(flat / f"{name}.png")
    found = evaluate_paper(data=data, calib=flat, settings=SMALL)
    assert np.isfinite(list(found.mean.values())).all()
    with pytest.raises(InputFileError):
        evaluate_paper(data=data, calib=tmp_path / "nowhere", settings=SMALL)
    (flat / "c.png").write_bytes(b"no picture")
    with pytest.raises(InputFileError, match=r"c\.png"):
        evaluate_paper(data=data, calib=flat, settings=SMALL)
