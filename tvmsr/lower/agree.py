"""Phase 3, agree: one stored form, and one kind of surroundings, for each place.

Convolutions say in which form they want to read, and what lies outside of their picture: pad codes, or pixels of the
picture itself. Where the readers of one place do not agree, those that differ get a place of their own, stored beside
the first (the picture is copied, and what a step of the driver's own made).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from tvmsr.graph.model import INPUT, PadMode
from tvmsr.kernels.choice import accepted_forms, wanted_form
from tvmsr.kernels.legality import Weight
from tvmsr.kernels.spec import Conv, Form, Operand
from tvmsr.lower.draft import Draft, Group, Place, Span
from tvmsr.lower.places import copy_group
from tvmsr.lower.shape import attrs_of, border_of, convolution_of, padding_of


@dataclass
class _Outside:
    """What readers find outside of a picture. mode: None where none of them looks there; pads: channel -> code."""

    mode: PadMode | None = None
    pads: dict[int, int] = field(default_factory=dict)

    def agrees(self, other: _Outside) -> bool:
        same = self.mode is None or other.mode is None or self.mode is other.mode
        return same and all(self.pads.get(channel, code) == code for channel, code in other.pads.items())

    def join(self, other: _Outside) -> None:
        self.mode = self.mode or other.mode
        self.pads.update(other.pads)


@dataclass
class _Party:
    """Readers of a place that agree."""

    form: Form
    outside: _Outside = field(default_factory=_Outside)
    border: int = 0
    readers: list[str] = field(default_factory=list)

    def takes(self, form: Form, accepted: tuple[Form, ...], outside: _Outside) -> bool:
        fits = form is self.form or self.form in accepted
        return fits and self.outside.agrees(outside)

    def join(self, reader: Group, outside: _Outside) -> None:
        self.readers.append(reader.name)
        self.outside.join(outside)
        self.border = max(self.border, border_of(reader))


def run(draft: Draft) -> None:
    """Set form, mode, pad and border of every place; split places whose readers do not agree."""
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
        outside = _outside(group)
        party = next((p for p in parties if p.takes(form, accepted_forms(isa, bits), outside)), None)
        if party is None:
            party = _Party(form)
            parties.append(party)
        party.join(group, outside)
    if place.name == draft.graph.output and any(party.form is not Form.U8 for party in parties):
        parties.insert(0, _Party(Form.U8))
    return parties or [_Party(Form.U8 if bits <= 8 else Form.U16)]


def _convolution(place: Place, reader: Group) -> tuple[Conv, Weight]:
    """What wanted_form asks of a reader; its pitch is not known yet."""
    assert reader.conv is not None
    return convolution_of(reader, Operand(place.form, 0), place.code.bits), reader.conv.params["weight"]


def _outside(group: Group) -> _Outside:
    """What a convolution asks for; nothing where it stays inside."""
    if group.conv is None or max(padding_of(group)) <= 0:
        return _Outside()
    mode = attrs_of(group).mode
    if mode is not PadMode.CONSTANT:
        return _Outside(mode)
    return _Outside(mode, {group.x.first + i: int(code) for i, code in enumerate(group.conv.params["pad"])})


def _settled(place: Place, party: _Party) -> Place:
    pad = np.full(place.channels, place.code.zero, np.uint16)
    for channel, code in party.outside.pads.items():
        pad[channel] = code
    return replace(place, form=party.form, mode=party.outside.mode or PadMode.CONSTANT, pad=pad, border=party.border)


def _duplicate(draft: Draft, name: str, target: str) -> None:
    """Store everything that goes to a place to another one too; what has one store is copied from there, at once.

    Other writers of a place that is a concat may come after readers of this one, and need what they make.
    """
    place = draft.places[name]
    draft.places[target] = replace(place, name=target)
    if name == INPUT:
        source = Span(name, 0, draft.tensors[INPUT].channels)
        draft.insert_after_writers(name, copy_group(target, source, place.code, place.size, target, name))
        return
    writers = [group for group in draft.groups if any(write.place == name for write in group.writes)]
    for group in writers:
        copies = tuple(replace(write, place=target) for write in group.writes if write.place == name)
        if group.spatial is None:
            draft.update(group.name, writes=(*group.writes, *copies))
            continue
        (write,) = copies
        step = target if len(writers) == 1 else draft.unused(f"{target}.{group.name}")
        copy = copy_group(step, Span(name, write.at, write.channels), place.code, place.size, target, write.tensor)
        draft.insert_after(group.name, replace(copy, writes=(write,)))
