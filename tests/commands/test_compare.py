"""`compare`: which variants there are, that figures are those of the .so, and that nothing is left behind."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

import tvmsr
from tests.frontend import states
from tvmsr.commands.calibrate import Calibration
from tvmsr.commands.compare import Comparison, _whose
from tvmsr.commands.comparison import measuring
from tvmsr.commands.comparison.making import Made
from tvmsr.commands.comparison.variants import CLIPS, SPREAD, STUDY, Variant, chosen
from tvmsr.commands.compile import build_artifact
from tvmsr.commands.inputs import CROP_SIZE
from tvmsr.commands.source import open_model
from tvmsr.devices import Opening
from tvmsr.errors import InputFileError, UsageError
from tvmsr.evaluation.dataset import load_pairs
from tvmsr.evaluation.metrics import psnr_y
from tvmsr.graph.model import Mark
from tvmsr.hardware import load_target
from tvmsr.imaging.augment import calibration_crops
from tvmsr.imaging.picture import demo_picture
from tvmsr.quant.bind import bind
from tvmsr.quant.calibrate import calibrate
from tvmsr.quant.methods import METHODS
from tvmsr.quant.picture import upscale_picture
from tvmsr.quant.representative import WAYS


@dataclass(frozen=True)
class Given:
    """A small network and a folder of three HR pictures."""

    model: Path
    pictures: Path


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Given:
    folder = tmp_path_factory.mktemp("given")
    made = Given(folder / "abpn.safetensors", folder / "pictures")
    made.pictures.mkdir()
    for number in range(3):
        picture = demo_picture()[40 * number :, 50 * number :][:96, :108]
        Image.fromarray(picture).save(made.pictures / f"{number}.png")
    save_file(states.abpn(), made.model)
    return made


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where temporary folders are made while a test runs; it has to be empty behind it. Runs are few."""
    for name, value in {"ROUNDS": 2, "RUNS": 1, "SECONDS": 0.0}.items():
        monkeypatch.setattr(measuring, name, value)
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert not list(folder.glob("tvmsr-compare-*"))


def run(given: Given, **how: object) -> Comparison:
    options = {"data": given.pictures, "calib": given.pictures, "hr": True, "width": 24, "height": 16, **how}
    return tvmsr.compare(given.model, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("8", {"bits": "8"}),
        ("a6w4", {"bits": "a6w4"}),
        ("auto:a6w4+bit-costs", {"bits": "auto:a6w4", "costs": "bits"}),
        ("strict", {"strict_bits": True}),
        ("minmax", {"method": "minmax"}),
        ("selection", {"way": "selection"}),
        ("6+mse+no-equalise", {"bits": "6", "method": "mse", "equalise": False}),
        ("a6w4+learn", {"bits": "a6w4", "learn": True}),
        ("auto:a4w4+bit-costs+none-kept", {"bits": "auto:a4w4", "costs": "bits", "kept": 0.0}),
        ("auto:a4w4+layer-weights", {"bits": "auto:a4w4", "weight_bits": "layer"}),
        ("auto+tile+gradient", {"bits": "auto", "adaptive": "tile", "sensitivity": "gradient"}),
        ("plain", {"method": "minmax", "equalise": False, "bias_correction": False, "strict_bits": True}),
        ("plain+strict", {"method": "minmax", "equalise": False, "bias_correction": False, "strict_bits": True}),
    ],
)
def test_names(name: str, changes: dict[str, object]) -> None:
    (one,) = chosen(["fp32", name])[1:]
    assert (one.name, one.changes, one.clip_apart) == (name, changes, False)
    shared = Calibration(calib=Path("x"), seed=3)
    assert one.calibration(shared) == replace(shared, **changes)


def test_every_method_and_way_has_a_name() -> None:
    names = [*METHODS, *WAYS]
    assert [v.name for v in chosen(", ".join(["fp32", *names]))] == ["fp32", *names]
    assert chosen("fp32,cfqp")[1].changes == {"method": "cfqp"}


def test_cfqp_alone_is_the_study() -> None:
    assert chosen("cfqp") is STUDY and chosen(["cfqp"]) is STUDY
    names = [variant.name for variant in STUDY]
    assert len(set(names)) == len(names) and {*SPREAD, *CLIPS.values()} <= set(names)


