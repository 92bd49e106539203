"""Frontends: a checkpoint, an ONNX file or a torch module becomes a canonical Model. `load_model` is the one entry."""

from __future__ import annotations

from typing import Any

__all__ = ["load_model"]


def __getattr__(name: str) -> Any:
    if name != "load_model":
        raise AttributeError(name)
    from tvmsr.frontend.load import load_model

    return load_model
