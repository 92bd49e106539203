"""What this machine's CPU says of itself: features by the driver's names, and a name for people."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from tvmsr.hardware.llvm import LLVM_NAMES
from tvmsr.hardware.rules import KNOWN_NEEDS
from tvmsr.hardware.target import architecture

#: Linux's words of /proc/cpuinfo where they differ from the driver's, which levels use in `needs`.
_LINUX = {
    "x86_64": {"avx512vnni": "avx512_vnni", "avxvnni": "avx_vnni", "bmi": "bmi1", "sse4.1": "sse4_1"},
    "aarch64": {"neon": "asimd", "fp16": "asimdhp", "dotprod": "asimddp"},
    "arm": {"dotprod": "asimddp"},
}
#: What `sysctl` of macOS is asked for.
_MACOS = {"dotprod": "FEAT_DotProd", "i8mm": "FEAT_I8MM", "fp16": "FEAT_FP16", "neon": "AdvSIMD"}

#: Numbers of Arm's cores, from the main ID register.
_ARM_PARTS = {
    **{0xC05: "Cortex-A5", 0xC07: "Cortex-A7", 0xC08: "Cortex-A8", 0xC09: "Cortex-A9", 0xC0F: "Cortex-A15"},
    **{0xD03: "Cortex-A53", 0xD04: "Cortex-A35", 0xD05: "Cortex-A55", 0xD07: "Cortex-A57", 0xD08: "Cortex-A72"},
    **{0xD09: "Cortex-A73", 0xD0A: "Cortex-A75", 0xD0B: "Cortex-A76", 0xD0C: "Neoverse N1", 0xD0D: "Cortex-A77"},
    **{0xD40: "Neoverse V1", 0xD41: "Cortex-A78", 0xD42: "Cortex-A78AE", 0xD44: "Cortex-X1", 0xD46: "Cortex-A510"},
    **{0xD47: "Cortex-A710", 0xD48: "Cortex-X2", 0xD49: "Neoverse N2", 0xD4D: "Cortex-A715", 0xD4E: "Cortex-X3"},
    0xD4F: "Neoverse V2",
}
_ARM_LIMITED = "0x41"


def usable_cpus() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def machine() -> str:
    """The instruction set of this process, by the isa table's name: "x86_64", "aarch64", "arm"."""
    name = architecture(platform.machine())
    # 32-bit systems run on 64-bit kernels, which say what they are themselves.
    return "arm" if name == "aarch64" and sys.maxsize < 2**32 else name


def features() -> frozenset[str]:
    """Those features that the driver knows and this CPU has, by the driver's names."""
    name = machine()
    text = _cpuinfo()
    if text:
        return features_in(name, text)
    if platform.system() == "Darwin" and name == "aarch64":
        said, words = _sysctl(), _MACOS
    else:
        said, words = _llvm_features(), LLVM_NAMES.get(name, {})
    return _known(name, said, words)


def features_in(name: str, text: str) -> frozenset[str]:
    """Those features that the driver knows of a machine whose /proc/cpuinfo is `text`. name: as `machine` says it."""
    return _known(name, _words(text), _LINUX.get(name, {}))


def _known(name: str, said: frozenset[str], words: Mapping[str, str]) -> frozenset[str]:
    return frozenset(need for need in KNOWN_NEEDS.get(name, ()) if words.get(need, need) in said)


def cpu_name() -> str:
    """The CPU's name, for people: what x86 says, or the device and the kinds of cores that ARM Linux tells."""
    text = _cpuinfo()
    names = _values(text, "model name")
    cores = _arm_cores(text)
    if cores:
        return ", ".join([*_values(text, "Model")[:1], *cores])
    return names[0] if names else platform.processor() or platform.machine()


def llvm_cpu() -> str:
    """What LLVM calls this CPU. It knows every CPU of the systems that have no /proc/cpuinfo."""
    from tvm.target import codegen

    return str(codegen.llvm_get_system_cpu())


def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _values(text: str, key: str) -> list[str]:
    """Values of a key, once for every processor."""
    pairs = (line.partition(":") for line in text.splitlines())
    return [value.strip() for name, _, value in pairs if name.strip() == key]


def _words(text: str) -> frozenset[str]:
    """Features that every processor has, by Linux's names (x86 "flags", ARM "Features")."""
    lines = [*_values(text, "flags"), *_values(text, "Features")]
    return frozenset.intersection(*(frozenset(line.split()) for line in lines)) if lines else frozenset()


def _arm_cores(text: str) -> list[str]:
    """Kinds of cores, as in "4x Cortex-A76", those numbered last first: systems count their little cores first."""
    kinds = Counter(arm_cores_in(text))
    return [f"{count}x {name}" for name, count in reversed(kinds.items())]


def arm_cores_in(text: str) -> tuple[str, ...]:
    """The core of every processor in a /proc/cpuinfo of ARM, as in "Cortex-A76", in its order; () for other CPUs."""
    pairs = zip(_values(text, "CPU implementer"), _values(text, "CPU part"), strict=False)
    return tuple(
        (_ARM_PARTS.get(int(part, 16)) if implementer == _ARM_LIMITED else None) or f"core {implementer}:{part}"
        for implementer, part in pairs
    )


def x86_name_in(text: str) -> str:
    """What an x86 CPU calls itself in /proc/cpuinfo; "" for other CPUs."""
    return next(iter(_values(text, "model name")), "") if _values(text, "vendor_id") else ""


def _sysctl() -> frozenset[str]:
    """Features of an Apple CPU, by the names that macOS gives them; none where it does not answer."""
    names = {name: f"hw.optional.arm.{name}" for name in _MACOS.values()}
    found = set()
    for name, key in names.items():
        try:
            command = ["/usr/sbin/sysctl", "-n", key]
            done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0 and done.stdout.strip() == "1":
            found.add(name)
    return frozenset(found)


def _llvm_features() -> frozenset[str]:
    """Features of this CPU as LLVM knows them, by its own names."""
    from tvm.target import Target as TvmTarget
    from tvm.target import codegen

    target = TvmTarget({"kind": "llvm", "mcpu": llvm_cpu()})
    return frozenset(map(str, codegen.llvm_get_cpu_features(target)))
