"""What --variants can name: words that change a calibration, joined by "+"; and the rows of the study of CFQP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tvmsr.commands.calibrate import Calibration
from tvmsr.errors import UsageError

Changes = Mapping[str, Any]

FP32 = "fp32"
#: Stands for STUDY where it is all that --variants says.
STUDY_NAME = "cfqp"
DEFAULT_VARIANTS = "fp32,8,strict,minmax,cfqp-paper"

#: Words beside methods, ways and bits, and the fields of Calibration that they change.
WORDS: Mapping[str, Changes] = {
    "strict": {"strict_bits": True},
    "no-equalise": {"equalise": False},
    "no-bias-correction": {"bias_correction": False},
    "no-rounding": {"rounding": False},
    "learn": {"learn": True},
    "learn-bits": {"learn": True, "learn_bits": True},
    "bit-costs": {"costs": "bits"},
    "tile": {"adaptive": "tile"},
    "gradient": {"sensitivity": "gradient"},
    "layer-weights": {"weight_bits": "layer"},
    "none-kept": {"kept": 0.0},
    "plain": {"method": "minmax", "equalise": False, "bias_correction": False, "strict_bits": True},
}


@dataclass(frozen=True)
class Variant:
    """A row. changes: to the calibration that all share; None: the network in FP32.

    clip_apart: the clip that its method appends is a pass over memory of its own.
    """

    name: str
    text: str
    changes: Changes | None
    clip_apart: bool = False

    def calibration(self, shared: Calibration) -> Calibration:
        """A way that all share is nothing to a method that makes no pictures."""
        from tvmsr.quant.methods import Shown, method_of

        changes = self.changes or {}
        made = replace(shared, **changes)
        idle = "way" not in changes and method_of(made.method).pictures is Shown.GIVEN
        return replace(made, way=Calibration.way) if idle else made


#: What --variants cfqp prints. The two FP32 rows have the same figures where outputs are bytes.
STUDY: tuple[Variant, ...] = (
    Variant(FP32, "FP32", None),
    Variant("fp32+clip", "FP32 + clip", None),
    Variant("clip-minmax", "INT8, clip, ordinary pictures", {"method": "clip-minmax"}),
    Variant("free-minmax", "INT8, clip-free, ordinary pictures", {"method": "free-minmax"}),
    Variant("cfqp-paper", "INT8, clip-free, CFQP's pictures", {"method": "cfqp-paper"}),
    Variant("plain", "INT8, output pinned, ordinary pictures", WORDS["plain"]),
    Variant("cfqp", "INT8 as compile makes it", {}),
    Variant("clip-apart", "INT8, clip as a pass, ordinary pictures", {"method": "clip-minmax"}, clip_apart=True),
)
#: Rows of STUDY that are measured over random sets, too.
SPREAD = ("clip-minmax", "free-minmax", "cfqp-paper", "plain", "cfqp")
#: How the clip is done, and the row of STUDY whose time that is.
CLIPS: Mapping[str, str] = {"absent": "plain", "fused": "clip-minmax", "a pass of its own": "clip-apart"}


def chosen(variants: str | Sequence[str]) -> tuple[Variant, ...]:
    """Of "fp32,8,minmax+strict" or a list of such names; STUDY for "cfqp" alone. UsageError where one is not known."""
    names = [name.strip() for name in (variants.split(",") if isinstance(variants, str) else variants)]
    if names == [STUDY_NAME]:
        return STUDY
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"--variants names {twice!r} twice")
    return tuple(_variant(name) for name in names)


def _variant(name: str) -> Variant:
    if name == FP32:
        return Variant(FP32, "the network as it is", None)
    changes: dict[str, Any] = {}
    for word in name.split("+"):
        found = _changes(word, name)
        both = next((key for key in found if key in changes and changes[key] != found[key]), None)
        if both is not None:
            raise UsageError(f"--variants: {name!r} says two things about {both.replace('_', '-')}")
        changes |= found
    return Variant(name, _text(changes), changes)


def _changes(word: str, name: str) -> Changes:
    from tvmsr.quant.bits import parse_wish
    from tvmsr.quant.methods import METHODS
    from tvmsr.quant.representative import WAYS

    if word in WORDS:
        return WORDS[word]
    if word in METHODS:
        return {"method": word}
    if word in WAYS:
        return {"way": word}
    try:
        return {"bits": str(parse_wish(word))}
    except UsageError:
        known = ", ".join([*WORDS, *METHODS, *WAYS])
        raise UsageError(
            f"--variants: {word!r} in {name!r} is not known; known are {FP32}, bits such as 8 or a6w4, {known}, and"
            f" several of these joined by +; {STUDY_NAME} alone prints the study of CFQP"
        ) from None


def _text(changes: Changes) -> str:
    """In words: bits and method, and what else differs from the defaults."""
    how = Calibration(**{key: changes[key] for key in ("bits", "method") if key in changes}).settled()
    said = [f"{how.bits} bits" if how.bits.isdigit() else how.bits, how.method]
    said += [f"pictures by {changes['way']}"] if "way" in changes else []
    return ", ".join([*said, *(word for key, word in _SWITCHES.items() if key in changes)])


_SWITCHES = {
    "strict_bits": "no wider layers",
    "equalise": "no equalisation",
    "bias_correction": "no bias correction",
    "rounding": "weights rounded to nearest",
    "learn": "learned",
    "learn_bits": "with bits of layers and pictures",
    "costs": "bits as costs",
    "adaptive": "bits by tile",
    "sensitivity": "noise from gradients",
    "weight_bits": "weight bits by layer",
    "kept": "no layer kept at 8 bits",
}
