"""`tvmsr device serve`: this machine as a device for others."""

from __future__ import annotations

import os
import platform
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from tvmsr.errors import DeviceError, UsageError

#: What runs here, by the module that is looked for.
_NEEDED = {"ziglang": "ziglang", "tvm": "apache-tvm", "tvm_ffi": "apache-tvm-ffi"}


def serve_command(
    *,
    listen: str = "127.0.0.1:9090",
    key: str = "",
    tracker: str | None = None,
    advertise: str | None = None,
    trust_tracker: bool = False,
    token_file: str | Path | None = None,
    sessions: int | None = None,
    queue: int | None = None,
    session_time: int | None = None,
    stall: int | None = None,
    idle: int | None = None,
    memory: int | None = None,
    disk: int | None = None,
    processes: int | None = None,
    folder: str | Path | None = None,
) -> list[str]:
    """The command that serves this machine, its program built. Raises UsageError or DeviceError.

    It is the front of tvmsr-device; its sessions are processes of this Python, with TVM's own server loop.
    """
    from tvmsr.devices.reach.token import read_token
    from tvmsr.devices.server.build import LIBRARY

    if token_file is not None:
        read_token(token_file)
    options: dict[str, object] = {
        "--listen": listen,
        "--key": key or None,
        "--tracker": tracker,
        "--advertise": advertise,
        "--token-file": Path(token_file).expanduser().resolve() if token_file is not None else None,
        "--sessions": sessions,
        "--queue": queue,
        "--session-time": session_time,
        "--stall": stall,
        "--idle": idle,
        "--memory": memory,
        "--disk": disk,
        "--processes": processes,
        "--folder": Path(folder).expanduser().resolve() if folder is not None else None,
    }
    if tracker is None and (trust_tracker or advertise is not None):
        raise UsageError(f"{'--trust-tracker' if trust_tracker else '--advertise'} needs --tracker")
    said = [word for name, value in options.items() if value is not None for word in (name, str(value))]
    front = _front()
    session = [sys.executable, "-m", "tvmsr.devices.serve.session", str(front.with_name(LIBRARY))]
    return [str(front), *said, *(["--trust-tracker"] if trust_tracker else []), "--session-command", *session]


def serve_device(**options: object) -> NoReturn:
    """Become the server of this machine, with the options of `serve_command`: this process does not come back.

    It ends at SIGTERM and Ctrl-C, and takes everything with it that its clients started.
    """
    command = serve_command(**options)  # type: ignore[arg-type]
    try:
        os.execve(command[0], command, {**os.environ, **environment()})
    except OSError as error:
        raise DeviceError(f"cannot run {command[0]}: {error.strerror}") from None


def environment() -> dict[str, str]:
    """What sessions find their modules by: they run in another folder, with another home."""
    return {"PYTHONPATH": os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path)}


def _front() -> Path:
    from tvmsr.devices.reach.far import TRIPLES
    from tvmsr.devices.server.build import front_program
    from tvmsr.hardware.target import architecture

    libc = platform.libc_ver()[0] or "musl"
    kind = (architecture(platform.machine()), libc)
    if platform.system() != "Linux" or kind not in TRIPLES:
        raise DeviceError(
            f"there is no server for {platform.system()} on {platform.machine()}; "
            "`python3 -m tvm.exec.rpc_server` is TVM's own, without our limits"
        )
    missing = [package for module, package in _NEEDED.items() if find_spec(module) is None]
    if missing:
        raise DeviceError(f"the server needs {' and '.join(missing)}: pip install {' '.join(missing)}")
    return front_program(TRIPLES[kind])
