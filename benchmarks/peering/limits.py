"""What this machine is and can do: CPU, versions, and the peaks of the primitives, measured here and now."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from peering.turns import environment
from tvmsr.hardware.cpuinfo import features
from tvmsr.hardware.peaks import Meter
from tvmsr.hardware.registry import host_levels
from tvmsr.kernels.host import missing_features

#: Rounds of all bare loops before and after the rows.
ROUNDS = 6

#: Levels of the isa table that no CPU of today stops at.
_OLD = ("sse41", "portable")

#: Words of /proc/cpuinfo that kernels are chosen by.
FLAGS = (
    "sse4_2", "avx", "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16", "amx_tile",
    "amx_int8", "amx_bf16",
)  # fmt: skip


def peaks(threads: list[int]) -> dict[str, dict[str, float]]:
    """GMAC/s of every primitive that this CPU has, FP32 among them, and GB/s of its memories, by number of threads."""
    found: dict[str, dict[str, float]] = {}
    for isa in dict.fromkeys(level.isa for level in host_levels() if level.isa not in _OLD):
        meter = Meter(isa, threads)
        for _ in range(ROUNDS):
            meter.round()
        measured = meter.peaks()
        values = [(f"GMAC/s, {roof.words}", roof.threads, roof.gmacs) for roof in measured.roofs]
        values += [(f"GB/s, reads of {read.memory}", read.threads, read.gb_s) for read in measured.bandwidths]
        for title, count, value in values:
            kept = found.setdefault(title, {})
            kept[str(count)] = max(value, kept.get(str(count), 0.0))
    return found


def machine() -> dict[str, Any]:
    """The CPU by name, its flags that matter, cores and memory."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    said = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    have = said.get("flags", "").split()
    keys = ("vendor_id", "cpu family", "model", "model name", "stepping")
    return {
        "cpu": ", ".join(f"{key} {said[key]}" for key in keys if key in said),
        "flags": [flag for flag in FLAGS if flag in have] or sorted(features()),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
    }


def has_more_than_avx2() -> bool:
    """True where holding peers to AVX2 makes a difference."""
    return not missing_features("avx2") and (not missing_features("avx512vnni") or not missing_features("avxvnni"))


def versions(python: str, names: list[str]) -> dict[str, str]:
    """Of the peers, as their interpreter has them; "not installed" where it has not."""
    found = {"tvmsr": f"{version('tvmsr')}, TVM {version('apache-tvm')}"}
    for name in names:
        program = f"from peering.runtimes import runtime; print(runtime({name!r}).version())"
        done = subprocess.run(
            [python, "-c", program], capture_output=True, text=True, env=environment(1, {}), check=False
        )
        found[name] = done.stdout.strip() if done.returncode == 0 else "not installed"
    return found


def memory_available() -> int:
    """Bytes that can be had without swapping."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable"))
