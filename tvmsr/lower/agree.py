"""Phase 4, agree: one stored form and one set of pad codes for each place.

Convolutions say in which form they want to read, and with which codes they pad. Where the readers of one place do not
agree, those that differ get a place of their own, stored beside the first (the picture is copied).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from tvmsr.graph.model import INPUT
from tvmsr.kernels.algorithms import accepted_forms, wanted_form
from tvmsr.kernels.legality import Weight
from tvmsr.kernels.spec import Conv, Form, Operand
from tvmsr.lower.draft import Draft, Group, Place
from tvmsr.lower.places import copy_group
from tvmsr.lower.shape import convolution_of, padding_of


@dataclass
class _Party:
    """Readers of a place that agree. pads: channel of the place -> code."""

    form: Form
    pads: dict[int, int] = field(default_factory=dict)
    border: int = 0
    readers: list[str] = field(default_factory=list)

    def takes(self, form: Form, accepted: tuple[Form, ...], pads: dict[int, int]) -> bool:
        fits = form is self.form or self.form in accepted
        return fits and all(self.pads.get(channel, code) == code for channel, code in pads.items())

    def join(self, reader: Group, pads: dict[int, int]) -> None:
        self.readers.append(reader.name)
        self.pads.update(pads)
        self.border = max(self.border, *padding_of(reader))


def run(draft: Draft) -> None:
    """Set form, pad and border of every place; split places whose readers do not agree."""
    for name in list(draft.places):
        parties = _parties(draft, draft.places[name])
        for index, party in enumerate(parties):
            target = name if index == 0 else draft.unused(name)
            if index:
                _duplicate(draft, name, target)
                for reader in party.readers:
                    draft.update(reader, x=replace(draft.group(reader).x, of=target))
            draft.places[target] = _settled(draft.places[target], party)


def _parties(draft: Draft, place: Place) -> list[_Party]:
    isa, bits = draft.level.isa, place.code.bits
    readers = [group for group in draft.groups if group.conv is not None and group.x.of == place.name]
    # The driver fills the picture and reads the output, as bytes.
    plain = place.name in (INPUT, draft.graph.output)
    form = wanted_form(isa, bits, () if plain else [_convolution(place, reader) for reader in readers])
    parties: list[_Party] = []
    for group in readers:
        pads = _pads(group)
        party = next((p for p in parties if p.takes(form, accepted_forms(isa, bits), pads)), None)
        if party is None:
            party = _Party(form)
            parties.append(party)
        party.join(group, pads)
    if place.name == draft.graph.output and any(party.form is not Form.U8 for party in parties):
        parties.insert(0, _Party(Form.U8))
    return parties or [_Party(Form.U8 if bits <= 8 else Form.U16)]


def _convolution(place: Place, reader: Group) -> tuple[Conv, Weight]:
    """What wanted_form asks of a reader; its pitch is not known yet."""
    assert reader.conv is not None
    return convolution_of(reader, Operand(place.form, 0), place.code.bits), reader.conv.params["weight"]


def _pads(group: Group) -> dict[int, int]:
    """What a convolution pads its place with; nothing where it does not pad."""
    if group.conv is None or not any(padding_of(group)):
        return {}
    return {group.x.first + i: int(code) for i, code in enumerate(group.conv.params["pad"])}


def _settled(place: Place, party: _Party) -> Place:
    pad = np.full(place.channels, place.code.zero, np.uint16)
    for channel, code in party.pads.items():
        pad[channel] = code
    return replace(place, form=party.form, pad=pad, border=party.border)


def _duplicate(draft: Draft, name: str, target: str) -> None:
    """Store everything that goes to a place to another one too."""
    place = draft.places[name]
    draft.places[target] = replace(place, name=target)
    if name == INPUT:
        picture = draft.tensors[INPUT]
        source = replace(draft.groups[0].x, of=INPUT, first=0, channels=picture.channels)
        draft.groups.insert(0, copy_group(target, source, picture.code, picture.ratio, target, INPUT))
        return
    for group in list(draft.groups):
        copies = tuple(replace(write, place=target) for write in group.writes if write.place == name)
        if copies:
            draft.update(group.name, writes=(*group.writes, *copies))
