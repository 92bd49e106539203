"""Finds and reads targets/*.toml: by name from the data folder, or any file by its path."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from tvmsr.errors import InputFileError, UsageError
from tvmsr.hardware.data import data_dir
from tvmsr.hardware.host import here, machine
from tvmsr.hardware.schema import parse
from tvmsr.hardware.target import Level, Target

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found,unused-ignore]

#: Files that extend files that extend files: more than this is a loop.
_DEEPEST = 8


def list_targets() -> tuple[str, ...]:
    """Names of the targets that come with this installation, sorted."""
    return tuple(sorted(path.stem for path in data_dir().glob("*.toml")))


def load_target(name_or_path: str | Path) -> Target:
    """The target of this name, or of the TOML file at this path.

    Raises UsageError where there is none of the name, InputFileError where the file is not a valid target.
    """
    path = _find(name_or_path)
    raw = _read(path, _DEEPEST)
    if raw.pop("detect", False):
        return host_target()
    return parse(path.stem, raw, path.name)


def host_levels() -> tuple[Level, ...]:
    """Every level this CPU can run, best first; the portable one, which runs anywhere, is last."""
    return _machine().levels


def host_target() -> Target:
    """Our own machine as a target, with its best level only."""
    target = _machine()
    return replace(target, levels=target.levels[:1])


def _machine() -> Target:
    candidates = load_target("x86-64-v3").levels if machine() == "x86_64" else ()
    return here(candidates)


def _find(name_or_path: str | Path) -> Path:
    text = str(name_or_path)
    if text.endswith(".toml") or "/" in text:
        return Path(text)
    path = data_dir() / f"{text}.toml"
    if not path.is_file():
        raise UsageError(f"no target {text!r}; known are {', '.join(list_targets())}, or give a .toml file")
    return path


def _read(path: Path, depth: int) -> dict[str, Any]:
    """The keys of a file laid over those of the target it extends."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputFileError(f"{path}: {error.strerror}") from None
    except ValueError as error:  # TOML and UTF-8 errors alike
        raise InputFileError(f"{path}: {str(error).splitlines()[0]}") from None
    keep = raw.pop("keep", None)
    parent = raw.pop("extends", None)
    if parent is not None:
        if depth == 0 or not isinstance(parent, str):
            raise InputFileError(f"{path}: extends: must name another target, and not in a circle")
        raw = {**_read(_sibling(path, parent), depth - 1), **raw}
    if keep is not None:
        raw["levels"] = _kept(path, raw.get("levels", []), keep)
    return raw


def _sibling(path: Path, parent: str) -> Path:
    """A target that a file extends: beside it, else one that comes with the installation."""
    beside = path.parent / f"{parent}.toml"
    return beside if beside.is_file() else _find(parent)


def _kept(path: Path, levels: list[dict[str, Any]], keep: object) -> list[dict[str, Any]]:
    names = [level.get("name") for level in levels]
    if not isinstance(keep, list) or not set(keep) <= set(names):
        raise InputFileError(f"{path}: keep: must list names of levels: {', '.join(map(str, names))}")
    return [level for level in levels if level.get("name") in keep]
