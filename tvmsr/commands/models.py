"""`tvmsr models`: the architecture families that a bare state dict is recognised as."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """A family of networks: its name, as --family takes it, what it is, and why it is out of reach ("": it is not)."""

    name: str
    title: str
    out_of_reach: str = ""


def models() -> tuple[Architecture, ...]:
    """All families in the order in which they are listed, then those that are recognised and refused.

    A title says of the latter that they are out of reach. Of what fits none of them, spandrel is asked if it is
    installed (tvmsr[spandrel]).
    """
    from tvmsr.frontend.families.registry import REGISTRY

    reached = [Architecture(family.name, family.title) for family in REGISTRY]
    refused = [Architecture(one.name, f"{one.title} (out of reach)", one.why) for one in REGISTRY.refused]
    return (*reached, *refused)
