"""The strip of complexities, and pictures by their choice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.reporting.samples import measured, report
from tvmsr.reporting import charts
from tvmsr.reporting.facts import Choosing


def test_pictures_lie_by_their_complexity() -> None:
    (found,) = charts.distributions(report())
    assert [dot.choice for dot in found.dots] == [0, 1, 2]
    places = [dot.x for dot in found.dots]
    assert places == sorted(places) and places[0] >= charts.SIDE and places[-1] <= charts.WIDTH - charts.SIDE
    assert places[0] < found.limits[0].x < places[1] < found.limits[1].x < places[2]
    assert (found.lowest, found.highest) == (0, 2)
    assert [(group.name, group.pictures) for group in found.groups] == [("low", 1), ("base", 1), ("high", 1)]
    assert [group.activations for group in found.groups] == [6.0, 7.0, 8.0]
    assert (found.groups[2].psnr, found.groups[2].milliseconds) == (33.5, 4.5)


def test_dots_of_one_place_are_stacked_inside() -> None:
    many = tuple(measured(number % 3, str(number), 5_000, "low", shown=False) for number in range(40))
    (found,) = charts.distributions(replace(report(), pictures=many))
    heights = [dot.y for dot in found.dots]
    assert len(set(heights[:5])) == 5 and min(heights) > 0
    assert found.groups[1].pictures == 0 and found.groups[1].psnr is None


def test_a_dot_has_the_choice_that_the_artifact_made() -> None:
    """Which is not that of the whole picture's complexity where tiles choose."""
    whole = report()
    first = whole.pictures[0]
    other = replace(first, figures={**first.figures, "v0": replace(first.figures["v0"], choice="high")})
    (found,) = charts.distributions(replace(whole, pictures=(other, *whole.pictures[1:])))
    assert [dot.choice for dot in found.dots] == [2, 1, 2]
    assert [group.pictures for group in found.groups] == [0, 1, 2]


@pytest.mark.parametrize(
    ("names", "groups", "rule", "limits"),
    [
        (("low", "base", "base"), ["low", "base"], "low below a complexity of 6,000, else base", ["6,000"]),
        (("base", "base", "high"), ["base", "high"], "high above a complexity of 60,000, else base", ["60,000"]),
    ],
)
def test_an_end_without_a_choice_of_its_own(
    names: tuple[str, str, str], groups: list[str], rule: str, limits: list[str]
) -> None:
    whole = report()
    pictures = tuple(
        replace(one, figures={**one.figures, "v0": replace(one.figures["v0"], choice=name)})
        for one, name in zip(whole.pictures, names, strict=True)
    )
    variant = replace(whole.variants[0], choosing=Choosing(6_000, 60_000, names))
    (found,) = charts.distributions(replace(whole, variants=(variant,), pictures=pictures))
    assert [group.name for group in found.groups] == groups
    assert (found.rule, [mark.text for mark in found.limits]) == (rule, limits)
    assert [dot.choice for dot in found.dots] == [names.index(name) for name in names]
    assert charts.distributions(replace(whole, variants=whole.variants[1:])) == ()
