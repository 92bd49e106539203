"""Target: what is built for. One TOML file a device in targets/, validated when read."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Level:
    """One CPU level of an artifact: a row of the isa table, for one LLVM CPU, opened where `needs` are present."""

    name: str  # also the suffix of its symbols: "avx2", "avx512vnni"
    isa: str  # row of tvmsr.kernels.isa.ISAS
    cpu: str  # LLVM -mcpu
    features: tuple[str, ...] = ()  # LLVM mattr, "+avx512vnni", "-prefer-256-bit"
    needs: tuple[str, ...] = ()  # CPU features checked at open, by the driver's names: "avx2", "avx512vnni"


@dataclass(frozen=True)
class Target:
    """triple: LLVM's; link_triple: ziglang's, with the C library and its oldest version. levels: best first."""

    name: str
    description: str
    triple: str
    link_triple: str
    levels: tuple[Level, ...]
    cores: int = 1
    cache_bytes: tuple[int, ...] = ()  # L1d, L2, L3 of one core
    facts: dict[str, str] = field(default_factory=dict)
