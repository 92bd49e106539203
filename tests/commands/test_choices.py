"""Commands on an artifact with three bit choices."""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
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
from tvmsr.commands.choices import chooser_of, tile_of
from tvmsr.commands.source import open_model
from tvmsr.errors import UsageError, WorkError
from tvmsr.imaging.holding import Channels
from tvmsr.quant.adaptive import Choosing, bind_choices
from tvmsr.quant.complexity import MOST
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


@pytest.mark.parametrize(("choice", "own"), [("auto", "base"), ("low", "low"), ("high", "high")])
def test_tiles_are_the_whole(adaptive: Adaptive, tmp_path: Path, choice: str, own: str) -> None:
    """Flat above and noise below: by itself, each piece would choose otherwise."""
    image = np.concatenate([flat(40, 30), busy(40, 30)])
    Image.fromarray(image).save(tmp_path / "in.png")
    tvmsr.upscale(adaptive.artifact, tmp_path / "in.png", tmp_path / "whole.png", choice=choice)
    done = tvmsr.upscale(adaptive.artifact, tmp_path / "in.png", tmp_path / "tiles.png", choice=choice, tile=24)
    assert not done.notices and done.choices == (own,)
    assert (np.asarray(Image.open(tmp_path / "whole.png")) == np.asarray(Image.open(tmp_path / "tiles.png"))).all()
    again = tvmsr.upscale(adaptive.artifact, tmp_path / "in.png", tmp_path / "tiles.png", choice=choice)
    assert again.there == (tmp_path / "tiles.png",)


