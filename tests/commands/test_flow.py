"""Every command on the embedded network, as a new user would call them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tvmsr
from tvmsr.artifact.manifest import AdaptiveEntry, TilingEntry, read_manifest
from tvmsr.cli.main import main
from tvmsr.imaging.picture import demo_picture

from .conftest import Made


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "in.png"
    Image.fromarray(demo_picture()[:37, :53]).save(path)
    return path


def test_upscale_writes_the_artifacts_bytes(made: Made, picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    assert main(["upscale", str(made.artifact), str(picture), str(out)]) == 0
    with tvmsr.load(made.artifact) as session:
        want = session.upscale(np.asarray(Image.open(picture)))
    assert np.array_equal(np.asarray(Image.open(out)), want)


def test_upscale_refuses_to_overwrite(made: Made, picture: Path, tmp_path: Path, capfd) -> None:
    out = tmp_path / "out.png"
    out.write_bytes(b"precious")
    assert main(["upscale", str(made.artifact), str(picture), str(out)]) == 2
    assert "--overwrite" in capfd.readouterr().err
    assert out.read_bytes() == b"precious"
    assert main(["upscale", str(made.artifact), str(picture), str(out), "--overwrite"]) == 0


def test_upscale_a_folder(made: Made, picture: Path, tmp_path: Path) -> None:
    Image.open(picture).convert("RGB").save(tmp_path / "second.jpg")
    done = tvmsr.upscale(made.artifact, tmp_path, tmp_path / "big")
    assert sorted(path.name for path, _ in done.files) == ["in.png", "second.png"]
    assert all(size == (106, 74) for _, size in done.files)


def test_evaluate_artifact_equals_reference(made: Made, tmp_path: Path) -> None:
    hr = tmp_path / "hr"
    hr.mkdir()
    Image.fromarray(demo_picture()[:96, :120]).save(hr / "a.png")
    through_so = tvmsr.evaluate(made.artifact, data=hr, model="default:x2").as_json()
    reference = tvmsr.evaluate("default:x2", data=hr, plan=made.plan).as_json()
    assert through_so["mean"] == reference["mean"]
    assert through_so["mean"]["psnr_y"] > through_so["mean"]["bicubic_psnr_y"]
    assert {"psnr_y", "ssim_y", "fp32_psnr_y", "fp32_ssim_y"} <= set(through_so["mean"])


def test_bench_reports_layers(made: Made, capfd) -> None:
    assert main(["bench", str(made.artifact), "--size", "64x48", "--threads", "1,2", "--layers", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert [t["threads"] for t in found["timings"]] == [1, 2]
    assert found["layers"]
    assert found["gmac"] == pytest.approx(59_600 * 64 * 48 / 1e9, rel=0.02)


@pytest.mark.parametrize("what", ["artifact", "plan", "model"])
def test_inspect_describes(what: str, made: Made, capfd) -> None:
    path = {"artifact": str(made.artifact), "plan": str(made.plan), "model": "default:x2"}[what]
    assert main(["inspect", path, "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["kind"] == what
    assert main(["inspect", path]) == 0
    assert capfd.readouterr().out


def test_inspect_says_of_an_artifact_what_it_says_of_a_model(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, artifact = dict(tvmsr.inspect().facts), dict(tvmsr.inspect(made.artifact).facts)
    assert artifact["pictures"] == model["pictures"] == "from 1x1 pixels"
    assert artifact["receptive radius"] == model["receptive radius"] and artifact["choices"]
    assert not any(label.startswith(("not in tiles", "minimum", "tiles")) for label in artifact)
    manifest = read_manifest(made.artifact)
    why = TilingEntry(radius=7, multiple=4, whole_because=["'gap' is the mean of the whole picture", "other"])
    adaptive = AdaptiveEntry(factors=[0, 1], low=5, high=9)
    known = manifest.model_copy(
        update={"tiling": why, "assumed": ["range 0..1", "colour rgb"], "minimum_width": 15, "adaptive": adaptive}
    )
    monkeypatch.setattr("tvmsr.artifact.manifest.read_manifest", lambda _: known)
    facts = tvmsr.inspect(made.artifact).facts
    assert facts[-6:] == (
        ("pictures", f"from 15x{manifest.minimum_height} pixels"),
        ("tiles", "at multiples of 4 pixels"),
        ("not in tiles 1", "'gap' is the mean of the whole picture"),
        ("not in tiles 2", "other"),
        ("assumed 1", "range 0..1"),
        ("assumed 2", "colour rgb"),
    )


def test_inspect_extracts_the_plan(made: Made, tmp_path: Path) -> None:
    tvmsr.inspect(made.artifact, plan=tmp_path / "plan.json")
    assert json.loads((tmp_path / "plan.json").read_text()) == json.loads(made.plan.read_text())


def test_verify_finds_all_bytes_equal(made: Made) -> None:
    assert tvmsr.verify(made.artifact, model="default:x2").bytes > 0


def test_verify_refuses_another_network(made: Made, capfd) -> None:
    assert main(["verify", str(made.artifact), "--model", "default:x4"]) == 2
    assert "checksum" in capfd.readouterr().err


def test_compiling_twice_gives_the_same_bytes(made: Made, tmp_path: Path) -> None:
    again = tvmsr.compile(out=tmp_path / "other-name.so", plan=made.plan).artifact
    assert again.read_bytes() == made.artifact.read_bytes()


def test_demo(tmp_path: Path, capfd) -> None:
    assert main(["demo", "--folder", str(tmp_path / "demo"), "--json"]) == 0
    done = json.loads(capfd.readouterr().out)
    assert done["psnr"] > done["bicubic_psnr"] + 0.5
    assert Image.open(done["picture"]).size[0] > 0


def test_doctor_is_content(capfd) -> None:
    assert main(["doctor", "--quick"]) == 0
    assert "linker" in capfd.readouterr().out


def test_models_and_targets(capfd) -> None:
    assert main(["models"]) == 0
    assert "srvgg" in capfd.readouterr().out
    assert main(["targets"]) == 0
    assert "host" in capfd.readouterr().out


def test_a_file_compiled_again_is_loaded_again(made: Made, tmp_path: Path) -> None:
    path = tmp_path / "same-name.so"
    scales = []
    for scale in (2, 4):
        path.unlink(missing_ok=True)
        path.write_bytes(
            made.artifact.read_bytes()
            if scale == 2
            else tvmsr.compile("default:x4", out=tmp_path / "x4.so").artifact.read_bytes()
        )
        with tvmsr.load(path) as session:
            scales.append(session.info.scale)
    assert scales == [2, 4]


def test_licence_reaches_the_manifest(made: Made, tmp_path: Path, capfd) -> None:
    out = tmp_path / "sr.so"
    assert main(["compile", "--plan", str(made.plan), "--licence", "BSD-3-Clause", "-o", str(out)]) == 0
    assert main(["inspect", str(out), "--json"]) == 0
    captured = capfd.readouterr().out
    assert json.loads(captured[captured.index("{") :])["weights_licence"] == "BSD-3-Clause"
