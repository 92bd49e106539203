"""An artifact, opened: `load("sr.so").upscale(array)`."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvmsr.errors import InputFileError, StatusError, UsageError, WorkError
from tvmsr.runtime import abi
from tvmsr.runtime.interrupts import noted_interrupts
from tvmsr.runtime.results import ArtifactInfo, LastRun, StepSum, StepTime
from tvmsr.runtime.sections import manifest_values, read_library

U8 = NDArray[np.uint8]

#: Rows done, rows in all; True cancels.
ProgressFunction = Callable[[int, int], Any]


def _open_library(path: Path) -> tuple[abi.Abi, dict[str, Any]]:
    """Check a file before any of it is run, then load it."""
    file = read_library(path)
    if not file.runs_here():
        raise InputFileError(f"{path}: is for {file.made_for}, which this machine is not")
    manifest = manifest_values(file)
    try:
        library = abi.Abi(path, manifest["prefix"])
    except InputFileError as error:
        raise InputFileError(f"{error}{_made_for(manifest)}") from error
    version = library.info().abi_version
    if version != abi.ABI_VERSION:
        raise InputFileError(f"{path}: has ABI version {version}, this tvmsr reads {abi.ABI_VERSION}; compile it again")
    return library, manifest


def _made_for(manifest: dict[str, Any]) -> str:
    """What to add to a loader's complaint: systems without glibc look like Linux from outside."""
    if "musl" not in str(manifest.get("link_triple", "")):
        return ""
    return f" (it is for {'Android' if 'android' in str(manifest.get('triple', '')) else 'Linux with musl'})"


def usable_levels(path: str | Path) -> tuple[str, ...]:
    """The CPU levels of an artifact that this machine can run, best first."""
    library, _ = _open_library(Path(path))
    count = library.info().levels
    return tuple(library.level_name(i).decode() for i in range(count) if library.level_runs(i))


def load(
    path: str | Path,
    *,
    threads: int | None = None,
    level: str | None = None,
    memory: float | None = None,
    adaptive: bool = True,
    self_check: bool = False,
) -> Session:
    """Open an artifact.

    threads: None for one a CPU (on ARM: a big one); level: a CPU level by name, None for the best this CPU has; memory:
    MiB of workspace a call may take; self_check: upscale the file's check pictures first. Raises InputFileError where
    the file is damaged or for another CPU, UsageError for wrong options, WorkError where a check picture is wrong.
    """
    if memory is not None and memory <= 0:
        raise UsageError(f"a memory limit of {memory} MiB")
    if threads is not None and threads < 1:
        raise UsageError(f"{threads} threads; at least 1")
    library, manifest = _open_library(Path(path))
    options = abi.Options(
        struct_size=ctypes.sizeof(abi.Options),
        threads=threads or 0,
        level=level.encode() if level is not None else None,
        memory_limit=int((memory or 0) * 2**20),
        fixed_bits=not adaptive,
        self_check=self_check,
    )
    handle = ctypes.c_void_p()
    status = library.open(ctypes.byref(options), ctypes.byref(handle))
    if status != abi.OK:
        text = f"{path}: {library.why_not_opened()}"
        if status in (abi.WRONG_CPU, abi.DAMAGED):
            raise InputFileError(text)
        if status == abi.CHECK_FAILED:
            raise WorkError(text)
        raise UsageError(text) if level is not None or threads is not None else WorkError(text)
    return Session(library, handle, manifest)


