"""Phase 8, check: what the kernel contract asks of a program, and what this part cannot do yet."""

from __future__ import annotations

from collections.abc import Iterator

from tvmsr.errors import WorkError
from tvmsr.kernels.layout import param_fields
from tvmsr.lower.draft import Draft, Group, Place, Span
from tvmsr.lower.shape import attrs_of, border_of, extent_of, padding_of
from tvmsr.lower.sizes import is_one_pixel

#: SR_MAX_OPERANDS of artifact/driver/program.h.
MAX_OPERANDS = 8


def run(draft: Draft) -> None:
    """Raise WorkError with the name of the step where the program breaks the contract."""
    for group, step in zip(draft.groups, draft.steps, strict=True):
        if len(step.operands) > MAX_OPERANDS:
            raise _error(group, f"it reads and writes {len(step.operands)} tensors; {MAX_OPERANDS} are possible")
        missing = {field.name for field in param_fields(step.spec)} ^ set(step.params) if step.spec else set()
        if missing:
            raise _error(group, f"parameters {sorted(missing)} do not fit its kernel")
        if step.spatial and len(group.writes) != len(step.spatial.each):
            raise _error(group, f"it has {len(group.writes)} stores; the driver makes {len(step.spatial.each)}")
        _check_size(draft, group)
        _check_spans(draft, group)
    _check_writers(draft)
    output, scale = draft.places[draft.graph.output], draft.graph.scale
    if not all(extent.times(scale) for extent in output.size):
        rows, columns = output.size
        raise _error(output, f"it has {rows} x {columns} pixels, not {scale} times the picture's")


def _error(what: Group | Place, why: str) -> WorkError:
    return WorkError(f"{what.name!r} cannot be compiled: {why}")


def _check_size(draft: Draft, group: Group) -> None:
    """The grid is what the windows over x make of it, its stores' size less their blocks, and that of what it reads."""
    top, left, bottom, right = padding_of(group)
    (rows, columns), stride, x = extent_of(group), attrs_of(group).stride, draft.places[group.x.of].size
    made = x[0].windows(rows, stride, top + bottom), x[1].windows(columns, stride, left + right)
    if group.spatial is None and made != group.size:
        raise _error(group, f"its windows over {x[0]} x {x[1]} pixels make {made[0]} x {made[1]}")
    for write in group.writes:
        wide = tuple(extent.then(write.block, 0) for extent in group.size)
        if draft.places[write.place].size != wide:
            raise _error(group, f"it writes {wide[0]} x {wide[1]} pixels to {write.place!r}")
    for read in group.reads[1:]:
        size = draft.places[read.of].size
        if size != group.size and not is_one_pixel(size):
            raise _error(group, f"it reads {size[0]} x {size[1]} pixels of {read.of!r}")


def _check_spans(draft: Draft, group: Group) -> None:
    for span in _spans(group):
        place = draft.places[span.of]
        if not (span.first >= 0 and span.first + span.channels <= place.channels):
            raise _error(group, f"channels {span} are outside {place.name!r} of {place.channels}")
        if place.channels * place.form.bytes > place.pitch:
            raise _error(group, f"{place.name!r} is wider than its pitch")
    stored: dict[str, set[int]] = {}
    for span in _spans(group)[-len(group.writes) :]:
        stored.setdefault(span.of, set()).update(range(span.first, span.first + span.channels))
    for span in _spans(group)[: -len(group.writes)]:
        if stored.get(span.of, set()) & set(range(span.first, span.first + span.channels)):
            raise _error(group, f"it writes {span.of!r} where it reads it")
    if draft.places[group.x.of].border < border_of(group):
        raise _error(group, "its input has too narrow a border")


def _spans(group: Group) -> list[Span]:
    return [*group.reads, *(Span(w.place, w.at, w.channels) for w in group.writes)]


def _check_writers(draft: Draft) -> None:
    """Every channel of a place is written once, and by a step before its readers."""
    written: dict[str, set[int]] = {}
    for group in draft.groups:
        for span in _spans(group)[: -len(group.writes)]:
            _check_read(draft, group, span, written)
        for write in group.writes:
            channels = set(range(write.at, write.at + write.channels))
            if written.setdefault(write.place, set()) & channels:
                raise _error(group, f"it writes channels of {write.place!r} that another step writes")
            written[write.place] |= channels
    for place in _unwritten(draft, written):
        raise WorkError(f"nothing writes all of {place.name!r}")


def _check_read(draft: Draft, group: Group, span: Span, written: dict[str, set[int]]) -> None:
    if draft.tensors.get(span.of) is not None and draft.tensors[span.of].origin is None:
        return
    if not set(range(span.first, span.first + span.channels)) <= written.get(span.of, set()):
        raise _error(group, f"it reads {span.of!r} before it is written")


def _unwritten(draft: Draft, written: dict[str, set[int]]) -> Iterator[Place]:
    for place in draft.places.values():
        is_picture = draft.tensors.get(place.name) is not None and draft.tensors[place.name].origin is None
        if not is_picture and len(written.get(place.name, ())) < place.channels:
            yield place
