"""The command line as typer sees it: the options before a command, and the commands in the order of the help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

import tvmsr
from tvmsr.cli import compares, device, look, make, report, run, show

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Super-resolution networks in, small fast shared libraries out.",
)


def _version(wanted: bool) -> None:
    if wanted:
        show.say(tvmsr.__version__)
        raise typer.Exit


def _folder(name: str, what: str) -> Any:
    """An option that prints where a part of the package for apps lies (tvmsr/artifact/NAME)."""

    def tell(wanted: bool) -> None:
        if wanted:
            show.say(str(Path(tvmsr.__file__).parent / "artifact" / name))
            raise typer.Exit

    return typer.Option(f"--{name}-dir", callback=tell, is_eager=True, help=what)


@app.callback()
def root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
    cmake_dir: Annotated[bool, _folder("cmake", "Where CMake's find_package looks.")] = False,
    pkgconfig_dir: Annotated[bool, _folder("pkgconfig", "What PKG_CONFIG_PATH needs.")] = False,
    include_dir: Annotated[bool, _folder("include", "Where tvmsr.h is.")] = False,
) -> None:
    """Parse the options that stand before a command."""


for command in (
    make.compile,
    make.calibrate,
    run.upscale,
    run.evaluate,
    compares.compare,
    report.report,
    run.bench,
    run.verify,
    look.inspect,
    look.targets,
    look.models,
    look.demo,
    look.doctor,
):
    app.command()(command)

app.add_typer(device.app, name="device")
