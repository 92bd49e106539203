"""Phase 7, join: statistics of the same channels of one tensor are one step, which reads its rows once."""

from __future__ import annotations

from dataclasses import replace

from tvmsr.lower.check import MAX_OPERANDS
from tvmsr.lower.draft import Draft, Group, Span
from tvmsr.lower.program import Kind, Spatial, Step


def run(draft: Draft) -> None:
    """Let the first statistic of some channels store what the later ones make of them, as far as operands go."""
    firsts: dict[Span, int] = {}
    done: list[tuple[Group, Step]] = []
    for group, step in zip(draft.groups, draft.steps, strict=True):
        if step.spatial is None or step.spatial.kind is not Kind.STATISTIC:
            done.append((group, step))
            continue
        at = firsts.get(group.x)
        if at is None or len(done[at][1].operands) == MAX_OPERANDS:
            firsts[group.x] = len(done)
            done.append((group, step))
        else:
            done[at] = _joined_groups(done[at][0], group), _joined_steps(done[at][1], step)
    draft.groups, draft.steps = [group for group, _ in done], [step for _, step in done]


def _joined_groups(first: Group, other: Group) -> Group:
    return replace(first, nodes=(*first.nodes, *other.nodes), writes=(*first.writes, *other.writes))


def _joined_steps(first: Step, other: Step) -> Step:
    """Parameters lie one after the other; those of the later statistic get its number."""
    assert first.spatial is not None and other.spatial is not None
    number = len(first.spatial.each)
    spatial = _joined(first.spatial, other.spatial)
    params = {**first.params, **{f"{key}.{number}": value for key, value in other.params.items()}}
    return replace(
        first,
        spatial=spatial,
        operands=(*first.operands, *other.operands[1:]),
        params=params,
        nodes=(*first.nodes, *other.nodes),
        reason=f"{spatial.words}, in C",
        stored=(*first.stored, *other.stored),
    )


def _joined(first: Spatial, other: Spatial) -> Spatial:
    words = f"{first.words}, {other.words.removeprefix('statistic ')}"
    return replace(first, words=words, more=(*first.more, other))
