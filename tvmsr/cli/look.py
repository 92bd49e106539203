"""Commands that show what there is: each parses, calls the function of its name, and shows the result."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import tvmsr
from tvmsr.cli import options as o
from tvmsr.cli import show
from tvmsr.commands.source import Overrides
from tvmsr.commands.targets import COLUMNS, as_json, facts_of, row_of

#: Exit code of `doctor` where something is wrong.
UNHEALTHY = 1


@o.of_the_network
def inspect(
    overrides: Overrides,
    what: Annotated[str, typer.Argument(metavar="ART|PLAN|MODEL", help="What to describe.")] = "default:x2",
    plan: Annotated[Path | None, typer.Option("--plan", help="Write the artifact's plan to this file.")] = None,
    json: o.Json = False,
    verbose: o.Verbose = False,
) -> None:
    """Describe a network, a plan or an artifact (also one for another CPU)."""
    o.log_level(verbose)
    found = tvmsr.inspect(what, plan=plan, overrides=overrides)
    if json:
        return show.as_json(found.as_json())
    show.facts(found.facts)
    show.rows(found.columns, found.rows)
    return None


def targets(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One target, or a .toml file.")] = None,
    json: o.Json = False,
) -> None:
    """List what can be compiled for, or show all that is known of one."""
    found = tvmsr.targets(name)
    if json:
        return show.as_json({"targets": [as_json(target) for target in found]})
    if name is not None:
        return show.facts(facts_of(found[0]))
    show.rows(COLUMNS, [row_of(target) for target in found])
    return None


def models(json: o.Json = False) -> None:
    """List the architectures that a bare state dict is recognised as."""
    found = tvmsr.models()
    if json:
        return show.as_json({"models": [{"name": f.name, "description": f.title} for f in found]})
    show.rows(("family", "description"), [(f.name, f.title) for f in found])
    return None


def demo(
    folder: Annotated[Path, typer.Option("--folder", help="Where to write.")] = Path("tvmsr-demo"),
    scale: Annotated[int, typer.Option("--scale", min=2, max=4, help="2 or 4.")] = 2,
    json: o.Json = False,
    verbose: o.Verbose = False,
) -> None:
    """Compile the embedded network for this machine and upscale the bundled picture."""
    o.log_level(verbose)
    with show.progress_bar() as progress:
        done = tvmsr.demo(folder, scale=scale, progress=progress)
    if json:
        return show.as_json(done.as_json())
    show.facts(
        [
            ("compiled", f"default:x{done.scale} for this CPU ({done.level}), 8 bits, in {done.compile_seconds:.1f} s"),
            ("artifact", f"{done.artifact}, {done.size / 1024:.0f} KiB"),
            ("upscaled", f"{done.width}x{done.height} by {done.scale} in {1e3 * done.upscale_seconds:.1f} ms"),
            ("PSNR", f"{done.psnr:.2f} dB (bicubic {done.bicubic_psnr:.2f} dB), Y channel, against the original"),
            ("before/after", str(done.picture)),
        ]
    )
    return None


def doctor(
    quick: Annotated[bool, typer.Option("--quick", help="Do not compile anything.")] = False,
    json: o.Json = False,
    verbose: o.Verbose = False,
) -> int:
    """Check the installation and show what this CPU offers."""
    o.log_level(verbose)
    found = tvmsr.doctor(quick=quick)
    if json:
        show.as_json(found.as_json())
    else:
        words = {True: "ok", False: "WRONG", None: "absent"}
        show.rows(("", "check", "detail"), [(words[c.ok], c.name, c.detail) for c in found.checks])
    return 0 if found.healthy else UNHEALTHY
