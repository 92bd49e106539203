"""`tvmsr doctor`: what is installed, what works, and what this CPU offers."""

from __future__ import annotations

import platform
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from tvmsr.errors import TvmsrError

#: Package, whether compiling needs it, and what it is for.
PACKAGES = (
    ("apache-tvm", True, "the compiler"),
    ("apache-tvm-ffi", True, "the compiler"),
    ("ziglang", True, "linking"),
    ("numpy", True, "everything"),
    ("pillow", True, "picture files"),
    ("onnx", True, "importing ONNX"),
    ("safetensors", True, "importing .safetensors"),
    ("torch", False, "importing .pt2 and nn.Module: pip install 'tvmsr[torch]'"),
)


@dataclass(frozen=True)
class Check:
    """One thing looked at. ok is None for what is optional and missing."""

    name: str
    ok: bool | None
    detail: str


@dataclass(frozen=True)
class Diagnosis:
    checks: tuple[Check, ...]

    @property
    def healthy(self) -> bool:
        return all(check.ok is not False for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        return {"healthy": self.healthy, "checks": [vars(check) for check in self.checks]}


def _packages() -> list[Check]:
    checks = []
    for name, needed, purpose in PACKAGES:
        try:
            checks.append(Check(name, True, metadata.version(name)))
        except metadata.PackageNotFoundError:
            checks.append(Check(name, False if needed else None, f"not installed; needed for {purpose}"))
    return checks


def _attempt(name: str, work: Callable[[], str]) -> Check:
    try:
        return Check(name, True, work())
    except TvmsrError as error:
        return Check(name, False, str(error))
    except ImportError as error:
        return Check(name, False, f"cannot be imported: {error}")


def _cpu() -> str:
    from tvmsr.hardware import cpu_name, host_levels

    levels = ", ".join(level.name for level in host_levels())
    return f"{platform.machine()}, {cpu_name()}; levels {levels}"


def _linker() -> str:
    from tvmsr.artifact.link import link_self_test

    with tempfile.TemporaryDirectory() as folder:
        return link_self_test(Path(folder))


def _default_model() -> str:
    from tvmsr.commands.compile import compile as compile_model
    from tvmsr.commands.verify import verify

    with tempfile.TemporaryDirectory() as folder:
        made = compile_model(out=Path(folder, "doctor.so"))
        verified = verify(made.artifact, model="default:x2")
    return f"compiled in {made.seconds:.1f} s; {verified.bytes:,} bytes equal to the reference"


def doctor(*, quick: bool = False) -> Diagnosis:
    """Look at packages, CPU, linker and, unless `quick`, compile and verify the embedded network."""
    checks = [Check("python", sys.version_info >= (3, 10), platform.python_version()), *_packages()]
    checks.append(_attempt("cpu", _cpu))
    checks.append(_attempt("linker", _linker))
    if not quick and all(check.ok is not False for check in checks):
        checks.append(_attempt("default model", _default_model))
    return Diagnosis(tuple(checks))
