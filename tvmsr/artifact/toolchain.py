"""The C compiler: ziglang for the target's triple, or the one that --cc names; its flags, what it is, what it adds."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from tvmsr.artifact.manifest import LinkedCode
from tvmsr.artifact.zig import run_tool, zig_command
from tvmsr.errors import UsageError, WorkError

#: Of a compiler that we know: a warning of one that we do not know is no reason to fail.
WARNINGS = ("-Wall", "-Wextra", "-Werror")

_COMMON = (
    "-std=c11",
    "-O2",
    "-g0",
    "-fPIC",
    "-fvisibility=hidden",
    "-fno-math-errno",
    "-ffp-contract=off",
)

#: Of ziglang alone. With -target the CPU is the architecture's baseline; for ARMv7 that has NEON, which not every CPU
#: has: code that has to say so may not use it. x18 is Android's and Apple's own; ziglang drops -ffixed-x18.
_ZIG_CPU = {"arm": ("-mcpu=baseline-neon-d32",), "aarch64": ("-mcpu=generic+reserve_x18",)}

#: Taken where the compiler knows them. Out of line, atomics are functions of libgcc that older linkers do not find.
_WANTED = {"aarch64": ("-mno-outline-atomics",)}

#: Code of others that ziglang links into a shared library, by architecture. Nothing of a C library is in it, not even
#: start files; on ARMv7, which need not have a division, that is Zig's own.
_ZIG_CODE = {"arm": (LinkedCode(name="Zig's compiler-rt: integer division, memory functions", licence="MIT"),)}

_UNKNOWN_CODE = LinkedCode(name="what the compiler given with --cc links in", licence="NOASSERTION")


def _architecture(link_triple: str) -> str:
    return link_triple.split("-", maxsplit=1)[0]


def compiler(link_triple: str, cc: str | None) -> list[str]:
    """The compiler's command: ziglang for the target's triple, or `cc` as it is."""
    if cc is None:
        return [*zig_command("cc"), "-target", link_triple]
    try:
        words = shlex.split(cc)
    except ValueError as error:
        raise UsageError(f"--cc {cc!r}: {error}") from None
    if not words:
        raise UsageError("--cc is empty")
    return words


def compile_flags(link_triple: str, cc: str | None, prefix: str, includes: Sequence[Path]) -> list[str]:
    """How the driver's C files are compiled."""
    architecture = _architecture(link_triple)
    own = (*WARNINGS, *_ZIG_CPU.get(architecture, ())) if cc is None else ()
    wanted = _WANTED.get(architecture, ())
    known = [flag for flag in wanted if cc is None or _takes(compiler(link_triple, cc), flag)]
    return [*_COMMON, *own, *known, f"-DTVMSR_PREFIX={prefix}", *(f"-I{folder}" for folder in includes)]


def _takes(command: list[str], flag: str) -> bool:
    """True where a foreign compiler knows the flag."""
    with tempfile.TemporaryDirectory(prefix="tvmsr-probe-") as name:
        source = Path(name) / "probe.c"
        source.write_text("int probe;\n")
        try:
            run_tool([*command, "-Werror", flag, "-c", source, "-o", source.with_suffix(".o")], f"trying {flag}")
        except WorkError:
            return False
    return True


def compiler_name(cc: str | None) -> str:
    """What the manifest calls the compiler: "ziglang 0.17.1", or the first line that `cc --version` says."""
    if cc is None:
        try:
            return f"ziglang {metadata.version('ziglang')}"
        except metadata.PackageNotFoundError:
            return "ziglang"
    command = compiler("", cc)
    lines = run_tool([*command, "--version"], "asking for the compiler's version").splitlines()
    return lines[0].strip() if lines else Path(command[0]).name


def linked_code(link_triple: str, cc: str | None) -> tuple[LinkedCode, ...]:
    """Code in a shared library that is neither ours nor the network's, with its licence (SPDX)."""
    return _ZIG_CODE.get(_architecture(link_triple), ()) if cc is None else (_UNKNOWN_CODE,)
