"""`tvmsr calibrate` that is interrupted, and the pictures of CFQP as files."""

from __future__ import annotations

import numpy as np
import pytest

import tvmsr
from tvmsr.cli.main import INTERRUPTED, main
from tvmsr.commands import compile as commands
from tvmsr.commands.calibrate import Calibration, file_word
from tvmsr.commands.inputs import complexities_for
from tvmsr.errors import InputFileError, Interrupted, UsageError
from tvmsr.imaging.augment import default_calibration
from tvmsr.imaging.files import read_picture, write_pictures
from tvmsr.quant.complexity import complexity
from tvmsr.quant.plan import Plan


@pytest.mark.parametrize("stage", ["weights", "sensitivity"])
def test_ctrl_c_keeps_the_best_plan_so_far(tmp_path, stage):
    out = tmp_path / "kept.json"

    def stop(what: str, done: int, _total: int) -> None:
        if what == stage and done == 1:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="best plan so far") as stopped:
        tvmsr.calibrate("default:x2", out=out, max_drop=0.0, progress=stop)
    plan = Plan.load(out)
    assert "not finished" in plan.notes[-1]
    assert "so far, expected drop 0." in str(stopped.value) and (plan.judged is not None) == (stage == "sensitivity")
    rounded = [layer.weight_codes is not None for layer in plan.layers.values()]
    assert any(rounded) == (stage == "sensitivity")
    made = tvmsr.compile("default:x2", plan=out, out=tmp_path / "kept.so")
    assert made.artifact.is_file()


def test_ctrl_c_while_compile_chooses_bits_leaves_a_plan_to_compile(tmp_path, capfd, monkeypatch):
    real = commands.plan_for

    def stopped(model, how, progress, better, *rest):
        def stop(what: str, done: int, total: int) -> None:
            if what == "sensitivity":
                raise KeyboardInterrupt

        return real(model, how, stop, better, *rest)

    monkeypatch.setattr(commands, "plan_for", stopped)
    assert main(["compile", "default:x2", "--bits", "auto:a6w4", "--out", str(tmp_path / "a.so")]) == INTERRUPTED
    (left,) = tmp_path.iterdir()
    assert left.name == "a.unfinished.plan.json" and "is the best plan so far, for --plan" in capfd.readouterr().err
    made = tvmsr.compile("default:x2", plan=left, out=tmp_path / "b.so")
    assert made.artifact.is_file() and made.bits == "auto:a6w4"


def test_ctrl_c_before_there_is_a_plan_leaves_nothing(tmp_path):
    def stop(_what: str, _done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as stopped:
        tvmsr.calibrate("default:x2", out=tmp_path / "no.json", progress=stop)
    assert not isinstance(stopped.value, Interrupted) and not list(tmp_path.iterdir())


def test_save_data_writes_what_ranges_were_measured_on(tmp_path):
    folder = tmp_path / "pictures"
    plan = tvmsr.calibrate("default:x2", out=tmp_path / "a.json", save_data=folder, strict_bits=True).plan
    files = sorted(folder.iterdir())
    assert [file.name for file in files] == ["0001.png", "0002.png", "0003.png", "0004.png"]
    assert f"pictures of full range: {len(files)}" in plan.notes[0]
    again = tmp_path / "again"
    tvmsr.calibrate("default:x2", out=tmp_path / "b.json", save_data=again, strict_bits=True)
    for file in files:
        np.testing.assert_array_equal(read_picture(file).pixels, read_picture(again / file.name).pixels)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_save_data_that_cannot_be(tmp_path, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="not an empty folder"):
        tvmsr.calibrate("default:x2", out=tmp_path / "a.json", save_data=tmp_path / "full")
    with pytest.raises(UsageError, match="there is no folder"):
        tvmsr.calibrate("default:x2", out=tmp_path / "a.json", save_data=tmp_path / "no" / "such")
    assert main(["calibrate", "-o", str(tmp_path / "a.json"), "--method", "minmax", "--save-data", "x"]) == 2
    assert "makes no pictures" in capsys.readouterr().err


def test_auto_bits_from_a_folder_to_a_plan_named_without_a_colon(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "pictures"
    write_pictures(folder, [picture[:64, :64] for picture in default_calibration(6, 80)])
    monkeypatch.chdir(tmp_path)
    options = ["--bits", "auto:a6w8", "--costs", "bits", "--no-rounding", "--calib", str(folder)]
    assert main(["calibrate", "default:x2", *options]) == 0
    (file,) = tmp_path.glob("*.plan.json")
    assert file.name == "default-x2-auto-a6w8.plan.json"
    plan = Plan.load(file)
    assert plan.adaptive is not None and "percentiles 10 and 90 of 6 pictures" in plan.notes[-2]
    said = " ".join(capsys.readouterr().err.split())
    assert "note: AdaBM: feature average bit" in said and "choice 'fewer' for flat pictures" in said
    whole = [complexity(read_picture(path).pixels) for path in folder.iterdir()]
    assert sorted(complexities_for(Calibration(calib=folder), 2)) == sorted(whole)
    assert complexities_for(Calibration(), 2) == []
    assert sorted(complexities_for(Calibration(calib=folder, adaptive="tile"), 2)) == sorted(whole)


def test_an_hr_picture_that_is_too_small(tmp_path):
    write_pictures(tmp_path / "p", [np.zeros((1, 9, 3), np.uint8)])
    with pytest.raises(InputFileError, match=r"0001\.png: smaller than 2 x 2 pixels"):
        complexities_for(Calibration(calib=tmp_path / "p", hr=True), 2)


def test_bits_in_names_of_files():
    assert file_word("auto:a6w4") == "auto-a6w4" and file_word("../a\\b c") == "..-a-b-c"
