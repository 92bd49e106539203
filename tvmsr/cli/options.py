"""The options of the command line: one vocabulary, each defined once."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from tvmsr.commands.source import Overrides
from tvmsr.errors import UsageError

Model = Annotated[
    str, typer.Argument(metavar="MODEL", help="Network: .safetensors, .pth, .onnx, .pt2, default:x2 or default:x4.")
]
What = Annotated[str, typer.Argument(metavar="ART|MODEL", help="An artifact (.so), or a network.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="What to write. [default: a name made of the parts]")]
TargetName = Annotated[str, typer.Option("--target", help="What to compile for; `tvmsr targets` lists them.")]
Bits = Annotated[str, typer.Option("--bits", help="8, 6, or activations and weights as in a6w4.")]
Method = Annotated[str, typer.Option("--method", help="Ranges: minmax, percentile or mse.")]
Calib = Annotated[Path | None, typer.Option("--calib", help="Folder of pictures to calibrate with.")]
Hr = Annotated[bool, typer.Option("--hr", help="The calibration pictures are HR: downsize them first.")]
LayerBits = Annotated[
    list[str] | None, typer.Option("--layer-bits", metavar="NAME=BITS", help="Pin the activations a layer reads.")
]
PlanFile = Annotated[Path | None, typer.Option("--plan", help="Use this plan.json instead of calibrating.")]
Equalise = Annotated[bool, typer.Option("--equalise/--no-equalise", help="Scales per channel folded into neighbours.")]
Correct = Annotated[bool, typer.Option("--bias-correction/--no-bias-correction", help="Take back the mean error.")]
Scale = Annotated[int | None, typer.Option("--scale", help="Scale of the network, where its file cannot tell.")]
Range = Annotated[float | None, typer.Option("--range", help="Value range of the network: 1 or 255.")]
Colour = Annotated[str | None, typer.Option("--colour", help="What the network computes: rgb or y.")]
FamilyName = Annotated[str | None, typer.Option("--family", help="Architecture family; `tvmsr models` lists them.")]
Seed = Annotated[int, typer.Option("--seed", help="Of everything that is drawn at random.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log what is done; full traces of failures.")]
Threads = Annotated[int | None, typer.Option("--threads", min=1, max=256, help="Threads. [default: all cores]")]
LevelName = Annotated[str | None, typer.Option("--level", help="Force a CPU level of the artifact.")]


def overrides(scale: int | None, value_range: float | None, colour: str | None, family: str | None) -> Overrides:
    """What the user said of the network."""
    return Overrides(scale=scale, range=value_range, colour=colour, family=family)


def layer_bits(pairs: list[str] | None) -> dict[str, int]:
    """["body.3=16"] as {"body.3": 16}. Raises UsageError."""
    parsed: dict[str, int] = {}
    for pair in pairs or []:
        name, _, bits = pair.rpartition("=")
        if not name or not bits.isdigit():
            raise UsageError(f"--layer-bits {pair}: expected NAME=BITS, for example body.3=16")
        parsed[name] = int(bits)
    return parsed


def size(text: str) -> tuple[int, int]:
    """Read "640x360" as (640, 360). Raises UsageError."""
    width, _, height = text.lower().partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise UsageError(f"--size {text}: expected WIDTHxHEIGHT, for example 640x360")
    return int(width), int(height)


def log_level(verbose: bool) -> None:
    """--verbose logs to standard error."""
    if verbose:
        logging.basicConfig(format="%(name)s: %(message)s")
        logging.getLogger("tvmsr").setLevel(logging.INFO)


def counts(text: str) -> tuple[int, ...]:
    """Read "1,2" as (1, 2). Raises UsageError."""
    parts = text.split(",")
    if not all(part.strip().isdigit() and 0 < int(part) <= 256 for part in parts):
        raise UsageError(f"--threads {text}: expected thread counts such as 1,2")
    return tuple(int(part) for part in parts)
