"""The page as a text: whole, within its budget, and with no way out for what others wrote."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from tests.reporting.samples import HOSTILE, layer, measured, report
from tvmsr.reporting.facts import Choice
from tvmsr.reporting.images import BUDGET
from tvmsr.reporting.render import rendered


class Reader(HTMLParser):
    """Elements, texts by the element around them, and whether every element is closed in its order."""

    EMPTY = frozenset({"meta", "img", "input", "br"})

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> inside {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def text(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag]


@pytest.fixture(scope="module")
def page() -> str:
    return rendered(report()).text


def test_it_is_well_formed_and_reaches_for_nothing(page: str) -> None:
    read = Reader(page)
    assert not read.open
    for _, attributes in read.elements:
        for name, value in attributes.items():
            assert not name.startswith("on") and name != "style"
            if name in ("src", "href"):
                assert value is not None and value.startswith(("data:image/webp;base64,", "#"))
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|@import|url\(", page)
    ids = [attributes["id"] for _, attributes in read.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)


def test_texts_of_others_stay_texts(page: str) -> None:
    read = Reader(page)
    assert not any(attributes.get("src") == "x" for attributes in read.all("img"))
    assert not read.all("u") and not read.all("i") and not read.all("b")
    assert HOSTILE in read.text("a") and any("net <b>" in text for text in read.text("h1"))
    assert "beware <u>" in read.text("p") and "a note <i>" in read.text("li")
    assert page.count("</script>") == 2


def test_the_policy_names_what_is_there(page: str) -> None:
    read = Reader(page)
    policy = next(meta for meta in read.all("meta") if meta.get("http-equiv"))["content"] or ""
    assert policy.startswith("default-src 'none'; img-src data:;")
    scripts, (style,) = read.text("script"), read.text("style")
    for kind, text in (("script", scripts[1]), ("style", style)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    data = json.loads(scripts[0])
    assert [one["name"] for one in data["pictures"]] == ["a", HOSTILE, "c"]
    shown = {attributes.get("id") for attributes in read.all("img")}
    assert all(set(crop["images"].values()) <= shown for one in data["pictures"] for crop in one["crops"])


def test_it_can_be_read_without_its_script(page: str) -> None:
    read = Reader(page)
    cells = read.text("td")
    for wanted in ("31.50", "0.9000", "2.50", "+3.25", "winograd2", "max pool", "62.5", "0.0875", "chosen"):
        assert any(wanted in cell for cell in [*cells, *read.text("strong")]), wanted
    assert {"auto:a6w4", "original"} <= set(read.text("figcaption"))
    assert "tvmsr report 'a b.so' --data <x>" in read.text("dd")
    assert any("low below a complexity of 6,000, high above 60,000, else base" in text for text in read.text("p"))


def test_halves_of_characters_are_shown_as_escapes() -> None:
    """A manifest may hold them, and no file can."""
    made = rendered(replace(report(shown=False), model="net\ud800", notes=("not\udcff",))).text
    made.encode()
    assert "net\\ud800 " in made and "not\\udcff" in made


def test_tiles_that_choose() -> None:
    whole = report(shown=False)
    variant = replace(whole.variants[0], choosing=replace(whole.variants[0].choosing, tile=128))
    words = Reader(rendered(replace(whole, variants=(variant, whole.variants[1]))).text).text("p")
    assert any("how busy each tile of 128×128 pixels is" in text for text in words)


def test_no_choices_no_crops() -> None:
    whole = report(shown=False)
    read = Reader(rendered(replace(whole, variants=whole.variants[1:], right="v1")).text)
    assert not read.all("img") and not any("Bits by the picture" in text for text in read.text("h2"))
    assert any("none: there is no room" in text for text in read.text("dd"))


def test_ten_pictures_stay_within_three_megabytes() -> None:
    """Crops that nothing makes smaller, and more layers than a network of this class has."""
    rng = np.random.default_rng(0)

    def noise(number: int):
        one = measured(number, f"picture {number}", 4_000 * (number + 1), "base")
        pixels = rng.integers(0, 256, (320, 320, 3), np.uint8)
        crops = [replace(crop, pixels=dict.fromkeys(crop.pixels, pixels)) for crop in one.crops]
        for crop in crops:
            crop.pixels.update({key: pixels ^ place for place, key in enumerate(crop.pixels)})
        return replace(one, crops=tuple(crops))

    whole = report()
    deep = Choice("base", tuple(layer(f"body.{n}", 8, 8, "winograd4") for n in range(150)), 8.0, 8.0)
    variants = tuple(
        replace(one, choices=(deep, *one.choices[1:])) for one in (whole.variants[0], replace(whole.variants[1]))
    )
    made = rendered(replace(whole, pictures=tuple(noise(n) for n in range(10)), variants=variants))
    size = len(made.text.encode())
    assert 0.8 * BUDGET < size <= BUDGET == 3_000_000
    assert made.side >= 48
    assert len(rendered(report(), budget=150_000).text.encode()) <= 150_000
