"""Finds and reads targets/*.toml: by name from the data folder, or any file by its path."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from tvmsr.errors import InputFileError, UsageError
from tvmsr.hardware.data import data_dir
from tvmsr.hardware.host import here, similar
from tvmsr.hardware.schema import parse
from tvmsr.hardware.target import Level, Target

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found,unused-ignore]


def list_targets() -> tuple[str, ...]:
    """Names of the targets that come with this installation, sorted."""
    return tuple(sorted(path.stem for path in data_dir().glob("*.toml")))


def load_target(name_or_path: str | Path) -> Target:
    """The target of this name, or of the TOML file at this path.

    Raises UsageError where there is none of the name, InputFileError where the file is not a valid target.
    """
    path = _find(name_or_path)
    raw = _read(path, ())
    if "detect" in raw:
        return _detected(path, raw)
    return parse(path.stem, raw, path.name)


def _detected(path: Path, raw: dict[str, Any]) -> Target:
    others = [key for key in raw if key not in ("detect", "description")]
    if others or raw["detect"] is not True:
        raise InputFileError(f"{path}: {(others or ['detect'])[0]}: a file with `detect = true` says nothing else")
    return host_target()


def host_levels() -> tuple[Level, ...]:
    """Every level this CPU can run, best first; the portable one, which runs anywhere, is last."""
    return _machine().levels


def host_target() -> Target:
    """Our own machine as a target, with its best level only."""
    target = _machine()
    return replace(target, levels=target.levels[:1])


def _machine() -> Target:
    like = similar()
    return here(load_target(like) if like is not None else None)


def _find(name_or_path: str | Path) -> Path:
    text = str(name_or_path)
    if text.endswith(".toml") or "/" in text:
        return Path(text)
    path = data_dir() / f"{text}.toml"
    if not path.is_file():
        raise UsageError(f"no target {text!r}; known are {', '.join(list_targets())}, or give a .toml file")
    return path


def _read(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    """The keys of a file laid over those of the target it extends; `seen` led here. A table replaces a whole one."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputFileError(f"{path}: {error.strerror}") from None
    except ValueError as error:  # TOML and UTF-8 errors alike
        raise InputFileError(f"{path}: {str(error).splitlines()[0]}") from None
    keep = raw.pop("keep", None)
    parent = raw.pop("extends", None)
    if parent is not None:
        raw = {**_parent(path, parent, (*seen, path.resolve())), **raw}
    if keep is not None:
        raw["levels"] = _kept(path, raw.get("levels"), keep)
    return raw


def _parent(path: Path, name: object, seen: tuple[Path, ...]) -> dict[str, Any]:
    if not isinstance(name, str):
        raise InputFileError(f"{path}: extends: must name another target")
    other = _sibling(path, name)
    if other.resolve() in seen:
        raise InputFileError(f"{path}: extends: {name} extends this file in turn: a circle")
    raw = _read(other, seen)
    if "detect" in raw:
        raise InputFileError(f"{path}: extends: {name} is whatever machine compiles; extend another target")
    return raw


def _sibling(path: Path, parent: str) -> Path:
    """A target that a file extends: beside it, else one that comes with the installation."""
    beside = path.parent / f"{parent}.toml"
    if beside.is_file() and beside.resolve() != path.resolve():
        return beside
    return _find(parent) if (data_dir() / f"{parent}.toml").is_file() else _lost(path, parent)


def _lost(path: Path, parent: str) -> Path:
    raise InputFileError(f"{path}: extends: no target {parent!r} beside it, and known are {', '.join(list_targets())}")


def _kept(path: Path, levels: object, keep: object) -> list[dict[str, Any]]:
    found = [level for level in levels if isinstance(level, dict)] if isinstance(levels, list) else []
    names = [level.get("name") for level in found]
    if not isinstance(keep, list) or not keep or any(name not in names for name in keep):
        raise InputFileError(f"{path}: keep: must list names of levels: {', '.join(map(str, names))}")
    return [level for level in found if level.get("name") in keep]
