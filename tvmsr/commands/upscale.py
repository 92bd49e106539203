"""`tvmsr upscale`: pictures through an artifact."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvmsr.commands.progress import Progress, silent
from tvmsr.errors import UsageError

if TYPE_CHECKING:
    from tvmsr.devices import Device


@dataclass(frozen=True)
class Upscaled:
    """The pictures written, with their sizes (width, height), and the seconds spent inside the artifact."""

    files: tuple[tuple[Path, tuple[int, int]], ...]
    seconds: float
    level: str

    def as_json(self) -> dict[str, Any]:
        files = [{"file": str(path), "width": size[0], "height": size[1]} for path, size in self.files]
        return {"files": files, "seconds": self.seconds, "level": self.level}


def _pairs(source: Path, out: Path, overwrite: bool) -> list[tuple[Path, Path]]:
    """What is read and what is written: a file to a file, or a folder's pictures to a folder."""
    from tvmsr.imaging.files import list_pictures

    if source.is_dir():
        if out.suffix or out.is_file():
            raise UsageError(f"{source} is a folder, so OUT must be one too, not {out}")
        pairs = [(file, out / f"{file.stem}.png") for file in list_pictures(source)]
    else:
        pairs = [(source, out / f"{source.stem}.png" if out.is_dir() else out)]
    existing = [target for _, target in pairs if target.exists()]
    if existing and not overwrite:
        raise UsageError(f"{existing[0]} exists already; choose another OUT or pass --overwrite")
    return pairs


def upscale(
    artifact: Path,
    source: Path,
    out: Path,
    *,
    threads: int | None = None,
    level: str | None = None,
    memory: int | None = None,
    device: str | Device = "here",
    check: bool = False,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Upscaled:
    """Upscale the picture `source` to `out` (PNG or JPEG by its name), or a folder of pictures to PNGs in a folder.

    memory: limit of the working memory in MiB; device: where it runs (docs/devices.md); check: let the artifact upscale
    its check pictures first. Raises UsageError, InputFileError, WorkError or DeviceError; no half-written file.
    """
    from tvmsr.devices import Opening, find_device
    from tvmsr.imaging.files import read_picture, write_picture

    pairs = _pairs(Path(source), Path(out), overwrite)
    written: list[tuple[Path, tuple[int, int]]] = []
    seconds = 0.0
    opening = Opening(threads=threads, level=level, memory=memory, check=check)
    with find_device(device) as where, where.open(Path(artifact), opening) as runner:
        for done, (file, target) in enumerate(pairs):
            progress("upscale", done, len(pairs))
            picture = read_picture(file)
            result = runner.upscale(picture.for_artifact())
            seconds += runner.last().seconds
            target.parent.mkdir(parents=True, exist_ok=True)
            write_picture(target, result)
            written.append((target, (result.shape[1], result.shape[0])))
        progress("upscale", len(pairs), len(pairs))
        return Upscaled(tuple(written), seconds, runner.level)
