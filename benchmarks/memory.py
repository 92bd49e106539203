"""Memory of a C program that upscales one picture, beside what the artifact says that it will take.

    python benchmarks/memory.py abpn_x3.safetensors --device qemu:aarch64:cortex-a76 --target arm

Opens each artifact in the host program of tvmsr.devices. `mapped` counts the resident pages of the program's own
mappings (not those of an emulator): code, weights, pictures, workspace. Predicted is tvmsr_workspace, asked before.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import tvmsr
from tvmsr.devices import find_device
from tvmsr.devices.runner import Opening

MIB = 2**20


@dataclass(frozen=True)
class Row:
    """MiB. opened: after opening a session; upscaled: after one picture; pictures: input and output."""

    network: str
    device: str
    level: str
    threads: int
    opened: float
    upscaled: float
    pictures: float
    workspace: float
    predicted: float


def measure(network: str, artifact: Path, device: str, threads: int, size: tuple[int, int]) -> Row:
    """One artifact on one device."""
    width, height = size
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    with find_device(device) as where, where.open(artifact, Opening(threads=threads)) as runner:
        predicted, opened = runner.workspace(width, height), runner.memory().mapped
        result = runner.upscale(picture)
        return Row(
            network=network,
            device=device,
            level=runner.level,
            threads=threads,
            opened=opened / MIB,
            upscaled=runner.memory().mapped / MIB,
            pictures=(picture.size + result.size) / MIB,
            workspace=runner.last().workspace / MIB,
            predicted=predicted / MIB,
        )


def main() -> None:
    """Compile, run, print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="+")
    parser.add_argument("--device", default="qemu:aarch64")
    parser.add_argument("--target", default="arm")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    width, height = (int(n) for n in given.size.split("x"))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for network in given.networks:
            made = tvmsr.compile(network, target=given.target, out=Path(folder, f"{Path(network).stem}.so"))
            rows.append(measure(Path(network).stem, made.artifact, given.device, given.threads, (width, height)))
    if given.json:
        print(json.dumps([asdict(row) for row in rows]))
        return
    heads = ("network", "level", "opened", "upscaled", "of which pictures", "workspace", "predicted")
    print("| " + " | ".join(heads) + " |")
    print("|---|---" + "|---:" * 5 + "|")
    for r in rows:
        numbers = (r.opened, r.upscaled, r.pictures, r.workspace, r.predicted)
        print(f"| {r.network} | {r.level} | " + " | ".join(f"{n:.1f}" for n in numbers) + " |")


if __name__ == "__main__":
    main()
