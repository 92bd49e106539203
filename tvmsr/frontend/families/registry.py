"""The registry of families: ordered, and unchanged where a registration fails."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from tvmsr.errors import InputFileError, UsageError
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.families import (
    abpn,
    abpn_torch,
    bsrn,
    carn,
    dbpn,
    drrn,
    ecbsr,
    edsr,
    edsr_basicsr,
    edsr_mxnet,
    efdn,
    espcn,
    fmen,
    fsrcnn,
    imdn,
    imdn_aim,
    imdn_plus,
    imdn_rtc,
    lapsrn,
    lattice,
    man,
    mosr,
    msrresnet,
    ntire,
    pan,
    plain_anchor,
    plainusr,
    plksr,
    quicksrnet,
    rcan,
    rdn,
    rfdn,
    rlfn,
    rrdb,
    safmn,
    safmnpp,
    sesr,
    shufflemixer,
    span,
    srcnn,
    srdensenet,
    srresnet,
    srresnet_mxnet,
    srvgg,
    swiftsrgan,
    vdsr,
    wdsr,
    xlsr,
)
from tvmsr.frontend.families.family import Family, Refused
from tvmsr.frontend.families.refused import REFUSED
from tvmsr.frontend.state import State

#: What to do with a network that is out of reach.
_INSTEAD = "use a convolutional network of its size, such as SPAN or RRDBNet"


class UnknownArchitectureError(InputFileError):
    """No family fits a state dict; it may be known elsewhere."""


@dataclass(frozen=True)
class Registry:
    """Families in the order in which they are listed, and what is refused by name. `with_...` makes a new one."""

    families: tuple[Family, ...] = ()
    refused: tuple[Refused, ...] = ()

    def with_families(self, *more: Family) -> Registry:
        return self._with((*self.families, *more), self.refused)

    def with_refused(self, *more: Refused) -> Registry:
        return self._with(self.families, (*self.refused, *more))

    def _with(self, families: tuple[Family, ...], refused: tuple[Refused, ...]) -> Registry:
        names = [family.name for family in families] + [one.name for one in refused]
        double = {name for name in names if names.count(name) > 1}
        if double:
            raise ValueError(f"two families are called {', '.join(sorted(double))}")
        return Registry(families, refused)

    def __iter__(self) -> Iterator[Family]:
        return iter(self.families)

    def find(self, state: State, choices: Choices) -> Family:
        """The family of a state dict; asks where several fit and says what was looked for where none does.

        Raises UnknownArchitectureError where none fits, and InputFileError where it is one that is out of reach.
        """
        wanted = choices.given("family")
        known = [family.name for family in self.families] + [refused.name for refused in self.refused]
        if wanted is not None and wanted not in known:
            close = get_close_matches(wanted, known, 3, 0.5)
            meant = f"; close to it are {', '.join(close)}" if close else ""
            raise UsageError(f"there is no family {wanted!r} (tvmsr models lists them){meant}")
        fitting = [f for f in self if wanted in (None, f.name) and f.recognise(state)]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            names = ", ".join(family.name for family in fitting)
            raise UsageError(f"{choices.source}: several architectures fit; say which with --family ({names})")
        for refused in self.refused:
            if refused.recognise(state):
                raise InputFileError(f"{choices.source}: is {refused.title}, out of reach: {refused.why}; {_INSTEAD}")
        keys = ", ".join(list(state)[:4])
        count = len(self.families)
        what = f"is no {wanted}" if wanted else f"is of no known architecture ({count} are: tvmsr models)"
        raise UnknownArchitectureError(
            f"{choices.source}: {what}; its {len(state)} tensors begin with {keys}; export the network to ONNX instead"
        )


REGISTRY = (
    Registry()
    .with_families(
        abpn.FAMILY,
        espcn.FAMILY,
        srcnn.FAMILY,
        fsrcnn.FAMILY,
        srvgg.FAMILY,
        imdn.FAMILY,
        imdn_rtc.FAMILY,
        imdn_aim.FAMILY,
        imdn_plus.FAMILY,
        rfdn.FAMILY,
        rlfn.FAMILY,
        fmen.FAMILY,
        bsrn.FAMILY,
        carn.FAMILY,
        xlsr.FAMILY,
        edsr.FAMILY,
        edsr_basicsr.FAMILY,
        edsr_mxnet.FAMILY,
        srresnet.FAMILY,
        srresnet_mxnet.FAMILY,
        msrresnet.FAMILY,
        abpn_torch.FAMILY,
        quicksrnet.FAMILY,
        sesr.FAMILY,
        ecbsr.FAMILY,
        vdsr.FAMILY,
        drrn.FAMILY,
        rdn.FAMILY,
        dbpn.FAMILY,
        rrdb.FAMILY,
        span.FAMILY,
        span.PLUS,
        lattice.FAMILY,
        pan.PAN,
        pan.A2N,
        rcan.FAMILY,
        wdsr.FAMILY,
        safmn.FAMILY,
        safmnpp.FAMILY,
        ntire.R2NET,
        ntire.ERRN,
        shufflemixer.FAMILY,
        plksr.FAMILY,
        man.FAMILY,
        efdn.FAMILY,
        plainusr.FAMILY,
        lapsrn.FAMILY,
        srdensenet.FAMILY,
        swiftsrgan.FAMILY,
        mosr.FAMILY,
        plain_anchor.FAMILY,
    )
    .with_refused(*REFUSED)
)
