"""Static artifacts: one archive with one object in which only the C ABI is global."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tvmsr.artifact.link import (
    API,
    Parts,
    check_prefix,
    compile_flags,
    compiler,
    driver_sources,
    move_into_place,
    write_parts,
)
from tvmsr.artifact.localize import keep_global
from tvmsr.artifact.zig import run_tool, zig_command


def link_static(parts: Parts, out: Path, *, link_triple: str, prefix: str = "tvmsr", cc: str | None = None) -> None:
    """Make a static library; link it with -pthread. Several, with different prefixes, link into one program.

    The TVM-FFI entry is local in it: its name has no prefix. `out` appears complete or not at all.
    """
    check_prefix(prefix)
    with tempfile.TemporaryDirectory(prefix="tvmsr-link-") as name:
        folder = Path(name)
        sources = [*driver_sources(), *parts.sources, *write_parts(parts, prefix, folder)]
        objects = []
        for source in sources:
            objects.append(folder / f"{source.name}.o")
            command: list[str | Path] = [
                *compiler(link_triple, cc),
                *compile_flags(prefix),
                "-c",
                source,
                "-o",
                objects[-1],
            ]
            run_tool(command, "compiling the driver", cwd=folder)
        merged = folder / f"{prefix}.o"
        merge = [*zig_command("ld.lld"), "-r"] if cc is None else [*compiler(link_triple, cc), "-r", "-nostdlib"]
        run_tool([*merge, *objects, *parts.objects, "-o", merged], "merging objects", cwd=folder)
        keep = {f"{prefix}_{function}" for function in API}
        merged.write_bytes(keep_global(merged.read_bytes(), keep))
        archive = folder / "artifact.a"
        run_tool([*zig_command("ar"), "rcsD", archive, merged], "archiving", cwd=folder)
        move_into_place(archive, out)
