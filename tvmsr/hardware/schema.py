"""The TOML form of a target, validated by pydantic; what keys say of each other is checked in tvmsr.hardware.rules."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tvmsr.errors import InputFileError
from tvmsr.hardware.rules import problem
from tvmsr.hardware.target import Cache, Cluster, Level, Macs, Memory, Target

# Names end up in C symbols and file names.
_NAME = r"^[a-z][a-z0-9_]*$"
_TRIPLE = r"^[a-z0-9_]+(-[a-z0-9_.]+){1,4}$"
_WORD = r"^[A-Za-z0-9_.+-]+$"
_Text = Field(min_length=1)


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _LevelTable(_Table):
    name: str = Field(pattern=_NAME)
    isa: str = Field(pattern=_NAME)
    cpu: str = Field(pattern=_WORD)
    features: list[str] = []
    needs: list[str] = []

    def made(self) -> Level:
        return Level(self.name, self.isa, self.cpu, tuple(self.features), tuple(self.needs))


class _MacsTable(_Table):
    s8: float = Field(gt=0, le=1e6)
    s16: float = Field(gt=0, le=1e6)
    f32: float = Field(gt=0, le=1e6)
    source: str = _Text


class _ClusterTable(_Table):
    core: str = Field(pattern=_WORD)
    cores: int = Field(ge=1, le=1024)
    clock_ghz: float = Field(gt=0, le=100)
    l1d_bytes: int = Field(ge=0)
    l2_bytes: int = Field(ge=0)
    macs: _MacsTable
    source: str = _Text

    def made(self) -> Cluster:
        return Cluster(**{**vars(self), "macs": Macs(**vars(self.macs))})


class _CacheTable(_Table):
    level: int = Field(ge=2, le=4)
    bytes: int = Field(ge=1)
    cores: int = Field(ge=1, le=1024)
    source: str = _Text

    def made(self) -> Cache:
        return Cache(**vars(self))


class _MemoryTable(_Table):
    bandwidth_gb_s: float = Field(gt=0, le=1e5)
    source: str = _Text

    def made(self) -> Memory:
        return Memory(**vars(self))


class _TargetFile(_Table):
    """A whole file, after `extends` was followed."""

    description: str = _Text
    triple: str = Field(pattern=_TRIPLE)
    link_triple: str = Field(pattern=_TRIPLE)
    object: Literal["elf", "macho"] = "elf"
    libc: Literal["glibc", "musl", "bionic", "libSystem"]
    levels: list[_LevelTable] = Field(min_length=1)
    costs: str = ""
    clusters: list[_ClusterTable] = []
    caches: list[_CacheTable] = []
    memory: _MemoryTable | None = None
    page_size: int = Field(default=4096, ge=4096, le=65536)
    stands_for: str = ""
    reached: str = ""
    status: str = ""

    def made(self, name: str) -> Target:
        clusters = tuple(cluster.made() for cluster in self.clusters)
        plain: dict[str, Any] = {key: value for key, value in vars(self).items() if isinstance(value, (str, int))}
        return Target(
            **plain,
            name=name,
            levels=tuple(level.made() for level in self.levels),
            cores=sum(cluster.cores for cluster in clusters) or 1,
            clusters=clusters,
            caches=tuple(cache.made() for cache in self.caches),
            memory=self.memory.made() if self.memory is not None else None,
        )


def parse(name: str, raw: dict[str, Any], where: str) -> Target:
    """A Target from the keys of a file. Raises InputFileError with one line that names the key at fault."""
    try:
        target = _TargetFile.model_validate(raw).made(name)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise InputFileError(f"{where}: {key}: {first['msg']}") from None
    found = problem(target)
    if found is not None:
        raise InputFileError(f"{where}: {found}")
    return target
