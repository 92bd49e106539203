"""A phone on a cable: the system's own adb. Nothing is forwarded; the server speaks through `adb shell`."""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import replace

from tvmsr.devices.reach.far import ANDROID_FOLDERS
from tvmsr.devices.reach.shell import BRIEF, Done, run_client
from tvmsr.devices.reach.through import ClientShell, Meanings, ThroughShell
from tvmsr.errors import DeviceError, UsageError

#: Names another adb than the one in PATH.
VARIABLE = "TVMSR_ADB"

#: Seconds for a copy of the server over a slow cable.
_PUSH = 240.0

#: What to do where a phone is there and cannot be used.
_STATES = {
    "unauthorized": "it does not trust this machine yet: unlock it and tap Allow at `Allow USB debugging?`",
    "authorizing": "it does not trust this machine yet: unlock it and tap Allow at `Allow USB debugging?`",
    "offline": "it does not answer: unlock it, plug the cable in again, or switch USB debugging off and on",
    "no": "this user may not talk to it: `apt-get install android-sdk-platform-tools-common`, or adb's udev rules",
    "recovery": "it is in its recovery system; start Android",
    "sideload": "it is in its recovery system; start Android",
    "bootloader": "it is in its boot loader; start Android",
}

_MEANINGS: Meanings = (
    (r"device unauthorized", _STATES["unauthorized"]),
    (r"device offline", _STATES["offline"]),
    (r"device '([^']*)' not found|no devices/emulators found|device not found", "{way}: it is not connected any more"),
    (r"insufficient permissions|no permissions", _STATES["no"]),
    (r"cannot connect to daemon|failed to start daemon", "adb's own server does not start: {whole}"),
    (r"failed to copy '[^']*' to '([^']*)': (?!.*No space)(.+)", "{way}: copying to {0} failed: {1}"),
    (r"error: closed|protocol fault|Connection reset", "{way}: the connection was cut"),
)


class Adb(ThroughShell):
    """serial: as `adb devices` lists it; "" for the only one that is connected."""

    client = "adb"
    meanings = _MEANINGS
    folders = ANDROID_FOLDERS

    def __init__(self, serial: str = "", *, triple: str = "") -> None:
        super().__init__(triple)
        if serial.startswith("-") or any(c.isspace() for c in serial):
            raise UsageError(f"--adb {serial!r}: expected a serial number of `adb devices`")
        self.serial = serial

    def command(self, remote: str) -> list[str]:
        return [_adb(), "-s", self.serial, "shell", "-T", remote]

    def describe(self) -> str:
        return f"adb {self.serial}".strip()

    def prepare(self, name: str) -> None:
        """Find the phone, and that it can be used: UsageError where several are there and none was named."""
        found = connected(name)
        self.serial = self.serial or _only(found)
        if self.serial not in found:
            raise DeviceError(_absent(name, self.serial, found))
        state = found[self.serial]
        if state != "device":
            raise DeviceError(f"{name}: {self.serial}: {_STATES.get(state, f'adb says that it is in state {state!r}')}")
        features = self._client(name, "features").output.decode("utf-8", "replace").split()
        if "shell_v2" not in features:
            raise DeviceError(
                f"{name}: {self.serial}: it is too old: adb there has no shell_v2 (Android 7 and newer have it)"
            )

    def shell(self, name: str) -> ClientShell:
        return _AdbShell(self, name)

    def push(self, name: str, path: str, data: bytes) -> None:
        """Write a file there."""
        with tempfile.NamedTemporaryFile(prefix="tvmsr-push-") as file:  # mode 0600, there too
            file.write(data)
            file.flush()
            self._client(name, "push", file.name, path, seconds=_PUSH)

    def _client(self, name: str, *words: str, seconds: float = BRIEF) -> Done:
        done = run_client([_adb(), "-s", self.serial, *words], name, seconds=seconds)
        if done.code != 0:  # what went wrong it writes to standard output
            self.fail(name, replace(done, complaints=done.complaints + done.output.decode("utf-8", "replace")))
        return done


class _AdbShell(ClientShell):
    def __init__(self, way: Adb, name: str) -> None:
        super().__init__(way, name)
        self._adb, self._called = way, name

    def put(self, path: str, data: bytes) -> None:
        self._adb.push(self._called, path, data)


def connected(name: str) -> dict[str, str]:
    """The phones that adb knows: serial and state."""
    done = run_client([_adb(), "devices"], name, seconds=BRIEF)  # starts adb's own server where it is not, as always
    if done.code != 0:
        raise DeviceError(f"{name}: adb: {done.last_line or f'ended with exit code {done.code}'}")
    rows = re.findall(r"^(\S+)[ \t]+(\S+)", done.output.decode("utf-8", "replace"), re.MULTILINE)
    return {serial: state for serial, state in rows if serial not in ("List", "*")}


def only_one() -> str:
    """The serial of the only phone. UsageError where there are several, DeviceError where there is none."""
    return _only(connected("adb"))


def _adb() -> str:
    return os.environ.get(VARIABLE) or "adb"


def _only(found: dict[str, str]) -> str:
    if not found:
        raise DeviceError(
            "adb finds no phone; connect one by its cable, and switch on USB debugging in its developer options"
        )
    if len(found) > 1:
        raise UsageError(f"adb finds {', '.join(sorted(found))}; say which: --adb SERIAL")
    return next(iter(found))


def _absent(name: str, serial: str, found: dict[str, str]) -> str:
    there = f"it finds {', '.join(sorted(found))}" if found else "it finds none"
    advice = f"`adb connect {serial}`" if re.search(r":\d+$", serial) else "connect it by its cable"
    return f"{name}: adb finds no {serial} ({there}); {advice}"