class Session:
    """One open session; for one thread at a time. Made by `load`; a context manager.

    Any thread may close it: what a call is at work with is freed when that call ends.
    """

    def __init__(self, library: abi.Abi, handle: ctypes.c_void_p, manifest: dict[str, Any]) -> None:
        self._abi = library
        self._handle: ctypes.c_void_p | None = handle
        self._lock = threading.RLock()
        self._calls, self._closed = 0, False
        self.manifest = manifest

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Stop its threads and free its memory, at the end of a call that is at work; a second time does nothing."""
        with self._lock:
            self._closed = True
            self._free_unused()

    @property
    def _open(self) -> ctypes.c_void_p:
        if self._closed or self._handle is None:
            raise UsageError("the session is closed")
        return self._handle

    def _free_unused(self) -> None:
        if self._closed and not self._calls and self._handle is not None:
            handle, self._handle = self._handle, None
            self._abi.close(handle)

    @contextmanager
    def _inside(self) -> Iterator[ctypes.c_void_p]:
        """The handle, which is not freed in the block."""
        with self._lock:
            handle = self._open
            self._calls += 1
        try:
            yield handle
        finally:
            with self._lock:
                self._calls -= 1
                self._free_unused()

    def _call(self, function: Callable[..., int], *arguments: object) -> None:
        with self._inside() as handle:
            self._check(function(handle, *arguments), handle)

    def _check(self, status: int, handle: ctypes.c_void_p) -> None:
        if status == abi.OK:
            return
        if status == abi.BUSY:
            raise UsageError("the session is in another call; open one for each thread")
        raise StatusError(status, self._abi.error(handle).decode("utf-8", "replace") or f"status {status}")

    @cached_property
    def info(self) -> ArtifactInfo:
        raw = self._abi.info()
        return ArtifactInfo(
            scale=raw.scale,
            colour="y" if raw.colour == 1 else "rgb",
            minimum_size=(raw.minimum_width, raw.minimum_height),
            receptive_radius=raw.receptive_radius,
            levels=tuple(self._abi.level_name(i).decode() for i in range(raw.levels)),
            choices=tuple(self._abi.choice_name(i).decode() for i in range(raw.choices)),
            **tiling_of(self.manifest),
        )

    @cached_property
    def level(self) -> str:
        """The CPU level in use."""
        return self.last().level

    @property
    def macs_per_pixel(self) -> float:
        """Multiplications an input pixel."""
        return float(self.manifest.get("macs_per_pixel", 0))

    def upscale(self, picture: U8, progress: ProgressFunction | None = None) -> U8:
        """uint8 (H, W, 3), (H, W, 4) or (H, W) to the same with scale times the height and width.

        Rows may have any stride; pixels of one row must be contiguous, else they are copied. progress: called with the
        rows done and all rows; True cancels (WorkError). KeyboardInterrupt ends the call between strips.
        """
        source = contiguous_rows(picture)
        scale = self.info.scale
        shape = (source.shape[0] * scale, source.shape[1] * scale, *source.shape[2:])
        if max(shape) > np.iinfo(np.int32).max:
            raise UsageError(f"a picture of {source.shape[1]} x {source.shape[0]} is too large")
        result = np.empty(shape, np.uint8)
        raised: list[BaseException] = []

        def report(_user: object, done: int, total: int) -> int:
            try:
                if pressed:
                    return 1
                return int(bool(progress(done, total))) if progress is not None else 0
            except BaseException as error:  # it must not travel through C
                raised.append(error)
                return 1

        into, out_of = _picture(result), _picture(source)
        callback = abi.Progress(report)
        with self._inside() as handle:
            with noted_interrupts() as pressed:
                status = self._abi.upscale(handle, ctypes.byref(out_of), ctypes.byref(into), callback, None)
            if pressed:
                raise KeyboardInterrupt
            if raised:
                raise raised[0]
            self._check(status, handle)
        return result

    def workspace(self, width: int, height: int) -> int:
        """Bytes of workspace that a picture of this size takes."""
        size = ctypes.c_uint64()
        self._call(self._abi.workspace, width, height, ctypes.byref(size))
        return size.value

    def predict_choice(self, picture: U8) -> int:
        """Which bit choice the picture would get; in tiles, the one that most of them would get."""
        choice = ctypes.c_int32()
        source = contiguous_rows(picture)
        self._call(self._abi.predict_choice, ctypes.byref(_picture(source)), ctypes.byref(choice))
        return choice.value

    def force_choice(self, choice: int | None) -> None:
        """Use this bit choice from now on; None: choose by the picture."""
        self._call(self._abi.force_choice, -1 if choice is None else choice)

    def tiles(self, picture: U8 | None = None) -> U8:
        """The bit choices that the picture's tiles would get, (rows, columns) of tiles; None: of the last upscale's.

        One tile where a picture chooses as a whole. InputFileError where the file is of a release that had no tiles.
        """
        source = None if picture is None else contiguous_rows(picture)
        raw = abi.Tiles(struct_size=ctypes.sizeof(abi.Tiles))
        given = None if source is None else ctypes.byref(_picture(source))
        with self._inside() as handle:
            self._check(self._abi.read_tiles(handle, given, ctypes.byref(raw)), handle)
            count = raw.across * raw.down
            return np.array(raw.choices[:count], np.uint8).reshape(raw.down, raw.across)

    def force_tiles(self, choices: U8 | None) -> None:
        """Use these bit choices for tiles, (rows, columns), repeated over the picture; None: tiles choose.

        A choice that is forced for all comes first. UsageError where they are no table of whole numbers 0 to 255;
        WorkError where the file has no such choice, or its pictures choose as a whole.
        """
        if choices is None:
            self._call(self._abi.force_tiles, None, 0, 0)
            return
        asked = np.asarray(choices)
        given = np.ascontiguousarray(asked.astype(np.uint8))
        if asked.ndim != 2 or not np.array_equal(given, asked):
            raise UsageError("choices of tiles are whole numbers, 0 to 255, in rows and columns")
        down, across = given.shape
        self._call(self._abi.force_tiles, given.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8)), across, down)

    def last(self) -> LastRun:
        """What the last upscale did."""
        raw = abi.LastRun(struct_size=ctypes.sizeof(abi.LastRun))
        with self._inside() as handle:
            self._check(self._abi.last(handle, ctypes.byref(raw)), handle)
            tiles = tuple(raw.tiles_of[: self._abi.info().choices]) if raw.tiles_of else ()
        seconds = raw.nanoseconds / 1e9
        return LastRun(raw.level.decode(), raw.choice, raw.threads, raw.strips, raw.workspace, seconds, tiles)

    def profiling(self, on: bool) -> None:
        """Measure the time of every step from now on, sums beginning at 0, or stop."""
        self._call(self._abi.profile, int(on))

    def profile(self) -> tuple[StepTime, ...]:
        """The sums since profiling was turned on, conversions of pixels first and last.

        A file with several bit choices has the cost of choosing before them, and the steps of all; calls say which ran.
        """
        times, count = ctypes.POINTER(abi.StepTime)(), ctypes.c_size_t()
        known, rows = self._layers(), []
        with self._inside() as handle:
            self._check(self._abi.read_profile(handle, ctypes.byref(times), ctypes.byref(count)), handle)
            for row in (times[i] for i in range(count.value)):
                name = row.name.decode()
                layer = known.get(name, {})
                macs = float(layer.get("macs_per_pixel", 0))
                rows.append(StepTime(name, layer.get("kernel", ""), row.nanoseconds / 1e9, macs, row.calls))
        return tuple(rows)

    def traced(self, picture: U8, progress: ProgressFunction | None = None) -> tuple[U8, tuple[StepSum, ...]]:
        """An upscale, and a checksum of everything that its steps stored, in their order (docs/numerics.md).

        Some times slower than `upscale`. InputFileError where the file is of a release that had no trace.
        """
        with self._inside() as handle:
            self._check(self._abi.trace(handle, 1), handle)
            try:
                result = self.upscale(picture, progress)
                sums, count = ctypes.POINTER(abi.StepSum)(), ctypes.c_size_t()
                self._check(self._abi.read_trace(handle, ctypes.byref(sums), ctypes.byref(count)), handle)
                rows = [sums[i] for i in range(count.value)]
                found = tuple(StepSum(r.step.decode(), r.tensor.decode(), r.first, r.channels, r.sum) for r in rows)
            finally:
                self._check(self._abi.trace(handle, 0), handle)
        return result, found

    def check(self) -> None:
        """Upscale the file's check pictures; WorkError where one comes out other than its compiler computed."""
        self._call(self._abi.check)

    def _layers(self) -> dict[str, dict[str, Any]]:
        level = self.level
        for entry in self.manifest.get("levels", ()):
            if entry["name"] == level:
                return {layer["name"]: layer for layer in entry["layers"]}
        return {}


