"""The registry of families: ordered, and unchanged where a registration fails."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tvmsr.errors import InputFileError, UsageError
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.families import (
    abpn,
    edsr,
    edsr_mxnet,
    espcn,
    imdn_rtc,
    plain_anchor,
    srresnet,
    srresnet_mxnet,
    srvgg,
)
from tvmsr.frontend.families.family import Family
from tvmsr.frontend.state import State


@dataclass(frozen=True)
class Registry:
    """Families in the order in which they are listed. `with_families` makes a new one."""

    families: tuple[Family, ...] = ()

    def with_families(self, *more: Family) -> Registry:
        families = (*self.families, *more)
        names = [family.name for family in families]
        double = {name for name in names if names.count(name) > 1}
        if double:
            raise ValueError(f"two families are called {', '.join(sorted(double))}")
        return Registry(families)

    def __iter__(self) -> Iterator[Family]:
        return iter(self.families)

    def find(self, state: State, choices: Choices) -> Family:
        """The family of a state dict; asks where several fit and says what was looked for where none does."""
        wanted = choices.given("family")
        if wanted is not None and wanted not in {family.name for family in self}:
            raise UsageError(f"there is no family {wanted!r}; known are {', '.join(f.name for f in self)}")
        fitting = [f for f in self if wanted in (None, f.name) and f.recognise(state)]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            names = ", ".join(family.name for family in fitting)
            raise UsageError(f"{choices.source}: several architectures fit; say which with --family ({names})")
        keys = ", ".join(list(state)[:4])
        what = f"is no {wanted}" if wanted else f"is of no known architecture ({', '.join(f.name for f in self)})"
        raise InputFileError(
            f"{choices.source}: {what}; its {len(state)} tensors begin with {keys}; export the network to ONNX instead"
        )


REGISTRY = Registry().with_families(
    abpn.FAMILY,
    espcn.FAMILY,
    srvgg.FAMILY,
    imdn_rtc.FAMILY,
    edsr.FAMILY,
    edsr_mxnet.FAMILY,
    srresnet.FAMILY,
    srresnet_mxnet.FAMILY,
    plain_anchor.FAMILY,
)
