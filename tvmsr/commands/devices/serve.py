"""`tvmsr device serve`: this machine as a device for others."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import NoReturn

from tvmsr.errors import DeviceError, UsageError


def serve_command(
    *,
    listen: str = "127.0.0.1:9090",
    key: str = "",
    tracker: str | None = None,
    trust_tracker: bool = False,
    token_file: str | Path | None = None,
    sessions: int | None = None,
    queue: int | None = None,
    session_time: int | None = None,
    idle: int | None = None,
    memory: int | None = None,
    disk: int | None = None,
    processes: int | None = None,
) -> list[str]:
    """The command that serves this machine, its program built. Raises UsageError or DeviceError."""
    from tvmsr.devices.reach.token import read_token

    if token_file is not None:
        read_token(token_file)
    options: dict[str, object] = {
        "--listen": listen,
        "--key": key or None,
        "--tracker": tracker,
        "--token-file": Path(token_file).expanduser().resolve() if token_file is not None else None,
        "--sessions": sessions,
        "--queue": queue,
        "--session-time": session_time,
        "--idle": idle,
        "--memory": memory,
        "--disk": disk,
        "--processes": processes,
    }
    if trust_tracker and tracker is None:
        raise UsageError("--trust-tracker needs --tracker")
    said = [word for name, value in options.items() if value is not None for word in (name, str(value))]
    return [str(_program()), *said, *(["--trust-tracker"] if trust_tracker else [])]


def serve_device(**options: object) -> NoReturn:
    """Become the server of this machine, with the options of `serve_command`: this process does not come back.

    It ends at SIGTERM and Ctrl-C, and takes everything with it that its clients started.
    """
    command = serve_command(**options)  # type: ignore[arg-type]
    try:
        os.execv(command[0], command)
    except OSError as error:
        raise DeviceError(f"cannot run {command[0]}: {error.strerror}") from None


def _program() -> Path:
    from tvmsr.devices.reach.far import TRIPLES
    from tvmsr.devices.server.build import device_program
    from tvmsr.hardware.target import architecture

    libc = platform.libc_ver()[0] or "musl"
    kind = (architecture(platform.machine()), libc)
    if platform.system() != "Linux" or kind not in TRIPLES:
        raise DeviceError(
            f"there is no server for {platform.system()} on {platform.machine()}; "
            "`python3 -m tvm.exec.rpc_server` is TVM's own, without our limits"
        )
    return device_program(TRIPLES[kind])
