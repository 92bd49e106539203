"""Where a peer runs: this machine with this Python, or a device with a Python of its own, made for the purpose."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tvmsr.devices.here import Here
from tvmsr.devices.reach.shell import BRIEF, Shell, run_client
from tvmsr.errors import DeviceError, UsageError

if TYPE_CHECKING:
    from tvmsr.devices.runner import Device

#: Seconds for installing a package on a board.
INSTALLING = 900.0

#: Below the home folder there: an environment a package, kept; and folders of single runs, removed.
FOLDER = ".cache/tvmsr/peers"

#: $1: the folder of all. What a run left that could not clean up is deleted after hours: another may be under way.
_TIDY = """
mkdir -p "$1" || exit 1
find "$1" -maxdepth 1 -name 'run-*' -mmin +120 -exec rm -rf {} + 2>/dev/null || true
"""

#: $1: the environment, $2: the package as pip names it, $3: as it is imported. An environment whose making failed (no
#: python3-venv) has a Python and no pip.
INSTALL = """
"$1/bin/python" -c "import numpy, $3" 2>/dev/null && exit 0
set -e
"$1/bin/python" -m pip --version >/dev/null 2>&1 || python3 -m venv --clear "$1"
"$1/bin/python" -m pip install --quiet numpy "$2"
"$1/bin/python" -c "import numpy, $3"
"""


class LocalShell:
    """Commands on this machine, as those on a device."""

    def run(self, command: Sequence[str], *, stdin: bytes = b"", seconds: float = BRIEF) -> bytes:
        done = run_client(command, "here", stdin=stdin, seconds=seconds)
        if done.code != 0:
            raise DeviceError(f"here: {command[0]} ended with {done.code}: {done.last_line}")
        return done.output

    def put(self, path: str, data: bytes) -> None:
        Path(path).write_bytes(data)


@dataclass(frozen=True)
class Place:
    """python: the interpreter that has the package; folder: for the files of one run, removed by `clear`."""

    shell: Shell
    python: str
    folder: str

    def put(self, name: str, data: bytes) -> str:
        """Write a file there; its path."""
        path = f"{self.folder}/{name}"
        self.shell.put(path, data)
        return path

    def clear(self) -> None:
        """What fails is left to a later run: it must not stand in the place of the error that brought us here."""
        if isinstance(self.shell, LocalShell):
            shutil.rmtree(self.folder, ignore_errors=True)
            return
        with contextlib.suppress(DeviceError):
            self.shell.run(("rm", "-rf", self.folder))


def check_place(device: Device, package: str, module: str) -> None:
    """UsageError where the device runs no commands, or this Python, which nothing is installed into, lacks the package.

    Nothing is done on the device.
    """
    if device.name != Here.name:
        if device.shell is None:
            raise UsageError(
                f"--peer needs a device that runs commands, here or one added with --ssh; {device.name} does not"
            )
        return
    try:
        LocalShell().run((sys.executable, "-c", f"import {module}"), seconds=120)
    except DeviceError:
        raise UsageError(f"--peer needs {package} in this Python: {sys.executable} -m pip install {package}") from None


def place_for(device: Device, package: str, module: str) -> Place:
    """A place on `device` whose Python has the package: installed where it is missing, but never into this Python.

    Raises UsageError where the device runs no commands or this Python lacks the package, DeviceError where it fails.
    """
    check_place(device, package, module)
    shell = device.shell
    if shell is None:
        return Place(LocalShell(), sys.executable, tempfile.mkdtemp(prefix="tvmsr-peer-"))
    home = shell.run(("sh", "-c", 'printf %s "$HOME"')).decode("utf-8", "replace")
    if not home.startswith("/"):
        raise DeviceError(f"{device.name}: says no home folder, so --peer has no place there")
    base = f"{home}/{FOLDER}"
    environment = f"{base}/{module}"
    shell.run(("sh", "-c", _TIDY, "sh", base))
    try:
        shell.run(("sh", "-c", INSTALL, "sh", environment, package, module), seconds=INSTALLING)
    except DeviceError as error:
        raise DeviceError(
            f"{error}; --peer needs python3 with venv there (apt-get install python3-venv) and the way to PyPI"
        ) from error
    folder = f"{base}/run-{secrets.token_hex(8)}"
    shell.run(("mkdir", "-m", "700", folder))
    return Place(shell, f"{environment}/bin/python", folder)
