"""`tvmsr upscale`: pictures through an artifact."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from tvmsr.commands.parts import Parts
from tvmsr.commands.progress import Progress, silent
from tvmsr.errors import UsageError, WorkError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tvmsr.devices import Device
    from tvmsr.devices.pool import Share

    U8 = NDArray[np.uint8]
    Size = tuple[int, int]


@dataclass(frozen=True)
class Upscaled:
    """The pictures written, with their sizes (width, height), and the seconds spent inside the artifact.

    level: the CPU level, or those of several devices; devices: what each of them did; notes: which of them failed.
    """

    files: tuple[tuple[Path, tuple[int, int]], ...]
    seconds: float
    level: str
    devices: tuple[Share, ...] = ()
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        files = [{"file": str(path), "width": size[0], "height": size[1]} for path, size in self.files]
        devices = [dict(vars(share)) for share in self.devices]
        return {
            "files": files, "seconds": self.seconds, "level": self.level, "devices": devices, "notes": list(self.notes)
        }  # fmt: skip


def _pairs(source: Path, out: Path, overwrite: bool) -> list[tuple[Path, Path]]:
    """What is read and what is written: a file to a file, or a folder's pictures to a folder."""
    from tvmsr.imaging.files import list_pictures

    if source.is_dir():
        if out.suffix or out.is_file():
            raise UsageError(f"{source} is a folder, so OUT must be one too, not {out}")
        pairs = [(file, out / f"{file.stem}.png") for file in list_pictures(source)]
    else:
        pairs = [(source, out / f"{source.stem}.png" if out.is_dir() else out)]
    _check_twice(pairs)
    existing = [target for _, target in pairs if target.exists()]
    if existing and not overwrite:
        raise UsageError(f"{existing[0]} exists already; choose another OUT or pass --overwrite")
    return pairs


def _check_twice(pairs: list[tuple[Path, Path]]) -> None:
    """UsageError where two pictures would become one file."""
    first: dict[Path, Path] = {}
    for file, target in pairs:
        if target in first:
            raise UsageError(f"{first[target].name} and {file.name} would both become {target}; rename one of them")
        first[target] = file


class _Files:
    """Pictures from files to files (a Job of tvmsr.devices.pool). A context manager: at its end no part is left."""

    def __init__(self, pairs: list[tuple[Path, Path]]) -> None:
        self._pairs = pairs
        self._lock = threading.Lock()
        self._ends = contextlib.ExitStack()
        self._parts: Parts | None = None
        self._ended = False
        self.written: dict[int, Size] = {}

    @property
    def count(self) -> int:
        return len(self._pairs)

    def name(self, number: int) -> str:
        return self._pairs[number][0].name

    def read(self, number: int) -> U8:
        from tvmsr.imaging.files import read_picture

        return read_picture(self._pairs[number][0]).for_artifact()

    def picture(self, source: U8) -> U8:
        return source

    def keep(self, number: int, source: U8, result: U8) -> tuple[Path, Size]:
        """Write the result to a hidden file, of a name of its own."""
        from tvmsr.imaging.files import write_picture

        del source
        target = self._pairs[number][1]
        part = self._folder() / f"{number}-{threading.get_ident()}"
        write_picture(target, result, at=part)
        return part, (result.shape[1], result.shape[0])

    def deliver(self, number: int, kept: tuple[Path, Size]) -> None:
        kept[0].replace(self._pairs[number][1])
        self.written[number] = kept[1]

    def discard(self, kept: tuple[Path, Size]) -> None:
        kept[0].unlink(missing_ok=True)
        if self._ended:
            with contextlib.suppress(OSError):  # gone already, as a rule
                kept[0].parent.rmdir()

    def files(self) -> tuple[tuple[Path, Size], ...]:
        """What was written, in the order of the pictures."""
        return tuple((self._pairs[number][1], self.written[number]) for number in sorted(self.written))

    def _folder(self) -> Path:
        """Made when it is first needed."""
        with self._lock:
            if self._ended:
                raise WorkError("the work has ended")  # of a thread that was left alone
            if self._parts is None:
                self._parts = self._ends.enter_context(Parts(self._pairs[0][1].parent))
            return self._parts.path

    def __enter__(self) -> _Files:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._ended = True
        self._ends.close()


def upscale(
    artifact: Path,
    source: Path,
    out: Path,
    *,
    threads: int | None = None,
    level: str | None = None,
    memory: int | None = None,
    device: str | Device | Sequence[Device] = "here",
    check: bool = False,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Upscaled:
    """Upscale the picture `source` to `out` (PNG or JPEG by its name), or a folder of pictures to PNGs in a folder.

    memory: limit of the working memory in MiB; device: where it runs (docs/devices.md), several devices share a folder;
    check: let the artifact upscale its check pictures first. Raises UsageError, InputFileError, WorkError or
    DeviceError; no half-written file. A picture of a folder that cannot be read is an InputFileError when the others
    are done.
    """
    from tvmsr.devices import Opening
    from tvmsr.devices.pool import opened_devices, spread

    pairs = _pairs(Path(source), Path(out), overwrite)
    opening = Opening(threads=threads, level=level, memory=memory, check=check)
    with _Files(pairs) as files, opened_devices(device) as devices:
        found = spread(
            devices, Path(artifact), files, opening=opening, report=lambda done: progress("upscale", done, len(pairs))
        )
        levels = dict.fromkeys(share.level for share in found.shares if share.pictures)
        seconds = sum(share.seconds for share in found.shares)
        return Upscaled(files.files(), seconds, ", ".join(levels), found.shares, found.notes)
