"""The TOML form of a target, validated by pydantic."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tvmsr.errors import InputFileError
from tvmsr.hardware.target import Level, Target

# Names end up in C symbols and file names.
_NAME = r"^[a-z][a-z0-9_]*$"
_TRIPLE = r"^[a-z0-9_]+(-[a-z0-9_.]+){1,4}$"
_WORD = r"^[A-Za-z0-9_.+-]+$"


class LevelFile(BaseModel):
    """One `[[levels]]` table."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str = Field(pattern=_NAME)
    isa: str = Field(pattern=_NAME)
    cpu: str = Field(pattern=_WORD)
    features: list[str] = []
    needs: list[str] = []

    def level(self) -> Level:
        return Level(self.name, self.isa, self.cpu, tuple(self.features), tuple(self.needs))


class TargetFile(BaseModel):
    """A whole file, after `extends` was followed."""

    model_config = ConfigDict(extra="forbid", strict=True)

    description: str = Field(min_length=1)
    triple: str = Field(pattern=_TRIPLE)
    link_triple: str = Field(pattern=_TRIPLE)
    levels: list[LevelFile] = Field(min_length=1)
    cores: int = Field(default=1, ge=1, le=1024)
    cache_bytes: list[int] = []
    facts: dict[str, str] = {}

    @model_validator(mode="after")
    def _check(self) -> TargetFile:
        names = [level.name for level in self.levels]
        if len(set(names)) < len(names):
            raise ValueError("two levels have one name")
        for level in self.levels[:-1]:
            if not level.needs:
                raise ValueError(f"level {level.name!r} needs nothing, so the levels after it are never opened")
        return self


def parse(name: str, raw: dict[str, Any], where: str) -> Target:
    """A Target from the keys of a file. Raises InputFileError with one line that names the key at fault."""
    try:
        file = TargetFile.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise InputFileError(f"{where}: {f'{key}: ' if key else ''}{message}") from None
    return Target(
        name=name,
        description=file.description,
        triple=file.triple,
        link_triple=file.link_triple,
        levels=tuple(level.level() for level in file.levels),
        cores=file.cores,
        cache_bytes=tuple(file.cache_bytes),
        facts=file.facts,
    )
