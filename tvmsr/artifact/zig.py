"""ziglang, the pinned C compiler and linker: how it is called and where it keeps its cache."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from tvmsr.errors import WorkError

#: Lines of a failed tool's output that an error shows.
SHOWN_LINES = 12


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


@cache
def cache_folder() -> Path:
    """A folder that can be written: TVMSR_CACHE, else the user's cache folder, else one in the temporary folder.

    The C library's start files are built into it at a target's first use (5 to 12 seconds), and found there afterwards.
    """
    candidates = []
    if "TVMSR_CACHE" in os.environ:
        candidates.append(Path(os.environ["TVMSR_CACHE"]))
    if "XDG_CACHE_HOME" in os.environ:
        candidates.append(Path(os.environ["XDG_CACHE_HOME"]) / "tvmsr")
    candidates.append(Path("~/.cache/tvmsr").expanduser())
    user = getattr(os, "getuid", lambda: "user")()
    candidates.append(Path(tempfile.gettempdir()) / f"tvmsr-{user}")
    for folder in candidates:
        if _writable(folder):
            return folder
    raise WorkError(f"no folder for the compiler's cache can be written (tried {', '.join(map(str, candidates))})")


def environment() -> Mapping[str, str]:
    """The environment that zig runs in: the user's, with both caches where they can be written."""
    env = dict(os.environ)
    env.setdefault("ZIG_GLOBAL_CACHE_DIR", str(cache_folder() / "zig"))
    env.setdefault("ZIG_LOCAL_CACHE_DIR", str(cache_folder() / "zig-local"))
    return env


def zig_command(*tool: str) -> list[str]:
    """How one of zig's tools is run: cc, ld.lld, ar, version."""
    return [sys.executable, "-m", "ziglang", *tool]


def run_tool(command: Sequence[str | Path], what: str, *, cwd: Path | None = None) -> str:
    """Run a compiler or linker and return what it printed; WorkError with its last lines where it fails."""
    try:
        done = subprocess.run(
            [str(c) for c in command], cwd=cwd, env=environment(), text=True, capture_output=True, check=False
        )
    except OSError as error:
        raise WorkError(f"{what}: cannot run {command[0]}: {error.strerror}") from error
    if done.returncode != 0:
        lines = (done.stderr + done.stdout).strip().splitlines()[-SHOWN_LINES:]
        if any("No module named ziglang" in line for line in lines):
            raise WorkError(f"{what}: the linker is missing; pip install ziglang, or give --cc a compiler")
        raise WorkError(f"{what} failed (exit code {done.returncode}):\n  " + "\n  ".join(lines))
    return done.stdout
