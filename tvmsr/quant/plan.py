"""Plan: every choice of a quantization as JSON that can be read and edited: per tensor, per layer, with the reasons.

`bind(model, plan)` computes everything else; ranges, rounding and bits come from here only. What may be left out after
an edit follows from what stays: `scale` and `zero` from the range and the bits, `weight_scales` from the weights.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from tvmsr.errors import InputFileError
from tvmsr.quant.complexity import MOST
from tvmsr.quant.ending import Ending

FORMAT_VERSION = 1
MIN_BITS, MAX_BITS = 2, 16
#: A plan is some hundred KB of text; more than this is no plan.
MAX_BYTES = 256 << 20
MIN_WEIGHT_BITS, MAX_WEIGHT_BITS = 2, 8

Positive = Annotated[float, Field(gt=1e-30, lt=1e30, allow_inf_nan=False)]
Finite = Annotated[float, Field(gt=-1e30, lt=1e30, allow_inf_nan=False)]
Bits = Annotated[int, Field(ge=MIN_BITS, le=MAX_BITS, strict=True)]


class PlanError(InputFileError):
    """A plan that cannot be used; one line that names the field."""


def affine(low: float, high: float, bits: int) -> tuple[float, int]:
    """Scale and zero point of b-bit codes over [low, high], which is widened to hold 0: that is always a code.

    The scale is a float32 number. A range without width gets the scale 1.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    levels = (1 << bits) - 1
    if high - low < 1e-20:
        return 1.0, 0
    scale = float(np.float32((high - low) / levels))
    return scale, min(max(round(-low / scale), 0), levels)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CodePlan(_Part):
    """How codes stand for values: value = (q - zero) * scale, over [low, high] in the units of the network."""

    bits: Bits
    low: Finite
    high: Finite
    scale: Positive
    zero: Annotated[int, Field(ge=0, strict=True)]
    reason: str = ""

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, data: Any) -> Any:
        """Scale and zero point from range and bits, where both were left out."""
        if isinstance(data, dict) and "scale" not in data and "zero" not in data:
            low, high, bits = (data.get(key) for key in ("low", "high", "bits"))
            numbers = isinstance(low, (int, float)) and isinstance(high, (int, float))
            if numbers and isinstance(bits, int) and MIN_BITS <= bits <= MAX_BITS:
                scale, zero = affine(float(low), float(high), bits)  # type: ignore[arg-type]
                return {**data, "scale": scale, "zero": zero}
        return data

    @model_validator(mode="after")
    def _ordered(self) -> CodePlan:
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        if self.zero >= 1 << self.bits:
            raise ValueError(f"zero {self.zero} is no code of {self.bits} bits")
        return self


class TensorPlan(CodePlan):
    """A stored tensor, or the reading of a stream. equal: factors on the scale, one a channel (equalisation)."""

    equal: list[Positive] | None = None


class LayerPlan(_Part):
    """A convolution.

    weight_scales, bias_correction (added to the bias, in the units of the network): one an output channel.
    table: the codes that go into the table of an activation such as tanh. weight_codes: int8 codes (KH, KW, IC/groups,
    OC) in base64, where they were not made by rounding to nearest. reads_stream: the layer reads the wide codes of its
    input although that has a narrow reading.
    """

    weight_bits: Annotated[int, Field(ge=MIN_WEIGHT_BITS, le=MAX_WEIGHT_BITS, strict=True)]
    weight_scales: list[Positive] | None = None
    bias_correction: list[Finite] | None = None
    table: CodePlan | None = None
    weight_codes: str | None = None
    reads_stream: bool = False
    reason: str = ""

    def codes(self, shape: tuple[int, ...]) -> NDArray[np.int8] | None:
        """The explicit weight codes, or None; raises ValueError where they do not fit."""
        if self.weight_codes is None:
            return None
        try:
            raw = base64.b64decode(self.weight_codes, validate=True)
        except binascii.Error as error:
            raise ValueError("weight_codes is not base64") from error
        if len(raw) != math.prod(shape):
            raise ValueError(f"weight_codes holds {len(raw)} codes, the layer has {math.prod(shape)}")
        codes = np.frombuffer(raw, np.int8).reshape(shape)
        limit = (1 << (self.weight_bits - 1)) - 1
        if codes.size and int(np.abs(codes.astype(np.int16)).max()) > limit:
            raise ValueError(f"weight_codes goes beyond +-{limit} of {self.weight_bits} bits")
        return codes


def _shared(data: Any, keys: tuple[str, ...], what: str) -> Any:
    """The data; ValueError where they say what all choices of a plan have in common."""
    given = [key for key in keys if isinstance(data, dict) and key in data]
    if given:
        raise ValueError(f"{given[0]} cannot be given: all choices share the plan's {what}")
    return data


