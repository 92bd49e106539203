"""The report in headless Chromium: the slider, pictures, keys, error map and layers, each checked against the JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.reporting.chromium import Page
from tests.reporting.samples import HOSTILE, report
from tvmsr.reporting.render import rendered


@dataclass(frozen=True)
class Opened:
    page: Page
    file: Path
    data: dict[str, Any]

    def text(self, element: str) -> str:
        return self.page.js(f"document.getElementById({element!r}).textContent")

    def choose(self, select: str, value: str) -> None:
        """As the user does, by the list."""
        self.page.js(
            f"(() => {{ const one = document.getElementById({select!r}); one.value = {value!r};"
            " one.dispatchEvent(new Event('change', {bubbles: true})); })()"
        )

    def settled(self, picture: int, crop: int, left: str, right: str) -> None:
        self.page.wait(f"document.getElementById('stage').dataset.ready === '{picture}.{crop}.{left}.{right}'")

    def split(self) -> float:
        """Where the line is, by what is drawn: the share of the stage's width."""
        return self.page.js(
            "(() => { const s = document.getElementById('stage').getBoundingClientRect(),"
            " h = document.getElementById('handle').getBoundingClientRect();"
            " return (h.left + h.width / 2 - s.left) / s.width; })()"
        )

    def stage(self) -> dict[str, float]:
        return self.page.js("document.getElementById('stage').getBoundingClientRect().toJSON()")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with Page(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(rendered(report(), budget=300_000).text, encoding="utf-8")
    return path


@pytest.fixture
def opened(browser: Page, file: Path) -> Iterator[Opened]:
    browser.look(width=1200, height=1000)
    browser.requests.clear()
    browser.errors.clear()
    browser.open(file)
    data = json.loads(browser.js("document.getElementById('report').textContent"))
    made = Opened(browser, file, data)
    made.settled(0, 0, "bicubic", "v0")
    yield made
    assert not browser.errors
    assert [url for url in browser.requests if not url.startswith("data:")] == [file.as_uri()]


def shown_figures(data: dict[str, Any], picture: int, key: str) -> list[str]:
    row = data["pictures"][picture]["figures"].get(key)
    if row is None:
        return ["–", "–", "–"]
    psnr = "∞" if row["psnr"] is None else f"{row['psnr']:.2f}"
    time = "–" if row["milliseconds"] is None else f"{row['milliseconds']:.{1 if row['milliseconds'] >= 10 else 2}f}"
    return [psnr, f"{row['ssim']:.4f}", time]


def check_shown(opened: Opened, picture: int, crop: int, left: str, right: str) -> None:
    """What the page shows is what the JSON says."""
    opened.settled(picture, crop, left, right)
    one = opened.data["pictures"][picture]
    window = one["crops"][crop]
    for side, key in (("left", left), ("right", right)):
        words = [opened.text(f"{what}-{side}") for what in ("psnr", "ssim", "time")]
        assert words == shown_figures(opened.data, picture, key)
        name = next(source["name"] for source in opened.data["sources"] if source["key"] == key)
        assert opened.text(f"name-{side}") == opened.text(f"tag-{side}") == name
        same = f"document.getElementById('image-{side}').src === document.getElementById('{window['images'][key]}').src"
        assert opened.page.js(same)
    box = opened.stage()
    assert box["width"] / box["height"] == pytest.approx(window["width"] / window["height"], rel=0.01)
    place = f"{window['width']}×{window['height']} pixels at {window['left']}, {window['top']}"
    assert opened.text("caption").startswith(f"{one['name']}: {place}")


def test_the_slider_by_mouse_and_keys(opened: Opened) -> None:
    check_shown(opened, 0, 0, "bicubic", "v0")
    assert opened.split() == pytest.approx(0.5, abs=0.01)
    opened.page.js("document.getElementById('stage').scrollIntoView({block: 'center', behavior: 'instant'})")
    box = opened.stage()
    middle = box["top"] + box["height"] / 2
    opened.page.drag((box["left"] + box["width"] / 2, middle), (box["left"] + 0.8 * box["width"], middle))
    assert opened.split() == pytest.approx(0.8, abs=0.01)
    clip = opened.page.js("getComputedStyle(document.getElementById('pane-left')).clipPath")
    assert float(re.findall(r"([0-9.]+)%", clip)[-1]) == pytest.approx(20, abs=1), clip
    opened.page.js("document.getElementById('handle').focus()")
    opened.page.press("ArrowLeft")
    assert opened.split() == pytest.approx(0.78, abs=0.01)
    opened.page.press("ArrowRight", shift=True)
    assert opened.split() == pytest.approx(0.88, abs=0.01)
    opened.page.press("Home")
    assert opened.split() == pytest.approx(0.0, abs=0.005)
    handle = "document.getElementById('handle').getAttribute"
    assert opened.page.js(f"{handle}('aria-valuenow')") == "0"
    assert opened.page.js(f"{handle}('aria-valuetext')") == "0 % bicubic, the rest auto:a6w4"
    assert opened.page.js("getComputedStyle(document.querySelector('#handle .grip')).outlineStyle") == "solid"


def test_pictures_crops_and_sources(opened: Opened) -> None:
    opened.page.js("document.querySelector('[name=picture]').focus()")
    opened.page.press("ArrowRight")
    check_shown(opened, 1, 0, "bicubic", "v0")
    assert HOSTILE in opened.text("caption")
    opened.page.press("n")
    check_shown(opened, 2, 0, "bicubic", "v0")
    assert opened.text("choice-right") == opened.data["pictures"][2]["figures"]["v0"]["choice"] == "high"
    opened.page.press("c")
    check_shown(opened, 2, 1, "bicubic", "v0")
    opened.choose("left", "fp32")
    check_shown(opened, 2, 1, "fp32", "v0")
    opened.choose("right", "original")
    check_shown(opened, 2, 1, "fp32", "original")
    opened.page.press("s")
    check_shown(opened, 2, 1, "original", "fp32")
    opened.page.press("p")
    check_shown(opened, 1, 1, "original", "fp32")
    opened.page.js("document.querySelector('a[data-picture=\"0\"]').click()")
    check_shown(opened, 0, 1, "original", "fp32")


def test_zoom(opened: Opened) -> None:
    opened.page.js("document.getElementById('stage').focus()")
    for _ in range(2):
        opened.page.press("+")
    assert opened.page.js("document.querySelector('[name=zoom]:checked').value") == "4"
    box, image = opened.stage(), "document.getElementById('image-right').getBoundingClientRect()"
    assert opened.page.js(f"{image}.width") == pytest.approx(4 * box["width"], rel=0.01)
    before = opened.page.js(f"{image}.left")
    opened.page.press("ArrowRight")
    assert opened.page.js(f"{image}.left") == pytest.approx(before - box["width"] / 8, abs=1)
    for _ in range(40):
        opened.page.press("ArrowRight")
    assert opened.page.js(f"{image}.right") == pytest.approx(box["right"], abs=1), "it ends at the border"
    for _ in range(2):
        opened.page.press("-")
    assert opened.page.js(f"{image}.left") == pytest.approx(box["left"], abs=1)


def test_the_error_map(opened: Opened) -> None:
    opened.page.js("document.getElementById('stage').focus()")
    opened.page.press("e")
    opened.choose("gain", "16")
    opened.choose("left", "fp32")
    opened.settled(0, 0, "fp32", "v0")
    window = opened.data["pictures"][0]["crops"][0]
    crop = report().pictures[0].crops[0].within(window["width"])
    assert (crop.window.top, crop.window.left) == (window["top"], window["left"])
    a, b = (crop.pixels[key].astype(int) for key in ("fp32", "v0"))
    errors = np.abs(a - b)
    drawn = np.array(opened.page.js(
        "(() => { const c = document.getElementById('error');"
        " return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]; })()"
    ))  # fmt: skip
    drawn = drawn.reshape(window["height"], window["width"], 4)[..., :3]
    stops = np.array([[11, 11, 24], [58, 20, 120], [160, 42, 107], [240, 124, 60], [252, 232, 160]])
    share = np.minimum(errors.max(axis=2) / 16, 1) * 4
    wanted = np.stack([np.interp(share, range(5), stops[:, c]) for c in range(3)], axis=2)
    assert np.abs(drawn - wanted).max() <= 0.5
    psnr = 10 * np.log10(255**2 / np.mean(errors.astype(float) ** 2))
    said = f"by {errors.mean():.2f} of 255 in the mean, by {errors.max()} at most: {psnr:.2f} dB between them."
    assert opened.text("difference").endswith(said)
    opened.choose("right", "fp32")
    opened.settled(0, 0, "fp32", "fp32")
    assert opened.text("difference").endswith("byte for byte.")


def test_layers(opened: Opened) -> None:
    options = opened.page.js("[...document.getElementById('plan').options].map((one) => one.value)")
    assert options == ["0.0", "0.1", "0.2", "1.0"]
    for value in options:
        variant, choice = map(int, value.split("."))
        layers = opened.data["variants"][variant]["choices"][choice]["layers"]
        opened.choose("plan", value)
        heights = opened.page.js(
            "[...document.querySelectorAll('.column .bits')].map((one) => one.height.baseVal.value)"
        )
        assert [150 * layer["activations"] / 8 for layer in layers] == pytest.approx(heights)
        assert opened.page.js("document.querySelectorAll('.column .weights').length") == sum(
            layer["weights"] is not None for layer in layers
        )
        opened.page.js("document.getElementById('bars').focus()")
        for key, layer in (("Home", layers[0]), ("ArrowRight", layers[1]), ("ArrowRight", layers[-1])):
            opened.page.press(key)
            said = opened.text("layer")
            assert said.startswith(f"{layer['name']}: {layer['activations']} bits of activations")
            assert f", {layer['algorithm']}, " in said
    names = opened.page.js("[...document.querySelectorAll('#legend span')].map((one) => one.textContent)")
    assert names == ["direct", "max pool", "bits of weights"]


def test_light_dark_and_a_phone(opened: Opened) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    light = opened.page.js(ground)
    opened.page.look(width=390, height=800, dark=True, phone=True)
    dark = opened.page.js(ground)
    assert light != dark
    opened.page.js("document.querySelector('[name=theme][value=light]').click()")
    assert opened.page.js(ground) == light
    opened.page.js("document.querySelector('[name=theme][value=auto]').click()")
    assert opened.page.js(ground) == dark
    assert opened.page.js("document.documentElement.scrollWidth") <= 390, "nothing is wider than the phone"


def test_without_its_script(opened: Opened) -> None:
    opened.page.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        opened.page.requests.clear()
        opened.page.call("Page.reload")
        opened.page.wait("document.readyState === 'complete' && !document.documentElement.classList.contains('script')")
        seen = "(selector) => document.querySelector(selector).checkVisibility()"
        assert opened.page.js(f"({seen})('#c-0-0-v0')") and not opened.page.js(f"({seen})('#viewer')")
    finally:
        opened.page.call("Emulation.setScriptExecutionDisabled", value=False)
