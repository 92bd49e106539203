"""Static artifacts: one archive with one object in which only the C ABI is global."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tvmsr.artifact.formats import format_of
from tvmsr.artifact.link import (
    API,
    Parts,
    check_prefix,
    compile_command,
    move_into_place,
    write_parts,
)
from tvmsr.artifact.localize import keep_global
from tvmsr.artifact.toolchain import compiler
from tvmsr.artifact.zig import run_tool, zig_command
from tvmsr.errors import UsageError

#: The TVM-FFI entry: found by dlopen only, and its name has no prefix.
_SHARED_ONLY = ("ffi.c",)


def check_static(link_triple: str) -> None:
    """UsageError where there are no static libraries for the target."""
    form = format_of(link_triple)
    if form.no_static:
        raise UsageError(f"--emit static: not for {link_triple} ({form.name}): {form.no_static}")


def link_static(parts: Parts, out: Path, *, link_triple: str, prefix: str = "tvmsr", cc: str | None = None) -> None:
    """Make a static library; link it with -pthread. Several, with different prefixes, link into one program.

    `out` appears complete or not at all; reproducible as a shared library is. UsageError where the target has none.
    """
    check_prefix(prefix)
    check_static(link_triple)
    with tempfile.TemporaryDirectory(prefix="tvmsr-link-") as name:
        folder = Path(name)
        driver = [source for source in parts.driver if source.name not in _SHARED_ONLY]
        generated = write_parts(parts, format_of(link_triple), folder)
        compile_one = [*compile_command(link_triple, cc, prefix), *parts.flags, "-c"]
        objects = _compile([*driver, *parts.sources, *generated], compile_one, folder)
        merged = folder / f"{prefix}.o"
        merge = [*zig_command("ld.lld"), "-r"] if cc is None else [*compiler(link_triple, cc), "-r", "-nostdlib"]
        run_tool([*merge, *objects, *parts.objects, "-o", merged], "merging objects", cwd=folder)
        keep = {f"{prefix}_{function}" for function in API}
        merged.write_bytes(keep_global(merged.read_bytes(), keep))
        archive = folder / "artifact.a"
        run_tool([*zig_command("ar"), "rcsD", archive, merged], "archiving", cwd=folder)
        move_into_place(archive, out, 0o644)


def _compile(sources: Sequence[Path], command: Sequence[str | Path], folder: Path) -> list[Path]:
    """One object a source, in their order, as many at a time as there are CPUs."""
    objects = [folder / f"{source.name}.o" for source in sources]

    def compile_one(source: Path, result: Path) -> None:
        run_tool([*command, source, "-o", result], "compiling the driver", cwd=folder)

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(compile_one, sources, objects))
    return objects