def tiling_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What only a manifest says of ArtifactInfo; files of earlier releases run on every size, and may be cut."""
    tiling = manifest.get("tiling")
    if not isinstance(tiling, Mapping):
        return {}
    reasons = tuple(str(reason) for reason in tiling.get("whole_because", ()))
    return {"size_multiple": int(tiling.get("multiple", 1)), "whole_because": reasons}


def contiguous_rows(picture: U8) -> U8:
    """The picture with the pixels of each row one after the other, copied only where they are not."""
    array = np.asarray(picture)
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        shape = "x".join(map(str, array.shape))
        raise UsageError(f"a picture must be uint8, (H, W), (H, W, 3) or (H, W, 4), not {array.dtype} {shape}")
    if array.size == 0:
        raise UsageError("the picture is empty")
    channels = array.shape[2] if array.ndim == 3 else 1
    inner = (channels, 1) if array.ndim == 3 else (1,)
    rows = array.strides[1:] == inner and abs(array.strides[0]) >= array.shape[1] * channels
    return array if rows else np.ascontiguousarray(array)


def _picture(array: U8) -> abi.Picture:
    channels = array.shape[2] if array.ndim == 3 else 1
    picture = abi.Picture(format=abi.FORMATS[channels], width=array.shape[1], height=array.shape[0])
    picture.planes[0] = array.ctypes.data
    picture.strides[0] = array.strides[0] if array.shape[0] > 1 else 0
    return picture
