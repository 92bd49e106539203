"""Phase 4, trim: nothing is computed or stored that nobody reads.

A network that splits a tensor and keeps a part of it for later (IMDN) stores the part in the concat; what is left in
the tensor's own place is the rest only. Stores of what is never read go, steps without stores go with them, and places
close up over channels that nobody stores any more.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tvmsr.graph.model import INPUT
from tvmsr.lower.draft import Draft, Group, Place, Span, Write

#: For every place, which of its channels; index: where a channel is once those that are missing are gone.
Channels = dict[str, NDArray[np.bool_]]


def run(draft: Draft) -> None:
    """Drop unread stores and what is computed for them alone; cut places to the channels that are still stored."""
    kept = _drop_unread(draft)
    for name in (INPUT, draft.graph.output):
        if name in kept:
            kept[name][:] = True
    draft.places = {name: _cut_place(place, kept[name]) for name, place in draft.places.items() if kept[name].any()}
    index = {name: np.cumsum(channels) - 1 for name, channels in kept.items()}

    def moved(span: Span) -> Span:
        return replace(span, first=int(index[span.of][span.first]))

    draft.groups = [
        replace(
            group,
            writes=tuple(replace(write, at=int(index[write.place][write.at])) for write in group.writes),
            **group.reading(moved),
        )
        for group in draft.groups
    ]


def _drop_unread(draft: Draft) -> Channels:
    """Go backwards from the output: readers come after what they read. Returns what is stored of every place."""
    read = {name: np.zeros(place.channels, np.bool_) for name, place in draft.places.items()}
    stored = {name: channels.copy() for name, channels in read.items()}
    read[draft.graph.output][:] = True
    groups = []
    for group in reversed(draft.groups):
        writes = [cut for write in group.writes if (cut := _cut_write(group, write, read[write.place])) is not None]
        if not writes:
            continue
        groups.append(replace(group, writes=tuple(writes)))
        for write in writes:
            stored[write.place][write.at : write.at + write.channels] = True
        for span in group.reads:
            read[span.of][span.first : span.first + span.channels] = True
    draft.groups = groups[::-1]
    return stored


def _cut_write(group: Group, write: Write, read: NDArray[np.bool_]) -> Write | None:
    """A store of the channels from the first to the last one read; None where nobody reads any.

    What is shuffled stays whole, and so does what a step of the driver's own makes.
    """
    (found,) = np.nonzero(read[write.at : write.at + write.channels])
    if found.size == 0:
        return None
    if write.block > 1 or group.spatial is not None:
        return write
    first, channels = int(found[0]), int(found[-1] - found[0]) + 1
    return replace(
        write,
        at=write.at + first,
        first=write.first + first,
        channels=channels,
        tensor_first=write.tensor_first + first,
        requant=write.requant and write.requant.part(first, channels),
    )


def _cut_place(place: Place, kept: NDArray[np.bool_]) -> Place:
    """A place without the channels that nobody stores."""
    pad = None if place.pad is None else place.pad[kept]
    return replace(place, channels=int(kept.sum()), pad=pad)
