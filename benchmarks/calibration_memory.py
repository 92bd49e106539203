"""Memory and seconds of `tvmsr calibrate`, each run in a process of its own.

    python benchmarks/calibration_memory.py edsr8_x2.safetensors ... --images IMAGES --json FILE --out FILE

IMAGES has the folder train (HR, downsized). Peak: the largest resident set that the system saw of the process (of
calibration with --learn, torch among it). What is in the JSON file is not measured again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from peering.store import write_whole

GIB = 2**30
#: Options of calibrate.
WAYS = ("--bits auto:a4w4", "--bits auto:a4w4 --learn")


def run(command: Sequence[str]) -> dict[str, float]:
    """Peak bytes and seconds of a process; SystemExit with its words where it fails.

    What this process holds itself is the least that the system says of any child, so it must import nothing large.
    """
    start = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise SystemExit(f"{' '.join(command)}:\n{said.read().decode(errors='replace')}")
    unit = 1 if sys.platform == "darwin" else 1024
    return {"peak": used.ru_maxrss * unit, "seconds": time.perf_counter() - start}


def measure(network: str, way: str, images: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        options = ["--calib", str(images / "train"), "--hr", "-o", str(Path(scratch) / "some.plan.json")]
        found = run([sys.executable, "-m", "tvmsr", "calibrate", network, *way.split(), *options])
    return {"key": f"{Path(network).stem} {way}", "network": Path(network).stem, "way": way, **found}


def table(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Markdown: a row for each run."""
    rows = [f"| {r['network']} | `{r['way']}` | {r['peak'] / GIB:.2f} | {r['seconds']:.0f} |" for r in records]
    return ["| network | options | peak, GiB | seconds |", "|---|---|---:|---:|", *rows]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="+")
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--json", type=Path, required=True, help="what was measured: written, and read")
    parser.add_argument("--out", type=Path, required=True, help="the table")
    parser.add_argument("--ways", nargs="+", default=WAYS, help='of options, each one argument: "--bits a4w4"')
    args = parser.parse_args(arguments)
    found = {one["key"]: one for one in (json.loads(args.json.read_text()) if args.json.exists() else [])}
    shown = []
    for network in args.networks:
        for way in args.ways:
            key = f"{Path(network).stem} {way}"
            if key not in found:
                found[key] = measure(network, way, args.images)
                write_whole(args.json, list(found.values()))
            shown.append(found[key])
            args.out.write_text("\n".join(table(shown)) + "\n")


if __name__ == "__main__":
    main()
