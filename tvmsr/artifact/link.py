"""From objects, generated tables, data and manifest to one library with nothing but the C ABI visible."""

from __future__ import annotations

import os
import re
import shlex
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from tvmsr.artifact.zig import cache_folder, run_tool, zig_command
from tvmsr.errors import UsageError, WorkError
from tvmsr.runtime.library import MANIFEST_SECTION, PLAN_SECTION

HERE = Path(__file__).parent
INCLUDE = HERE / "include"
DRIVER = HERE / "driver"
PACK = HERE.parent / "kernels" / "pack.c"


#: The C ABI's functions (include/tvmsr.h), without their prefix. By name, not `tvmsr_*`: kernels begin like that too.
API = (
    "check",
    "choice_name",
    "close",
    "error",
    "force_choice",
    "get_info",
    "last",
    "level_name",
    "level_runs",
    "open",
    "open_error",
    "predict_choice",
    "profile",
    "read_profile",
    "read_trace",
    "trace",
    "upscale",
    "workspace",
)

#: Stock tvm.runtime.load_module finds functions by this prefix; it stays whatever --prefix says.
FFI_SYMBOL = "__tvm_ffi_sr_upscale"

WARNINGS = ("-Wall", "-Wextra", "-Werror")


@dataclass(frozen=True)
class Parts:
    """What an artifact is linked from. plan: compressed, for `inspect --plan`; empty leaves its section out."""

    tables: str  # C text of sr_the_model
    data: bytes  # sr_data
    manifest: bytes  # JSON
    plan: bytes = b""
    objects: tuple[Path, ...] = ()
    sources: tuple[Path, ...] = field(default=(PACK,))


def check_prefix(prefix: str) -> str:
    """The prefix, or UsageError where it cannot begin a C name."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", prefix):
        raise UsageError(f"--prefix {prefix!r} is no C name")
    return prefix


def driver_sources() -> tuple[Path, ...]:
    """The driver's C files, in a fixed order."""
    return tuple(sorted(DRIVER.glob("*.c")))


def version_script(prefix: str) -> str:
    names = [f"{prefix}_{name};" for name in API] + [f"{FFI_SYMBOL};"]
    return f"{{ global: {' '.join(names)} local: *; }};\n"


def _data_assembly() -> str:
    """Bytes from files into sections: fast at any size, the same for every ELF CPU (hence %progbits, not @progbits)."""
    return f"""
    .section {MANIFEST_SECTION},"a",%progbits
    .globl sr_manifest
    .hidden sr_manifest
    .globl sr_manifest_end
    .hidden sr_manifest_end
sr_manifest:
    .incbin "manifest.json"
sr_manifest_end:
    .byte 0
    .section .rodata.sr_data,"a",%progbits
    .balign 64
    .globl sr_data
    .hidden sr_data
sr_data:
    .incbin "data.bin"
    .globl sr_data_end
    .hidden sr_data_end
sr_data_end:
    .zero 64
    .section {PLAN_SECTION},"",%progbits
    .incbin "plan.bin"
    .section .note.GNU-stack,"",%progbits
"""


def compiler(link_triple: str, cc: str | None) -> list[str]:
    """The compiler's command: ziglang for the target's triple, or `cc` as it is."""
    if cc is not None:
        words = shlex.split(cc)
        if not words:
            raise UsageError("--cc is empty")
        return words
    # With -target the CPU is the architecture's baseline; without, the driver would get the build machine's extensions.
    return [*zig_command("cc"), "-target", link_triple]


def compile_flags(prefix: str) -> list[str]:
    return [
        "-std=c11",
        "-O2",
        "-g0",
        "-fPIC",
        "-fvisibility=hidden",
        "-fno-math-errno",
        "-ffp-contract=off",
        *WARNINGS,
        f"-DTVMSR_PREFIX={prefix}",
        f"-I{INCLUDE}",
        f"-I{DRIVER}",
        f"-I{PACK.parent}",
    ]


def _link_flags(script: Path) -> list[str]:
    return [
        "-shared",
        "-Wl,--no-undefined",
        "-Wl,-Bsymbolic",
        f"-Wl,--version-script={script}",
        "-Wl,-z,max-page-size=16384",  # Android and Apple pages
        "-s",
        "-pthread",
    ]


def write_parts(parts: Parts, prefix: str, folder: Path) -> list[Path]:
    """Write generated files into `folder`; returns what must be compiled."""
    (folder / "manifest.json").write_bytes(parts.manifest)
    (folder / "data.bin").write_bytes(parts.data)
    (folder / "plan.bin").write_bytes(parts.plan)
    (folder / "data.S").write_text(_data_assembly())
    (folder / "model.c").write_text(parts.tables)
    (folder / "exports.map").write_text(version_script(prefix))
    return [folder / "model.c", folder / "data.S"]


def link_shared(parts: Parts, out: Path, *, link_triple: str, prefix: str = "tvmsr", cc: str | None = None) -> None:
    """Link a shared library. `out` appears complete or not at all.

    Reproducible with ziglang: equal parts give equal bytes in any folder.
    """
    check_prefix(prefix)
    with tempfile.TemporaryDirectory(prefix="tvmsr-link-") as name:
        folder = Path(name)
        generated = write_parts(parts, prefix, folder)
        result = folder / "artifact.so"
        command: list[str | Path] = [
            *compiler(link_triple, cc),
            *compile_flags(prefix),
            *_link_flags(folder / "exports.map"),
            *driver_sources(),
            *parts.sources,
            *generated,
            *parts.objects,
            "-o",
            result,
        ]
        run_tool(command, "linking the artifact", cwd=folder)
        move_into_place(result, out)


def move_into_place(result: Path, out: Path) -> None:
    """Copy beside `out`, then rename: who reads `out` sees the old file or the new one."""
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{out.name}.", dir=out.parent)
    except OSError as error:
        raise WorkError(f"cannot write {out}: {error.strerror}") from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(result.read_bytes())
        Path(temporary).chmod(0o755)
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
