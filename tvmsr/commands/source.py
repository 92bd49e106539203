"""What MODEL means on the command line: a file, or an embedded default network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tvmsr.defaults import default_weights
from tvmsr.frontend.choices import Overrides

if TYPE_CHECKING:
    from tvmsr.graph.model import Model

__all__ = ["DEFAULT_MODEL", "Overrides", "open_model", "short_name"]

DEFAULT_MODEL = "default:x2"


def open_model(model: str | Path, overrides: Overrides | None = None) -> Model:
    """Import `model` (a file, `default:x2` or `default:x4`). Raises UsageError or InputFileError."""
    from tvmsr.frontend import load_model

    said = vars(overrides or Overrides())
    if str(model).startswith("default:"):
        return load_model(default_weights(str(model)), name=short_name(model), **said)
    return load_model(Path(model), **said)


def short_name(model: str | Path) -> str:
    """A name for files made from `model`: its stem, or default-x2."""
    text = str(model)
    return text.replace(":", "-") if text.startswith("default:") else Path(text).stem
