"""benchmarks/litert.py without LiteRT: what is asked of the tools, calibration data, and the tables."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import litert
import numpy as np
import pytest
from lite import tables
from lite.jobs import Job, LiteError, LiteModel, done, versions
from lite.quality import CLIP, FP32, FREE, arranged, models_of
from lite.sets import ALL, BOTH, ORDINARY, WHOLE, Shown, shown_sets, stacked
from PIL import Image

from tvmsr.commands.calibrate import calibrate
from tvmsr.commands.inputs import CROPS
from tvmsr.commands.source import open_model
from tvmsr.quant.representative import DEFAULT_WAY

MEANS = {"set5": 33.5, "set14": 29.75}


def less(drop: float) -> dict[str, float]:
    return {name: value - drop for name, value in MEANS.items()}


def cells(lines: list[str], *first: str) -> list[str]:
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if line.startswith("| ")]
    return next(row[len(first) :] for row in rows if row[: len(first)] == list(first))


def test_smaller_pictures_go_on_mirrored():
    large, small = np.zeros((4, 6, 3), np.uint8), np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    found = stacked([large, small])
    assert found.shape == (2, 4, 6, 3) and found.dtype == np.float32
    wanted = np.concatenate([small, small[::-1]])
    assert np.array_equal(found[1], np.concatenate([wanted, wanted[:, ::-1]], axis=1) / np.float32(255))


def test_pictures_are_those_that_save_data_writes(tmp_path):
    folder, saved = tmp_path / "photos", tmp_path / "saved"
    folder.mkdir()
    for number in range(2):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 40, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    calibrate("default:x2", calib=folder, hr=True, save_data=saved, out=tmp_path / "plan.json")
    whole, single = shown_sets(open_model("default:x2"), folder, (DEFAULT_WAY,), 1)
    wanted = stacked([np.asarray(Image.open(file)) for file in sorted(saved.iterdir())])
    assert np.array_equal(whole.data[DEFAULT_WAY], wanted)
    assert (whole.name, single.name) == (ALL, "0")
    assert len(whole.data[ORDINARY]) == CROPS and len(single.data[ORDINARY]) == 1
    assert np.array_equal(whole.data[BOTH], np.concatenate([whole.data[ORDINARY], wanted]))


def test_every_ending_is_calibrated_with_everything(tmp_path):
    pictures = np.zeros((1, 2, 2, 3), np.float32)
    made = models_of(Shown("7", {ORDINARY: pictures, "mix": pictures + 1}), "net.onnx", tmp_path)
    assert sorted(one.name for one in made) == sorted(
        f"7 {ending} {data}" for ending in (FREE, CLIP) for data in (ORDINARY, WHOLE, "mix")
    )
    assert {one.name for one in made if one.clip} == {f"7 clip {data}" for data in (ORDINARY, WHOLE, "mix")}
    assert [one.whole for one in made] == [WHOLE in one.name for one in made]
    assert all(np.load(one.calibration).max() == ("mix" in one.name) for one in made)


def test_results_by_set():
    found = {"fp32 free": MEANS, "fp32 clip": MEANS, "all free mix": less(0.1), "0 clip whole": less(0.2)}
    assert arranged(found) == {
        FP32: {FREE: MEANS, CLIP: MEANS},
        "sets": {ALL: {"free mix": less(0.1)}, "0": {"clip whole": less(0.2)}},
    }


def fake(tmp_path: Path, script: str) -> str:
    file = tmp_path / "python"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return str(file)


def test_the_worker_is_told_the_job_and_names_come_as_they_are_done(tmp_path):
    job = Job(
        str(tmp_path), "tensorflow", 2, ("a.npy",), (LiteModel("one", "x.onnx", clip=True), LiteModel("two", "y"))
    )
    python = fake(tmp_path, """echo '{"name": "one"}'; echo '{"name": "two"}'""")
    assert list(done(python, job)) == ["one", "two"]
    assert Job.read(tmp_path / "job.json") == job


def test_what_the_worker_cannot_do(tmp_path):
    job = Job(str(tmp_path), "tensorflow", 2, (), (LiteModel("one", "x.onnx"),))
    with pytest.raises(LiteError, match="one: it does not fit"):
        list(done(fake(tmp_path, """echo '{"name": "one", "reason": "it does not fit"}'"""), job))
    with pytest.raises(LiteError, match="exit code 3: no such module"):
        list(done(fake(tmp_path, "echo no such module >&2; exit 3"), job))


def test_versions_of_what_is_there():
    import sys
    from importlib.metadata import version

    assert versions(sys.executable, ["numpy", "surely-not-installed"]) == f"numpy {version('numpy')}"


def test_files_beside_ours():
    found = {FP32: MEANS, "int8": less(0.02), "strict": less(0.05), "ptq": less(0.1), "qat": less(0.06)}
    lines = tables.files_table(found)
    assert cells(lines, "ours, INT8") == ["33.480 / 29.730", "0.020 / 0.020"]
    assert cells(lines, "the field's PTQ (.tflite), run by LiteRT") == ["33.400 / 29.650", "0.100 / 0.100"]


def network(**drops: list[float]) -> dict:
    """By data: what all crops lose, and each set of one crop; with a clip 1 dB more."""
    sets: dict[str, dict] = {}
    for data, losses in drops.items():
        for name, loss in zip((ALL, *map(str, range(len(losses) - 1))), losses, strict=True):
            sets.setdefault(name, {}).update({f"free {data}": less(loss), f"clip {data}": less(loss + 1)})
    return {FP32: {FREE: MEANS, CLIP: MEANS}, "sets": sets}


def test_all_crops():
    lines = tables.sets_table({"net": network(ordinary=[0.1], whole=[0.1], tone=[0.2], both=[0.0])})
    assert cells(lines, "net", "FP32") == ["33.500 / 29.750"] * 2
    assert cells(lines, "net", "ordinary pictures") == ["33.400 / 29.650", "32.400 / 28.650"]
    assert cells(lines, "net", "CFQP's pictures, tone") == ["33.300 / 29.550", "32.300 / 28.550"]
    assert len(lines) == 2 + 5 + 1


def test_spread_is_over_the_sets_of_one_crop():
    lines = tables.spread_table({"net": network(ordinary=[9.0, 0.1, 0.3], mix=[9.0, 0.2, 0.2])})
    assert cells(lines, "net", "clip-free", "ordinary pictures") == [
        "33.300 / 0.141 / 33.200", "29.550 / 0.141 / 29.450", "-",
    ]  # fmt: skip
    assert cells(lines, "net", "with its clip", "CFQP's pictures, mix") == [
        "32.300 / 0.000 / 32.300", "28.550 / 0.000 / 28.550", "1, 1 of 2",
    ]  # fmt: skip
    assert len(tables.spread_table({"net": network(ordinary=[0.0, 0.1])})) == 3


def test_less_time_without_the_clip():
    columns = {
        "litert fp32-free": [8.0, 9.0], "litert fp32-clip": [10.0, 11.0], "litert int8-free": [3.0, 4.0],
        "litert int8-clip": [6.0, 7.0], "tvmsr absent": [2.0, 2.5], "tvmsr a pass of its own": [2.5, 3.0],
    }  # fmt: skip
    assert cells(tables.times_table({"320x180 2": columns}), "320x180, 2") == [
        "8.0 / 9.0", "10.0 / 11.0", "20%", "3.0 / 4.0", "6.0 / 7.0", "50%", "2.0 / 2.5", "-", "2.5 / 3.0", "20%",
    ]  # fmt: skip


def test_results_of_others_are_not_added_to(tmp_path):
    file = tmp_path / "litert.json"
    empty = litert._kept(file, "tensorflow", "tensorflow 2")
    file.write_text(json.dumps({**empty, "times": {"net": {}}}))
    assert litert._kept(file, "tensorflow", "tensorflow 2")["times"] == {"net": {}}
    for tool, said, other in (("ai-edge", "tensorflow 2", "tool"), ("tensorflow", "tensorflow 3", "versions")):
        with pytest.raises(SystemExit, match=f"another {other}"):
            litert._kept(file, tool, said)


def test_the_page_has_what_was_measured(tmp_path):
    data = litert._kept(tmp_path / "none.json", "tensorflow", "tensorflow 2")
    assert "###" not in litert._text(data)
    page = litert._text(
        {**data, "networks": {"net": network(ordinary=[0.1, 0.1, 0.2])}, "failed": {"other": "no form"}}
    )
    assert page.count("###") == 2 and "- other: no form" in page and "tensorflow 2" in page


def test_the_command_says_what_differs():
    parser = litert._parser()
    given = ["--weights", "a", "--images", "b", "--out", "c", "--times", "--sizes", "64x48", "--python", "/x"]
    assert litert._command(parser, parser.parse_args(given)).endswith("--out FILE --times --sizes 64x48")
