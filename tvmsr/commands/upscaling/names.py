"""What is read and what is written."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

from tvmsr.errors import InputFileError, UsageError
from tvmsr.imaging import formats
from tvmsr.imaging.files import list_pictures

Pair = tuple[Path, Path]

#: Of results that several pictures would become, how many a message names.
_NAMED = 10


def suffix_named(name: str) -> str:
    """The suffix of a format that the user named, with or without its dot: "jpg" to ".jpg"."""
    path = Path(f"a.{name.lower().lstrip('.')}")
    if not formats.known(path):
        raise UsageError(f"no picture format is called {name!r}; there are {formats.SUFFIXES}")
    return path.suffix


def out_named(source: Path, scale: Fraction, suffix: str) -> Path:
    """OUT where the user gave none: beside the source, with the scale in its name."""
    label = f"x{float(scale):g}"
    if source.is_dir():
        whole = source.resolve()
        return whole.with_name(f"{whole.name}-{label}") if source.name in ("", "..") else _beside(source, label, "")
    return _beside(source, label, suffix)


def _beside(source: Path, label: str, suffix: str) -> Path:
    name = source.stem if suffix else source.name
    return source.parent / f"{name}-{label}{suffix}"


def pairs_of(source: Path, out: Path, suffix: str) -> list[Pair]:
    """Pictures and their results: a file to a file, or the pictures of a folder to a folder.

    suffix: of results whose names are made here. Raises UsageError, or InputFileError where there is nothing to read.
    """
    if source.is_dir():
        if out.is_file() or formats.known(out):
            raise UsageError(f"{source} is a folder, so OUT must be one too, not {out}")
        pairs = [(file, out / f"{file.stem}{suffix}") for file in list_pictures(source)]
    else:
        if not source.exists():
            raise InputFileError(f"{source}: there is no such file or folder")
        pairs = [(source, out / f"{source.stem}{suffix}" if out.is_dir() else out)]
    formats.format_named(pairs[0][1])
    _check_twice(pairs)
    _check_sources(pairs)
    return pairs


def _check_twice(pairs: Iterable[Pair]) -> None:
    """UsageError where several pictures would become one file; names all of them, or as many as one can read."""
    by_target: dict[Path, list[str]] = {}
    for file, target in pairs:
        by_target.setdefault(target, []).append(file.name)
    double = {target: names for target, names in by_target.items() if len(names) > 1}
    if not double:
        return
    said = [_would_become(names, target) for target, names in list(double.items())[:_NAMED]]
    more = f"; and so on for {len(double) - _NAMED} more results" if len(double) > _NAMED else ""
    raise UsageError(f"{'; '.join(said)}{more}; rename all but one of each")


def _would_become(names: list[str], target: Path) -> str:
    both = "both" if len(names) == 2 else "all"
    return f"{', '.join(names[:-1])} and {names[-1]} would {both} become {target}"


def _check_sources(pairs: list[Pair]) -> None:
    """UsageError where a result would replace a picture that is read."""
    sources = {file.resolve() for file, _ in pairs}
    for file, target in pairs:
        if target.resolve() in sources:
            raise UsageError(f"the result of {file} would replace {target}, which is read too; choose another OUT")