@pytest.mark.parametrize("channels", list(Channels))
def test_a_picture_that_is_too_large_is_looked_at_first(
    adaptive: Adaptive, tmp_path: Path, channels: Channels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pieces have the choice of the whole, and the pictures after it their own."""
    monkeypatch.setattr("tvmsr.commands.upscaling.looking._AT_ONCE", 3000)
    monkeypatch.setattr("tvmsr.commands.upscaling.pictures.memory_of", lambda *_: 1 << 20)
    (tmp_path / "in").mkdir()
    for name, image in (("a", np.concatenate([flat(150, 200), busy(90, 200)])), ("b", busy()), ("c", flat())):
        Image.fromarray(image).convert(channels.value).save(tmp_path / "in" / f"{name}.png")
    whole, pieces, seen = tmp_path / "whole", tmp_path / "pieces", []
    first = tvmsr.upscale(adaptive.artifact, tmp_path / "in", whole)
    done = tvmsr.upscale(adaptive.artifact, tmp_path / "in", pieces, memory=3, progress=lambda *said: seen.append(said))
    assert [said for said in seen if said[0] == "a.png"][-1] == ("a.png", 240, 240)
    assert first.choices == done.choices == ("base", "high", "low")
    for name, image in made_of(whole).items():
        np.testing.assert_array_equal(image, made_of(pieces)[name])


def test_who_does_not_say_how_it_chooses_is_not_cut(adaptive: Adaptive, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("tvmsr.commands.upscaling.pictures.chooser_of", lambda _: None)
    Image.fromarray(busy()).save(tmp_path / "in.png")
    with pytest.raises(WorkError, match=r"in\.png: cannot be cut, because .*sr\.so does not say how it chooses"):
        tvmsr.upscale(adaptive.artifact, tmp_path / "in.png", tmp_path / "out.png", tile=8)
    tvmsr.upscale(adaptive.artifact, tmp_path / "in.png", tmp_path / "out.png", tile=8, choice="low")


@pytest.mark.parametrize("factors", [[0, -1, 1], [0, 1, -1], [0, 1], [0, -1]])
def test_a_manifest_chooses_as_the_plan_does(factors: list[int]) -> None:
    names = ("a", "b", "c")[: len(factors)]
    choose = chooser_of({"choices": names, "adaptive": {"factors": factors, "low": 10, "high": 20}})
    assert choose is not None
    choosing = Choosing(names, tuple(factors), 10, 20)
    for found in (0, 9, 10, 11, 20, 21, MOST):
        assert choose(found) == next(choice for below, choice in choosing.bounds if found < below)


@pytest.mark.parametrize(
    "adaptive",
    [
        None, {}, {"factors": [0], "low": 1, "high": 2}, {"factors": [0, 0], "low": 1, "high": 2},
        {"factors": [0, 1], "low": 3, "high": 2}, {"factors": [0, 1], "low": float("nan"), "high": 2},
        {"factors": None, "low": 1, "high": 2}, {"factors": [0, 1], "low": 1, "high": float("inf")},
    ],
)  # fmt: skip
def test_a_manifest_that_makes_no_sense_chooses_nothing(adaptive: object) -> None:
    assert chooser_of({"choices": ["a", "b"], "adaptive": adaptive}) is None


@pytest.mark.parametrize(
    ("adaptive", "side"),
    [(None, 0), ({}, 0), ({"tile": 0}, 0), ({"tile": 64}, 64), ({"tile": "64"}, 0), ({"tile": -3}, 0)],
)
def test_the_tiles_of_a_manifest(adaptive: object, side: int) -> None:
    assert tile_of({"adaptive": adaptive}) == side


@pytest.fixture(scope="module")
def in_tiles(adaptive: Adaptive, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A plan and its artifact whose pictures choose in tiles, of an odd side."""
    folder, plan = tmp_path_factory.mktemp("tiles"), Plan.load(adaptive.plan)
    assert plan.adaptive is not None
    tiled = plan.adaptive.model_copy(update={"mode": "tile", "tile": 17})
    plan.model_copy(update={"adaptive": tiled}).save(folder / "plan.json")
    made = tvmsr.compile(adaptive.model, plan=folder / "plan.json", out=folder / "sr.so")
    return folder / "plan.json", made.artifact


@pytest.mark.parametrize("tile", [1, 40])
def test_pieces_of_a_picture_in_tiles(
    adaptive: Adaptive, in_tiles: tuple[Path, Path], tmp_path: Path, tile: int
) -> None:
    """Its own tiles are never cut, so pieces have the bytes of the whole; and evaluate finds them in the reference."""
    plan, artifact = in_tiles
    image = np.concatenate([np.concatenate([flat(130, 61), busy(130, 58)], axis=1), between(45, 119)])
    Image.fromarray(image).save(tmp_path / "in.png")
    whole = tvmsr.upscale(artifact, tmp_path / "in.png", tmp_path / "whole.png")
    done = tvmsr.upscale(artifact, tmp_path / "in.png", tmp_path / "pieces.png", tile=tile)
    assert re.fullmatch(r"base \d+, low \d+, high \d+", whole.choices[0]) and not done.notices
    assert sum(map(int, re.findall(r"\d+", whole.choices[0]))) == (175 // 17) * (119 // 17)
    assert (np.asarray(Image.open(tmp_path / "whole.png")) == np.asarray(Image.open(tmp_path / "pieces.png"))).all()
    (tmp_path / "hr").mkdir()
    Image.fromarray(image[:160, :112]).save(tmp_path / "hr" / "a.png")
    found = tvmsr.evaluate(artifact, data=tmp_path / "hr")
    again = tvmsr.evaluate(adaptive.model, data=tmp_path / "hr", plan=plan)
    assert found.rows[0].choice == again.rows[0].choice == "base"
    assert found.mean["psnr_y"] == again.mean["psnr_y"]


def test_an_artifact_of_one_choice_takes_its_name(adaptive: Adaptive, tmp_path: Path) -> None:
    plan = Plan.load(adaptive.plan).of_choice(0)
    plan.save(tmp_path / "one.json")
    artifact = tvmsr.compile(adaptive.model, plan=tmp_path / "one.json", out=tmp_path / "one.so").artifact
    Image.fromarray(busy()).save(tmp_path / "in.png")
    done = tvmsr.upscale(artifact, tmp_path / "in.png", tmp_path / "out.png", choice="default")
    assert done.choices == () and "choice" not in done.as_json()["files"][0]
    with pytest.raises(UsageError, match=r"one\.so: there is no bit choice 'low' in it; it has default, and auto"):
        tvmsr.upscale(artifact, tmp_path / "in.png", tmp_path / "low.png", choice="low")
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
        ran = tvmsr.evaluate(adaptive.artifact, data=tmp_path / "hr", choice=choice).as_json()
        reference = tvmsr.evaluate(adaptive.model, data=tmp_path / "hr", plan=adaptive.plan, choice=choice).as_json()
        assert ran["mean"]["psnr_y"] == reference["mean"]["psnr_y"]
        means.append(ran["mean"]["psnr_y"])
        own = {row["name"]: row["choice"] for row in ran["images"]}
        assert {row["name"]: row["choice"] for row in reference["images"]} == own
        assert set(own.values()) == ({"low", "base"} if choice == "auto" else {choice})
        assert ran["choices"] == reference["choices"] == Counter(own.values())
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
        assert found.choice == found.as_json()["choice"] == own
    with pytest.raises(UsageError, match="no bit choice 'best'"):
        tvmsr.bench(adaptive.artifact, choice="best", **how)


def test_bench_says_which_choice_it_timed(adaptive: Adaptive, capfd) -> None:
    command = ["bench", str(adaptive.artifact), "--size", "40x30", "--threads", "1", "--runs", "1"]
    assert main(command) == 0
    assert ", choice high, 40x30" in capfd.readouterr().out
    assert main([*command, "--device", "here,here"]) == 0
    assert capfd.readouterr().out.count("here: timed was the bit choice high") == 1


def test_a_network_with_one_choice_is_not_compiled_for_another(monkeypatch, capfd) -> None:
    monkeypatch.setattr("tvmsr.commands.compile.compile", lambda *_, **__: pytest.fail("it was compiled"))
    assert main(["bench", "default:x2", "--choice", "low"]) == 2
    assert "--choice low: default:x2 has one choice of bits at --bits 8" in capfd.readouterr().err
    assert main(["bench", "default:x2", "--choice", "low", "--bits", "auto:a6w4"]) == 2
    assert "at --bits auto:a6w4 there may be fewer, base, more, and auto" in capfd.readouterr().err


def test_info_says_the_number(adaptive: Adaptive) -> None:
    with tvmsr.load(adaptive.artifact) as session:
        info = session.info
    assert [info.choice_number(name) for name in (None, "auto", "base", "high")] == [None, None, 0, 2]
    with pytest.raises(UsageError, match="it has only, and auto"):
        replace(info, choices=("only",)).choice_number("low")
