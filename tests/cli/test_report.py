"""`tvmsr report`: what it passes on, what it prints, and that nothing heavy is loaded for its help."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tvmsr
from tests.reporting.samples import report
from tvmsr.cli.main import main
from tvmsr.commands.report import Reported
from tvmsr.commands.source import Overrides

#: A folder that holds one.
PICTURES = str(Path(tvmsr.__file__).parent / "imaging" / "assets")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    made = Reported(Path("r.html"), 2_048_000, 120, report())
    monkeypatch.setattr("tvmsr.commands.report.report", lambda what, **how: seen.update(how, what=what) or made)
    return seen


def test_options(asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    words = (
        "report net.pth --data d --variants 8,a6w4 --calib c --hr --lr l --threads 2 --protocol rgb --seed 9 --scale 2"
    )
    arguments = [*words.split(), "-o", "a b.html"]
    monkeypatch.setattr(sys, "argv", ["tvmsr", *arguments])
    assert main(arguments) == 0
    del asked["progress"]
    assert asked == {
        "what": "net.pth",
        "data": Path("d"),
        "variants": "8,a6w4",
        "calib": Path("c"),
        "hr": True,
        "lr": Path("l"),
        "threads": 2,
        "protocol": "rgb",
        "seed": 9,
        "out": Path("a b.html"),
        "model": None,
        "overrides": Overrides(scale=2),
        "command": f"tvmsr {words} -o 'a b.html'",
    }


def test_what_it_prints(asked: dict[str, Any], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "sr.so", "--data", "d", "--model", "net.pth"]) == 0
    assert (asked["what"], asked["model"], asked["variants"], asked["seed"]) == ("sr.so", "net.pth", None, None)
    said = capfd.readouterr()
    assert "r.html, 2,000 KiB" in said.out and "PSNR Y 32.50 dB, SSIM 0.9000, 3.50 ms" in said.out
    assert said.err == "note: beware <u>\n"
    assert main(["report", "sr.so", "--data", "d", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert (found["report"], found["bytes"], found["side"], found["format"]) == (
        "r.html",
        2_048_000,
        120,
        "tvmsr-report",
    )


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "--data"),
        (["--data", "d", "--threads", "0"], 2, "--threads"),
        (["--data", "d", "-o", "no/folder/r.html"], 2, "no/folder does not exist"),
        (["--data", "d"], 3, "d: there is no such folder"),
        (["missing.so", "--data", PICTURES], 3, "missing.so"),
        (["--data", PICTURES, "--variants", "nonsense"], 2, "'nonsense' is not known"),
    ],
)
def test_mistakes(
    arguments: list[str], code: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report", *arguments]) == code
    said = capfd.readouterr().err
    assert words in said and "Traceback" not in said and not list(tmp_path.iterdir())


def test_its_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom tvmsr.cli.main import main\nmain(['report', '--help'])\n"
        "sys.stderr.write(' '.join({name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"tvm", "torch", "numpy", "PIL", "jinja2"} & set(done.stderr.split())
