"""From objects, generated tables, data and manifest to one library with nothing but the C ABI visible."""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from tvmsr.artifact.formats import FFI_SYMBOL, ObjectFormat, data_assembly, format_of, page_of
from tvmsr.artifact.macho_objects import hide_all
from tvmsr.artifact.toolchain import compile_flags, compiler
from tvmsr.artifact.zig import cache_folder, run_tool, zig_command
from tvmsr.errors import UsageError, WorkError

HERE = Path(__file__).parent
INCLUDE = HERE / "include"
DRIVER = HERE / "driver"
PACK = HERE.parent / "kernels" / "pack.c"

#: An artifact is to be small: loops that gain by being unrolled say so in the source. Files that no time goes into say
#: that too: driver/small.h.
_SMALL = ("-fno-unroll-loops",)

#: By object format. Nothing unwinds through the driver: it is C and lets no exception through. ziglang's linker for
#: Mach-O crashes without these tables where kernels have some; they are small there.
_NO_UNWINDING = {"ELF": ("-fno-unwind-tables", "-fno-asynchronous-unwind-tables"), "Mach-O": ()}

#: The C ABI's functions (include/tvmsr.h), without their prefix. By name, not `tvmsr_*`: kernels begin like that too.
API = (
    "check",
    "choice_name",
    "close",
    "error",
    "force_choice",
    "force_tiles",
    "get_info",
    "last",
    "level_name",
    "level_runs",
    "open",
    "open_error",
    "predict_choice",
    "profile",
    "read_profile",
    "read_tiles",
    "read_trace",
    "trace",
    "upscale",
    "workspace",
)


@dataclass(frozen=True)
class Parts:
    """What an artifact is linked from. plan: compressed, for `inspect --plan`; empty leaves its section out.

    without: names of the driver's C files that no program needs: kinds of steps, choosing by the picture or its tiles.
    """

    tables: str  # C text of sr_the_model
    data: bytes  # sr_data
    manifest: bytes  # JSON
    plan: bytes = b""
    objects: tuple[Path, ...] = ()
    sources: tuple[Path, ...] = field(default=(PACK,))
    without: tuple[str, ...] = ()

    @property
    def driver(self) -> tuple[Path, ...]:
        """The driver's C files that the programs need."""
        return tuple(source for source in driver_sources() if source.stem not in self.without)

    @property
    def flags(self) -> list[str]:
        """Of the C files: what tells the driver what it is without."""
        return [f"-DSR_WITHOUT_{name.removeprefix('spatial_').upper()}" for name in self.without]


def check_prefix(prefix: str) -> str:
    """The prefix, or UsageError where it cannot begin a C name."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", prefix):
        raise UsageError(f"--prefix {prefix!r} is no C name")
    return prefix


def driver_sources() -> tuple[Path, ...]:
    """The driver's C files, in a fixed order."""
    return tuple(sorted(DRIVER.glob("*.c")))


def exported_names(prefix: str) -> list[str]:
    """All that is visible in a shared library."""
    return [f"{prefix}_{name}" for name in API] + [FFI_SYMBOL]


def compile_command(link_triple: str, cc: str | None, prefix: str) -> list[str]:
    """The compiler with the flags of all C files."""
    includes = (INCLUDE, DRIVER, PACK.parent)
    small = (*_SMALL, *_NO_UNWINDING[format_of(link_triple).name])
    return [*compiler(link_triple, cc), *compile_flags(link_triple, cc, prefix, includes), *small]


def write_parts(parts: Parts, form: ObjectFormat, folder: Path) -> list[Path]:
    """Write generated files into `folder`; returns what must be compiled."""
    (folder / "manifest.json").write_bytes(parts.manifest)
    (folder / "data.bin").write_bytes(parts.data)
    (folder / "plan.bin").write_bytes(parts.plan)
    (folder / "data.S").write_text(data_assembly(form))
    (folder / "model.c").write_text(parts.tables)
    return [folder / "model.c", folder / "data.S"]


def link_shared(
    parts: Parts, out: Path, *, link_triple: str, prefix: str = "tvmsr", cc: str | None = None, page: int = 0
) -> None:
    """Link a shared library. `out` appears complete or not at all. page: segments are aligned to this at least, bytes.

    Reproducible with ziglang: equal parts give equal bytes in any folder (for macOS: under the same name).
    """
    check_prefix(prefix)
    form = format_of(link_triple)
    with tempfile.TemporaryDirectory(prefix="tvmsr-link-") as name:
        folder = Path(name)
        exports, result = folder / "exports", folder / f"artifact{form.suffix}"
        exports.write_text(form.exports(exported_names(prefix)))
        command: list[str | Path] = [
            *compile_command(link_triple, cc, prefix),
            *form.link_flags(exports, out.name, max(page, page_of(link_triple))),
            *parts.flags,
            *parts.driver,
            *parts.sources,
            *write_parts(parts, form, folder),
            *_kernels(parts, form, folder),
            "-o",
            result,
        ]
        run_tool(command, "linking the artifact", cwd=folder)
        if form.finish is not None and cc is None:
            result.write_bytes(form.finish(result.read_bytes()))
        move_into_place(result, out)


def _kernels(parts: Parts, form: ObjectFormat, folder: Path) -> list[Path]:
    """The kernels' objects; hidden copies where the linker cannot hide them."""
    if not form.hides_kernels:
        return list(parts.objects)
    hidden = []
    for number, path in enumerate(parts.objects):
        hidden.append(folder / f"kernels{number}.o")
        hidden[-1].write_bytes(hide_all(path.read_bytes()))
    return hidden


def move_into_place(result: Path, out: Path, mode: int = 0o755) -> None:
    """Copy beside `out`, then rename: who reads `out` sees the old file or the new one."""
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{out.name}.", dir=out.parent)
    except OSError as error:
        raise WorkError(f"cannot write {out}: {error.strerror}") from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(result.read_bytes())
        Path(temporary).chmod(mode)
        Path(temporary).replace(out)
    except OSError as error:
        raise WorkError(f"cannot write {out}: {error.strerror}") from error
    finally:
        Path(temporary).unlink(missing_ok=True)


def link_self_test(folder: Path) -> str:
    """Link a small library in `folder` with ziglang; returns its version. WorkError where it does not work."""
    version = run_tool(zig_command("version"), "asking for the linker's version").strip()
    source, result = folder / "probe.c", folder / "probe.so"
    source.write_text("int probe(void);\nint probe(void) { return 1; }\n")
    run_tool([*zig_command("cc"), "-O2", "-g0", "-fPIC", "-shared", source, "-o", result], "a trial link", cwd=folder)
    if not result.is_file():
        raise WorkError("a trial link left no file behind")
    return f"ziglang {version}, cache in {cache_folder()}"
