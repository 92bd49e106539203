"""`tvmsr targets`: what can be compiled for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tvmsr.hardware.target import Target


def targets(name: str | None = None) -> tuple[Target, ...]:
    """All known targets, or the one that `name` (or a path of a .toml) names. Raises UsageError, InputFileError."""
    from tvmsr.hardware import list_targets, load_target

    return (load_target(name),) if name is not None else tuple(load_target(known) for known in list_targets())
