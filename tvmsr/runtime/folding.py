"""The bulk of a manifest, folded: what it says of layers is deflated JSON, in base64, which JSON can hold."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

#: A manifest's layers are some hundred KB of text; more than this are none.
_MOST = 64 << 20


def fold_layers(manifest: dict[str, Any]) -> dict[str, Any]:
    """A manifest with the `layers` of all its levels in one text beside them."""
    levels = [{key: value for key, value in level.items() if key != "layers"} for level in manifest["levels"]]
    text = json.dumps([level["layers"] for level in manifest["levels"]], separators=(",", ":"))
    folded = base64.b64encode(zlib.compress(text.encode("utf-8"), 9)).decode("ascii")
    return {**manifest, "levels": levels, "layers": folded}


def unfold_layers(manifest: dict[str, Any]) -> dict[str, Any]:
    """The manifest that was folded; one that never was, as it is. ValueError where it is damaged."""
    if "layers" not in manifest:
        return manifest
    levels, folded = manifest.get("levels"), manifest["layers"]
    if not isinstance(folded, str) or not isinstance(levels, list):
        raise ValueError("no layers of levels")
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(base64.b64decode(folded, validate=True), _MOST)
    except zlib.error as error:
        raise ValueError("its layers are not deflated") from error
    if not unpacker.eof:
        raise ValueError("its layers are cut off, or too long")
    layers = json.loads(text)
    if not isinstance(layers, list) or len(layers) != len(levels) or not all(isinstance(x, dict) for x in levels):
        raise ValueError("its layers are not those of its levels")
    whole = [{**level, "layers": found} for level, found in zip(levels, layers, strict=True)]
    return {**{key: value for key, value in manifest.items() if key != "layers"}, "levels": whole}