class ChoiceCode(CodePlan):
    """A tensor, or the reading of one, where a choice holds it otherwise. Factors per channel are the plan's."""

    @model_validator(mode="before")
    @classmethod
    def _same_factors(cls, data: Any) -> Any:
        return _shared(data, ("equal",), "factors per channel, which are in the weights")


class ChoiceLayer(_Part):
    """What a choice has of its own in a convolution; its weights are the plan's. None: the plan's."""

    bias_correction: list[Finite] | None = None
    table: CodePlan | None = None
    reason: str = ""

    @model_validator(mode="before")
    @classmethod
    def _same_weights(cls, data: Any) -> Any:
        return _shared(data, ("weight_bits", "weight_scales", "weight_codes"), "weights")


#: Of a choice: what --choice takes.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]{0,31}$")]


class ChoicePlan(_Part):
    """Of one image factor: what differs from the plan itself, which has factor 0."""

    name: Name
    factor: Literal[-1, 1]
    bits: str = ""
    tensors: dict[str, ChoiceCode] = Field(default_factory=dict)
    reads: dict[str, ChoiceCode] = Field(default_factory=dict)
    layers: dict[str, ChoiceLayer] = Field(default_factory=dict)


#: How an artifact chooses: for a picture as a whole, or for each tile of it.
AdaptiveMode = Literal["image", "tile"]

#: Sides of tiles in LR pixels (tvmsr.quant.tiles), and what they are where nobody says: large beside what networks read
#: around a tile, which is computed twice at its borders; small enough that a picture of 640x360 has ten.
MIN_TILE, MAX_TILE, DEFAULT_TILE = 16, 4096, 128


class AdaptivePlan(_Part):
    """Choices by complexity (tvmsr.quant.complexity): factor -1 below `low`, +1 above `high`, else 0.

    base: how the plan itself is called among the choices. mode: whether each picture has a choice, or each of its tiles
    of `tile` LR pixels a side, which are blended at their borders.
    """

    low: Annotated[int, Field(ge=0, le=MOST, strict=True)]
    high: Annotated[int, Field(ge=0, le=MOST, strict=True)]
    mode: AdaptiveMode = "image"
    tile: Annotated[int, Field(ge=MIN_TILE, le=MAX_TILE, strict=True)] = DEFAULT_TILE
    base: Name = "base"
    choices: Annotated[list[ChoicePlan], Field(min_length=1, max_length=2)]

    @model_validator(mode="after")
    def _consistent(self) -> AdaptivePlan:
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}: no picture would have the factor 0")
        names, factors = [self.base, *(c.name for c in self.choices)], [c.factor for c in self.choices]
        if len({name.lower() for name in names} | {"auto"}) != len(names) + 1:
            raise ValueError(f"the names {', '.join(names)} are not all different, and different from auto")
        if len(set(factors)) != len(factors):
            raise ValueError(f"two choices have the factor {factors[0]}")
        return self


class CalibrationData(_Part):
    """What the ranges were measured on, in words, and how many crops of which size."""

    description: str = ""
    crops: Annotated[int, Field(ge=0)] = 0
    crop_size: str = ""


class Wider(_Part):
    """Layers that read more bits than were asked for, and how many. macs: their share of the multiplications, 0..1.

    time: their share of the modelled time on the CPU level that `where` names; slower: that time beside the one without
    wider layers, 1 for none. None, None and "" where no model was asked.
    """

    layers: dict[str, int]
    macs: Finite
    time: Finite | None = None
    slower: Finite | None = None
    where: str = ""


class Judged(_Part):
    """What a plan loses, in dB. psnr: of luma against the FP32 output; drop: what that makes expect of the true PSNR.

    limit: the drop that was allowed, least_psnr: what it asks for against the FP32 output. crops: how many were judged;
    held: whether nothing else was measured on them. before: the figures without wider layers, where there are some.
    """

    psnr: Finite
    drop: Finite
    limit: Finite
    least_psnr: Finite
    crops: int
    held: bool = True
    before: tuple[Finite, Finite] | None = None
    wider: Wider | None = None

    @property
    def is_missed(self) -> bool:
        """Whether the plan loses more than was allowed; a limit of 0 only asks for the best there is."""
        return 0 < self.limit < self.drop


