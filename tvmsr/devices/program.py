"""What host/*.c becomes for an artifact's own target: a program that serves pipes, a library that serves TVM's RPC."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from tvmsr.artifact.link import INCLUDE, move_into_place
from tvmsr.artifact.toolchain import WARNINGS
from tvmsr.artifact.zig import cache_folder, run_tool, zig_command
from tvmsr.errors import DeviceError

SOURCES = Path(__file__).parent / "host"

FLAGS = ("-std=c11", "-O2", "-g0", "-D_FILE_OFFSET_BITS=64", *WARNINGS)

#: The one function that the agent's library shows.
AGENT_FUNCTION = "tvmsr_agent"


@dataclass(frozen=True)
class Kind:
    """One use of the sources: those that only others use are left out."""

    title: str
    name: str
    without: tuple[str, ...]
    flags: tuple[str, ...]


HOST = Kind("the host program", "tvmsr-host", ("agent.c",), ("-s", "-pthread", "-ldl"))

#: Nothing unloads it: its thread would run on in memory that is gone. TVM-FFI is in the process that loads it.
AGENT = Kind(
    "the agent",
    "tvmsr-agent.so",
    ("main.c", "transport.c"),
    ("-s", "-pthread", "-ldl", "-shared", "-fPIC", "-fvisibility=hidden", "-Wl,-z,nodelete"),
)


def sources(kind: Kind = HOST) -> tuple[Path, ...]:
    """The C files, in a fixed order."""
    return tuple(path for path in sorted(SOURCES.glob("*.c")) if path.name not in kind.without)


def build(link_triple: str, out: Path, kind: Kind = HOST) -> None:
    """Compile for `link_triple` (ziglang's, Linux). WorkError where the compiler fails."""
    with tempfile.TemporaryDirectory(prefix="tvmsr-host-") as folder:
        made = Path(folder, out.name)
        command: list[str | Path] = [
            *zig_command("cc"),
            "-target",
            link_triple,
            *FLAGS,
            *kind.flags,
            f"-I{INCLUDE}",
            *sources(kind),
            "-o",
            made,
        ]
        run_tool(command, f"compiling {kind.title} for {link_triple}", cwd=Path(folder))
        move_into_place(made, out)


def host_program(link_triple: str) -> Path:
    """The host program for `link_triple`, from the cache where it was built before from the same sources."""
    return _built(link_triple, HOST)


def agent_library(link_triple: str) -> Path:
    """The agent for sessions of a TVM RPC server, likewise."""
    return _built(link_triple, AGENT)


@cache
def agent_key() -> str:
    """Names what the agent is made from, on any CPU: a server that has it need not be sent it."""
    return _digest(AGENT.title)[:16]


def _built(link_triple: str, kind: Kind) -> Path:
    if "-linux-" not in link_triple:
        raise DeviceError(f"there is no host program for {link_triple}; Linux only")
    key = _digest("\0".join((link_triple, *FLAGS, *kind.flags, _zig_version())))[:32]
    path = cache_folder() / "hosts" / key / kind.name
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        build(link_triple, path, kind)
    return path


def _digest(words: str) -> str:
    digest = hashlib.sha256(words.encode())
    for path in sorted([*SOURCES.iterdir(), *INCLUDE.glob("*.h")]):
        if path.is_file():
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _zig_version() -> str:
    try:
        return metadata.version("ziglang")
    except metadata.PackageNotFoundError:
        return "unknown"
