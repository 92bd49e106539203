"""Phase 5, layout: bytes from pixel to pixel of each place."""

from __future__ import annotations

from dataclasses import replace

from tvmsr.graph.model import INPUT
from tvmsr.lower.draft import Draft, Place

#: Dot products take this many bytes of a pixel at once: a convolution's input pixels are rounded up to them, so that
#: the last group of channels does not reach into the next pixel and pixels can be loaded as words.
_GROUP_BYTES = 4


def run(draft: Draft) -> None:
    """Set the pitch of every place."""
    convolved = {group.x.of for group in draft.groups if group.conv is not None}
    for name, place in draft.places.items():
        draft.places[name] = replace(place, pitch=_pitch(place, name == INPUT or name in convolved))


def _pitch(place: Place, rounded: bool) -> int:
    size = place.channels * place.form.bytes
    return -(-size // _GROUP_BYTES) * _GROUP_BYTES if rounded else size
