"""Commands that make plans and artifacts: each parses, calls the function of its name, and shows the result."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Annotated, Any

import typer

import tvmsr
from tvmsr.cli import frontiers, show
from tvmsr.cli import options as o
from tvmsr.commands.source import DEFAULT_MODEL, Overrides
from tvmsr.errors import Interrupted


@o.of_the_network
@o.of_calibration
def compile(
    overrides: Overrides,
    calibration: dict[str, Any],
    model: o.Model = None,
    out: o.Out = None,
    target: o.TargetName = None,
    device: Annotated[
        str | None, typer.Option("--device", help="Compile for the target of a device that was added.")
    ] = None,
    plan: o.PlanFile = None,
    emit: Annotated[str, typer.Option("--emit", help="so, static for a .a and its .h, or so,static.")] = "so",
    prefix: Annotated[str, typer.Option("--prefix", help="Prefix of the exported symbols.")] = "tvmsr",
    cc: Annotated[str | None, typer.Option("--cc", help="Another compiler to link with than ziglang.")] = None,
    seed: o.Seed = 0,
    json: o.Json = False,
    verbose: o.Verbose = False,
) -> None:
    """Compile a network to one shared library, or a static one."""
    o.log_level(verbose)
    chosen = _or_default(model)
    with _told_when_stopped(), show.progress_bar() as progress:
        made = tvmsr.compile(
            chosen, out=out, target=target, device=device, plan=plan, emit=emit, prefix=prefix, cc=cc, seed=seed,
            overrides=overrides, progress=progress, **calibration,
        )  # fmt: skip
    if json:
        return show.as_json(made.as_json())
    show.notes(made.notes)
    show.facts(
        [
            ("artifact", str(made.artifact)),
            *(("beside it", str(path)) for path in made.files[1:]),
            ("network", made.model),
            ("target", f"{made.target} ({', '.join(made.levels)})"),
            ("bits", made.bits),
            *made.loss,
            ("size", f"{made.size / 1024:.0f} KiB, of which weights {made.weights_size / 1024:.0f} KiB"),
            ("took", f"{made.seconds:.1f} s"),
        ]
    )
    frontiers.frontier(made.frontier)
    return None


@o.of_the_network
@o.of_calibration
def calibrate(
    overrides: Overrides,
    calibration: dict[str, Any],
    model: o.Model = None,
    out: o.Out = None,
    target: o.TargetName = None,
    seed: o.Seed = 0,
    json: o.Json = False,
    verbose: o.Verbose = False,
) -> None:
    """Quantize a network after training; write the plan."""
    o.log_level(verbose)
    chosen = _or_default(model)
    with _told_when_stopped(), show.progress_bar() as progress:
        made = tvmsr.calibrate(
            chosen, out=out, target=target, seed=seed, overrides=overrides, progress=progress, **calibration,
        )  # fmt: skip
    if json:
        return show.as_json(made.as_json())
    show.notes(made.notes)
    show.say(f"{made.path}")
    show.facts(made.loss)
    frontiers.frontier(made.frontier)
    return None


@contextlib.contextmanager
def _told_when_stopped() -> Iterator[None]:
    """What Ctrl-C left is said."""
    try:
        yield
    except Interrupted as stopped:
        show.notes([str(stopped)])
        raise


def _or_default(model: str | None) -> str:
    if model is None:
        show.notes([f"no MODEL given: {DEFAULT_MODEL}, the embedded x2 network"])
    return model or DEFAULT_MODEL
