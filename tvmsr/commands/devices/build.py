"""`tvmsr device build` and `serve`: the server of a device, for another machine and on this one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tvmsr.errors import UsageError


@dataclass(frozen=True)
class BuiltServer:
    """tvmsr-device for a device. size in bytes."""

    path: Path
    triple: str
    size: int

    def as_json(self) -> dict[str, Any]:
        return {**vars(self), "path": str(self.path)}


def build_device(
    target: str | None = None,
    *,
    triple: str | None = None,
    toolchain: str | Path | None = None,
    out: str | Path | None = None,
) -> BuiltServer:
    """Build tvmsr-device for a target, or for a triple as ziglang writes it.

    toolchain: a toolchain file of CMake, to build with that in the place of ziglang; Android needs its NDK's. out:
    where to put it (default: the cache, where `tvmsr device add` looks for it). Raises UsageError, DeviceError or
    WorkError.
    """
    import shutil

    from tvmsr.commands.files import check_out
    from tvmsr.devices.reach.far import android_program
    from tvmsr.devices.server.build import build, device_program

    if (target is None) == (triple is None):
        raise UsageError("say what it is for: one of --target and --triple")
    for_triple = triple if triple is not None else _triple_of(str(target))
    if out is not None:
        check_out(Path(out))
    if toolchain is None:
        if "android" in for_triple:
            raise UsageError(
                f"{for_triple}: Android's programs are built with its NDK: "
                "--toolchain NDK/build/cmake/android.toolchain.cmake"
            )
        made = device_program(for_triple)
    else:
        if not Path(toolchain).is_file():
            raise UsageError(f"--toolchain {toolchain}: there is no such file")
        if "android" not in for_triple and out is None:
            raise UsageError("--toolchain needs -o: what ziglang makes is what `tvmsr device add` takes")
        made = android_program(for_triple) if "android" in for_triple else Path(str(out))
        made.parent.mkdir(parents=True, exist_ok=True)
        build(made, link_triple=for_triple, toolchain=Path(toolchain))
    if out is not None and Path(out) != made:
        shutil.copy(made, out)
        made = Path(out)
    return BuiltServer(made, for_triple, made.stat().st_size)


def _triple_of(target: str) -> str:
    from tvmsr.devices.reach.far import TRIPLES
    from tvmsr.hardware import load_target

    chosen = load_target(target)
    if chosen.system not in ("linux", "android"):
        raise UsageError(f"there is no tvmsr-device for {chosen.system or chosen.triple}; Linux and Android only")
    if chosen.system == "android":
        return TRIPLES[chosen.architecture, "bionic"]
    return chosen.link_triple
