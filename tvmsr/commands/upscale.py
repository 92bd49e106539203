"""`tvmsr upscale`: pictures through an artifact. docs/pictures.md."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvmsr.commands.choices import choice_number
from tvmsr.commands.progress import Progress, silent
from tvmsr.errors import InputFileError, UsageError

if TYPE_CHECKING:
    from tvmsr.commands.upscaling.names import Pair
    from tvmsr.commands.upscaling.pictures import How
    from tvmsr.devices import Device, Opening
    from tvmsr.devices.pool import Share


@dataclass(frozen=True)
class Upscaled:
    """The pictures written, with their sizes (width, height), and the seconds spent inside the artifact.

    level: the CPU level, or those of several devices; devices: what each of them did; notes: which of them failed.
    there: results that an earlier run had made of the same pictures, network and options. notices: what of the pictures
    is not in the results, a sentence each. failed: why pictures of the folder could not be read, a sentence each.
    choices: the bit choice of each of `files` by its name, of tiles of several; none where the artifact has one choice.
    """

    files: tuple[tuple[Path, tuple[int, int]], ...]
    seconds: float
    level: str
    devices: tuple[Share, ...] = ()
    notes: tuple[str, ...] = ()
    there: tuple[Path, ...] = ()
    notices: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        files = [{"file": _text(path), "width": size[0], "height": size[1]} for path, size in self.files]
        for row, choice in zip(files, self.choices, strict=False):
            row["choice"] = choice
        return {
            "files": files,
            "seconds": self.seconds,
            "level": self.level,
            "devices": [dict(vars(share)) for share in self.devices],
            "notes": list(self.notes),
            "there": [_text(path) for path in self.there],
            "notices": [_text(notice) for notice in self.notices],
            "failed": [_text(why) for why in self.failed],
        }


class UnreadableError(InputFileError):
    """Pictures of a folder that cannot be read. done: what became of the others, and in `failed` of these."""

    def __init__(self, text: str, done: Upscaled) -> None:
        super().__init__(text)
        self.done = done


def _text(name: Path | str) -> str:
    """A name as text that every program can read; other bytes as escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def upscale(
    artifact: Path,
    source: Path,
    out: Path | None = None,
    *,
    scale: float | Fraction | None = None,
    format: str | None = None,
    tile: int | None = None,
    threads: int | None = None,
    level: str | None = None,
    choice: str = "auto",
    memory: int | None = None,
    device: str | Device | Sequence[Device] = "here",
    check: bool = False,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Upscaled:
    """Upscale the picture `source` to `out`, or a folder of pictures to a folder; what exists there already is kept.

    out: None for a name beside the source. scale: of the results, at most the network's. format: "png", "jpg", "webp"
    or "tif", of results whose names are made here. tile: run in tiles of so many pixels, also a network of which tiles
    differ from the whole. choice: of bits, by its name; "auto": as each picture says. memory: MiB that pictures and the
    artifact may take together; device: where it runs (docs/devices.md), several devices share a folder; check: let the
    artifact upscale its check pictures first. progress: called with the stage "upscale" and pictures, and in the
    threads of devices with the name of a picture in several bands and its rows.

    Raises UsageError, InputFileError, WorkError or DeviceError; no half-written file. A picture of a folder that cannot
    be read is an InputFileError when the others are done: an UnreadableError, which has what was done.
    """
    from tvmsr.commands.upscaling.names import out_named, pairs_of, suffix_named
    from tvmsr.commands.upscaling.pictures import How
    from tvmsr.commands.upscaling.room import memory_here
    from tvmsr.commands.upscaling.stamp import network_of
    from tvmsr.runtime.sections import manifest_values, read_library

    artifact, source = Path(artifact), Path(source)
    manifest = manifest_values(read_library(artifact))
    factor = int(manifest.get("scale", 0))
    wanted = _scale(scale, factor)
    if tile is not None and tile < 1:
        raise UsageError(f"tiles of {tile} pixels; at least 1")
    suffix = suffix_named(format or "png")
    to = Path(out) if out is not None else out_named(source, wanted, suffix)
    pairs = pairs_of(source, to, suffix)
    room = memory << 20 if memory is not None else memory_here()
    forced = _forced(artifact, choice, manifest)
    how = How(artifact, network_of(manifest), factor, wanted, tile, room, overwrite, memory, forced)
    missing, there = _missing(pairs, how)
    if not missing:
        return Upscaled((), 0.0, "", there=there)
    return _run(missing, there, how, _opening(threads, level, memory, check, forced), device, progress)


def _scale(scale: float | Fraction | None, network: int) -> Fraction:
    if scale is None:
        return Fraction(network)
    wanted = Fraction(scale).limit_denominator(1000) if math.isfinite(scale) else Fraction(0)
    if not 0 < wanted <= network:
        raise UsageError(
            f"a scale of {float(scale):g}; the network's is {network}, that of results is above 0 and at most {network}"
        )
    return wanted


def _forced(artifact: Path, choice: str, manifest: Mapping[str, Any]) -> str | None:
    """The choice, where that makes a difference; UsageError where the artifact does not have it."""
    names = [str(name) for name in manifest.get("choices", ())]
    number = choice_number(artifact, choice, names)
    return names[number] if number is not None and len(names) > 1 else None


def _opening(threads: int | None, level: str | None, memory: int | None, check: bool, choice: str | None) -> Opening:
    from tvmsr.devices import Opening

    # half for the artifact, half for pictures; where the artifact takes less, pictures get the rest
    half = memory / 2 if memory is not None else None
    return Opening(threads=threads, level=level, memory=half, check=check, choice=choice)


def _missing(pairs: list[Pair], how: How) -> tuple[list[Pair], tuple[Path, ...]]:
    """What is to be done, and the results that are there. UsageError where something else is in their places."""
    from tvmsr.commands.upscaling.stamp import has_stamp

    existing = [pair for pair in pairs if pair[1].exists()]
    if how.overwrite or not existing:
        return pairs, ()
    others = [target for source, target in existing if not has_stamp(target, _stamps_of(how, source))]
    if others:
        more = f" (and {len(others) - 1} more)" if len(others) > 1 else ""
        raise UsageError(
            f"{others[0]}{more} exists already and is no result of this picture, network and scale; choose another OUT "
            "or pass --overwrite"
        )
    done = {target for _, target in existing}
    return [pair for pair in pairs if pair[1] not in done], tuple(target for _, target in existing)


def _stamps_of(how: How, source: Path) -> tuple[str, ...]:
    try:
        return how.stamps(source)
    except InputFileError:
        return ()  # it cannot be read, so nothing was made of it


def _run(
    pairs: list[Pair],
    there: tuple[Path, ...],
    how: How,
    opening: Opening,
    device: str | Device | Sequence[Device],
    progress: Progress,
) -> Upscaled:
    from tvmsr.commands.upscaling.pictures import Pictures
    from tvmsr.devices.pool import BrokenPicturesError, opened_devices, spread, unreadable

    def report(done: int) -> None:
        progress("upscale", done, len(pairs))

    with opened_devices(device) as devices:
        at_once = min(len(devices), len(pairs))
        shared = how if how.room is None else replace(how, room=how.room // at_once)
        with Pictures(pairs, shared, progress) as pictures:
            errors: tuple[Exception, ...] = ()
            try:
                found = spread(devices, how.artifact, pictures, opening=opening, report=report)
            except BrokenPicturesError as error:
                found, errors = error.spread, error.errors
    levels = dict.fromkeys(share.level for share in found.shares if share.pictures)
    seconds = sum(share.seconds for share in found.shares)
    notices, failed = tuple(pictures.notices), tuple(map(str, errors))
    chosen = tuple(pictures.choices[number] for number in sorted(pictures.written))
    done = Upscaled(
        files=pictures.files(), seconds=seconds, level=", ".join(levels), devices=found.shares, notes=found.notes,
        there=there, notices=notices, failed=failed, choices=chosen if any(chosen) else (),
    )  # fmt: skip
    if errors:
        raise UnreadableError(unreadable(errors, len(pairs) + len(there)), done)
    return done