@pytest.mark.parametrize(
    ("variants", "words"),
    [
        ("", "'' in '' is not known; known are fp32, bits such as 8 or a6w4, strict,"),
        ("8,nonsense", "'nonsense' in 'nonsense' is not known"),
        ("8+", "'' in '8\\+' is not known"),
        ("fp32+8", "'fp32' in 'fp32\\+8'"),
        ("99", "'99' in '99'"),
        ("auto:a9w8", "'auto:a9w8' in 'auto:a9w8'"),
        ("autoo", "'autoo' in 'autoo'"),
        ("6+adabm", "--method adabm: it chooses bits itself"),
        ("8,6,8", "names '8' twice"),
        ("minmax+mse", "'minmax\\+mse' says two things about method"),
        ("8+6", "two things about bits"),
    ],
)
def test_variants_that_are_none(variants: str, words: str, given: Given) -> None:
    with pytest.raises(UsageError, match=words):
        run(given, variants=variants)


def test_figures_are_those_of_the_artifact(given: Given, scratch: Path, tmp_path: Path) -> None:
    out, seen = tmp_path / "table.md", []
    found = run(
        given, variants="fp32,8,minmax+strict", threads=1, out=out, progress=lambda stage, *_: seen.append(stage)
    )
    assert [row.name for row in found.rows] == ["fp32", "8", "minmax+strict"]
    ways = {"8": {}, "minmax+strict": {"method": "minmax", "strict_bits": True}}
    exact = tvmsr.evaluate(given.model, data=given.pictures).mean
    assert (found.row("fp32").psnr, found.row("fp32").ssim) == (exact["psnr_y"], exact["ssim_y"])
    assert found.row("fp32").drop == 0 and found.row("fp32").minimum is None and found.row("fp32").size is None
    for name, how in ways.items():
        so = tmp_path / f"{name}.so"
        made = tvmsr.compile(given.model, out=so, calib=given.pictures, hr=True, **how)  # type: ignore[arg-type]
        want, row = tvmsr.evaluate(so, data=given.pictures).mean, found.row(name)
        assert (row.psnr, row.ssim, row.size) == (want["psnr_y"], want["ssim_y"], made.size)
        assert row.drop == exact["psnr_y"] - want["psnr_y"]
        assert row.minimum is not None and row.median is not None and 0 < row.minimum <= row.median
    assert (found.threads, found.pictures, found.data, found.spreads) == (1, 3, "pictures", ())
    assert (found.calibration, found.way, found.seed) == ("pictures of pictures", Calibration.way, 0)
    assert len(found.tables) == 1 and any("clipped to bytes" in note for note in found.notes)
    assert {"variants", "quality", "time"} <= set(seen)
    text = out.read_text()
    assert all(f"| {row.name} | {row.text} | {row.psnr:.3f} |" in text for row in found.rows)


def test_fp32_alone_and_the_bundled_picture(given: Given, scratch: Path) -> None:
    found = run(given, variants=["fp32"])
    assert (found.threads, found.level) == (0, "") and found.rows[0].drop == 0
    noted = run(given, variants="8", calib=None, hr=False, protocol="rgb").notes
    assert any("no --calib folder" in note for note in noted)


def test_the_study(given: Given, scratch: Path) -> None:
    found = run(given, variants="cfqp", sets=3, seed=5)
    assert [row.name for row in found.rows] == [variant.name for variant in STUDY]
    for one, other in (("fp32", "fp32+clip"), ("clip-minmax", "clip-apart")):
        assert (found.row(one).psnr, found.row(one).ssim) == (found.row(other).psnr, found.row(other).ssim)
    assert any("FP32 + clip has the figures of FP32" in note for note in found.notes)
    assert [one.name for one in found.spreads] == list(SPREAD) and dict(found.clips) == CLIPS
    model, pairs = open_model(given.model), load_pairs(given.pictures, 3)
    by_name = {one.name: one for one in found.spreads}
    for number in range(3):
        (crop,) = calibration_crops(given.pictures, 1, CROP_SIZE, seed=5 + number, hr_scale=3)
        for name in ("clip-minmax", "cfqp"):
            graph = bind(model, calibrate(model, [crop], method=name, seed=5))
            want = np.mean([psnr_y(upscale_picture(graph, pair.lr), pair.hr, 3) for pair in pairs])
            assert by_name[name].psnr[number] == want
    one = by_name["clip-minmax"]
    assert (one.mean, one.deviation) == pytest.approx((np.mean(one.psnr), np.std(one.psnr, ddof=1)))
    assert one.worst == min(one.psnr)
    data = json.loads(json.dumps(found.as_json()))
    assert data["spreads"][0]["worst"] == one.worst and len(data["rows"]) == len(STUDY)
    assert [len(table.lines) for table in found.tables] == [len(STUDY), len(CLIPS), len(SPREAD)]


