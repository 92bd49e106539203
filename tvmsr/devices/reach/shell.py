"""Commands on a device, by the system's own client for it (ssh, adb), each with a limit on its time."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tvmsr.devices.leash import hold
from tvmsr.errors import DeviceError

#: Seconds that a command has which only looks or moves a small file.
BRIEF = 30.0


class Shell(Protocol):
    """Runs commands on a device. Holds nothing between them; every call raises DeviceError where one fails."""

    def run(self, command: Sequence[str], *, stdin: bytes = b"", seconds: float = BRIEF) -> bytes:
        """Run a program with its arguments, as they are; what it wrote to standard output.

        DeviceError holds the last line that it wrote to standard error, where its exit code is not 0 or it takes longer
        than `seconds`; a device may then still be at it.
        """

    def put(self, path: str, data: bytes) -> None:
        """Write a file there, for its owner alone."""


@dataclass(frozen=True)
class Done:
    """How a client ended, what it wrote to standard output and to standard error."""

    code: int
    output: bytes
    complaints: str

    @property
    def last_line(self) -> str:
        lines = self.complaints.strip().splitlines()
        return lines[-1].strip()[:300] if lines else ""


def run_client(command: Sequence[str], name: str, *, stdin: bytes = b"", seconds: float) -> Done:
    """Run a program of this machine to its end.

    It is killed with all that it started where it takes longer than `seconds` (DeviceError), at Ctrl-C, and where the
    leash of this thread is pulled.
    """
    try:
        process = subprocess.Popen(
            list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
    except OSError as error:
        raise DeviceError(f"{name}: cannot run {command[0]}: {error.strerror}") from error
    group = _Group(process)
    with process:
        try:
            if not hold(group):
                raise DeviceError(f"{name}: given up")
            output, complaints = process.communicate(stdin, seconds)
        except subprocess.TimeoutExpired:
            raise DeviceError(f"{name}: {command[0]} took longer than {seconds:g} seconds") from None
        finally:
            group.kill()
    return Done(process.returncode, output, complaints.decode("utf-8", "replace"))


class _Group:
    """A process and what it started, until it ended."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def kill(self) -> None:
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)


#: What login shells read in other ways than sh does, even between single quotes.
_UNSAFE = frozenset("'!\\\n\r\0")


def for_login_shell(script: str) -> str:
    """A command that runs a POSIX sh script whatever the login shell is: csh and fish have other quotes.

    Where the script has characters that they do not agree on, it travels in octal.
    """
    if _UNSAFE.isdisjoint(script) and script.isascii():
        return f"exec sh -c '{script}'"
    octal = "".join(rf"\\0{byte:03o}" for byte in script.encode())
    return f'exec sh -c \'eval "$(printf %b "{octal}")"\''


def words(command: Sequence[str]) -> str:
    """A program and its arguments for `for_login_shell`."""
    return shlex.join(command)
