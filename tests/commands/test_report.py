"""`report`: its figures are those of `evaluate`, its pixels those of the .so, and nothing is left behind."""

from __future__ import annotations

import base64
import io
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

import tvmsr
from tests.frontend import states
from tests.quant.adaptive_plans import adaptive_plan
from tvmsr.commands.report import Reported
from tvmsr.commands.source import open_model
from tvmsr.errors import InputFileError, UsageError
from tvmsr.evaluation.dataset import load_pairs
from tvmsr.imaging.picture import demo_picture
from tvmsr.quant.adabm.figures import figures
from tvmsr.quant.adaptive import bind_choices, choosing_of
from tvmsr.quant.complexity import complexity
from tvmsr.quant.picture import upscale_picture
from tvmsr.quant.plan import Plan
from tvmsr.quant.saturation import saturation
from tvmsr.reporting import columns
from tvmsr.reporting.layers import average_bits


@dataclass(frozen=True)
class Given:
    """A small x4 network, an artifact of it with three bit choices, and HR pictures that get different ones."""

    model: Path
    artifact: Path
    plan: Plan
    pictures: Path


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Given:
    folder = tmp_path_factory.mktemp("given")
    model, artifact, pictures = (folder / name for name in ("srvgg.safetensors", "sr.so", "pictures"))
    save_file(states.srvgg(), model)
    pictures.mkdir()
    demo, rng = demo_picture(), np.random.default_rng(0)
    made = {
        "flat": np.full((64, 200, 3), 90, np.uint8) + np.arange(200, dtype=np.uint8)[:, None] // 32,
        "demo & more": demo[100:260, 120:280],
        "busy": rng.integers(0, 256, (18, 24, 3), np.uint8).repeat(4, axis=0).repeat(4, axis=1),
    }
    for name, pixels in made.items():
        Image.fromarray(pixels).save(pictures / f"{name}.png")
    plan = adaptive_plan(open_model(model))
    plan.save(folder / "plan.json")
    tvmsr.compile(model, plan=folder / "plan.json", out=artifact)
    return Given(model, artifact, plan, pictures)


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where temporary folders are made while a test runs; it has to be empty behind it. Runs are few."""
    monkeypatch.setattr(columns, "MOST_RUNS", 1)
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert not list(folder.glob("tvmsr-report-*"))


@dataclass(frozen=True)
class Read:
    """A report that was written: its JSON, and its pictures by the id of their elements."""

    data: dict[str, Any]
    images: dict[str, np.ndarray]

    @classmethod
    def of(cls, found: Reported) -> Read:
        text = found.path.read_text(encoding="utf-8")
        assert found.size == len(text.encode())
        _, _, rest = text.partition('<script type="application/json" id="report">')
        images = {}
        for part in text.split('<img id="c-')[1:]:
            name, _, more = part.partition('" src="data:image/webp;base64,')
            bytes_ = base64.b64decode(more.partition('"')[0])
            images[f"c-{name}"] = np.asarray(Image.open(io.BytesIO(bytes_)).convert("RGB"))
        return cls(json.loads(rest.partition("</script>")[0]), images)

    def figures(self, name: str) -> dict[str, Any]:
        return next(one["figures"] for one in self.data["pictures"] if one["name"] == name)


def test_an_artifact_with_choices_beside_fp32(given: Given, tmp_path: Path) -> None:
    seen: list[str] = []
    found = tvmsr.report(
        given.artifact, data=given.pictures, out=tmp_path / "r.html", model=given.model, command="tvmsr report \u202e",
        progress=lambda stage, *_: seen.append(stage),
    )  # fmt: skip
    read, network = Read.of(found), open_model(given.model)
    graphs, choosing = bind_choices(network, given.plan), choosing_of(given.plan)
    keys = [one["key"] for one in read.data["sources"]]
    assert keys == ["bicubic", "fp32", "v0", "v0c0", "v0c1", "v0c2", "original"] and "pictures" in seen
    assert set(read.data["variants"][0]["forced"]) == {"v0c0", "v0c1", "v0c2"}
    exact = {
        row.name: row.figures for row in tvmsr.evaluate(given.artifact, data=given.pictures, model=given.model).rows
    }
    pairs = load_pairs(given.pictures, 4)
    for number, pair in enumerate(pairs):
        own, choice = read.figures(pair.name), choosing.of(pair.lr)
        for key, before in (("v0", ""), ("bicubic", "bicubic_"), ("fp32", "fp32_")):
            wanted = exact[pair.name]
            psnr = wanted[f"{before}psnr_y"]
            assert own[key]["psnr"] == (round(psnr, 4) if np.isfinite(psnr) else None)
            assert own[key]["ssim"] == round(wanted[f"{before}ssim_y"], 5)
        assert own["v0"]["choice"] == choosing.names[choice] and own["bicubic"]["milliseconds"] is None
        assert own["v0"]["milliseconds"] > 0 and own[f"v0c{choice}"]["psnr"] == own["v0"]["psnr"]
        one = read.data["pictures"][number]
        assert (one["complexity"], one["width"]) == (complexity(pair.lr), pair.lr.shape[1])
        results = {f"v0c{place}": upscale_picture(graph, pair.lr) for place, graph in enumerate(graphs)}
        results |= {"v0": results[f"v0c{choice}"], "original": pair.hr}
        for crop in one["crops"]:
            place = (
                slice(crop["top"], crop["top"] + crop["height"]),
                slice(crop["left"], crop["left"] + crop["width"]),
            )
            for key, pixels in results.items():
                np.testing.assert_array_equal(read.images[crop["images"][key]], pixels[place])
    assert len({read.figures(pair.name)["v0"]["choice"] for pair in pairs}) == 3
    assert read.data["facts"]["command"] == "tvmsr report \\u202e"
    assert found.as_json()["bytes"] == found.size and ("pictures", "3 of pictures") in found.facts


def test_layers_are_those_of_the_file(given: Given, tmp_path: Path) -> None:
    read = Read.of(tvmsr.report(given.artifact, data=given.pictures, out=tmp_path / "r.html", model=given.model))
    (variant,) = read.data["variants"]
    assert [choice["name"] for choice in variant["choices"]] == ["base", "low", "high"]
    level = next(one for one in tvmsr.inspect(given.artifact).data["levels"] if one["name"] == variant["level"])
    graphs = bind_choices(open_model(given.model), given.plan)
    parts = [pair.lr[:48, :48] for pair in load_pairs(given.pictures, 4)]
    assert all(min(pair.lr.shape[:2]) <= 48 for pair in load_pairs(given.pictures, 4))
    for choice, graph in zip(variant["choices"], graphs, strict=True):
        entries = [layer for layer in level["layers"] if layer["choice"] == choice["name"]]
        assert [layer["name"] for layer in choice["layers"]] == [one["name"].partition(":")[2] for one in entries]
        for layer, entry in zip(choice["layers"], entries, strict=True):
            weights = "" if layer["weights"] is None else f"w{layer['weights']}"
            assert f"a{layer['activations']}{weights}" == entry["bits"] and layer["algorithm"] == entry["algorithm"]
            assert entry["reason"].startswith(layer["why"])
        convs = [layer for layer in choice["layers"] if layer["weights"] is not None]
        assert choice["activations"] == np.mean([layer["activations"] for layer in convs])
        assert sum(layer["macs"] for layer in choice["layers"]) == pytest.approx(1, abs=1e-3)
        shares = saturation(graph, parts)
        told = [layer["saturation"] for layer in choice["layers"]]
        assert told[0] == round(max(shares[s["tensor"]] for s in entries[0]["stored"]), 6)
    facts = variant["facts"]
    for number, choice in enumerate(variant["choices"]):
        assert facts[f"bits of {choice['name']}"] == average_bits(figures(open_model(given.model), given.plan, number))
        assert facts[f"bits of {choice['name']}"].startswith(f"FAB {choice['activations']:.2f}, ")
    assert facts["method"] == given.plan.method and facts["seed"] == "0" and "apache-tvm" in facts["made by"]


def test_variants_of_a_network(given: Given, tmp_path: Path) -> None:
    names = "fp32,plain,a4w4+plain"
    found = tvmsr.report(
        given.model, data=given.pictures, out=tmp_path / "r.html", calib=given.pictures, hr=True, variants=names, seed=3
    )
    read = Read.of(found)
    assert [one["name"] for one in read.data["sources"]] == ["bicubic", "FP32", "plain", "a4w4+plain", "original"]
    so = tmp_path / "sr.so"
    how = {"method": "minmax", "equalise": False, "bias_correction": False, "strict_bits": True, "seed": 3}
    tvmsr.compile(given.model, out=so, calib=given.pictures, hr=True, bits="a4w4", **how)
    wanted = {row.name: row.figures for row in tvmsr.evaluate(so, data=given.pictures).rows}
    for name, row in wanted.items():
        assert read.figures(name)["v1"]["psnr"] == round(row["psnr_y"], 4)
    assert [one["facts"]["seed"] for one in read.data["variants"]] == ["3", "3"]
    assert read.data["variants"][0]["facts"]["calibrated with"].startswith("pictures of pictures, ")
    assert "all variants together differ from FP32 most" in read.data["facts"]["crops"]


def test_without_fp32_crops_are_against_the_original(given: Given, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = tvmsr.report(given.artifact, data=given.pictures)
    assert found.path == Path("sr-report.html") and found.path.is_file()
    read = Read.of(found)
    assert read.data["reference"] == "original" and "fp32" not in read.data["means"]
    assert read.data["variants"][0]["choices"][0]["layers"][0]["saturation"] is None


def test_of_many_pictures_ten_are_shown(given: Given, tmp_path: Path) -> None:
    folder, rng = tmp_path / "many", np.random.default_rng(0)
    folder.mkdir()
    for number in rng.permutation(13):
        pixels = 128 + number * rng.integers(-8, 8, (40, 40, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number:02}.png")
    read = Read.of(tvmsr.report(given.artifact, data=folder, out=tmp_path / "r.html"))
    shown = [one["complexity"] for one in read.data["pictures"] if one["crops"]]
    every = sorted(one["complexity"] for one in read.data["pictures"])
    assert len(every) == 13 and len(shown) == 10 and {every[0], every[-1]} <= set(shown)


def test_a_network_of_y(given: Given, tmp_path: Path) -> None:
    model, so = tmp_path / "espcn.safetensors", tmp_path / "y.so"
    save_file(states.espcn(), model)
    tvmsr.compile(model, out=so, bits="8", method="minmax", strict_bits=True)
    read = Read.of(tvmsr.report(so, data=given.pictures, out=tmp_path / "r.html", model=model))
    wanted = tvmsr.evaluate(so, data=given.pictures, model=model).mean
    assert read.data["means"]["fp32"]["psnr"] == round(wanted["fp32_psnr_y"], 4)
    assert read.images[read.data["pictures"][0]["crops"][0]["images"]["fp32"]].ndim == 3
    with pytest.raises(UsageError, match="use --protocol y"):
        tvmsr.report(so, data=given.pictures, out=tmp_path / "r2.html", model=model, protocol="rgb")


def test_mistakes_leave_nothing(given: Given, tmp_path: Path) -> None:
    out = tmp_path / "r.html"

    def wrong(kind: type[Exception], words: str, what: Path = given.artifact, **how: Any) -> None:
        with pytest.raises(kind, match=words):
            tvmsr.report(what, **{"data": given.pictures, "out": out, **how})
        assert not out.exists() and not list(tmp_path.glob(".*"))

    empty, broken, tiny = (tmp_path / name for name in ("empty", "broken", "tiny"))
    for folder in (empty, broken, tiny):
        folder.mkdir()
    for file in given.pictures.iterdir():
        (broken / file.name).write_bytes(file.read_bytes()[:300])
    Image.fromarray(demo_picture()[:17, :40]).save(tiny / "small.png")
    wrong(InputFileError, "missing: there is no such folder", data=tmp_path / "missing")
    wrong(InputFileError, "holds no", data=empty)
    wrong(InputFileError, "busy.png", data=broken)
    wrong(UsageError, "small: .* too few to measure", data=tiny)
    wrong(UsageError, "no/folder does not exist", out=Path("no/folder/r.html"))
    wrong(UsageError, "is a folder", out=empty)
    wrong(UsageError, "no protocol 'x'", protocol="x")
    wrong(UsageError, "checksums of the networks differ", model="default:x4")
    wrong(UsageError, "--variants is for a network", variants="8")
    wrong(UsageError, "--seed is for a network", seed=0)
    wrong(UsageError, "--model is for an artifact", given.model, model="default:x2")
    wrong(UsageError, "names nothing to quantize", given.model, variants="fp32")
    wrong(UsageError, "'nonsense' is not known", given.model, variants="nonsense")
    wrong(UsageError, "--seed -1", given.model, seed=-1)
    wrong(InputFileError, "missing", given.model, calib=tmp_path / "missing")
    wrong(InputFileError, "missing.so", tmp_path / "missing.so")


@pytest.mark.parametrize("what", ["tvmsr.reporting.making.gathered", "tvmsr.reporting.render.rendered"])
def test_nothing_stays_after_ctrl_c(what: str, given: Given, tmp_path: Path, monkeypatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(what, interrupted)
    out = tmp_path / "r.html"
    out.write_text("an earlier one")
    with pytest.raises(KeyboardInterrupt):
        tvmsr.report(given.model, data=given.pictures, out=out, variants="plain")
    assert out.read_text() == "an earlier one" and not list(tmp_path.glob(".*"))
