"""Phase 3, trim: places hold no more channels than somebody reads.

A network that splits a tensor and keeps a part of it for later (IMDN) stores the part in the concat; what is left in
the tensor's own place is the rest only.
"""

from __future__ import annotations

from dataclasses import replace

from tvmsr.graph.model import INPUT
from tvmsr.lower.draft import Draft, Group, Span, Write


def run(draft: Draft) -> None:
    """Cut every place that one unshuffled store fills to the channels between the first and the last one read."""
    for name, place in list(draft.places.items()):
        if name in (INPUT, draft.graph.output):
            continue
        writers = [group for group in draft.groups if any(write.place == name for write in group.writes)]
        writes = [write for group in writers for write in group.writes if write.place == name]
        reads = [span for group in draft.groups for span in group.reads if span.of == name]
        first = min(span.first for span in reads)
        channels = max(span.first + span.channels for span in reads) - first
        if any(group.spatial for group in writers):
            continue  # it stores all its channels
        if channels < place.channels and len(writes) == 1 and writes[0].block == 1:
            draft.places[name] = replace(place, channels=channels)
            draft.groups = [_cut(group, name, first, channels) for group in draft.groups]


def _cut(group: Group, name: str, first: int, channels: int) -> Group:
    """A group as it is after channels [first, first + channels) of a place became the whole place."""

    def moved(span: Span) -> Span:
        return replace(span, first=span.first - first) if span.of == name else span

    writes = tuple(_cut_write(write, first, channels) if write.place == name else write for write in group.writes)
    return replace(group, writes=writes, **group.reading(moved))


def _cut_write(write: Write, first: int, channels: int) -> Write:
    requant = write.requant and write.requant.part(first, channels)
    at, tensor_first = write.first + first, write.tensor_first + first
    return replace(write, first=at, channels=channels, tensor_first=tensor_first, requant=requant)
