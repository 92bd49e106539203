"""What devices cost: sizes, memory, what RPC adds to an artifact's own time, and the way from `add` to a first result.

    python benchmarks/device_costs.py

The table of docs/results.md. The board that `add` goes to is the tests': a real sshd here, an emulated Cortex-A76
behind it. Everything is on one machine, so nothing of a network is in the figures. Minimum of the runs.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the board is the tests'

import tvmsr
from tests.devices.reach.sshd import Board
from tvmsr.devices.reach import Direct
from tvmsr.devices.rpc.device import RpcDevice
from tvmsr.devices.server.build import device_program

TRIPLES = {
    "x86-64": "x86_64-linux-gnu.2.17",
    "aarch64": "aarch64-linux-gnu.2.17",
    "ARMv7": "arm-linux-gnueabihf.2.17",
}
SIZES = ((64, 36), (320, 180), (640, 360))
RUNS = 15


def main() -> None:
    print("| what | figure |\n|---|---:|")
    for name, triple in TRIPLES.items():
        print(f"| tvmsr-device, {name}, stripped | {device_program(triple).stat().st_size / 2**20:.2f} MiB |")
    with tempfile.TemporaryDirectory() as folder, _server() as (pid, port):
        print(f"| resident, idle | {_resident(pid):.1f} MiB |")
        here, arm = Path(folder, "here.so"), Path(folder, "arm.so")
        tvmsr.compile(out=here)
        tvmsr.compile(out=arm, target="arm")
        for line in _overheads(port, here):
            print(line)
        for line in _first_result(Path(folder), arm):
            print(line)


@contextmanager
def _server() -> Iterator[tuple[int, int]]:
    """The native server: its process and its port."""
    command = [str(device_program(TRIPLES["x86-64"])), "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        yield process.pid, int(process.stdout.readline().rsplit(":", 1)[1])
    finally:
        process.terminate()
        process.wait()


def _resident(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", text)
    assert found is not None
    return int(found[1]) / 1024


def _overheads(port: int, artifact: Path) -> Iterator[str]:
    with RpcDevice("here over RPC", Direct("127.0.0.1", port)) as device:
        start = time.perf_counter()
        with device.open(artifact) as runner:
            yield f"| connect, upload {artifact.stat().st_size / 2**10:.0f} KiB, load, open | {_ms(start):.1f} ms |"
            calls = []
            for _ in range(200):
                start = time.perf_counter()
                runner.last()
                calls.append(_ms(start))
            yield f"| a call that does nothing (median of 200) | {np.median(calls) * 1e3:.0f} us |"
            for width, height in SIZES:
                picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
                wall, own = [], []
                for _ in range(RUNS):
                    start = time.perf_counter()
                    runner.upscale(picture)
                    wall.append(_ms(start))
                    own.append(runner.last().seconds * 1e3)
                added = f"{min(own):.1f} ms in the artifact, {min(wall):.1f} ms with the way there and back"
                yield f"| default:x2, {width}x{height} | {added} |"


def _first_result(folder: Path, artifact: Path) -> Iterator[str]:
    os.environ["TVMSR_CONFIG"] = str(folder / "config")
    picture = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    with Board(folder / "board") as board:
        for title in ("first time, 1.7 MB server copied", "again, the server is there"):
            start = time.perf_counter()
            tvmsr.add_device(
                "board",
                ssh=f"{os.environ.get('USER', 'root')}@{board.host}",
                ssh_options=("-F", str(board.config)),
                overwrite=True,
            )
            added = time.perf_counter() - start
            with tvmsr.device("board") as device, device.open(artifact) as runner:
                runner.upscale(picture)
            whole = time.perf_counter() - start
            yield f"| `device add --ssh`, emulated board, {title} | {added:.2f} s; first result after {whole:.2f} s |"


def _ms(start: float) -> float:
    return (time.perf_counter() - start) * 1e3


if __name__ == "__main__":
    main()
