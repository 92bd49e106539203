"""`tvmsr evaluate`: what it passes on, and what it shows beside the table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tvmsr.adabm_paper.named import QUIRKS, SETTINGS
from tvmsr.adabm_paper.protocol import Adapt, Keep, Protocol, Quirks, Scope
from tvmsr.cli.main import main
from tvmsr.evaluation.evaluate import Evaluation, Row

FOUND = Evaluation(2, "y", (Row("baby", {"psnr_y": 33.5, "ssim_y": 0.9}),), ("one note",))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    monkeypatch.setattr("tvmsr.commands.evaluate.evaluate", lambda what, **how: seen.update(how, what=what) or FOUND)
    return seen


def test_a_method(asked: dict[str, Any], capfd: pytest.CaptureFixture[str]) -> None:
    words = "evaluate net.pth --data d --method adabm-paper --bits a4w4 --calib c --hr --seed 3"
    assert main(words.split()) == 0
    told = {name: asked[name] for name in ("what", "data", "method", "bits", "calib", "hr", "seed", "plan")}
    assert told == {
        "what": "net.pth",
        "data": Path("d"),
        "method": "adabm-paper",
        "bits": "a4w4",
        "calib": Path("c"),
        "hr": True,
        "seed": 3,
        "plan": None,
    }
    said = capfd.readouterr()
    assert "33.50" in said.out and "one note" in said.err


def test_a_protocol_that_is_not_as_published(asked: dict[str, Any]) -> None:
    words = "evaluate net.pth --data d --method adabm-paper --adapt image --scope full --quirk keep=best"
    assert main([*words.split(), "--quirk", "held=4", "--setting", "epochs=3"]) == 0
    quirks = Quirks(keep=Keep.BEST, held=4, scope=Scope.FULL)
    assert asked["settings"] == Protocol(adapt=Adapt.IMAGE, epochs=3, quirks=quirks)
    assert main(["evaluate", "net.pth", "--data", "d", "--method", "adabm-paper"]) == 0 and asked["settings"] is None


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--quirk", "keep=first"], "--quirk keep=first: expected last or best"),
        (["--quirk", "list"], "  draw=repeated: all epochs have the same crops"),
        (["--setting", "list"], "  epochs=10: of fine-tuning"),
        (["--adapt", "all"], "--adapt all: expected none or image or layer or both"),
        (["--scope", "ends"], "--scope ends: expected body or full"),
    ],
)
def test_wrong_values(more: list[str], words: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "default:x2", "--data", "d", "--method", "adabm-paper", *more]) == 2
    assert words in capfd.readouterr().err


def test_the_help_names_quirks_and_defaults(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--help"]) == 0
    said = capfd.readouterr().out
    assert all(name in said for name in (*QUIRKS, *SETTINGS)) and "With --method adabm-paper" in said
    assert "[default: a6w8]" in " ".join(said.replace("│", " ").split())


def test_without_a_method(asked: dict[str, Any]) -> None:
    assert main(["evaluate", "net.pth", "--data", "d"]) == 0
    assert (asked["method"], asked["bits"], asked["seed"], asked["device"]) == (None, None, 0, "here")


@pytest.mark.parametrize(
    "more",
    [
        ["--bits", "a4w4"],
        ["--method", "minmax"],
        ["--calib", "c"],
        ["--hr"],
        ["--scope", "body"],
        ["--adapt", "both"],
        ["--quirk", "held=8"],
        ["--setting", "epochs=10"],
    ],
)
def test_what_has_no_meaning_alone_is_refused(more: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "default:x2", "--data", "d", *more]) == 2
    said = capfd.readouterr().err
    assert more[0] in said and "adabm-paper" in said


@pytest.mark.parametrize("more", [["--threads", "2"], ["--level", "avx2"], ["--choice", "low"], ["--device", "pi5"]])
def test_options_of_an_artifact_beside_a_method(more: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "default:x2", "--data", "d", "--method", "adabm-paper", *more]) == 2
    assert more[0] in capfd.readouterr().err
