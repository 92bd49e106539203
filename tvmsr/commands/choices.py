"""Bit choices by their names, as --choice takes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tvmsr.errors import UsageError


def choice_number(file: Path, choice: str, names: Sequence[str]) -> int | None:
    """Which of the choices of a file is called so; None for "auto": as each picture says. UsageError where none is."""
    if choice == "auto":
        return None
    if choice not in names:
        raise UsageError(f"{file}: there is no bit choice {choice!r} in it; it has {', '.join(names)}, and auto")
    return names.index(choice)
