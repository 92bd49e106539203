"""`tvmsr bench`: how fast an artifact is, here, on a device, or on several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tvmsr.commands.benchmark.profile import LayerTime, Profile
from tvmsr.commands.benchmark.results import Benchmark, Benchmarks, DeviceResult, PeerResult, Timing
from tvmsr.commands.progress import Progress, silent
from tvmsr.commands.source import DEFAULT_MODEL, Overrides

if TYPE_CHECKING:
    from tvmsr.devices import Device

__all__ = [
    "Benchmark",
    "Benchmarks",
    "DeviceResult",
    "LayerTime",
    "PeerResult",
    "Profile",
    "Timing",
    "bench",
    "bench_devices",
]


def bench(
    what: str | Path = DEFAULT_MODEL,
    *,
    width: int = 640,
    height: int = 360,
    threads: int | Sequence[int] = (1, 2),
    level: str | None = None,
    choice: str = "auto",
    layers: bool = False,
    device: str | Device = "here",
    target: str | None = None,
    bits: str = "8",
    runs: int | None = None,
    peer: str = "",
    model: str | Path | None = None,
    svg: str | Path | None = None,
    overwrite: bool = False,
    overrides: Overrides | None = None,
    progress: Progress = silent,
) -> Benchmark:
    """Time `what`, an artifact or a network, on a noise picture of the given LR size, for every thread count.

    device: where it runs; what else is open in its session ends, as each count has a new one. target, bits: what a
    network is compiled for first (default: the device's own target). choice: of bits, by its name. runs: exactly so
    many after warm-up. layers: a profile, too, on the first of `threads`, beside the machine's peaks; svg: where to
    draw its roofline, over a file that exists with `overwrite` only. peer: "ort" or "ncnn" runs the same network there
    by turns; of an artifact, `model` names it. Raises UsageError, InputFileError, WorkError or DeviceError.
    """
    from tvmsr.commands.benchmark.chart import check_chart, write_chart
    from tvmsr.commands.benchmark.material import Material
    from tvmsr.commands.benchmark.one import Wish, bench_on, check_peer, thread_counts
    from tvmsr.devices import find_device

    if svg is not None:
        check_chart(Path(svg), layers=layers, overwrite=overwrite)
    wish = Wish((width, height), thread_counts(threads), level, layers, runs, peer, choice)
    material = Material(
        what, target=target, bits=bits, choice=choice, overrides=overrides, model=model, peer=peer, progress=progress
    )
    with material, find_device(device) as where:
        check_peer(where, wish)
        subject = material.subject(material.target_for(where))
        done = 0

        def tick() -> None:
            nonlocal done
            done += 1
            progress("bench", done, len(wish.threads))

        progress("bench", 0, len(wish.threads))
        found = bench_on(where, subject, wish, tick)
    if svg is not None:
        write_chart(found, Path(svg), overwrite=overwrite)
    return found


def bench_devices(
    what: str | Path = DEFAULT_MODEL,
    *,
    devices: str | Sequence[Device],
    width: int = 640,
    height: int = 360,
    threads: int | Sequence[int] = (1, 2),
    level: str | None = None,
    choice: str = "auto",
    layers: bool = False,
    target: str | None = None,
    bits: str = "8",
    runs: int | None = None,
    peer: str = "",
    model: str | Path | None = None,
    overrides: Overrides | None = None,
    progress: Progress = silent,
) -> Benchmarks:
    """`bench` on several devices ("pi5,pixel8", "all", or a list), at the same time where they are not one machine.

    A device that fails has its error in the result; the others go on. A network is compiled for each device's own
    target unless `target` is given. Raises UsageError, InputFileError or WorkError for what is wrong with `what`.
    """
    from tvmsr.commands.benchmark.material import Material
    from tvmsr.commands.benchmark.one import Wish, thread_counts
    from tvmsr.commands.benchmark.several import bench_on_all
    from tvmsr.devices.pool.together import opened_devices

    wish = Wish((width, height), thread_counts(threads), level, layers, runs, peer, choice)
    material = Material(
        what, target=target, bits=bits, choice=choice, overrides=overrides, model=model, peer=peer, progress=progress
    )
    with material, opened_devices(devices) as found:
        return bench_on_all(found, material, wish, progress)
