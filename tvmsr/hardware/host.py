"""What this machine is: its triple and the levels that its CPU can run."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import replace

from tvmsr.errors import WorkError
from tvmsr.hardware.cpuinfo import cpu_name, features, llvm_cpu, machine
from tvmsr.hardware.target import Level, Target

#: System and instruction set -> the target that describes machines of the kind.
_LIKE = {
    ("Linux", "x86_64"): "x86-64-v3",
    ("Linux", "aarch64"): "arm",
    ("Linux", "arm"): "linux-armv7",
    ("Android", "aarch64"): "android-arm64",
    ("Android", "x86_64"): "android-x86_64",
    ("Darwin", "aarch64"): "apple-silicon",
}

#: Instruction set -> the target whose levels such a machine may have, whatever its system.
_LEVELS = {"x86_64": "x86-64-v3", "aarch64": "arm", "arm": "linux-armv7"}

#: Other machines.
_SYSTEMS = {
    # system -> LLVM's words, ziglang's, object format, C library; the library's oldest version is in ziglang's triple
    "Linux": ("unknown-linux-gnu", "linux-gnu.2.17", "elf", "glibc"),
    "Android": ("unknown-linux-android", "linux-musl", "elf", "bionic"),
    "Darwin": ("apple-macos", "macos", "macho", "libSystem"),
    "Windows": ("pc-windows-gnu", "windows-gnu", "coff", "ucrt"),
}

#: What older machines of the kind have, and what every one has: the levels of target x86-64.
_OLDER = {
    "x86_64": (
        Level("sse41", "sse41", "x86-64", ("+sse4.1", "+ssse3"), ("sse4.1", "ssse3")),
        Level("portable", "portable", "x86-64"),
    )
}


def system() -> str:
    """The operating system of this machine: "Linux", "Android", "Darwin", "Windows"."""
    return "Android" if hasattr(sys, "getandroidapilevel") else platform.system()


def similar() -> str | None:
    """Name of the target whose levels a machine like this one may have; None where there is none."""
    return _LIKE.get((system(), machine())) or _LEVELS.get(machine())


def here(like: Target | None) -> Target:
    """Our own machine as a target: those levels of `like` that its CPU has, then older ones, portable last, unless ARM.

    Raises WorkError where nothing can be compiled for this system.
    """
    base = like if like is not None and (system(), machine()) in _LIKE else _plain(like.levels if like else ())
    had = features()
    known = base.levels
    # On ARM the last level is the baseline itself, and faster.
    if machine() not in ("aarch64", "arm"):
        known += _OLDER.get(machine()) or (Level("portable", "portable", llvm_cpu()),)
    found = tuple(level for level in known if set(level.needs) <= had) or (Level("portable", "portable", llvm_cpu()),)
    return replace(
        base,
        name="host",
        description=f"this machine: {cpu_name()}",
        levels=found,
        cores=os.cpu_count() or 1,
        costs="",
        clusters=(),
        caches=(),
        memory=None,
        page_size=_page_size(),
        stands_for="",
        reached="it is this machine",
        status="verified by `tvmsr doctor`",
    )


def _plain(levels: tuple[Level, ...]) -> Target:
    """A machine that no target describes."""
    name = system()
    if name not in _SYSTEMS:
        raise WorkError(f"cannot compile for this system ({name} on {machine()}); give a --target")
    llvm, link, form, libc = _SYSTEMS[name]
    return Target("host", "", f"{machine()}-{llvm}", f"{machine()}-{link}", levels, object=form, libc=libc)


def _page_size() -> int:
    import mmap

    return mmap.PAGESIZE
