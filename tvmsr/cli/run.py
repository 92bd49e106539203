"""Commands that run networks and artifacts: each parses, calls the function of its name, and shows the result."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

import tvmsr
from tvmsr.adabm_paper.protocol import Protocol
from tvmsr.cli import options as o
from tvmsr.cli import show
from tvmsr.commands.source import Overrides
from tvmsr.commands.upscale import UnreadableError, Upscaled


def upscale(
    artifact: Annotated[Path, typer.Argument(metavar="ART", help="An artifact made by `tvmsr compile`.")],
    source: Annotated[Path, typer.Argument(metavar="IN", help="A PNG, JPEG, WebP or TIFF, or a folder of them.")],
    out: Annotated[
        Path | None, typer.Argument(metavar="[OUT]", help="File or folder to write. [default: IN-xSCALE beside IN]")
    ] = None,
    scale: Annotated[
        float | None, typer.Option("--scale", help="Of the results: at most the network's. [default: the network's]")
    ] = None,
    format: Annotated[
        str, typer.Option("--format", help="png, jpg, webp or tif: of results that OUT does not name.")
    ] = "png",
    tile: Annotated[
        int | None, typer.Option("--tile", min=1, help="Run in tiles of so many pixels. [default: as memory allows]")
    ] = None,
    threads: o.Threads = None,
    level: o.LevelName = None,
    choice: o.ChoiceName = "auto",
    memory: Annotated[
        int | None, typer.Option("--memory", min=1, help="Limit of memory, MiB. [default: what is free]")
    ] = None,
    device: o.DeviceName = "here",
    check: Annotated[bool, typer.Option("--check", help="Let the artifact check itself first.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
    json: o.Json = False,
    verbose: o.Verbose = False,
) -> None:
    """Upscale a picture, or a folder of pictures; results that are there already are kept, so a run can go on."""
    o.log_level(verbose)
    broken: UnreadableError | None = None
    try:
        with show.progress_bar() as progress:
            done = tvmsr.upscale(
                artifact, source, out, scale=scale, format=format, tile=tile, threads=threads, level=level,
                choice=choice, memory=memory, device=device, check=check, overwrite=overwrite, progress=progress,
            )  # fmt: skip
    except UnreadableError as error:
        done, broken = error.done, error
    show.as_json(done.as_json()) if json else _show_upscaled(done, verbose)
    if broken is not None:
        raise broken


def _show_upscaled(done: Upscaled, verbose: bool) -> None:
    found = done.as_json()
    show.notes(found["notices"])
    for row in found["files"]:
        choice = f"  choice {row['choice']}" if verbose and "choice" in row else ""
        show.say(f"{row['file']}  {row['width']}x{row['height']}{choice}")
    if done.there:
        total = len(done.there) + len(done.files) + len(done.failed)
        show.say(f"{len(done.there)} of {total} were there already, of an earlier run")
    if done.files:
        show.say(f"{done.seconds:.3f} s in the artifact, level {done.level}")
    if len(done.devices) > 1:
        shares = [(x.device, str(x.pictures), f"{x.seconds:.3f}", x.level, x.out) for x in done.devices]
        show.rows(("device", "pictures", "seconds", "level", "taken out"), shares)


@o.of_the_network
@o.of_the_paper
def evaluate(
    overrides: Overrides,
    settings: Protocol | None,
    data: Annotated[Path, typer.Option("--data", help="Folder of HR pictures.")],
    what: o.What = "default:x2",
    lr: Annotated[Path | None, typer.Option("--lr", help="Folder of LR pictures. [default: made from HR]")] = None,
    model: Annotated[str | None, typer.Option("--model", help="Adds the FP32 figures of this network.")] = None,
    plan: Annotated[Path | None, typer.Option("--plan", help="Run the network by this plan (reference).")] = None,
    protocol: Annotated[str, typer.Option("--protocol", help="y or rgb.")] = "y",
    threads: o.Threads = None,
    level: o.LevelName = None,
    choice: o.ChoiceName = "auto",
    device: o.DeviceName = "here",
    method: Annotated[
        str | None, typer.Option("--method", help="adabm-paper: the network by AdaBM as published.")
    ] = None,
    bits: Annotated[str | None, typer.Option("--bits", help="With --method. [default: a6w8]")] = None,
    calib: o.Calib = None,
    hr: o.Hr = False,
    seed: o.Seed = 0,
    json: o.Json = False,
    verbose: o.Verbose = False,
) -> None:
    """Measure PSNR and SSIM."""
    o.log_level(verbose)
    with show.progress_bar() as progress:
        found = tvmsr.evaluate(
            what, data=data, lr=lr, model=model, plan=plan, protocol=protocol, threads=threads, level=level,
            choice=choice, device=device, method=method, bits=bits, settings=settings, calib=calib, hr=hr, seed=seed,
            overrides=overrides, progress=progress,
        )  # fmt: skip
    data_out = found.as_json()
    if json:
        return show.as_json(data_out)
    show.notes(data_out["notes"])
    keys = list(data_out["mean"])
    lines = [[row["name"], *(_figure(row.get(key)) for key in keys)] for row in data_out["images"]]
    lines.append(["mean", *(_figure(data_out["mean"][key]) for key in keys)])
    show.rows(["picture", *keys], lines)
    if found.choices:
        show.say(f"pictures by bit choice: {', '.join(f'{name} {count}' for name, count in found.choices.items())}")
    return None


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}" if abs(value) <= 1 else f"{value:.2f}"


@o.of_the_network
def bench(
    overrides: Overrides,
    what: o.What = "default:x2",
    size: Annotated[str, typer.Option("--size", help="LR size, WIDTHxHEIGHT.")] = "640x360",
    threads: Annotated[str, typer.Option("--threads", help="Thread counts, comma separated.")] = "1,2",
    level: o.LevelName = None,
    choice: o.ChoiceName = "auto",
    layers: Annotated[
        bool, typer.Option("--layers", help="A profile: time, share of the peak and bytes of every layer.")
    ] = False,
    svg: Annotated[Path | None, typer.Option("--svg", help="With --layers: draw its roofline, to this file.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a chart that exists.")] = False,
    device: o.DeviceName = "here",
    runs: Annotated[int | None, typer.Option("--runs", min=1, help="Timed runs. [default: as many as needed]")] = None,
    peer: Annotated[str, typer.Option("--peer", help="ort or ncnn: that runtime on the same network, there.")] = "",
    model: Annotated[str | None, typer.Option("--model", help="For --peer: the network of an artifact.")] = None,
    target: Annotated[
        str | None, typer.Option("--target", help="What a network is compiled for. [default: the device's]")
    ] = None,
    bits: o.Bits = "8",
    json: o.Json = False,
    verbose: o.Verbose = False,
) -> int:
    """Time an artifact, or a network that is compiled first; on several devices at once (--device a,b or all)."""
    from tvmsr.cli import benches
    from tvmsr.commands.bench import bench_devices
    from tvmsr.errors import DeviceError, UsageError

    o.log_level(verbose)
    width, height = o.size(size)
    how: dict[str, Any] = {
        "width": width, "height": height, "threads": o.counts(threads), "level": level, "choice": choice,
        "layers": layers, "runs": runs, "peer": peer, "model": model, "target": target, "bits": bits,
        "overrides": overrides,
    }  # fmt: skip
    if "," in device or device == "all":
        if svg is not None:
            raise UsageError(f"--svg draws one device; --device {device} names several")
        with show.progress_bar() as progress:
            all_found = bench_devices(what, devices=device, progress=progress, **how)
        show.as_json(all_found.as_json()) if json else benches.several(all_found)
        return DeviceError.exit_code if all_found.failed else 0
    with show.progress_bar() as progress:
        found = tvmsr.bench(what, device=device, svg=svg, overwrite=overwrite, progress=progress, **how)
    show.as_json(found.as_json()) if json else benches.one(found)
    return 0


@o.of_the_network
def verify(
    overrides: Overrides,
    artifact: Annotated[Path, typer.Argument(metavar="ART", help="The artifact.")],
    model: Annotated[
        str | None, typer.Option("--model", help="The network it was made from. [default: check by its checksums]")
    ] = None,
    plan: Annotated[Path | None, typer.Option("--plan", help="Its plan. [default: the one inside]")] = None,
    device: o.DeviceName = "here",
    seed: o.Seed = 0,
    json: o.Json = False,
    verbose: o.Verbose = False,
) -> None:
    """Compare an artifact with the reference executor, byte for byte, at every level that the device's CPU has."""
    o.log_level(verbose)
    with show.progress_bar() as progress:
        found = tvmsr.verify(
            artifact, model=model, plan=plan, device=device, seed=seed, overrides=overrides, progress=progress
        )
    if json:
        return show.as_json(found.as_json())
    against = {
        "reference": "the reference executor's bytes",
        "checksums": "the checksums that its compiler left in it (--model compares bytes and names layers)",
    }
    for one in found.each:
        for level, why in one.skipped:
            show.say(f"skipped {level}: {why}")
        counts = ", ".join(map(str, one.threads))
        show.say(f"equal to {against[one.proof]}")
        show.say(f"{one.bytes:,} bytes in {one.runs} runs of {one.pictures} pictures, in up to {one.strips} strips")
        show.say(f"on {one.device}, levels {', '.join(one.levels)}, with {counts} threads")
    return None
