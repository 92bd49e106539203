"""What an artifact says about itself: JSON in a section of its own, read without loading the file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tvmsr.artifact.plan_codes import with_codes
from tvmsr.artifact.plan_text import unpack_plan
from tvmsr.errors import InputFileError
from tvmsr.runtime.folding import fold_layers
from tvmsr.runtime.library import DATA_SECTION, PLAN_SECTION
from tvmsr.runtime.sections import manifest_of, read_library

FORMAT_VERSION = 1

#: A plan is some hundred KB of text; more than this is no plan.
MAX_PLAN_BYTES = 256 << 20


#: Check pictures are small: nobody computes millions of pixels because a damaged file says so.
MAX_CHECK_SIDE = 4096


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class LinkedCode(_Part):
    """Code in the file that is not the network's, and its licence (SPDX)."""

    name: str
    licence: str


class StoredEntry(_Part):
    """What a store holds: channels [first, first + channels) of a tensor of the network."""

    tensor: str
    first: int
    channels: int


class CheckEntry(_Part):
    """A picture made from a seed (docs/numerics.md) and the checksum of its result: 64 bits in hex."""

    seed: int = Field(ge=0, lt=2**64)
    width: int = Field(ge=1, le=MAX_CHECK_SIDE)
    height: int = Field(ge=1, le=MAX_CHECK_SIDE)
    choice: int = Field(ge=0)
    checksum: str = Field(pattern="^[0-9a-f]{16}$")


class LayerEntry(_Part):
    """One step of a level's program. name: as profiles call it. macs_per_pixel: of an input pixel.

    stored: what each of its stores holds, in the order in which a trace names them.

    For profiles, and not told by files of earlier releases: primitive (row of the isa table, "" for none), multiplies
    (those it does, as a share of the direct convolution's), useful (share of the primitive's lanes that is not
    padding), map_bytes_per_pixel (codes read and stored an input pixel, borders left out), packed_bytes (weights as
    kernels read them), shape ("3x3 28 to 28"). choice: of a file with several, the one whose step it is; its name is
    then "CHOICE:NAME".
    """

    name: str
    nodes: list[str]
    bits: str
    kernel: str
    algorithm: str
    tile: list[int]
    macs_per_pixel: float
    weights_bytes: int
    reason: str
    stored: list[StoredEntry] = []
    primitive: str = ""
    multiplies: float = 1.0
    useful: float | None = None
    map_bytes_per_pixel: float | None = None
    packed_bytes: int | None = None
    shape: str = ""
    choice: str = ""


class LevelEntry(_Part):
    """The programs for one CPU level, best level first. needs: CPU features, looked for when a session is opened.

    buffers: of the first choice. layers: of all choices, one after the other. packed_bytes: of weights as kernels read
    them, for each choice those that the choices before it do not share with it; not told by files of earlier releases.
    """

    name: str
    isa: str
    cpu: str
    needs: list[str]
    buffers: int
    layers: list[LayerEntry]
    packed_bytes: list[int] = []


class AdaptiveEntry(_Part):
    """How a file with several choices chooses: by the picture's complexity (docs/numerics.md).

    factors: of each choice; a picture below `low` takes the one with -1, above `high` the one with 1, else that with 0.
    tile: where each tile of a picture chooses, pixels a side; 0: pictures choose as a whole.
    """

    factors: list[int]
    low: int
    high: int
    tile: int = Field(default=0, ge=0)


class TilingEntry(_Part):
    """How a picture may be cut into pieces that give the bytes of the whole: IntegerGraph.tiles.

    Pieces need `radius` pixels more on every side and begin at multiples of `multiple`. whole_because: why they give
    other bytes all the same, in words.
    """

    radius: int = Field(ge=0)
    multiple: int = Field(ge=1)
    whole_because: list[str]


class Manifest(_Part):
    """All of it. Sizes in bytes, checksums SHA-256 in hex, macs_per_pixel per input pixel.

    compiler: what compiled and linked the C code; linked_code: what is in a shared library beside the numbers.
    """

    format: Literal["tvmsr-manifest"] = "tvmsr-manifest"
    version: int = FORMAT_VERSION
    abi: int
    tvmsr: str
    model: str
    family: str
    model_checksum: str
    weights_licence: str
    assumed: list[str]
    scale: int
    colour: str
    receptive_radius: int
    minimum_width: int
    minimum_height: int
    tiling: TilingEntry | None = None
    macs_per_pixel: float
    bits: str
    method: str
    plan_checksum: str
    choices: list[str]
    adaptive: AdaptiveEntry | None = None
    target: str
    triple: str
    link_triple: str
    prefix: str
    levels: list[LevelEntry]
    weights_size: int
    data_size: int
    data_checksum: str
    checks: list[CheckEntry] = []
    linked_code: list[LinkedCode]
    compiler: str = ""
    tools: dict[str, str]

    def to_bytes(self) -> bytes:
        """As it lies in the file: compact JSON, ASCII, its layers folded."""
        return json.dumps(fold_layers(self.model_dump(mode="json")), separators=(",", ":")).encode("ascii")


def read_manifest(path: Path) -> Manifest:
    """The manifest of an artifact for any CPU. InputFileError where there is none or it is not one of ours."""
    values = manifest_of(path)
    try:
        manifest = Manifest.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"])) or "it"
        why = f"{field}: {first['msg']}"
        raise InputFileError(f"{path}: its manifest is damaged or of another version: {why}") from None
    if not all(text.isprintable() for text in _texts(manifest.model_dump())):
        raise InputFileError(f"{path}: its manifest is damaged: it holds characters that cannot be shown")
    return manifest


def _texts(value: Any) -> Iterator[str]:
    """Every text in a value of JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _texts([*value, *value.values()])
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def read_plan_text(path: Path) -> str:
    """The plan (JSON) that an artifact was made from. InputFileError where it carries none."""
    sections = read_library(path).sections
    if PLAN_SECTION not in sections:
        raise InputFileError(f"{path}: has no plan: not an artifact of tvmsr")
    try:
        short = unpack_plan(sections[PLAN_SECTION], MAX_PLAN_BYTES)
        return with_codes(short, sections.get(DATA_SECTION, b""), MAX_PLAN_BYTES)
    except ValueError as error:
        raise InputFileError(f"{path}: its plan is damaged") from error
