"""The host program (host/*.c): built by ziglang for an artifact's own target, once for each."""

from __future__ import annotations

import hashlib
import tempfile
from importlib import metadata
from pathlib import Path

from tvmsr.artifact.link import INCLUDE, move_into_place
from tvmsr.artifact.toolchain import WARNINGS
from tvmsr.artifact.zig import cache_folder, run_tool, zig_command
from tvmsr.errors import DeviceError

SOURCES = Path(__file__).parent / "host"

_FLAGS = ("-std=c11", "-O2", "-g0", "-s", "-D_FILE_OFFSET_BITS=64", *WARNINGS, "-pthread", "-ldl")


def sources() -> tuple[Path, ...]:
    """The C files, in a fixed order."""
    return tuple(sorted(SOURCES.glob("*.c")))


def build(link_triple: str, out: Path) -> None:
    """Compile the host program for `link_triple` (ziglang's, Linux). WorkError where the compiler fails."""
    with tempfile.TemporaryDirectory(prefix="tvmsr-host-") as folder:
        made = Path(folder, out.name)
        command: list[str | Path] = [
            *zig_command("cc"),
            "-target",
            link_triple,
            *_FLAGS,
            f"-I{INCLUDE}",
            *sources(),
            "-o",
            made,
        ]
        run_tool(command, f"compiling the host program for {link_triple}", cwd=Path(folder))
        move_into_place(made, out)


def host_program(link_triple: str) -> Path:
    """The host program for `link_triple`, from the cache where it was built before from the same sources."""
    if "-linux-" not in link_triple:
        raise DeviceError(f"there is no host program for {link_triple}; Linux only")
    folder = cache_folder() / "hosts" / _key(link_triple)
    path = folder / "tvmsr-host"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        build(link_triple, path)
    return path


def _key(link_triple: str) -> str:
    """Names everything that the program is made from."""
    digest = hashlib.sha256("\0".join((link_triple, *_FLAGS, _zig_version())).encode())
    for path in sorted([*SOURCES.iterdir(), *INCLUDE.glob("*.h")]):
        if path.is_file():
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:32]


def _zig_version() -> str:
    try:
        return metadata.version("ziglang")
    except metadata.PackageNotFoundError:
        return "unknown"
