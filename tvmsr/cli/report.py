"""`tvmsr report`: parses, calls the function of its name, and says where the report is."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

import tvmsr
from tvmsr.cli import options as o
from tvmsr.cli import show
from tvmsr.commands.source import DEFAULT_MODEL, Overrides


@o.of_the_network
def report(
    overrides: Overrides,
    data: Annotated[Path, typer.Option("--data", help="Folder of HR pictures to show and measure on.")],
    what: o.What = DEFAULT_MODEL,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The HTML file to write. [default: NAME-report.html]")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="Network of an artifact: its FP32 beside it.")] = None,
    variants: Annotated[
        str | None, typer.Option("--variants", help="Of a network: as `compare` takes them. [default: 8,a6w4]")
    ] = None,
    calib: o.Calib = None,
    hr: o.Hr = False,
    lr: Annotated[Path | None, typer.Option("--lr", help="Folder of LR pictures. [default: made from HR]")] = None,
    threads: o.Threads = None,
    protocol: Annotated[str, typer.Option("--protocol", help="y or rgb.")] = "y",
    seed: Annotated[int | None, typer.Option("--seed", help="Of everything that is drawn at random.")] = None,
    json: o.Json = False,
    verbose: o.Verbose = False,
) -> None:
    """Show what artifacts make of pictures: one HTML file, with a slider, figures, layers."""
    o.log_level(verbose)
    with show.progress_bar() as progress:
        found = tvmsr.report(
            what, data=data, out=out, model=model, calib=calib, hr=hr, lr=lr, variants=variants, threads=threads,
            protocol=protocol, seed=seed, overrides=overrides, command=_typed(), progress=progress,
        )  # fmt: skip
    if json:
        return show.as_json(found.as_json())
    show.notes(found.report.notes)
    show.facts(found.facts)
    return None


def _typed() -> str:
    return shlex.join(["tvmsr", *sys.argv[1:]])
