"""`tvmsr compare`: parses, calls the function of its name, and shows the tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import tvmsr
from tvmsr.cli import options as o
from tvmsr.cli import show
from tvmsr.commands.calibrate import Calibration
from tvmsr.commands.comparison.variants import DEFAULT_VARIANTS
from tvmsr.commands.source import DEFAULT_MODEL, Overrides


@o.of_the_network
def compare(
    overrides: Overrides,
    data: Annotated[Path, typer.Option("--data", help="Folder of HR pictures to measure on.")],
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A network, not quantized yet.")] = DEFAULT_MODEL,
    calib: o.Calib = None,
    hr: o.Hr = False,
    lr: Annotated[Path | None, typer.Option("--lr", help="Folder of LR pictures. [default: made from HR]")] = None,
    variants: Annotated[
        str,
        typer.Option("--variants", help="fp32, bits, methods, strict, ...; some joined by +. cfqp alone: its study."),
    ] = DEFAULT_VARIANTS,
    way: o.Way = Calibration.way,
    sets: Annotated[
        int | None,
        typer.Option("--sets", min=2, help="PSNR over random calibration sets, too. [default: 30 for cfqp]"),
    ] = None,
    size: Annotated[str, typer.Option("--size", help="LR size to time, WIDTHxHEIGHT.")] = "640x360",
    threads: o.Threads = None,
    protocol: Annotated[str, typer.Option("--protocol", help="y or rgb.")] = "y",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the tables to this file, as Markdown.")] = None,
    seed: o.Seed = 0,
    json: o.Json = False,
    verbose: o.Verbose = False,
) -> None:
    """Compare ways to quantize a network: PSNR, SSIM, time, size."""
    o.log_level(verbose)
    width, height = o.size(size)
    with show.progress_bar() as progress:
        found = tvmsr.compare(
            model, data=data, calib=calib, hr=hr, lr=lr, variants=variants, way=way, sets=sets, width=width,
            height=height, threads=threads, protocol=protocol, seed=seed, out=out, overrides=overrides,
            progress=progress,
        )  # fmt: skip
    if json:
        return show.as_json(found.as_json())
    show.notes(found.notes)
    for number, table in enumerate(found.tables):
        show.say(f"\n{table.title}" if number else table.title)
        show.rows(table.columns, table.lines)
    return None
