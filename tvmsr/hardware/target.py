"""Target: what is built for. One TOML file a device in targets/, validated when read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Level:
    """One CPU level of an artifact: a row of the isa table, for one LLVM CPU, opened where `needs` are present."""

    name: str  # also the suffix of its symbols: "avx2", "avx512vnni"
    isa: str  # row of tvmsr.kernels.isa.ISAS
    cpu: str  # LLVM -mcpu
    features: tuple[str, ...] = ()  # LLVM mattr, "+avx512vnni", "-prefer-256-bit"
    needs: tuple[str, ...] = ()  # CPU features checked at open, by the driver's names: "avx2", "avx512vnni"


@dataclass(frozen=True)
class Macs:
    """Multiply-accumulates that one core can do in a cycle at best, by the type of the factors."""

    s8: float
    s16: float
    f32: float
    source: str


@dataclass(frozen=True)
class Cluster:
    """Cores of one kind. Caches are those that a core has for itself; 0: none."""

    core: str  # as LLVM names it: "cortex-a76"
    cores: int
    clock_ghz: float
    l1d_bytes: int
    l2_bytes: int
    macs: Macs
    source: str

    def gmacs(self, kind: str) -> float:
        """Peak of one core in GMAC/s for factors of `kind`: "s8", "s16", "f32"."""
        return float(getattr(self.macs, kind)) * self.clock_ghz


@dataclass(frozen=True)
class Cache:
    """A cache that `cores` cores share."""

    level: int
    bytes: int
    cores: int
    source: str


@dataclass(frozen=True)
class Memory:
    """Bytes between the CPU and the memory, in 1e9 a second."""

    bandwidth_gb_s: float
    source: str


@dataclass(frozen=True)
class Target:
    """triple: LLVM's; link_triple: ziglang's, with the C library and its oldest version. levels: best first.

    clusters, caches and memory describe the device, or the one that stands for a family of them (`stands_for`); they
    are empty where nothing is known. costs: the core whose costs decide where levels share a choice.
    """

    name: str
    description: str
    triple: str
    link_triple: str
    levels: tuple[Level, ...]
    object: str = "elf"  # format of what is linked: "elf", "macho", "coff"
    libc: str = ""  # "glibc", "musl", "bionic", "libSystem"
    costs: str = ""
    cores: int = 1  # of all clusters
    clusters: tuple[Cluster, ...] = ()
    caches: tuple[Cache, ...] = ()
    memory: Memory | None = None
    page_size: int = 4096  # the largest that kernels of this target use, bytes
    stands_for: str = ""
    reached: str = ""  # how one usually gets files and commands to it
    status: str = ""  # what has been run of it

    @property
    def architecture(self) -> str:
        """The instruction set, as the isa table names it: "x86_64", "aarch64", "arm"."""
        return architecture(self.triple)

    @property
    def system(self) -> str:
        """The operating system: "linux", "android", "macos", "windows"; "" for another."""
        return system(self.triple)

    @property
    def deciding(self) -> Cluster | None:
        """The cluster whose costs decide; None where nothing is known of the device."""
        return next((cluster for cluster in self.clusters if cluster.core == self.costs), None)

    @property
    def cache_bytes(self) -> tuple[int, ...]:
        """Sizes of the caches that a core of the deciding cluster sees, nearest first."""
        cluster = self.deciding
        if cluster is None:
            return ()
        own = (cluster.l1d_bytes, cluster.l2_bytes)
        return (*(size for size in own if size), *(cache.bytes for cache in self.caches))


#: First words of triples, and what machines call themselves, where it is not the isa table's name.
_ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64", "arm64e": "aarch64", "thumbv7": "arm"}
_SYSTEMS = {"android": "android", "linux": "linux", "macos": "macos", "darwin": "macos", "windows": "windows"}


def architecture(triple_or_machine: str) -> str:
    """The isa table's name of an instruction set, of a triple or of what `uname -m` says."""
    word = triple_or_machine.partition("-")[0].lower()
    # ARMv6 has no NEON and is another matter.
    if word.startswith(("armv7", "armv8")):
        return "arm"
    return _ARCHITECTURES.get(word, word)


def system(triple: str) -> str:
    """The operating system of a triple, "" where it is none that we know; a version may follow its name."""
    words = triple.split("-")[1:]
    return next((name for key, name in _SYSTEMS.items() for word in words if word.startswith(key)), "")
