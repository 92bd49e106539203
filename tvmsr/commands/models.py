"""`tvmsr models`: the architecture families that a bare state dict is recognised as."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tvmsr.frontend.families.family import Family


def models() -> tuple[Family, ...]:
    """All families in the order in which they are tried."""
    from tvmsr.frontend.families.registry import REGISTRY

    return tuple(REGISTRY)
