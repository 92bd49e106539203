"""`tvmsr device`: boards and phones by name; each command calls the function behind it and shows the result."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

import tvmsr
from tvmsr.cli import options as o
from tvmsr.cli import show

app = typer.Typer(no_args_is_help=True, help="Boards and phones: add, list, remove, doctor, serve, build.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="What it is called, for --device.")]
Key = Annotated[str, typer.Option("--key", help="Name under which servers are asked for, or registered.")]
TokenFile = Annotated[Path | None, typer.Option("--token-file", help="File that holds the secret of the server.")]


class _SerialMayBeAbsent(TyperCommand):
    """`--adb` without a serial number: the only phone."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        given = []
        for at, word in enumerate(args):
            given.append(word)
            if word == "--adb" and (at + 1 == len(args) or args[at + 1].startswith("-")):
                given.append("")
        return super().parse_args(ctx, given)


@app.command(cls=_SerialMayBeAbsent)
def add(
    name: Name,
    ssh: Annotated[
        str | None, typer.Option("--ssh", metavar="[USER@]HOST", help="A board that ssh logs in to.")
    ] = None,
    ssh_option: Annotated[
        list[str] | None, typer.Option("--ssh-option", metavar="WORD", help="For ssh; once for each word: -p, 2222.")
    ] = None,
    adb: Annotated[str | None, typer.Option("--adb", metavar="[SERIAL]", help="A phone on a cable.")] = None,
    rpc: Annotated[str | None, typer.Option("--rpc", metavar="HOST:PORT", help="A server that listens there.")] = None,
    tracker: Annotated[str | None, typer.Option("--tracker", metavar="HOST:PORT", help="A farm; needs --key.")] = None,
    qemu: Annotated[str | None, typer.Option("--qemu", metavar="[ARCH:]CPU", help="An emulated CPU.")] = None,
    key: Key = "",
    target: Annotated[
        str | None, typer.Option("--target", help="What is compiled for it. [default: what suits]")
    ] = None,
    token_file: TokenFile = None,
    turn: Annotated[
        float | None, typer.Option("--turn", help="Seconds to wait while others use it. [default: 60]")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a device of this name.")] = False,
    json: o.Json = False,
    verbose: o.Verbose = False,
) -> None:
    """Connect to a device, find out what it is, and remember it."""
    o.log_level(verbose)
    with show.progress_bar() as progress:
        added = tvmsr.add_device(
            name, ssh=ssh, ssh_options=tuple(ssh_option or ()), adb=adb, rpc=rpc, tracker=tracker, qemu=qemu, key=key,
            target=target, token_file=token_file, turn=turn, overwrite=overwrite, progress=progress,
        )  # fmt: skip
    if json:
        return show.as_json(added.as_json())
    show.facts(added.rows)
    show.notes([*added.notes, *added.differs])
    target = added.entry.target if added.runs else None
    target_words = f", compile for it with --target {target}" if target else ""
    show.say(f"added {name}: use it with --device {name}{target_words}")
    return None


@app.command(name="list")
def list_(
    check: Annotated[bool, typer.Option("--check", help="Ask all of them whether they answer.")] = False,
    json: o.Json = False,
    verbose: o.Verbose = False,
) -> None:
    """List the devices that were added."""
    from tvmsr.commands.devices.listing import COLUMNS

    o.log_level(verbose)
    found = tvmsr.list_devices(check=check)
    if json:
        return show.as_json({"devices": [one.as_json() for one in found]})
    if not found:
        show.notes(["no device was added yet; `tvmsr device add NAME --ssh USER@HOST` adds a board, --adb a phone"])
        return None
    show.rows(COLUMNS, [one.row for one in found])
    return None


@app.command()
def remove(name: Name, json: o.Json = False, verbose: o.Verbose = False) -> None:
    """Forget a device, and delete what was copied to it."""
    o.log_level(verbose)
    removed = tvmsr.remove_device(name)
    if json:
        return show.as_json(removed.as_json())
    show.notes(removed.notes)
    for path in removed.deleted:
        show.say(f"deleted there: {path}")
    show.say(f"removed {name}")
    return None


@app.command()
def doctor(name: Name, json: o.Json = False, verbose: o.Verbose = False) -> int:
    """Find what is wrong with a device, and say what to do. Exit code 4: it cannot be reached; 1: something else."""
    o.log_level(verbose)
    with show.progress_bar() as progress:
        found = tvmsr.doctor_device(name, progress=progress)
    if json:
        show.as_json(found.as_json())
        return found.exit_code
    words = {True: "ok", False: "WRONG", None: "note"}
    show.rows(("", "check", "detail"), [(words[c.ok], c.name, c.detail) for c in found.checks])
    show.say(found.verdict or f"nothing is wrong with {name}")
    return found.exit_code


def _count(option: str, what: str) -> Any:
    return typer.Option(option, min=1, help=what)


@app.command()
def serve(
    listen: Annotated[str, typer.Option("--listen", help="HOST:PORT, unix:PATH or unix:@NAME.")] = "127.0.0.1:9090",
    key: Key = "",
    tracker: Annotated[str | None, typer.Option("--tracker", metavar="HOST:PORT", help="Register with it.")] = None,
    advertise: Annotated[
        str | None, typer.Option("--advertise", metavar="HOST", help="Where the tracker sends clients.")
    ] = None,
    trust_tracker: Annotated[bool, typer.Option("--trust-tracker", help="Whom it sends needs no token.")] = False,
    token_file: TokenFile = None,
    sessions: Annotated[int | None, _count("--sessions", "Clients served at once. [default: 1]")] = None,
    queue: Annotated[int | None, _count("--queue", "Clients that may wait. [default: 64]")] = None,
    session_time: Annotated[int | None, _count("--session-time", "Seconds that a client may stay.")] = None,
    stall: Annotated[
        int | None, _count("--stall", "Seconds that a packet may stand still in the middle. [default: 30]")
    ] = None,
    idle: Annotated[
        int | None, _count("--idle", "Seconds after which a client that asks nothing is sent away. [default: 600]")
    ] = None,
    memory: Annotated[int | None, _count("--memory", "Memory of a session, MiB.")] = None,
    disk: Annotated[int | None, _count("--disk", "Files of a session, MiB.")] = None,
    processes: Annotated[int | None, _count("--processes", "Processes and threads of a session.")] = None,
    folder: Annotated[Path | None, typer.Option("--folder", help="Where sessions have their folders.")] = None,
    verbose: o.Verbose = False,
) -> None:
    """Let others run artifacts on this machine, each in a process and a folder of its own."""
    from tvmsr.commands.devices.serve import serve_device

    o.log_level(verbose)
    serve_device(
        listen=listen, key=key, tracker=tracker, advertise=advertise, trust_tracker=trust_tracker,
        token_file=token_file, sessions=sessions, queue=queue, session_time=session_time, stall=stall, idle=idle,
        memory=memory, disk=disk, processes=processes, folder=folder,
    )  # fmt: skip


@app.command()
def build(
    target: Annotated[str | None, typer.Option("--target", help="A target that `tvmsr targets` lists.")] = None,
    triple: Annotated[str | None, typer.Option("--triple", help="Or a triple, as ziglang writes it.")] = None,
    toolchain: Annotated[
        Path | None, typer.Option("--toolchain", help="CMake's toolchain file: Android's NDK.")
    ] = None,
    out: o.Out = None,
    json: o.Json = False,
    verbose: o.Verbose = False,
) -> None:
    """Build tvmsr-device, the server for boards without Python."""
    o.log_level(verbose)
    built = tvmsr.build_device(target, triple=triple, toolchain=toolchain, out=out)
    if json:
        return show.as_json(built.as_json())
    show.say(f"{built.path}  {built.size / 2**20:.1f} MiB, for {built.triple}")
    return None