class Plan(_Part):
    """The quantization of one model.

    ending: what the network's end becomes, where it is not the picture's own code. tensors: every tensor that has codes
    of its own (not the picture, which is its own code, nor what only moves codes).
    reads: narrow readings of wide tensors, by tensor. layers: every convolution. checksum: that of the Model. bits:
    what was asked for, in words; each tensor and layer has its own. judged: where a limit was set to what it may lose.
    adaptive: choices beside this one, None for none.
    """

    format: Literal["tvmsr-plan"] = "tvmsr-plan"
    version: int = FORMAT_VERSION
    model: str
    checksum: str
    bits: str = ""
    method: str
    ending: Ending | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    seed: int = 0
    calibration: CalibrationData = CalibrationData()
    notes: list[str] = Field(default_factory=list)
    judged: Judged | None = None
    tensors: dict[str, TensorPlan]
    reads: dict[str, TensorPlan] = Field(default_factory=dict)
    layers: dict[str, LayerPlan]
    adaptive: AdaptivePlan | None = None

    @field_validator("settings")
    @classmethod
    def _plain(cls, value: dict[str, Any]) -> dict[str, Any]:
        """What can be written as JSON again."""
        json.dumps(value, allow_nan=False)
        return value

    @model_validator(mode="after")
    def _known_version(self) -> Plan:
        if self.version != FORMAT_VERSION:
            raise ValueError(f"version {self.version} is not {FORMAT_VERSION}, the one that this release reads")
        return self

    @model_validator(mode="after")
    def _known_names(self) -> Plan:
        for choice in self.adaptive.choices if self.adaptive else ():
            for field in ("tensors", "reads", "layers"):
                for name in getattr(choice, field):
                    if name not in getattr(self, field):
                        key = f"adaptive: {choice.name}: {field}.{shown_key(name)}"
                        raise ValueError(f"{key}: the plan itself has no such entry")
        return self

    def of_choice(self, number: int) -> Plan:
        """The plan of one choice alone; 0 is this plan's own. IndexError where there is none."""
        if number == 0:
            return self if self.adaptive is None else self.model_copy(update={"adaptive": None})
        if self.adaptive is None or number < 0:
            raise IndexError(number)
        choice = self.adaptive.choices[number - 1]
        changed: dict[str, Any] = {"adaptive": None, "bits": choice.bits or self.bits}
        for field in ("tensors", "reads", "layers"):
            own: dict[str, _Part] = getattr(self, field)
            given: dict[str, _Part] = getattr(choice, field)
            changed[field] = own | {name: own[name].model_copy(update=_said(part)) for name, part in given.items()}
        return self.model_copy(update=changed)

    def to_json(self) -> str:
        """Text with one line a value; lists of numbers stay on one line."""
        return _pretty(self.model_dump(mode="json", exclude_none=True), 0) + "\n"

    @classmethod
    def from_json(cls, text: str | Mapping[str, Any], where: str = "plan") -> Plan:
        """Read and validate JSON text, or what it was parsed to."""
        try:
            data = json.loads(text) if isinstance(text, str) else text
            json.dumps(data, ensure_ascii=False).encode()  # halves of characters, which no file can hold
        except (ValueError, RecursionError) as error:
            raise PlanError(f"{where}: not JSON: {str(error)[:200]}") from error
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise PlanError(f"{where}: {_first_error(error)}") from None

    def save(self, path: Path) -> None:
        """Write as a whole or not at all."""
        write_text(Path(path), self.to_json())

    @classmethod
    def load(cls, path: Path) -> Plan:
        try:
            if Path(path).stat().st_size > MAX_BYTES:
                raise PlanError(f"{path}: is too large for a plan: more than {MAX_BYTES >> 20} MB")
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise PlanError(f"{path}: cannot be read: {error}") from error
        return cls.from_json(text, str(path))


def _said(part: _Part) -> dict[str, Any]:
    """The fields that a choice gives."""
    return {name: value for name in type(part).model_fields if (value := getattr(part, name)) not in (None, "")}


def encode_codes(codes: NDArray[np.int8]) -> str:
    """Weight codes as LayerPlan.weight_codes holds them."""
    return base64.b64encode(np.ascontiguousarray(codes, np.int8).tobytes()).decode("ascii")


def write_text(path: Path, text: str) -> None:
    """Write a file atomically: through a temporary one beside it."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", text=False)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _first_error(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    field = ".".join(map(shown_key, first["loc"])) or "plan"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    message = first["msg"].removeprefix("Value error, ").replace("\n", " ")
    return f"{field}: {message}{more}"


def shown_key(part: str | int) -> str:
    """A key as a message shows it; of a damaged plan, it can be anything."""
    text = str(part)
    return text if text.isprintable() and len(text) <= 200 else ascii(text[:80])


def _pretty(value: Any, depth: int) -> str:
    if isinstance(value, Mapping) and value:
        inner = "  " * (depth + 1)
        rows = (f"{inner}{json.dumps(key)}: {_pretty(item, depth + 1)}" for key, item in value.items())
        return "{\n" + ",\n".join(rows) + "\n" + "  " * depth + "}"
    return json.dumps(value, allow_nan=False, ensure_ascii=False)


def noted(plan: Plan, *notes: str) -> Plan:
    """The plan with more notes."""
    return plan.model_copy(update={"notes": [*plan.notes, *notes]})
