"""Bit widths as a user writes them: 8, 6, a6w4, auto:a6w4; and the widths that the semantics fix."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tvmsr.errors import UsageError

#: Residual streams; table inputs; operands of products (two of them fit 31 bits). Design: 10 to 12 measure like 16.
STREAM_BITS = 16
TABLE_BITS = 12
GATE_BITS = 15
#: Bits of both operands of a product together: it fits int32.
PRODUCT_BITS = 31


@dataclass(frozen=True)
class Bits:
    """Bits of activations (2..16) and of weights (2..8)."""

    activations: int
    weights: int

    def __str__(self) -> str:
        if self.activations == self.weights:
            return str(self.activations)
        return f"a{self.activations}w{self.weights}"


@dataclass(frozen=True)
class Auto:
    """Bits that are chosen by layer and by picture, around a base of 2..8; None: the fastest that lose little."""

    base: Bits | None = None

    def __str__(self) -> str:
        return AUTO if self.base is None else f"{AUTO}:a{self.base.activations}w{self.base.weights}"


#: What bits begin with that are chosen.
AUTO = "auto"


def parse_wish(text: str | int | Bits | Auto) -> Bits | Auto:
    """`8`, `6`, `a6w4` as Bits; `auto` and `auto:a6w4` as Auto. Raises UsageError."""
    if isinstance(text, Auto):
        base = text.base
    else:
        kind, colon, rest = str(text).strip().lower().partition(":")
        if kind != AUTO:
            return parse_bits(text)
        both = re.fullmatch(r"a(\d{1,2})w(\d{1,2})", rest)
        if colon and not both:
            raise UsageError(f"--bits {text!s}: expected the base bits of activations and weights, such as auto:a6w4")
        base = Bits(int(both[1]), int(both[2])) if both else None
    if base is not None and not (2 <= base.activations <= 8 and 2 <= base.weights <= 8):
        raise UsageError(f"--bits {text!s}: activations and weights have 2 to 8 bits each where layers choose theirs")
    return Auto(base)


def parse_bits(text: str | int | Bits) -> Bits:
    """`8`, `6`, `a6w4`. One number stands for activations and weights (weights never have more than 8).

    Raises UsageError, for `auto` too, which is for `parse_wish`.
    """
    if isinstance(text, Bits):
        return _checked(text, str(text))
    words = str(text).strip().lower()
    if words.partition(":")[0] == AUTO:
        raise UsageError(f"--bits {text}: bits are the same everywhere here; give a number such as 8, or a6w4")
    both = re.fullmatch(r"a(\d{1,2})w(\d{1,2})", words)
    if both:
        return _checked(Bits(int(both[1]), int(both[2])), words)
    if re.fullmatch(r"\d{1,2}", words):
        return _checked(Bits(int(words), min(int(words), 8)), words)
    raise UsageError(f"--bits {text!r}: expected a number such as 8, or activations and weights such as a6w4")


def parse_layer_bits(items: list[str] | tuple[str, ...]) -> dict[str, int]:
    """`NAME=16` options as {layer: activation bits}."""
    pinned = {}
    for item in items:
        name, equals, bits = item.rpartition("=")
        if not equals or not name or not re.fullmatch(r"\d{1,2}", bits) or not 2 <= int(bits) <= 16:
            raise UsageError(f"--layer-bits {item!r}: expected NAME=BITS with 2 to 16 bits")
        pinned[name] = int(bits)
    return pinned


def _checked(bits: Bits, text: str) -> Bits:
    if not 2 <= bits.activations <= 16 or not 2 <= bits.weights <= 8:
        raise UsageError(f"--bits {text}: activations have 2 to 16 bits, weights 2 to 8")
    return bits
