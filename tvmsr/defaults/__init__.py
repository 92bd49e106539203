"""The embedded default networks: our own weights, and README.md beside them with how they were made."""

from __future__ import annotations

from pathlib import Path

from tvmsr.errors import UsageError

#: What may stand after "default:", and the file it names.
_WEIGHTS = {"x2": "default_x2.safetensors", "x4": "default_x4.safetensors"}


def default_weights(name: str) -> Path:
    """Path of the weights of `default:x2` or `default:x4`. Raises UsageError for any other name."""
    kind = name.removeprefix("default:")
    if kind not in _WEIGHTS:
        known = ", ".join(f"default:{k}" for k in _WEIGHTS)
        raise UsageError(f"no embedded model {name!r}; there are {known}, or give a file")
    return Path(__file__).parent / _WEIGHTS[kind]
