"""What MODEL means on the command line: a file, or an embedded default network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tvmsr.defaults import default_weights

if TYPE_CHECKING:
    from tvmsr.graph.model import Model

DEFAULT_MODEL = "default:x2"


@dataclass(frozen=True)
class Overrides:
    """What a checkpoint cannot tell, as the user said it; None where nothing was said. See tvmsr.load_model."""

    family: str | None = None
    scale: int | None = None
    value_range: float | None = None
    colour: str | None = None
    slope: float | None = None
    activation: str | None = None
    residual_scale: float | None = None


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
