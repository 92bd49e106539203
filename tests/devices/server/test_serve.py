"""`tvmsr device serve` before it is a server: what it needs, and the command that it becomes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tvmsr.commands.devices import serve
from tvmsr.devices.server.build import FRONT, LIBRARY
from tvmsr.errors import DeviceError, UsageError


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "find_spec", lambda name: None)
    with pytest.raises(DeviceError, match="pip install ziglang apache-tvm apache-tvm-ffi"):
        serve.serve_command()


def test_other_systems_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve.platform, "system", lambda: "Darwin")
    with pytest.raises(DeviceError, match=r"no server for Darwin .* tvm\.exec\.rpc_server"):
        serve.serve_command()


def test_command() -> None:
    command = serve.serve_command(
        key="k", stall=5, idle=7, folder="x", tracker="h:1", advertise="a", trust_tracker=True
    )
    at = command.index("--session-command")
    assert Path(command[0]).name == FRONT and command[at - 1] == "--trust-tracker"
    said = dict(zip(command[1 : at - 1 : 2], command[2 : at - 1 : 2], strict=True))
    assert said == {
        "--listen": "127.0.0.1:9090",
        "--key": "k",
        "--tracker": "h:1",
        "--advertise": "a",
        "--stall": "5",
        "--idle": "7",
        "--folder": str(Path("x").resolve()),
    }
    assert command[at + 1 :] == [
        sys.executable,
        "-m",
        "tvmsr.devices.serve.session",
        str(Path(command[0]).with_name(LIBRARY)),
    ]


@pytest.mark.parametrize("wrong", [{"trust_tracker": True}, {"advertise": "host"}])
def test_what_needs_a_tracker(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="needs --tracker"):
        serve.serve_command(**wrong)  # type: ignore[arg-type]
