"""The command line as typer sees it: the options before a command, and the commands in the order of the help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import tvmsr
from tvmsr.cli import look, make, run, show

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Super-resolution networks in, small fast shared libraries out.",
)


def _version(wanted: bool) -> None:
    if wanted:
        show.say(tvmsr.__version__)
        raise typer.Exit


def _cmake_dir(wanted: bool) -> None:
    if wanted:
        show.say(str(Path(tvmsr.__file__).parent / "artifact" / "cmake"))
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
    cmake_dir: Annotated[
        bool, typer.Option("--cmake-dir", callback=_cmake_dir, is_eager=True, help="Where CMake's find_package looks.")
    ] = False,
) -> None:
    """Parse the options that stand before a command."""


for command in (
    make.compile,
    make.calibrate,
    run.upscale,
    run.evaluate,
    run.bench,
    run.verify,
    look.inspect,
    look.targets,
    look.models,
    look.demo,
    look.doctor,
):
    app.command()(command)
