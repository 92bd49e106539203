"""Phase 7, check: what the kernel contract asks of a program, and what this part cannot do yet."""

from __future__ import annotations

from collections.abc import Iterator

from tvmsr.errors import WorkError
from tvmsr.kernels.layout import param_fields
from tvmsr.lower.draft import Draft, Group, Place, Span
from tvmsr.lower.shape import extent_of, padding_of

#: SR_MAX_OPERANDS of artifact/driver/program.h.
MAX_OPERANDS = 8


def run(draft: Draft) -> None:
    """Raise WorkError with the name of the step where the program breaks the contract."""
    for group, step in zip(draft.groups, draft.steps, strict=True):
        if step.spec.operands > MAX_OPERANDS:
            raise _error(group, f"it reads and writes {step.spec.operands} tensors; {MAX_OPERANDS} are possible")
        missing = {field.name for field in param_fields(step.spec)} ^ set(step.params[0])
        if missing:
            raise _error(group, f"parameters {sorted(missing)} do not fit its kernel")
        _check_size(group)
        _check_spans(draft, group)
    _check_writers(draft)


def _error(group: Group, why: str) -> WorkError:
    return WorkError(f"{group.name!r} cannot be compiled: {why}")


def _check_size(group: Group) -> None:
    """The grid is the input's, divided by the stride and rounded up: padding and kernel must be such."""
    top, left, bottom, right = padding_of(group)
    rows, columns = extent_of(group)
    if (top + bottom, left + right) != (rows - 1, columns - 1):
        raise _error(
            group,
            f"a {rows}x{columns} kernel with padding {(top, left, bottom, right)} changes the size of the picture",
        )


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
    if draft.places[group.x.of].border < max(padding_of(group)):
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
