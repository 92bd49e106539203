"""The JSON of a report, and that no text of it can leave its element."""

from __future__ import annotations

import json

import pytest

from tests.reporting.samples import HOSTILE, report
from tvmsr.reporting.data import data_of, script_safe
from tvmsr.reporting.images import embed


def test_what_it_says() -> None:
    found = report()
    data = json.loads(json.dumps(data_of(found), allow_nan=False))
    assert data["format"] == "tvmsr-report" and data["pictures"][1]["name"] == HOSTILE
    assert data["pictures"][0]["figures"]["v0"] == {"psnr": 31.5, "ssim": 0.9, "milliseconds": 2.5, "choice": "low"}
    assert data["pictures"][0]["figures"]["fp32"]["psnr"] is None, "JSON has no infinity"
    assert data["means"]["v1"]["psnr"] == 33.5 and data["means"]["bicubic"]["milliseconds"] is None
    assert [one["crops"] for one in data["pictures"]] == [[], [], []]
    choice = data["variants"][0]["choices"][1]
    assert choice["layers"][1] == {
        "name": "last", "activations": 4, "weights": 4, "algorithm": "winograd2", "shape": "3x3 8 to 8", "macs": 0.5,
        "saturation": None, "why": "as it is cheapest",
    }  # fmt: skip
    assert data["variants"][0]["choosing"] == {
        "low": 6000, "high": 60000, "names": ["low", "base", "high"], "tile": 0,
    }  # fmt: skip
    assert data["facts"] == {"command": "tvmsr report 'a b.so' --data <x>"}


def test_crops_name_their_elements() -> None:
    found = report()
    embedded = embed(found.pictures, 200_000)
    data = data_of(found, embedded)
    crop, window = data["pictures"][2]["crops"][1], embedded.crops[2][1].window
    assert (crop["kind"], crop["top"], crop["left"]) == ("middle", window.top, window.left)
    assert (crop["width"], crop["height"]) == (window.width, window.height)
    assert crop["images"]["v0"] == "c-2-1-v0" and set(crop["images"]) == {one.key for one in found.sources}


@pytest.mark.parametrize("text", [HOSTILE, "<!--<script>", "]]>", "\u2028\u2029", "</SCRIPT ", "a\\u003c\\", "図&lt;"])
def test_nothing_ends_the_element(text: str) -> None:
    made = script_safe({"name": text, text: 1})
    assert made.isascii() and not set("<>&\n\r") & set(made)
    assert json.loads(made) == {"name": text, text: 1}
