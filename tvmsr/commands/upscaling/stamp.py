"""The stamp in a result: what it was made of, so that a run that was interrupted goes on with what is missing."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from tvmsr.errors import InputFileError

#: What of a manifest decides about the bytes of results; artifacts of one network and plan give the same on every CPU.
_DECIDES = ("model_checksum", "plan_checksum", "scale", "colour", "checks")

#: Where a stamp is looked for: so many bytes at each end of the file.
_ENDS = 1 << 20

_STAMP = re.compile(rb"tvmsr:[0-9a-f]{32}")


def network_of(manifest: Mapping[str, Any]) -> str:
    """A word for the network that an artifact is made of, from its manifest."""
    known = {key: manifest[key] for key in _DECIDES if key in manifest}
    whole = "model_checksum" in known and "plan_checksum" in known
    return json.dumps(known if whole else dict(manifest), sort_keys=True)


def digest_of(source: Path) -> str:
    """SHA-256 of a picture's file; InputFileError where it cannot be read."""
    digest = hashlib.sha256()
    try:
        with source.open("rb") as file:
            while part := file.read(_ENDS):
                digest.update(part)
    except OSError as error:
        raise InputFileError(f"{source}: the picture cannot be read: {error.strerror or error}") from None
    return digest.hexdigest()


def stamp_for(network: str, digest: str, scale: Fraction, tile: int | None, choice: str | None = None) -> str:
    """The stamp of what a network makes of a picture. tile, choice (of bits, forced): of results that they change, else
    None.
    """
    words = json.dumps([network, digest, str(scale), tile, *([choice] if choice is not None else [])])
    return f"tvmsr:{hashlib.sha256(words.encode()).hexdigest()[:32]}"


def has_stamp(result: Path, stamps: Collection[str]) -> bool:
    """Whether a file carries one of these stamps."""
    try:
        with result.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            start = file.read(_ENDS)
            file.seek(max(0, size - _ENDS))
            found = _STAMP.search(start) or _STAMP.search(file.read())
    except OSError:
        return False
    return found is not None and found[0].decode() in stamps
