"""The devices that the user added: a file devices.json of one's own, which several processes may write."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator

from tvmsr.errors import InputFileError, UsageError, WorkError

if TYPE_CHECKING:
    from tvmsr.devices.runner import Facts

FORMAT: Literal["tvmsr-devices"] = "tvmsr-devices"
VERSION: Literal[1] = 1

#: Folder of the file, ahead of $XDG_CONFIG_HOME/tvmsr and ~/.config/tvmsr.
VARIABLE = "TVMSR_CONFIG"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

#: Words that --device understands without a registry.
RESERVED = ("here", "qemu", "all")

_Port = Field(ge=1, le=65535)


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class SshWay(_Table):
    """options: words for ssh, before the host."""

    kind: Literal["ssh"] = "ssh"
    host: str = Field(min_length=1)
    options: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        return f"ssh {self.host}"


class AdbWay(_Table):
    kind: Literal["adb"] = "adb"
    serial: str = Field(min_length=1)

    @property
    def words(self) -> str:
        return f"adb {self.serial}"


class RpcWay(_Table):
    kind: Literal["rpc"] = "rpc"
    host: str = Field(min_length=1)
    port: int = _Port
    key: str = ""

    @property
    def words(self) -> str:
        return f"rpc {self.host}:{self.port}"


class TrackerWay(_Table):
    kind: Literal["tracker"] = "tracker"
    host: str = Field(min_length=1)
    port: int = _Port
    key: str = Field(min_length=1)

    @property
    def words(self) -> str:
        return f"tracker {self.host}:{self.port}, key {self.key}"


class QemuWay(_Table):
    kind: Literal["qemu"] = "qemu"
    architecture: str = Field(min_length=1)
    cpu: str = Field(min_length=1)

    @property
    def words(self) -> str:
        return f"qemu {self.architecture}:{self.cpu}"


Way = SshWay | AdbWay | RpcWay | TrackerWay | QemuWay


class Seen(_Table):
    """What the device said when it was added. when: of its last answer, in UTC; details: all that was examined."""

    when: str
    machine: str = ""
    system: str = ""
    libc: str = ""
    features: tuple[str, ...] = ()
    cores: int = 0
    page_size: int = 0
    memory: int = 0
    cpu: str = ""
    triple: str = ""  # of programs that ran there, as ziglang writes it
    details: dict[str, JsonValue] = {}

    @classmethod
    def of(cls, facts: Facts, *, when: str, cpu: str = "", triple: str = "", details: Any = None) -> Seen:
        return cls(
            when=when,
            machine=facts.machine,
            system=facts.system,
            libc=facts.libc,
            features=tuple(sorted(facts.features)),
            cores=facts.cores,
            page_size=facts.page_size,
            memory=facts.memory,
            cpu=cpu,
            triple=triple,
            details=details or {},
        )


class Entry(_Table):
    """A device by its name. target: what is compiled for it. token_file: a path, never the token. turn: seconds."""

    name: str
    reach: Annotated[Way, Field(discriminator="kind")]
    target: str | None = None
    token_file: str | None = None
    turn: float | None = Field(default=None, gt=0)
    added: str
    seen: Seen

    @field_validator("name")
    @classmethod
    def _plain(cls, name: str) -> str:
        wrong = name_problem(name)
        if wrong:
            raise ValueError(wrong)
        return name


class _File(_Table):
    format: Literal["tvmsr-devices"] = FORMAT
    version: Literal[1] = VERSION
    devices: tuple[Entry, ...] = ()


def name_problem(name: str) -> str | None:
    """Why a device cannot be called so; None where it can."""
    if not _NAME.fullmatch(name):
        return "a name is letters, digits, dots, - and _, at most 64, and begins with a letter or a digit"
    if name.lower() in RESERVED:
        return f"{name} means something else already (as do {', '.join(RESERVED)})"
    return None


def config_folder() -> Path:
    """Where devices.json is; need not exist."""
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE]).expanduser()
    if os.environ.get("XDG_CONFIG_HOME"):
        return Path(os.environ["XDG_CONFIG_HOME"]) / "tvmsr"
    try:
        return Path("~/.config/tvmsr").expanduser()
    except RuntimeError:  # no $HOME, and nobody of this number
        raise UsageError(f"there is no home folder to keep devices in; ${VARIABLE} names a folder for them") from None


class Registry:
    """The file at `path`. Reading raises InputFileError that names the place, writing WorkError.

    Changes are all or nothing: made under a lock, written to a file beside it that then takes its place.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path if path is not None else config_folder() / "devices.json"

    def entries(self) -> tuple[Entry, ...]:
        """All devices, by name."""
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ()
        except (OSError, ValueError) as error:
            raise InputFileError(f"cannot read {self.path}: {getattr(error, 'strerror', None) or error}") from None
        try:
            found = _File.model_validate_json(text).devices
        except ValidationError as error:
            raise InputFileError(f"{self.path}: {_where(error, text)}; mend or delete the file") from None
        names = [entry.name for entry in found]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise InputFileError(f"{self.path}: two devices are called {twice}; remove one of them there")
        return tuple(sorted(found, key=lambda entry: entry.name))

    def get(self, name: str) -> Entry | None:
        return next((entry for entry in self.entries() if entry.name == name), None)

    def add(self, entry: Entry, *, overwrite: bool = False) -> None:
        """UsageError where the name is taken, unless `overwrite`."""
        with self._locked():
            others = [other for other in self.entries() if other.name != entry.name]
            if len(others) < len(self.entries()) and not overwrite:
                raise taken(entry.name)
            self._write([*others, entry])

    def remove(self, name: str) -> None:
        """Forget a device; nothing where there is none of this name."""
        with self._locked():
            self._write([entry for entry in self.entries() if entry.name != name])

    def saw(self, name: str, when: str) -> None:
        """Note that a device answered; nothing where it was removed meanwhile, or the file cannot be written."""
        with contextlib.suppress(WorkError), self._locked():
            self._write([_seen(entry, when) if entry.name == name else entry for entry in self.entries()])

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        folder = self.path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(folder / "devices.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise WorkError(f"cannot write to {folder}: {error.strerror}; ${VARIABLE} names another folder") from None
        try:
            _lock(handle)
            yield
        finally:
            os.close(handle)

    def _write(self, entries: list[Entry]) -> None:
        text = _File(devices=tuple(sorted(entries, key=lambda entry: entry.name))).model_dump_json(indent=2) + "\n"
        made = None
        try:
            handle, made = tempfile.mkstemp(prefix=".devices-", dir=self.path.parent)  # mode 0600
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(made).replace(self.path)
        except OSError as error:
            raise WorkError(f"cannot write {self.path}: {error.strerror}") from None
        finally:
            if made is not None:
                Path(made).unlink(missing_ok=True)


def taken(name: str) -> UsageError:
    return UsageError(f"there is a device {name} already; choose another name, or --overwrite it")


def _seen(entry: Entry, when: str) -> Entry:
    return entry.model_copy(update={"seen": entry.seen.model_copy(update={"when": when})})


def _lock(handle: int) -> None:
    """Wait for the lock; closing the handle lets go of it. Nothing where the system has none of this kind."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    fcntl.flock(handle, fcntl.LOCK_EX)


def _where(error: ValidationError, text: str) -> str:
    """The place and the reason of what is wrong, in one line. Text that is no JSON comes with line and column."""
    first = error.errors(include_url=False)[0]
    if first["type"] == "json_invalid":
        return str(first["ctx"]["error"])
    if first["loc"] == ("version",):
        return f"it was written by another tvmsr (version {first['input']!r}, this one reads {VERSION})"
    place = ".".join(str(part) for part in first["loc"])
    line = _line_of(text, first["loc"])
    return f"{f'line {line}: ' if line else ''}{place or 'the whole'}: {first['msg']}"


def _line_of(text: str, place: tuple[int | str, ...]) -> int | None:
    """The line of the device at fault, found by its name; None where that is not to be had."""
    import json

    if len(place) < 2 or place[0] != "devices" or not isinstance(place[1], int):
        return None
    try:
        name = json.loads(text)["devices"][place[1]]["name"]
    except (ValueError, KeyError, IndexError, TypeError):
        return None
    quoted = re.search(rf'"name"\s*:\s*{re.escape(json.dumps(name))}', text)
    return text.count("\n", 0, quoted.start()) + 1 if quoted else None
