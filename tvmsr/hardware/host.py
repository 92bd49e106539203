"""What this machine is: its triple and the levels that its CPU can run."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from tvmsr.errors import WorkError
from tvmsr.hardware.target import Level, Target

#: Linux's names of CPU features where they differ from the driver's, which levels use in `needs`.
_LINUX = {"avx512vnni": "avx512_vnni", "avxvnni": "avx_vnni", "bmi": "bmi1"}

_SYSTEMS = {
    # system -> (LLVM, ziglang); the C library's oldest version is part of ziglang's triple.
    "Linux": ("unknown-linux-gnu", "linux-gnu.2.17"),
    "Darwin": ("apple-macos", "macos"),
    "Windows": ("pc-windows-gnu", "windows-gnu"),
}
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def machine() -> str:
    """The instruction set of this machine, as LLVM names it: "x86_64", "aarch64"."""
    name = platform.machine().lower()
    return _MACHINES.get(name, name)


def here(candidates: tuple[Level, ...]) -> Target:
    """Our own machine as a target: those of the candidates that its CPU has, then the portable level."""
    system = platform.system()
    if system not in _SYSTEMS:
        raise WorkError(f"cannot compile for this system ({system} on {machine()}); give a --target")
    llvm, link = _SYSTEMS[system]
    flags = cpu_flags()
    found = [level for level in candidates if {_LINUX.get(need, need) for need in level.needs} <= flags]
    return Target(
        name="host",
        description=f"this machine: {cpu_name()}",
        triple=f"{machine()}-{llvm}",
        link_triple=f"{machine()}-{link}",
        levels=(*found, Level("portable", "portable", _portable_cpu())),
        cores=os.cpu_count() or 1,
    )


def cpu_flags() -> frozenset[str]:
    """Features of this CPU, by Linux's names (x86 "flags", ARM "Features")."""
    text = _cpuinfo()
    if text:
        for line in text.splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("flags", "Features"):
                return frozenset(value.split())
        return frozenset()
    return _llvm_flags()


def cpu_name() -> str:
    """The CPU's name, for people."""
    for line in _cpuinfo().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.processor() or platform.machine()


def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _portable_cpu() -> str:
    """LLVM's name of the CPU that the portable level is compiled for: what every machine of this kind has."""
    return "x86-64" if machine() == "x86_64" else _llvm_cpu()


def _llvm_cpu() -> str:
    """What LLVM calls this CPU. It knows every CPU of the systems that have no /proc/cpuinfo."""
    from tvm.target import codegen

    return str(codegen.llvm_get_system_cpu())


def _llvm_flags() -> frozenset[str]:
    """Features of this CPU as LLVM knows them, by Linux's names."""
    from tvm.target import Target as TvmTarget
    from tvm.target import codegen

    target = TvmTarget({"kind": "llvm", "mcpu": _llvm_cpu()})
    return frozenset(_LINUX.get(str(name), str(name)) for name in codegen.llvm_get_cpu_features(target))
