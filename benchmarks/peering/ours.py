"""Our side: artifacts at several bits, the memory of a plain C program that has one open, what low bits cost."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tvmsr
from peering.networks import U8, Network, Sources
from tvmsr.devices.child import Child
from tvmsr.devices.hosted import Connection, HostedRunner
from tvmsr.devices.program import host_program
from tvmsr.devices.runner import Opening
from tvmsr.runtime import usable_levels

#: Every level of this kind of CPU, so that one artifact serves CPUs held to AVX2 too.
TARGET = "x86-64-v3" if platform.machine() == "x86_64" else "host"

#: dB that trained weights may lose at some bits for the times at these bits to count.
MOST_LOST = 1.0


@dataclass(frozen=True)
class Artifact:
    """bits as --bits takes them."""

    bits: str
    path: Path


def compile_at(weights: Path, bits: str, sources: Sources) -> Artifact:
    """Compile a network with the calibration that the peers get, too; once."""
    how = sources.calibration
    path = sources.work / f"{weights.stem}-{bits}.so"
    if not path.is_file():
        tvmsr.compile(weights, target=TARGET, bits=bits, calib=how.calib, hr=how.hr, out=path)
    return Artifact(bits, path)


def host_peak(artifact: Artifact, picture: U8, threads: int, level: str) -> int:
    """VmHWM in bytes of the C host program after one picture: code, weights, both pictures and the workspace."""
    manifest = tvmsr.load(artifact.path, threads=1).manifest
    connection = Connection(Child((str(host_program(manifest["link_triple"])),), "the host program"))
    with HostedRunner(connection, artifact.path, manifest, Opening(threads=threads, level=level or None)) as runner:
        runner.upscale(picture)
        return runner.memory().peak


def lacks(artifact: Artifact, level: str) -> str:
    """Why the artifact does not run at a level; "" where it does."""
    levels = usable_levels(artifact.path)
    return "" if not level or level in levels else f"this CPU runs {', '.join(levels)}"


def losses(network: Network, bits: Sequence[str], sources: Sources) -> dict[str, float]:
    """dB of PSNR on Y (Set5) that a network's trained weights lose against FP32, by bits. Needs the pictures."""
    assert sources.images is not None
    model, data = sources.checkpoint(network.judge), sources.images / "set5"
    found: dict[str, float] = {}
    fp32 = 0.0
    for one in bits:
        path = compile_at(model, one, sources).path
        mean = tvmsr.evaluate(path, data=data, model=None if found else model).as_json()["mean"]
        fp32 = mean.get("fp32_psnr_y", fp32)
        found[one] = float(fp32 - mean["psnr_y"])
    return found
