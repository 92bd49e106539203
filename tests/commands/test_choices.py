"""Commands on an artifact with three bit choices."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

import tvmsr
from tests.frontend import states
from tests.quant.adaptive_plans import HIGH, LOW, adaptive_plan, between, busy, flat
from tvmsr.artifact.manifest import read_manifest
from tvmsr.cli.main import main
from tvmsr.commands.source import open_model
from tvmsr.commands.upscaling.cut import whole_because
from tvmsr.errors import UsageError, WorkError
from tvmsr.quant.adaptive import bind_choices
from tvmsr.quant.picture import upscale_picture
from tvmsr.quant.plan import Plan

PICTURES = {"a": (flat(), "low"), "b": (between(), "base"), "c": (busy(), "high")}


@dataclass(frozen=True)
class Adaptive:
    model: Path
    plan: Path
    artifact: Path
    wanted: dict[str, dict[str, np.ndarray]]  # by picture, then by choice


@pytest.fixture(scope="module")
def adaptive(tmp_path_factory: pytest.TempPathFactory) -> Adaptive:
    folder = tmp_path_factory.mktemp("adaptive")
    model, plan, artifact = (folder / name for name in ("srvgg.safetensors", "plan.json", "sr.so"))
    save_file(states.srvgg(), model)
    network = open_model(model)
    made = adaptive_plan(network)
    made.save(plan)
    tvmsr.compile(model, plan=plan, out=artifact)
    graphs = dict(zip(("base", "low", "high"), bind_choices(network, made), strict=True))
    wanted = {n: {c: upscale_picture(g, image) for c, g in graphs.items()} for n, (image, _) in PICTURES.items()}
    return Adaptive(model, plan, artifact, wanted)


@pytest.fixture(autouse=True)
def quiet_again() -> Iterator[None]:
    """--verbose is for a process."""
    logger = logging.getLogger("tvmsr")
    before = logger.level
    yield
    logger.setLevel(before)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for name, (image, _) in PICTURES.items():
        Image.fromarray(image).save(tmp_path / "in" / f"{name}.png")
    return tmp_path / "in"


def made_of(folder: Path) -> dict[str, np.ndarray]:
    return {path.stem: np.asarray(Image.open(path)) for path in sorted(folder.glob("*.png"))}


def test_every_picture_its_own(adaptive: Adaptive, folder: Path, tmp_path: Path, capfd) -> None:
    out = tmp_path / "out"
    assert main(["upscale", str(adaptive.artifact), str(folder), str(out), "--verbose"]) == 0
    said = capfd.readouterr().out
    for name, image in made_of(out).items():
        own = PICTURES[name][1]
        np.testing.assert_array_equal(image, adaptive.wanted[name][own])
        assert re.search(rf"{name}\.png  120x80  choice {own}\n", said)


def test_forced(adaptive: Adaptive, folder: Path, tmp_path: Path, capfd) -> None:
    """Results of one choice are not taken for those of another."""
    out = tmp_path / "out"
    command = ["upscale", str(adaptive.artifact), str(folder), str(out), "--json", "--choice"]
    assert main([*command, "low"]) == 0
    assert {row["choice"] for row in json.loads(capfd.readouterr().out)["files"]} == {"low"}
    for name, image in made_of(out).items():
        np.testing.assert_array_equal(image, adaptive.wanted[name]["low"])
    assert main([*command, "low"]) == 0
    assert len(json.loads(capfd.readouterr().out)["there"]) == 3
    assert main([*command, "high"]) == 2 and "exists already" in capfd.readouterr().err
    assert main([*command, "best"]) == 2
    assert "there is no bit choice 'best' in it; it has base, low, high, and auto" in capfd.readouterr().err


def test_pieces(adaptive: Adaptive) -> None:
    """A picture that chooses is taken whole; one whose choice is forced may be cut."""
    with tvmsr.load(adaptive.artifact) as session:
        assert "it chooses its bits by the whole picture" in whole_because(session.info)
        assert whole_because(session.info, "low") == ()


def test_forced_in_bands(adaptive: Adaptive, tmp_path: Path) -> None:
    image = np.concatenate([flat(40, 30), busy(40, 30)])
    Image.fromarray(image).save(tmp_path / "in.png")
    tvmsr.upscale(adaptive.artifact, tmp_path / "in.png", tmp_path / "whole.png", choice="high")
    done = tvmsr.upscale(adaptive.artifact, tmp_path / "in.png", tmp_path / "tiles.png", choice="high", tile=24)
    assert not done.notices and done.choices == ("high",)
    assert (np.asarray(Image.open(tmp_path / "whole.png")) == np.asarray(Image.open(tmp_path / "tiles.png"))).all()


def test_an_artifact_of_one_choice_takes_its_name(adaptive: Adaptive, tmp_path: Path) -> None:
    plan = Plan.load(adaptive.plan).of_choice(0)
    plan.save(tmp_path / "one.json")
    artifact = tvmsr.compile(adaptive.model, plan=tmp_path / "one.json", out=tmp_path / "one.so").artifact
    Image.fromarray(busy()).save(tmp_path / "in.png")
    done = tvmsr.upscale(artifact, tmp_path / "in.png", tmp_path / "out.png", choice="default")
    assert done.choices == () and "choice" not in done.as_json()["files"][0]
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out.png")), adaptive.wanted["c"]["base"])


def test_inspect(adaptive: Adaptive, capfd) -> None:
    assert main(["inspect", str(adaptive.artifact)]) == 0
    said = capfd.readouterr().out
    for line in ("base, low, high", f"complexity below {LOW}", f"complexity above {HIGH}", "bytes of packed weights"):
        assert line in said
    assert main(["inspect", str(adaptive.plan)]) == 0
    assert f"a4w8 for pictures of a complexity below {LOW}" in capfd.readouterr().out
    packed = [level.packed_bytes for level in read_manifest(adaptive.artifact).levels]
    assert all(len(sizes) == 3 and sizes[0] > 0 and min(sizes) >= 0 for sizes in packed)


def test_evaluate(adaptive: Adaptive, tmp_path: Path) -> None:
    """The executor chooses as the artifact does."""
    (tmp_path / "hr").mkdir()
    for name, choices in adaptive.wanted.items():
        Image.fromarray(choices["base"]).save(tmp_path / "hr" / f"{name}.png")
    means = []
    for choice in ("auto", "low", "high"):
        ran = tvmsr.evaluate(adaptive.artifact, data=tmp_path / "hr", choice=choice).as_json()["mean"]
        reference = tvmsr.evaluate(adaptive.model, data=tmp_path / "hr", plan=adaptive.plan, choice=choice).as_json()
        assert ran["psnr_y"] == reference["mean"]["psnr_y"]
        means.append(ran["psnr_y"])
    assert len(set(means)) == 3
    with pytest.raises(UsageError, match="no bit choice 'best'"):
        tvmsr.evaluate(adaptive.model, data=tmp_path / "hr", plan=adaptive.plan, choice="best")
    with pytest.raises(UsageError, match="in FP32"):
        tvmsr.evaluate(adaptive.model, data=tmp_path / "hr", choice="low")


def test_verify(adaptive: Adaptive, tmp_path: Path) -> None:
    """All choices are compared, and the choosing."""
    assert tvmsr.verify(adaptive.artifact).pictures == 9
    found = tvmsr.verify(adaptive.artifact, model=adaptive.model)
    assert found.pictures == 40 and found.strips > 1
    plan = Plan.load(adaptive.plan)
    assert plan.adaptive is not None
    other = plan.model_copy(update={"adaptive": plan.adaptive.model_copy(update={"low": 0, "high": 0})})
    other.save(tmp_path / "other.json")
    with pytest.raises(WorkError, match=r"got the bit choice low, not base; it was not made with"):
        tvmsr.verify(adaptive.artifact, model=adaptive.model, plan=tmp_path / "other.json")
    plan.of_choice(0).save(tmp_path / "one.json")
    with pytest.raises(UsageError, match="the plan has the bit choices default, the artifact base, low, high"):
        tvmsr.verify(adaptive.artifact, model=adaptive.model, plan=tmp_path / "one.json")


def test_bench(adaptive: Adaptive) -> None:
    how = {"width": 40, "height": 30, "threads": 1, "layers": True, "runs": 1}
    for choice, own in (("auto", "high"), ("low", "low")):
        found = tvmsr.bench(adaptive.artifact, choice=choice, **how)
        names = [layer.name for layer in found.layers]
        assert names[:2] == ["choice", "input"] and names[-1] == "output"
        assert {name.split(":")[0] for name in names[2:-1]} == {own}
        assert all(layer.is_layer == (":" in layer.name) for layer in found.layers)
    with pytest.raises(UsageError, match="no bit choice 'best'"):
        tvmsr.bench(adaptive.artifact, choice="best", **how)


def test_info_says_the_number(adaptive: Adaptive) -> None:
    with tvmsr.load(adaptive.artifact) as session:
        info = session.info
    assert [info.choice_number(name) for name in (None, "auto", "base", "high")] == [None, None, 0, 2]
    with pytest.raises(UsageError, match="it has only, and auto"):
        replace(info, choices=("only",)).choice_number("low")
