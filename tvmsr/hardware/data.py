"""Where the data folders are: beside the package in a checkout, inside it (`tvmsr/_data`) when installed."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent


def data_dir(name: str = "targets") -> Path:
    """The folder `name` ("targets", "tuning_logs") of this installation.

    A checkout is recognised by its pyproject.toml, so that a stray folder beside an installed package is not taken.
    """
    checkout = _PACKAGE.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / name).is_dir():
        return checkout / name
    return _PACKAGE / "_data" / name
