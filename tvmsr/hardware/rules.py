"""What the keys of a target say of each other: rules that a file has to keep besides the form of its keys."""

from __future__ import annotations

from collections.abc import Iterator

from tvmsr.hardware.target import Level, Target, architecture
from tvmsr.kernels.isa import ISAS

#: Features that the driver can ask a CPU for, by instruction set: tvmsr/artifact/driver/cpu.c answers.
KNOWN_NEEDS = {
    "x86_64": (
        *("sse4.1", "ssse3", "avx", "fma", "f16c", "bmi", "bmi2", "avx2", "avxvnni"),
        *("avx512f", "avx512dq", "avx512cd", "avx512bw", "avx512vl", "avx512vnni"),
    ),
    "aarch64": ("neon", "fp16", "dotprod", "sve", "i8mm"),
    "arm": ("neon", "vfpv4", "dotprod", "i8mm"),
}

#: C library -> operating system, and words of which link_triple has one. Android is linked as musl: its library carries
#: no versions of symbols and names the same libc.so.
_LIBRARIES = {
    "glibc": ("linux", ("gnu",)),
    "musl": ("linux", ("musl",)),
    "bionic": ("android", ("musl", "android")),
    "libSystem": ("macos", ("macos",)),
}


def problem(target: Target) -> str | None:
    """The first rule that is broken, as "key: what is wrong"; None where all are kept."""
    return next((f"{key}: {message}" for rule in _RULES for key, message in rule(target)), None)


def _levels(target: Target) -> Iterator[tuple[str, str]]:
    names = [level.name for level in target.levels]
    if len(set(names)) < len(names):
        yield "levels", "two levels have one name"
    for i, level in enumerate(target.levels[:-1]):
        if not level.needs:
            yield f"levels.{i}.needs", f"{level.name} needs nothing, so the levels after it are never opened"
    for i, level in enumerate(target.levels):
        for key, message in _level(level, target.architecture):
            yield f"levels.{i}.{key}", message


#: Features of LLVM that choose among instructions and add none. fast-dpwssd: vpdpwssd is not taken apart into a product
#: and an addition, which costs the dot product's sums an instruction and changes no result.
TUNING = ("fast-dpwssd",)


def _level(level: Level, machine: str) -> Iterator[tuple[str, str]]:
    row = ISAS.get(level.isa)
    if row is None:
        yield "isa", f"no row {level.isa!r} in the isa table; it has {', '.join(ISAS)}"
        return
    if row.machine not in ("", machine):
        yield "isa", f"{level.isa} is for {row.machine}, the triple for {machine}"
    missing = [need for need in row.needs if need not in level.needs]
    if missing:
        yield "needs", f"lacks {', '.join(missing)}, which the kernels of {level.isa} use"
    known = KNOWN_NEEDS.get(machine, ())
    unknown = [need for need in level.needs if need not in known]
    if unknown:
        yield "needs", f"a driver for {machine} cannot look for {', '.join(unknown)}; it knows {', '.join(known)}"
    for feature in level.features:
        if feature[:1] not in ("+", "-"):
            yield "features", f"{feature!r} must begin with + or -"
        # Other machines have no feature that the driver knows.
        if feature[:1] == "+" and known and feature[1:] not in (*level.needs, *TUNING):
            yield "features", f"{feature} is not in needs: a CPU without it would run into an illegal instruction"


def _triples(target: Target) -> Iterator[tuple[str, str]]:
    if not target.system:
        yield "triple", f"{target.triple} names none of Linux, Android, macOS, Windows"
    other = architecture(target.link_triple)
    if other != target.architecture:
        yield "link_triple", f"is for {other}, the triple for {target.architecture}"
    system, words = _LIBRARIES[target.libc]
    if target.system != system:
        yield "libc", f"{target.libc} is the library of {system}, the triple says {target.system}"
    if not any(word in target.link_triple for word in words):
        yield "link_triple", f"must name {' or '.join(words)}, as libc is {target.libc}"
    expected = "macho" if target.system == "macos" else "elf"
    if target.object != expected:
        yield "object", f"must be {expected} for {target.system}"


def _device(target: Target) -> Iterator[tuple[str, str]]:
    cores = [cluster.core for cluster in target.clusters]
    if cores and target.costs not in cores:
        yield "costs", f"must name the core of a cluster: {', '.join(cores)}"
    for i, cache in enumerate(target.caches):
        if cache.cores > target.cores:
            yield f"caches.{i}.cores", f"{cache.cores} cores share it, the clusters have {target.cores}"
    if target.page_size & (target.page_size - 1):
        yield "page_size", f"{target.page_size} is no power of two"


_RULES = (_levels, _triples, _device)
