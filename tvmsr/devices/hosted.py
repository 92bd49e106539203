"""A runner whose artifact is in another process: requests to the host program (host/dispatch.c) and its replies."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tvmsr.devices.closing import Closing
from tvmsr.devices.link import Link
from tvmsr.devices.runner import PLAIN, Facts, Memory, Opening, Speed, force_named, measure
from tvmsr.devices.wire import LARGEST, VERSION, Command, GarbageError, Refusal, Values, read_files, text, u32, u64
from tvmsr.errors import DeviceError, InputFileError, StatusError, TvmsrError, UsageError, WorkError
from tvmsr.hardware.cpuinfo import features_in
from tvmsr.hardware.rules import KNOWN_NEEDS
from tvmsr.runtime import ArtifactInfo, LastRun, StepTime, abi
from tvmsr.runtime.results import StepSum
from tvmsr.runtime.session import ProgressFunction, contiguous_rows, tiling_of

U8 = NDArray[np.uint8]
T = TypeVar("T")

#: Bits of the auxiliary vector by machine: (entry, bit, name that targets use). Entry 0: HWCAP, 1: HWCAP2.
_FEATURES: dict[str, tuple[tuple[int, int, str], ...]] = {
    "aarch64": ((0, 1, "neon"), (0, 10, "fp16"), (0, 20, "dotprod"), (0, 22, "sve"), (1, 13, "i8mm")),
    "arm": ((0, 12, "neon"), (0, 16, "vfpv4"), (0, 24, "dotprod"), (0, 27, "i8mm")),
}


@dataclass(frozen=True)
class LoadedArtifact:
    """What the host program says of an artifact. runs: the levels that its CPU has, best first."""

    info: ArtifactInfo
    runs: tuple[str, ...]


class Connection(Closing):
    """A dispatcher that has said hello: typed requests and their errors."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.facts = self._with_features(self.ask(Command.HELLO, u32(VERSION), read=self._read_hello))

    def close(self) -> None:
        self.link.close()

    def request(
        self, command: Command, *parts: bytes | memoryview, largest: int = 0, progress: ProgressFunction | None = None
    ) -> bytearray:
        """The payload of a reply without error; else DeviceError, or what the C ABI's status means in `Session`."""
        limits = {"largest": largest} if largest else {}
        code, payload = self.link.call(command, *parts, progress=progress, **limits)
        if code != 0:
            raise self._refusal(code, payload.decode("utf-8", "replace"))
        return payload

    def ask(self, command: Command, *parts: bytes | memoryview, read: Callable[[Values], T]) -> T:
        """Like `request`, with the payload read. A payload that is not what it should be ends the process."""
        payload = self.request(command, *parts)
        try:
            values = Values(payload)
            found = read(values)
            values.end()
        except GarbageError as error:
            self.link.fail(str(error))
        return found

    def load(self, artifact: Path, prefix: str) -> LoadedArtifact:
        """Bring a file there and load it. DeviceError where it cannot be loaded there."""
        path, checksum = self.link.place(artifact)
        try:
            return self.ask(Command.LOAD, text(path), text(prefix), text(checksum), read=_read_info)
        except _NotLoadedError as error:
            raise DeviceError(f"{artifact}: on {self.link.name}: {error}") from None

    def files(self, patterns: Iterable[str]) -> dict[str, bytes]:
        """Small files there by their paths: those that match patterns below /proc/ or /sys/ and can be read."""
        wanted = tuple(patterns)
        return self.ask(Command.FILES, u32(len(wanted)), *map(text, wanted), read=read_files)

    def _refusal(self, code: int, words: str) -> TvmsrError:
        if code == Refusal.TOO_OLD:
            return InputFileError(words)
        if code == Refusal.NOT_LOADED:
            return _NotLoadedError(words)
        if code == Refusal.BAD_REQUEST:
            return _NotUnderstoodError(f"{self.link.name}: {words}")
        if code >= Refusal.BAD_REQUEST:
            return DeviceError(f"{self.link.name}: {words}")
        return StatusError(code, words)

    def _read_hello(self, values: Values) -> Facts:
        version = values.u32()
        if version != VERSION:
            raise GarbageError(f"it speaks version {version} of the protocol, this tvmsr version {VERSION}")
        machine, system, libc = values.text(), values.text(), values.text()
        hwcaps = (values.u64(), values.u64())
        rows = _FEATURES.get("arm" if machine.startswith("armv") else machine, ())
        features = frozenset(name for entry, bit, name in rows if hwcaps[entry] >> bit & 1)
        return Facts(machine, system, libc, features, values.u32(), values.u32(), values.u64())

    def _with_features(self, facts: Facts) -> Facts:
        """x86 says what it has in /proc/cpuinfo alone."""
        if facts.features or facts.machine not in KNOWN_NEEDS:
            return facts
        text = self.files(["/proc/cpuinfo"]).get("/proc/cpuinfo", b"").decode("utf-8", "replace")
        return replace(facts, features=features_in(facts.machine, text))


