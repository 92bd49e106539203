"""Readers with every fault that the runner has to find. They test it; no file is made wrong by them."""

from __future__ import annotations

import os
import random
from pathlib import Path

from tests.fuzz.case import Files, Kind
from tvmsr.errors import InputFileError


def _ends(_: Path) -> None:
    os.abort()


def _never_ends(_: Path) -> None:
    while True:
        pass


def _takes_all(_: Path) -> None:
    bytes(1 << 40)


def _fails(_: Path) -> None:
    raise ValueError("of ours")


def _says_two_lines(_: Path) -> None:
    raise InputFileError("a\nb")


def _hides_a_mistake(_: Path) -> None:
    try:
        raise AttributeError("of ours")
    except AttributeError as error:
        raise InputFileError("the file is damaged") from error


def _prints(_: Path) -> None:
    os.write(2, b"Warning: something\n")
    raise InputFileError("the file is damaged")


def _make(_: random.Random) -> Files:
    return {"file": b""}


def _cannot_make(_: random.Random) -> Files:
    raise ValueError("no file")


WRONG = {
    f"wrong-{outcome}": Kind(f"wrong-{outcome}", make, read, warm=False)
    for outcome, make, read in (
        ("crash", _make, _ends),
        ("hang", _make, _never_ends),
        ("memory", _make, _takes_all),
        ("traceback", _make, _fails),
        ("message", _make, _says_two_lines),
        ("surprise", _make, _hides_a_mistake),
        ("noise", _make, _prints),
        ("unmade", _cannot_make, _fails),
    )
}
