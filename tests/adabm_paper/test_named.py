"""Settings and quirks by name: all there are, typed, and answered where they are wrong."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from tvmsr.adabm_paper.named import QUIRKS, SETTINGS, differences, protocol_of, unheard
from tvmsr.adabm_paper.protocol import Adapt, Grouping, Keep, Observer, Protocol, Quirks, Scope
from tvmsr.errors import UsageError


def test_every_field_has_an_option() -> None:
    assert [field.name for field in fields(Quirks)] == [*QUIRKS, "scope"]
    elsewhere = {"bits", "weight_bits", "adapt", "quirks"}
    assert [field.name for field in fields(Protocol) if field.name not in elsewhere] == list(SETTINGS)


def test_what_is_not_given_is_as_published() -> None:
    assert protocol_of() is None
    assert protocol_of(adapt="both") == protocol_of(scope="body") == protocol_of(quirks=["held=8"]) == Protocol()


def test_values_have_the_types_of_their_fields() -> None:
    made = protocol_of(
        adapt="none",
        scope="full",
        quirks=["keep=best", "held=3"],
        settings=[
            "epochs=0",
            "patch=96",
            "clipping=off",
            "momentum=.5",
            "weight_observer=percentile",
            "grouping=joint",
        ],
    )
    assert made == replace(
        Protocol(),
        adapt=Adapt.NONE,
        quirks=Quirks(scope=Scope.FULL, keep=Keep.BEST, held=3),
        epochs=0,
        patch=96,
        clipping=False,
        momentum=0.5,
        weight_observer=Observer.PERCENTILE,
        grouping=Grouping.JOINT,
    )
    assert differences(made)[:3] == ("keep=best", "held=3", "clipping=off") and "patch=96" in differences(made)
    assert differences(Protocol()) == () and differences(Protocol(batch=1234567)) == ("batch=1234567",)
    assert protocol_of(settings=["patch=none", "inside=none", "clipping=on"]) == Protocol()


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"quirks": ["keep=first"]}, "--quirk keep=first: expected last or best; a run ends with"),
        ({"quirks": ["held=2.5"]}, "--quirk held=2.5: expected a whole number"),
        ({"quirks": ["held=none"]}, "--quirk held=none: expected a whole number"),
        ({"quirks": ["keep=best", "keep=last"]}, "--quirk keep is given twice"),
        ({"quirks": ["keep=best", "held=0"]}, "to keep the best one holds back crops"),
        ({"quirks": ["scope=full"]}, "--quirk scope=full: --scope says it"),
        ({"settings": ["bits=4"]}, "--setting bits=4: --bits says it"),
        ({"settings": ["clipping=yes"]}, "--setting clipping=yes: expected on or off"),
        ({"settings": ["decay=nan"]}, "--setting decay=nan: expected a number"),
        ({"settings": ["patch="]}, "--setting patch=: expected a whole number or none"),
        ({"settings": ["pictures=100000000000"]}, "pictures of AdaBM's protocol are at most 10000, not 100000000000"),
        ({"settings": ["patch=0"]}, "patch of AdaBM's protocol is 1 or more"),
        ({"settings": ["momentum=1.5"]}, "momentum of AdaBM's protocol is between 0 and 1"),
        ({"settings": ["rate_image=-1"]}, "rate_image of AdaBM's protocol is a number, 0 or more"),
        ({"settings": ["image_percentile=51"]}, "between 0 and 50"),
        ({"scope": "all"}, "--scope all: expected body or full"),
        ({"adapt": "fixed"}, "--adapt fixed: expected none or image or layer or both"),
    ],
)
def test_wrong_values(how: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        protocol_of(**how)


@pytest.mark.parametrize(
    ("how", "names", "line"),
    [
        ({"quirks": ["list"]}, QUIRKS, "  keep=last: a run ends with its last epoch"),
        ({"quirks": ["kepp=best"]}, QUIRKS, "  clipping_pictures=2: training crops"),
        ({"settings": ["=3"]}, SETTINGS, "  clipping=on: bit-aware clipping (on or off)"),
        ({"settings": ["list"]}, SETTINGS, "  patch=none: pictures are measured in windows"),
    ],
)
def test_a_name_that_is_none_is_answered_by_all(how: dict[str, Any], names: dict[str, str], line: str) -> None:
    with pytest.raises(UsageError) as refused:
        protocol_of(**how)
    first, *lines = str(refused.value).splitlines()
    assert first.endswith("there are, as published:")
    assert [one.split("=")[0].strip() for one in lines] == list(names)
    assert any(one.startswith(line) for one in lines)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"quirks": ["held=3"]}, "--quirk held=3 changes nothing: only --quirk keep=best holds crops back"),
        ({"quirks": ["weight_percentile=both"]}, "--quirk weight_percentile=both changes nothing: only --setting weig"),
        ({"quirks": ["eight_searched_at=own"]}, "--quirk eight_searched_at=own changes nothing: only --scope full has"),
        (
            {"quirks": ["eight_searched_at=own"], "settings": ["weight_observer=minmax"], "scope": "full"},
            "--quirk eight_searched_at=own changes nothing: only --setting weight_observer=omse",
        ),
        (
            {"quirks": ["eight_searched_at=own"], "scope": "full"},
            "--quirk eight_searched_at=own changes nothing: the others have 8 bits",
        ),
        (
            {"quirks": ["shrink=each"], "settings": ["clipping=off"]},
            "--quirk shrink=each changes nothing: --setting",
        ),
        ({"settings": ["epochs=0", "decay=1"]}, "--setting decay=1 changes nothing: --setting epochs=0 leaves"),
        ({"adapt": "layer", "settings": ["rate_image=1"]}, "--setting rate_image=1 changes nothing: pictures have no"),
        (
            {"adapt": "image", "settings": ["layer_percentile=9"]},
            "--setting layer_percentile=9 changes nothing",
        ),
        ({"adapt": "none", "settings": ["bit_price=9"]}, "--setting bit_price=9 changes nothing: bits are fixed"),
    ],
)
def test_what_changes_nothing_is_said(how: dict[str, Any], words: str) -> None:
    (note,) = unheard(protocol_of(**how) or Protocol())
    assert note.startswith(words)


def test_what_changes_something_is_not() -> None:
    assert unheard(Protocol()) == ()
    quirks = ["keep=best", "held=3", "weight_start=absolute", "shrink=each", "norm=picture", "draw=fresh"]
    made = protocol_of(quirks=quirks, settings=["rate_image=1", "rate_layers=1", "bit_price=1", "clipping_momentum=1"])
    assert made is not None and unheard(made) == () and len(differences(made)) == 10
    made = protocol_of(quirks=["eight_searched_at=own"], scope="full")
    assert made is not None and unheard(replace(made, weight_bits=4)) == ()
