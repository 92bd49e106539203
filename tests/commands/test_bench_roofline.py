"""Rooflines: well-formed, a mark a layer, everything inside, whatever the profile."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

import tvmsr
from tests.commands.boards import Board
from tests.commands.conftest import Made
from tests.commands.test_bench_profile import LAYERS, PEAKS, entry, made_up, manifest
from tests.devices import trees
from tvmsr.cli.main import main
from tvmsr.commands.bench import Benchmark
from tvmsr.commands.benchmark.axes import Axes
from tvmsr.commands.benchmark.profile import Profile, make_profile
from tvmsr.commands.benchmark.roofline import _ranges, roofline
from tvmsr.commands.benchmark.svg import Box
from tvmsr.errors import UsageError, WorkError
from tvmsr.hardware.peaks import Origin, Peaks
from tvmsr.runtime import StepTime

SVG = "{http://www.w3.org/2000/svg}"


def benchmark(profile: Profile | None) -> Benchmark:
    return Benchmark("sr.so", "avx2", 10, 10, 3.5, 1.0, (), profile)


def marks(root: ElementTree.Element, kind: str) -> list[ElementTree.Element]:
    return [element for element in root.iter() if element.get("class") == kind]


def chart(profile: Profile) -> ElementTree.Element:
    text = roofline(benchmark(profile))
    assert "<script" not in text and "href" not in text
    root = ElementTree.fromstring(text)
    width, height = float(root.get("width", "")), float(root.get("height", ""))
    for element in root.iter():
        for key, most in (("cx", width), ("x", width), ("x1", width), ("x2", width), ("cy", height), ("y", height)):
            assert 0 <= float(element.get(key, 0)) <= most, element.attrib
    return root


def told(elements: list[ElementTree.Element]) -> list[str]:
    return [element.find(f"{SVG}title").text or "" for element in elements]  # type: ignore[union-attr]


def test_a_mark_a_layer() -> None:
    root = chart(made_up())
    layers = marks(root, "layer")
    names = sorted(text.splitlines()[0].partition(": ")[2] for text in told(layers))
    assert names == sorted(layer["name"] for layer in LAYERS)
    assert [element.tag for element in layers].count(f"{SVG}circle") == 3  # one multiplies nothing
    assert len(marks(root, "conversion")) == 2
    assert len(marks(root, "roof")) == 2 and len(marks(root, "bandwidth")) == 2
    about = next(text for text in told(layers) if "fast" in text)
    for words in ("winograd4 with pair16, tile 3x4s15", "10.000 ms", "100.0 % of its primitive's peak, 50.0 GMAC/s",
                  "200.0 % of the direct convolution's peak, by fewer multiplies", "10.00 MB moved"):  # fmt: skip
        assert words in about


def test_marks_lie_where_their_numbers_say() -> None:
    root = chart(made_up())
    places = {
        text.splitlines()[0].partition(": ")[2]: (float(mark.get("cx", 0)), float(mark.get("cy", 0)))
        for mark, text in zip(marks(root, "layer"), told(marks(root, "layer")), strict=True)
        if mark.tag == f"{SVG}circle"
    }
    roofs = sorted(float(line.get("y1", 0)) for line in marks(root, "roof"))
    # beyond the roof of 100 GMAC/s, on that of 50 within a unit of the picture, below it
    assert places["fast"][1] < roofs[0] < roofs[1] < places["wide"][1]
    assert places["first"][1] == pytest.approx(roofs[1], abs=1)
    assert places["wide"][0] < places["first"][0] < places["fast"][0]  # 50, 100, 200 multiply-adds a byte


def test_areas_are_shares_of_the_time() -> None:
    root = chart(made_up())
    radius = {
        text.splitlines()[0].partition(": ")[2]: float(mark.get("r", 0))
        for mark, text in zip(marks(root, "layer"), told(marks(root, "layer")), strict=True)
        if mark.get("r")
    }
    assert (radius["wide"] / radius["fast"]) ** 2 == pytest.approx(5.0, rel=0.05)


@pytest.mark.parametrize("count", [0, 1, 12, 300])
def test_any_number_of_layers(count: int) -> None:
    entries = tuple(entry(f"layer{i}", algorithm=f"algorithm{i % 9}") for i in range(count))
    times = [StepTime(f"layer{i}", f"k_layer{i}", 1e-3 * (1 + i % 7), 1e6 * (1 + i % 5), 1) for i in range(count)]
    ends = (StepTime("input", "", 0.003, 0.0, 1), StepTime("output", "", 0.0, 0.0, 1))
    profile = make_profile([(ends[0], *times, ends[1])], manifest(entries), "avx2", (10, 10), 1, PEAKS)
    root = chart(profile)
    assert len(marks(root, "layer")) == count
    words = [element.text or "" for element in root.iter(f"{SVG}text")]
    assert any(word.startswith("and ") and word.endswith(" more") for word in words) == (count == 300)


def test_nothing_to_compare_with() -> None:
    root = chart(made_up(Peaks(Origin.UNKNOWN, "nobody knows")))
    assert not marks(root, "roof") and len(marks(root, "layer")) == 4
    assert any("no peaks to compare with" in (element.text or "") for element in root.iter())


def test_a_file_that_does_not_tell_bytes() -> None:
    old = tuple({**layer, "map_bytes_per_pixel": None} for layer in LAYERS)
    layers = marks(chart(made_up(entries=old)), "layer")
    assert len(layers) == 4 and {element.tag for element in layers} == {f"{SVG}rect"}


def test_names_of_others() -> None:
    profile = made_up()
    wicked = '<script>&"\x00\x1b\ud800]]>' + "x" * 300
    rows = (profile.layers[0], replace(profile.layers[1], name=wicked, algorithm=wicked), *profile.layers[2:])
    root = ElementTree.fromstring(roofline(benchmark(replace(profile, layers=rows))).encode())
    assert any('<script>&"???]]>' in text for text in told(marks(root, "layer")))
    with pytest.raises(ValueError, match="needs a profile"):
        roofline(benchmark(None))


def test_numbers_in_short() -> None:
    assert _ranges([3]) == "3" and _ranges([5, 1, 2, 3]) == "1-3, 5" and _ranges([1, 3, 5, 7]) == "1, 3, 5 ..."


def test_axes() -> None:
    axes = Axes.of(Box(100, 50, 400, 300), [1.0, 100.0, 0.0, float("inf")], [])
    assert axes.at(10.0, 10.0) == pytest.approx((300, 200))
    assert axes.x(1.0) > 100 and axes.x(100.0) < 500
    assert axes.x.ticks() == [1, 2, 5, 10, 20, 50, 100]


def test_the_file(made: Made, tmp_path: Path) -> None:
    out = tmp_path / "roof.svg"
    how = {"width": 24, "height": 16, "threads": 1, "runs": 1, "layers": True, "svg": out}
    found = tvmsr.bench(made.artifact, **how)
    root = ElementTree.parse(out).getroot()
    assert len(marks(root, "layer")) == len([row for row in found.layers if row.is_layer])
    assert os.listdir(tmp_path) == ["roof.svg"]  # noqa: PTH208
    before = out.read_bytes()
    with pytest.raises(UsageError, match=r"roof\.svg exists already; choose another name or pass --overwrite"):
        tvmsr.bench(made.artifact, **how)
    assert out.read_bytes() == before
    out.write_text("old")
    tvmsr.bench(made.artifact, **how, overwrite=True)
    assert out.read_text().startswith("<svg")


def test_somebody_else_was_faster(made: Made, tmp_path: Path) -> None:
    out = tmp_path / "roof.svg"

    class Rude(Board):
        def renew(self) -> None:
            out.write_text("theirs")

    how = {"width": 24, "height": 16, "threads": 1, "runs": 1, "layers": True, "svg": out}
    with pytest.raises(WorkError, match="somebody else wrote it meanwhile"):
        tvmsr.bench(made.artifact, **how, device=Rude("pi5", [trees.pi5()]))
    assert out.read_text() == "theirs"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--svg", "a.svg"], "give --layers, too"),
        (["--layers", "--svg", "a.png"], "ends in .svg"),
        (["--layers", "--svg", "no/folder/a.svg"], "no/folder does not exist"),
        (["--layers", "--svg", "a.svg", "--device", "one,two"], "--svg draws one device"),
    ],
)
def test_mistakes(options: list[str], words: str, made: Made, tmp_path: Path, monkeypatch, capfd) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["bench", str(made.artifact), "--size", "24x16", *options]) == 2
    assert words in capfd.readouterr().err and not list(tmp_path.iterdir())
