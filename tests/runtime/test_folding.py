"""A manifest's layers, folded and unfolded; what was damaged on the way is a ValueError."""

from __future__ import annotations

import base64
import json
import zlib

import pytest

from tvmsr.runtime.folding import fold_layers, unfold_layers

LAYERS = [[{"name": f"c{i}", "reason": "the fastest"} for i in range(40)], []]
MANIFEST = {"model": "ü", "levels": [{"name": "one", "layers": LAYERS[0]}, {"name": "two", "layers": LAYERS[1]}]}


def folded(value: object) -> str:
    return base64.b64encode(zlib.compress(json.dumps(value).encode())).decode()


def test_the_same_again():
    short = fold_layers(MANIFEST)
    assert unfold_layers(json.loads(json.dumps(short))) == MANIFEST
    assert len(json.dumps(short)) < len(json.dumps(MANIFEST)) / 4
    assert [sorted(level) for level in short["levels"]] == [["name"], ["name"]]


def test_files_of_earlier_releases():
    assert unfold_layers(MANIFEST) is MANIFEST


@pytest.mark.parametrize(
    "layers",
    [
        *(None, 5, [], "", "é", "AAAA", folded(LAYERS)[:-8], folded(LAYERS[:1]), folded({}), folded("no")),
        base64.b64encode(zlib.compress(b"[[], [")).decode(),
        base64.b64encode(zlib.compress(bytes(65 << 20))).decode(),
    ],
)
def test_damage(layers):
    with pytest.raises(ValueError):
        unfold_layers({**fold_layers(MANIFEST), "layers": layers})


@pytest.mark.parametrize("levels", [None, 3, [], [{}], [1, 2]])
def test_levels_of_another_kind(levels):
    with pytest.raises(ValueError, match="levels"):
        unfold_layers({**fold_layers(MANIFEST), "levels": levels})