def test_any_variants_over_random_sets(given: Given, scratch: Path) -> None:
    names = ["clip-minmax", "cfqp-paper+tone"]
    found = run(given, variants=["fp32", *names], sets=2, seed=3)
    assert [one.name for one in found.spreads] == names and found.clips == {}
    assert all(len(one.psnr) == 2 for one in found.spreads)
    assert run(given, variants=["fp32"]).spreads == ()


def test_a_clip_apart_gives_the_bytes_of_the_fused_one(given: Given, tmp_path: Path) -> None:
    model, (pair, *_) = open_model(given.model), load_pairs(given.pictures, 3)
    plan = calibrate(model, [pair.lr], method="clip-minmax")
    graph, target = bind(model, plan), load_target("host")
    steps, want = [], upscale_picture(graph, pair.lr)
    for name, apart in {"fused": frozenset[str](), "apart": frozenset({graph.output})}.items():
        built = build_artifact(model, plan, target, tmp_path / f"{name}.so", apart=apart)
        steps.append(len(built.manifest.levels[0].layers))
        with tvmsr.device("here").open(built.path, Opening(threads=2)) as runner:
            np.testing.assert_array_equal(runner.upscale(pair.lr), want)
    assert steps[1] == steps[0] + 1


def test_a_network_of_y(given: Given, scratch: Path, tmp_path: Path) -> None:
    save_file(states.espcn(), tmp_path / "espcn.safetensors")
    y = Given(tmp_path / "espcn.safetensors", given.pictures)
    assert [row.name for row in run(y, variants="cfqp", sets=2).rows] == [variant.name for variant in STUDY]
    with pytest.raises(UsageError, match="use --protocol y"):
        run(y, protocol="rgb")


def test_mistakes_are_said_before_any_work(given: Given, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tvmsr.commands.comparison.making.make_all", None)
    with pytest.raises(InputFileError, match="missing"):
        run(given, data=tmp_path / "missing")
    with pytest.raises(InputFileError, match="missing"):
        run(given, calib=tmp_path / "missing")
    with pytest.raises(UsageError, match="no/folder does not exist"):
        run(given, out=Path("no/folder/table.md"))
    with pytest.raises(UsageError, match="no protocol 'x'"):
        run(given, protocol="x")
    with pytest.raises(UsageError, match="name one with --calib"):
        run(given, variants="cfqp", calib=None)
    with pytest.raises(UsageError, match="at least 2 sets"):
        run(given, variants="cfqp", sets=1)
    Image.fromarray(demo_picture()).save(tmp_path / "only.png")
    with pytest.raises(UsageError, match="holds one picture"):
        run(given, variants="cfqp", calib=tmp_path)


def test_a_quantized_network_is_refused(given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    model = open_model(given.model)
    marked = replace(model, graph=replace(model.graph, marks={"input": Mark(8, 1.0, 0)}))
    monkeypatch.setattr("tvmsr.commands.compare.open_model", lambda *_: marked)
    with pytest.raises(UsageError, match="another tool has quantized it; give its FP32 file"):
        run(given)


@pytest.mark.parametrize("what", ["measuring.measured", "spreading.spreads"])
def test_nothing_stays_after_ctrl_c(
    what: str, given: Given, scratch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"tvmsr.commands.comparison.{what}", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(given, variants="cfqp", out=tmp_path / "table.md")
    assert not (tmp_path / "table.md").exists()


def test_notes_on_chosen_bits_say_whose_they_are(tmp_path):
    one = Made(Variant("auto:a6w4", "", {}), tmp_path / "0.so", 1, ())
    assert _whose(one, "AdaBM: expected drop 0.1 dB") == "auto:a6w4: AdaBM: expected drop 0.1 dB"
    assert _whose(one, "no --calib folder") == "no --calib folder"