class _NotLoadedError(DeviceError):
    """The host program did not load a file."""


class _NotUnderstoodError(DeviceError):
    """The host program does not know a command, or what came with it."""


def _read_info(values: Values) -> LoadedArtifact:
    version, scale, colour, width, height, radius = (values.u32() for _ in range(6))
    if version != abi.ABI_VERSION:
        raise GarbageError(f"the artifact has ABI version {version}, this tvmsr reads {abi.ABI_VERSION}")
    levels = [(values.text(), values.u32()) for _ in range(values.count())]
    choices = tuple(values.text() for _ in range(values.count()))
    names = tuple(name for name, _ in levels)
    info = ArtifactInfo(scale, "y" if colour else "rgb", (width, height), radius, names, choices)
    return LoadedArtifact(info, tuple(name for name, runs in levels if runs))


class HostedRunner(Closing):
    """A session in a dispatcher. Closing it lets go of the artifact there."""

    def __init__(
        self, connection: Connection, artifact: Path, manifest: Mapping[str, Any], opening: Opening = PLAIN
    ) -> None:
        self._connection = connection
        self.manifest = manifest
        try:
            self._loaded = connection.load(artifact, manifest.get("prefix", "tvmsr"))
            self.info = replace(self._loaded.info, **tiling_of(manifest))
            start = time.perf_counter()
            self._open(artifact, opening)
            self.opening_seconds = time.perf_counter() - start
            force_named(self, artifact, opening.choice)
        except BaseException:
            connection.close()
            raise

    def _open(self, artifact: Path, opening: Opening) -> None:
        request = u32(opening.threads or 0) + u64(int((opening.memory or 0) * 2**20))
        request += u32(not opening.adaptive, opening.check) + text(opening.level or "")
        try:
            self._connection.request(Command.OPEN, request)
        except StatusError as error:
            words = f"{artifact}: {error}"
            if error.status in (abi.WRONG_CPU, abi.DAMAGED):
                raise InputFileError(words) from None
            if error.status != abi.CHECK_FAILED and (opening.level is not None or opening.threads is not None):
                raise UsageError(words) from None
            raise WorkError(words) from None

    @property
    def name(self) -> str:
        return self._connection.link.name

    @property
    def link(self) -> Link:
        """What it is reached through."""
        return self._connection.link

    @cached_property
    def level(self) -> str:
        return self.last().level

    def upscale(self, picture: U8, progress: ProgressFunction | None = None) -> U8:
        source = np.ascontiguousarray(contiguous_rows(picture))
        scale, channels = self.info.scale, source.shape[2] if source.ndim == 3 else 1
        shape = (source.shape[0] * scale, source.shape[1] * scale, *source.shape[2:])
        size = int(np.prod(shape, dtype=np.float64))
        if max(size, source.size) > LARGEST - 64:
            raise UsageError(f"a picture of {source.shape[1]} x {source.shape[0]} is too large for {self.name}")
        head = u32(abi.FORMATS[channels], source.shape[1], source.shape[0])
        payload = self._connection.request(
            Command.UPSCALE, head, source.reshape(-1).data, largest=size, progress=progress
        )
        if len(payload) != size:
            self._connection.link.fail(f"it answered {len(payload)} bytes in the place of {size}")
        return np.frombuffer(payload, np.uint8).reshape(shape)

    def traced(self, picture: U8) -> tuple[U8, tuple[StepSum, ...]]:
        with self._switched_on(Command.TRACE):
            return self.upscale(picture), self._connection.ask(Command.READ_TRACE, read=_read_sums)

    def profiled(self, picture: U8) -> tuple[StepTime, ...]:
        with self._switched_on(Command.PROFILE):
            self.upscale(picture)
            rows = self._connection.ask(Command.READ_PROFILE, read=_read_times)
        return tuple(self._step_time(*row) for row in rows)

    @contextmanager
    def _switched_on(self, command: Command) -> Iterator[None]:
        """Off again afterwards, also where an upscale fails; not where the program that would hear it is gone."""
        self._connection.request(command, u32(1))
        try:
            yield
        except WorkError:
            self._connection.request(command, u32(0))
            raise
        self._connection.request(command, u32(0))

    def _step_time(self, name: str, seconds: float, calls: int) -> StepTime:
        layer = self._layers.get(name, {})
        return StepTime(name, layer.get("kernel", ""), seconds, float(layer.get("macs_per_pixel", 0)), calls)

    @cached_property
    def _layers(self) -> dict[str, dict[str, Any]]:
        """The manifest's steps of the level in use."""
        for entry in self.manifest.get("levels", ()):
            if entry["name"] == self.level:
                return {layer["name"]: layer for layer in entry["layers"]}
        return {}

    def check(self) -> None:
        self._connection.request(Command.CHECK)

    def force_choice(self, choice: int | None) -> None:
        try:
            self._connection.request(Command.FORCE_CHOICE, u32(2**32 - 1 if choice is None else choice))  # -1
        except _NotUnderstoodError:
            raise DeviceError(
                f"{self.name}: its program is of an earlier tvmsr, which cannot force a bit choice; bring "
                "tvmsr up to date there"
            ) from None

    def last(self) -> LastRun:
        return self._connection.ask(Command.LAST, read=_read_last)

    def workspace(self, width: int, height: int) -> int:
        return self._connection.ask(Command.WORKSPACE, u32(width, height), read=Values.u64)

    def memory(self) -> Memory:
        """Of the host program: the picture and its result count too."""
        return self._connection.ask(Command.MEMORY, read=lambda v: Memory(v.u64(), v.u64(), v.u64()))

    def bench(self, width: int, height: int, *, runs: int = 10, warmup: int = 2, seconds: float = 0.0) -> Speed:
        """Times as the artifact says them: without the way of the picture to it."""

        def run(picture: U8) -> float:
            self.upscale(picture)
            return self.last().seconds

        return measure(run, lambda: self.last().threads, (width, height), runs, warmup, seconds)

    def close(self) -> None:
        self._connection.close()


def _read_last(values: Values) -> LastRun:
    level, choice, threads, strips = values.text(), values.i32(), values.i32(), values.i32()
    workspace, seconds = values.u64(), values.u64() / 1e9
    tiles = tuple(values.i32() for _ in range(values.count()))
    return LastRun(level, choice, threads, strips, workspace, seconds, tiles)


def _read_sums(values: Values) -> tuple[StepSum, ...]:
    return tuple(
        StepSum(values.text(), values.text(), values.i32(), values.i32(), values.u64()) for _ in range(values.count())
    )


def _read_times(values: Values) -> tuple[tuple[str, float, int], ...]:
    return tuple((values.text(), values.u64() / 1e9, values.u64()) for _ in range(values.count()))
