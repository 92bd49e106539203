"""Texts of files and people, made fit to be shown."""

from __future__ import annotations

import math


def plain(text: str) -> str:
    """The text with what cannot be shown, or would change how it is read, as escapes: any file name is a text then."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)


def count(number: int, one: str) -> str:
    """As in "1 picture", "2 pictures"."""
    return f"{number:,} {one}{'' if number == 1 else 's'}"


def kilobytes(size: int) -> str:
    return f"{size / 1024:,.0f} KiB"


def decibels(value: float | None) -> str:
    return _number(value, ".2f")


def likeness(value: float | None) -> str:
    return _number(value, ".4f")


def milliseconds(value: float | None) -> str:
    return _number(value, ".1f" if value is not None and value >= 10 else ".2f")


def percent(value: float | None) -> str:
    """Of a share 0..1."""
    return _number(None if value is None else 100 * value, ".2f" if value is not None and 0 < value < 0.01 else ".1f")


def signed(value: float | None, digits: int = 2) -> str:
    """Decibels with their sign, a real minus; a dash for what is no number."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{'−' if value < 0 else '+'}{abs(value):.{digits}f}"


def _number(value: float | None, how: str) -> str:
    if value is None:
        return "–"
    return "∞" if value == float("inf") else format(value, how)
