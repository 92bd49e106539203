"""Bit choices by their names, as --choice takes them, and by what pictures are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tvmsr.errors import UsageError


def choice_number(file: Path, choice: str, names: Sequence[str]) -> int | None:
    """Which of the choices of a file is called so; None for "auto": as each picture says. UsageError where none is."""
    if choice == "auto":
        return None
    if choice not in names:
        raise UsageError(f"{file}: there is no bit choice {choice!r} in it; it has {', '.join(names)}, and auto")
    return names.index(choice)


def tile_of(manifest: Mapping[str, Any]) -> int:
    """The side, in LR pixels, of the tiles that choose for themselves; 0 where a picture chooses as a whole."""
    adaptive = manifest.get("adaptive")
    tile = adaptive.get("tile") if isinstance(adaptive, Mapping) else None
    return tile if isinstance(tile, int) and tile > 0 else 0


def chooser_of(manifest: Mapping[str, Any]) -> Callable[[int], int] | None:
    """What choice an artifact with this manifest makes of a picture's complexity (tvmsr.quant.complexity).

    None where its manifest does not say.
    """
    adaptive, names = manifest.get("adaptive"), manifest.get("choices", ())
    if not isinstance(adaptive, Mapping) or len(names) < 2:
        return None
    try:
        low, high = int(adaptive["low"]), int(adaptive["high"])
        numbers = {int(factor): number for number, factor in enumerate(adaptive["factors"])}
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    if len(numbers) != len(names) or low > high:
        return None

    def choose(complexity: int) -> int:
        return numbers.get((complexity > high) - (complexity < low), 0)

    return choose
