"""Commands on an emulated CPU, and `verify` where something is wrong. A small network, random weights."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tvmsr
from tests.commands.conftest import Small
from tvmsr.cli.main import main
from tvmsr.commands.proofs import ReferenceProof
from tvmsr.errors import WorkError
from tvmsr.imaging.picture import demo_picture


def test_verify_without_the_network(small: Small, capfd) -> None:
    assert main(["verify", str(small.arm), "--device", "qemu:aarch64", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert (found["proof"], found["levels"], found["skipped"]) == ("checksums", ["i8mm", "dotprod", "neon"], {})
    assert found["threads"] == [1, 2, 3] and found["pictures"] == 3 and found["strips"] > 1
    assert found["runs"] == 3 * 3 * (3 + 1)


def test_verify_with_the_network(small: Small, capfd) -> None:
    arguments = ["verify", str(small.arm), "--model", str(small.model), "--device", "qemu:aarch64:cortex-a53"]
    assert main(arguments) == 0
    said = capfd.readouterr().out
    assert "skipped i8mm: this CPU has no i8mm" in said and "skipped dotprod: this CPU has no dotprod" in said
    assert "reference executor" in said and "levels neon," in said
    strips = re.search(r"up to (\d+) strips", said)
    assert strips and int(strips[1]) > 1


def test_verify_here(small: Small) -> None:
    without = tvmsr.verify(small.here)
    with_model = tvmsr.verify(small.here, model=small.model, plan=small.plan, seed=5)
    assert (without.proof, with_model.proof, without.device) == ("checksums", "reference", "here")
    assert without.strips > 1 and with_model.strips > 1


@pytest.mark.parametrize("layer", ["body.0", "body.4"])
def test_verify_names_the_first_layer_that_differs(layer: str, small: Small, tmp_path: Path) -> None:
    plan = json.loads(small.plan.read_text())
    for name in ("body.4", layer):
        plan["layers"][name]["bias_correction"] = [0.1] * len(plan["layers"][name]["weight_scales"])
    other = tmp_path / "other.json"
    other.write_text(json.dumps(plan))
    for artifact, device in ((small.here, "here"), (small.arm, "qemu:aarch64")):
        with pytest.raises(WorkError, match=rf"level \w+, 1 threads.*first layer that differs is '{layer}") as error:
            tvmsr.verify(artifact, model=small.model, plan=other, device=device)
        assert "the picture 'one pixel' (1x1)" in str(error.value)
        assert str(error.value).endswith(f"it was not made with {other}")


def test_verify_with_a_checksum_of_something_else(small: Small, tmp_path: Path, capfd) -> None:
    raw = small.here.read_bytes()
    checksum = json.loads(raw[raw.index(b'{"format":"tvmsr-manifest"') :].split(b"\0")[0])["checks"][1]["checksum"]
    assert raw.count(checksum.encode()) == 1
    bad = tmp_path / "bad.so"
    bad.write_bytes(raw.replace(checksum.encode(), checksum[::-1].encode()))
    assert checksum != checksum[::-1] and main(["verify", str(bad)]) == 1
    said = capfd.readouterr().err
    assert "the checksum differs" in said and "--model" in said


def test_pictures_that_verify_compares(small: Small) -> None:
    from tvmsr.artifact.manifest import read_manifest
    from tvmsr.quant.adaptive import ONE
    from tvmsr.quant.bind import bind
    from tvmsr.quant.plan import Plan

    graph = bind(tvmsr.load_model(small.model), Plan.load(small.plan))
    proof = ReferenceProof((graph,), ONE, read_manifest(small.here), seed=0)
    shapes = {sample.name: sample.picture.shape for sample in proof.samples}
    assert shapes["one pixel"] == (1, 1, 3) and shapes["RGBA"][2] == 4 and len(shapes["gray"]) == 2
    by_name = {sample.name: sample for sample in proof.samples}
    assert set(np.unique(by_name["extremes"].picture)) == {0, 255}
    assert by_name["bottom up"].picture.strides[0] < 0
    assert len(np.unique(by_name["real"].picture)) > 100
    assert proof.samples[-1].picture.shape[0] == max(sample.picture.shape[0] for sample in proof.samples)


def test_verify_mistakes(small: Small, capfd) -> None:
    for arguments, code, words in (
        (["--plan", str(small.plan)], 2, "--model"),
        (["--model", "default:x2"], 2, "checksums of the networks differ"),
        (["--device", "mars"], 2, "qemu:aarch64[:CPU]"),
        (["--device", "qemu:arm"], 4, "is for AArch64"),
        (["--device", "qemu:aarch64:z80"], 4, "cortex-a53"),
        ([], 3, "which this machine is not"),
    ):
        assert main(["verify", str(small.arm), *arguments]) == code
        said = capfd.readouterr().err
        assert words in said and len(said.splitlines()) == 1


def test_upscale_on_a_device(small: Small, tmp_path: Path, capfd) -> None:
    Image.fromarray(demo_picture()[:21, :34]).save(tmp_path / "in.png")
    for artifact, device, out in ((small.arm, "qemu:aarch64", "arm.png"), (small.here, "here", "here.png")):
        arguments = [str(artifact), str(tmp_path / "in.png"), str(tmp_path / out), "--device", device, "--check"]
        assert main(["upscale", *arguments]) == 0
    assert "level i8mm" in capfd.readouterr().out
    assert np.array_equal(*(np.asarray(Image.open(tmp_path / name)) for name in ("arm.png", "here.png")))


def test_evaluate_on_a_device(small: Small, tmp_path: Path) -> None:
    hr = tmp_path / "hr"
    hr.mkdir()
    Image.fromarray(demo_picture()[:48, :64]).save(hr / "a.png")
    there = tvmsr.evaluate(small.arm, data=hr, device="qemu:aarch64", level="neon")
    assert there.as_json() == tvmsr.evaluate(small.here, data=hr).as_json()


def test_evaluate_runs_no_network_on_a_device(small: Small, tmp_path: Path, capfd) -> None:
    assert main(["evaluate", str(small.model), "--data", str(tmp_path), "--device", "qemu:aarch64"]) == 2
    assert "runs an artifact" in capfd.readouterr().err


def test_bench_on_a_device_says_whose_times_they_are(small: Small, capfd) -> None:
    arguments = ["bench", str(small.arm), "--device", "qemu:aarch64:cortex-a76", "--size", "32x24", "--threads", "1,2"]
    assert main([*arguments, "--layers"]) == 0
    said = capfd.readouterr()
    assert "level dotprod" in said.out and "body.2" in said.out
    assert "emulator qemu:aarch64:cortex-a76, not of a CPU" in said.err
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["device"] == "qemu:aarch64:cortex-a76" and [t["threads"] for t in found["timings"]] == [1, 2]
