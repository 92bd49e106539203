"""The command line: exit codes, one-line errors, and nothing heavy before it is needed."""

from __future__ import annotations

import builtins
import json
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from tvmsr.cli import show
from tvmsr.cli.main import INTERRUPTED, main
from tvmsr.errors import DeviceError, InputFileError, UsageError, WorkError

HEAVY = ("tvm", "torch", "onnx", "numpy")


def _modules_after(arguments: list[str]) -> set[str]:
    code = (
        "import sys, json\nfrom tvmsr.cli.main import main\n"
        f"main({arguments!r})\nsys.stderr.write(json.dumps(sorted(m.split('.')[0] for m in sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stderr))


@pytest.mark.parametrize("arguments", [["--help"], ["compile", "--help"], ["--version"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    assert not _modules_after(arguments) & set(HEAVY)


def test_targets_and_models_load_no_torch() -> None:
    assert "torch" not in _modules_after(["targets"]) | _modules_after(["models"])


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nonsense"], 2, "nonsense"),
        (["compile", "--no-such-option"], 2, "--no-such-option"),
        (["compile", "missing.safetensors"], 3, "missing.safetensors"),
        (["compile", "default:x9"], 2, "default:x2"),
        (["compile", "--target", "no-such-target"], 2, "no-such-target"),
        (["compile", "--bits", "99"], 2, "99"),
        (["compile", "--layer-bits", "nonsense"], 2, "NAME=BITS"),
        (["compile", "--colour", "blue"], 2, "known are rgb, y"),
        (["compile", "-o", "no/folder/sr.so"], 2, "no/folder does not exist"),
        (["calibrate", "-o", "no/folder/p.json"], 2, "no/folder does not exist"),
        (["demo", "--folder", "/dev/null/x"], 2, "/dev/null/x"),
        (["bench", "--size", "wide"], 2, "WIDTHxHEIGHT"),
        (["bench", "--threads", "0"], 2, "thread"),
        (["upscale", "missing.so", "in.png", "out.png"], 3, "missing.so"),
        (["inspect", "missing.so"], 3, "missing.so"),
    ],
)
def test_user_mistakes_end_in_one_line_and_their_code(
    arguments: list[str], code: int, words: str, tmp_path, monkeypatch, capfd
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == code
    error = capfd.readouterr().err
    assert words in error
    assert "Traceback" not in error
    assert not list(tmp_path.iterdir()), "nothing may be left behind"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("u"), 2),
        (InputFileError("i"), 3),
        (WorkError("w"), 1),
        (DeviceError("d"), 4),
        (KeyboardInterrupt(), INTERRUPTED),
        (ValueError("surprise"), 1),
    ],
)
def test_errors_carry_their_exit_codes(error: BaseException, code: int, monkeypatch, capfd) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr("tvmsr.commands.models.models", fail)
    assert main(["models"]) == code
    assert len(capfd.readouterr().err.strip().splitlines()) == 1


def test_json_is_json(capfd) -> None:
    assert main(["targets", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["targets"]


def test_ctrl_c_while_modules_are_loaded(capfd, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def interrupted(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "tvmsr.cli.app":
            raise KeyboardInterrupt
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", interrupted)
    assert main(["targets"]) == INTERRUPTED
    assert capfd.readouterr().err == "error: interrupted\n"


@pytest.mark.parametrize("times", [1, 4])
def test_ctrl_c_again_while_the_process_ends_shows_no_trace(times: int) -> None:
    """A thread that takes a while to end is what Python waits for then."""
    code = (
        "import signal, sys, threading, time\nfrom tvmsr.cli import main as module\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "def command(arguments):\n    threading.Thread(target=time.sleep, args=(2,)).start()\n"
        "    print('ready', flush=True)\n    time.sleep(60)\n"
        "module._run = command\nmodule.run()"
    )
    client = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert client.stdout is not None and client.stdout.readline() == "ready\n"
    for _ in range(times):
        client.send_signal(signal.SIGINT)
        time.sleep(0.3)
    assert client.communicate() == ("", "error: interrupted\n") and client.returncode == INTERRUPTED


def test_default_model_is_mentioned_only_where_it_was_not_asked_for(capfd) -> None:
    main(["compile", "--target", "no-such-target"])
    assert "no MODEL given: default:x2" in capfd.readouterr().err
    main(["compile", "default:x2", "--target", "no-such-target"])
    assert "MODEL" not in capfd.readouterr().err


def test_tables_in_a_pipe_are_whole_and_literal(capfd) -> None:
    show.rows(("name", "why"), [("a[b].png", "x" * 300)])
    show.facts([("path", "a[b]/" + "y" * 300)])
    text = capfd.readouterr().out
    assert "a[b].png" in text and "x" * 300 in text and "a[b]/" + "y" * 300 in text
