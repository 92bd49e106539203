"""The finished draft as a Program."""

from __future__ import annotations

import numpy as np

from tvmsr.graph.model import INPUT
from tvmsr.lower.draft import Draft, Place
from tvmsr.lower.program import Buffer, Program


def program(draft: Draft) -> Program:
    return Program(
        level=draft.level.name,
        buffers=tuple(_buffer(place) for place in draft.places.values()),
        steps=tuple(draft.steps),
        input=INPUT,
        output=draft.graph.output,
        radius=draft.graph.tiles.radius,
    )


def _buffer(place: Place) -> Buffer:
    pad = np.full(place.channels, place.code.zero, np.uint16) if place.pad is None else place.pad
    return Buffer(
        name=place.name,
        channels=place.channels,
        form=place.form,
        bits=place.code.bits,
        pitch=place.pitch,
        rows=place.size[0],
        columns=place.size[1],
        border=place.border,
        mode=place.mode,
        pad=pad,
    )
