"""Commands that make plans and artifacts: each parses, calls the function of its name, and shows the result."""

from __future__ import annotations

from typing import Annotated

import typer

import tvmsr
from tvmsr.cli import options as o
from tvmsr.cli import show
from tvmsr.commands.source import DEFAULT_MODEL, Overrides


@o.of_the_network
def compile(
    overrides: Overrides,
    model: o.Model = None,
    out: o.Out = None,
    target: o.TargetName = "host",
    bits: o.Bits = "8",
    method: o.Method = "minmax",
    calib: o.Calib = None,
    hr: o.Hr = False,
    layer_bits: o.LayerBits = None,
    equalise: o.Equalise = True,
    bias_correction: o.Correct = True,
    plan: o.PlanFile = None,
    emit: Annotated[str, typer.Option("--emit", help="so, or static for a .a.")] = "so",
    prefix: Annotated[str, typer.Option("--prefix", help="Prefix of the exported symbols.")] = "tvmsr",
    cc: Annotated[str | None, typer.Option("--cc", help="Another compiler to link with than ziglang.")] = None,
    seed: o.Seed = 0,
    json: o.Json = False,
    verbose: o.Verbose = False,
) -> None:
    """Compile a network to one shared library."""
    o.log_level(verbose)
    chosen = _or_default(model)
    with show.progress_bar() as progress:
        made = tvmsr.compile(
            chosen, out=out, target=target, bits=bits, method=method, calib=calib, hr=hr,
            layer_bits=o.layer_bits(layer_bits), equalise=equalise, bias_correction=bias_correction, plan=plan,
            emit=emit, prefix=prefix, cc=cc, seed=seed,
            overrides=overrides, progress=progress,
        )  # fmt: skip
    if json:
        return show.as_json(made.as_json())
    show.notes(made.notes)
    show.facts(
        [
            ("artifact", str(made.artifact)),
            ("network", made.model),
            ("target", f"{made.target} ({', '.join(made.levels)})"),
            ("bits", made.bits),
            ("size", f"{made.size / 1024:.0f} KiB, of which weights {made.weights_size / 1024:.0f} KiB"),
            ("took", f"{made.seconds:.1f} s"),
        ]
    )
    return None


@o.of_the_network
def calibrate(
    overrides: Overrides,
    model: o.Model = None,
    out: o.Out = None,
    bits: o.Bits = "8",
    method: o.Method = "minmax",
    calib: o.Calib = None,
    hr: o.Hr = False,
    layer_bits: o.LayerBits = None,
    equalise: o.Equalise = True,
    bias_correction: o.Correct = True,
    seed: o.Seed = 0,
    json: o.Json = False,
    verbose: o.Verbose = False,
) -> None:
    """Quantize a network after training; write the plan."""
    o.log_level(verbose)
    chosen = _or_default(model)
    with show.progress_bar() as progress:
        made = tvmsr.calibrate(
            chosen, out=out, bits=bits, method=method, calib=calib, hr=hr, layer_bits=o.layer_bits(layer_bits),
            equalise=equalise, bias_correction=bias_correction, seed=seed,
            overrides=overrides, progress=progress,
        )  # fmt: skip
    if json:
        return show.as_json(made.as_json())
    show.notes(made.notes)
    show.say(f"{made.path}")
    return None


def _or_default(model: str | None) -> str:
    if model is None:
        show.notes([f"no MODEL given: {DEFAULT_MODEL}, the embedded x2 network"])
    return model or DEFAULT_MODEL
