"""tvmsr-device: built from the files here and TVM's own in its wheels, by ziglang or by CMake and any toolchain.

And the front of `tvmsr device serve`, of the C files alone: its sessions are Python's.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import tvmsr
from tvmsr.artifact.link import INCLUDE, move_into_place
from tvmsr.artifact.toolchain import WARNINGS
from tvmsr.artifact.zig import cache_folder, run_tool, zig_command
from tvmsr.devices import program
from tvmsr.errors import DeviceError, WorkError

HERE = Path(__file__).parent
NAME = "tvmsr-device"
FRONT = "tvmsr-front"

#: What Python's sessions have in common with those of tvmsr-device, for ctypes.
LIBRARY = "tvmsr-session.so"

#: What the files of these versions were tried with: others may lack files, or need other headers.
VERSIONS = {"apache-tvm": "0.27.0.post1", "apache-tvm-ffi": "0.1.14.post1"}

_MISSING = HERE / "missing"

#: Small. -rdynamic shows what is marked for it, so that libraries that are loaded find TVM's functions: TVMFFI* and
#: TVMBackend*, and some of its C++ (ziglang takes neither a dynamic list nor a version script for a program).
_OPTIONS = ("-Os", "-g0", "-fvisibility=hidden", "-ffunction-sections", "-fdata-sections", "-pthread", *WARNINGS)
_LINK = ("-s", "-rdynamic", "-Wl,--gc-sections", "-pthread", "-ldl")

#: ziglang's baseline for ARMv7 has NEON, which not every CPU has; only what is loaded may use it.
_ZIG_CPU = {"arm": ("-mcpu=baseline-neon-d32",)}


@dataclass(frozen=True)
class Parts:
    """What the program is made of, whoever compiles it. system: TVM's folders, whose warnings are not ours."""

    sources: tuple[Path, ...]
    includes: tuple[Path, ...]
    system: tuple[Path, ...]
    defines: tuple[str, ...]
    options: tuple[str, ...] = _OPTIONS
    link: tuple[str, ...] = _LINK


def parts() -> Parts:
    """The one list. WorkError where the wheels are not there, or not the ones that are known."""
    tvm, ffi = _wheel("apache-tvm", "tvm"), _wheel("apache-tvm-ffi", "tvm_ffi")
    own = sorted([*HERE.glob("*.c"), *HERE.glob("*.cc")])
    return Parts(
        sources=(*own, *program.sources(program.AGENT)),
        # TVM's files say "../../support/arena.h" of headers that the wheel lacks; from these folders they are found.
        includes=(HERE, program.SOURCES, INCLUDE, _MISSING, _MISSING / "tvm", _MISSING / "tvm" / "support"),
        system=(tvm, ffi, tvm / "include", ffi / "include", ffi / "3rdparty" / "dlpack" / "include"),
        defines=(
            *_own_defines(),
            "TVM_FFI_USE_LIBBACKTRACE=0",
            "TVM_FFI_BACKTRACE_ON_SEGFAULT=0",
            "TVM_LOG_CUSTOMIZE=1",
            "TVM_FFI_CMAKE_LITTLE_ENDIAN=1",
        ),
    )


def _own_defines() -> tuple[str, ...]:
    return (
        f'TVMSR_VERSION="{tvmsr.__version__}"',
        f'TVMSR_AGENT_KEY="{program.agent_key()}"',
        "_FILE_OFFSET_BITS=64",
    )


def device_program(link_triple: str) -> Path:
    """tvmsr-device for `link_triple` (ziglang's), from the cache where it was built before from the same files."""
    if "-linux-" not in link_triple:
        raise DeviceError(f"there is no {NAME} for {link_triple}; Linux and Android only")
    made = cache_folder() / "devices" / _key(link_triple) / NAME
    return _cached(made, lambda: build(made, link_triple=link_triple))


def front_program(link_triple: str) -> Path:
    """The front for `link_triple`; beside it lies LIBRARY. Of the C files alone: neither TVM nor C++ is in it."""
    if "-linux-" not in link_triple:
        raise DeviceError(f"there is no server for {link_triple}; Linux only")
    made = cache_folder() / "devices" / _key(link_triple, FRONT) / FRONT
    return _cached(made, lambda: _build_front(link_triple, made))


def _cached(made: Path, make: Callable[[], None]) -> Path:
    if made.is_file():
        return made
    made.parent.mkdir(parents=True, exist_ok=True)
    with _locked(made.parent):
        if not made.is_file():
            make()
    return made


def front_sources() -> tuple[Path, ...]:
    """C files of the front."""
    return tuple(path for path in sorted(HERE.glob("*.c")) if path.name not in {"channel.c", "transfer.c"})


def front_defines() -> tuple[str, ...]:
    return ("TVMSR_FRONT=1", 'TVMSR_PROGRAM="tvmsr device serve"', *_own_defines())


def _build_front(link_triple: str, out: Path) -> None:
    library = (HERE / "channel.c", HERE / "log.c", HERE / "transfer.c", program.SOURCES / "elffile.c")
    common: list[str | Path] = [*zig_command("cc"), "-target", link_triple, *_zig_options(link_triple), "-s"]
    common += ["-std=gnu11", "-Os", "-g0", *WARNINGS, f"-I{program.SOURCES}", f"-I{INCLUDE}"]
    common += [f"-D{define}" for define in front_defines()]
    with tempfile.TemporaryDirectory(prefix="tvmsr-front-") as folder:
        what = f"compiling {FRONT} for {link_triple}"
        run_tool([*common, "-shared", "-fPIC", *library, "-o", Path(folder, LIBRARY)], what, cwd=Path(folder))
        run_tool([*common, *front_sources(), "-o", Path(folder, FRONT)], what, cwd=Path(folder))
        move_into_place(Path(folder, LIBRARY), out.with_name(LIBRARY))
        move_into_place(Path(folder, FRONT), out)


def build(out: Path, *, link_triple: str = "", toolchain: Path | None = None) -> None:
    """Compile to `out`: with ziglang for `link_triple`, or with CMake and a toolchain file. WorkError if it fails."""
    with tempfile.TemporaryDirectory(prefix="tvmsr-device-") as folder:
        made = Path(folder, NAME)
        if toolchain is None:
            _zig(link_triple, made)
        else:
            _cmake(toolchain.resolve(), Path(folder, "build"), made)
        move_into_place(made, out)


def _zig(link_triple: str, out: Path) -> None:
    p = parts()
    command: list[str | Path] = [*zig_command("c++"), "-target", link_triple, *_zig_options(link_triple), *p.options]
    command += [f"-D{define}" for define in p.defines]
    command += [f"-I{folder}" for folder in p.includes]
    for folder in p.system:
        command += ["-isystem", folder]
    run_tool([*command, *p.sources, *p.link, "-o", out], f"compiling {NAME} for {link_triple}", cwd=out.parent)


def _zig_options(link_triple: str) -> tuple[str, ...]:
    """With musl, programs are static unless told otherwise, and then cannot load artifacts."""
    cpu = _ZIG_CPU.get(link_triple.split("-", maxsplit=1)[0], ())
    return (*cpu, "-dynamic") if "musl" in link_triple else cpu


def _cmake(toolchain: Path, folder: Path, out: Path) -> None:
    if shutil.which("cmake") is None:
        raise WorkError(f"building {NAME} with a toolchain file needs cmake; without one, ziglang needs none")
    what = f"compiling {NAME} with {toolchain.name}"
    options = [f"-DCMAKE_TOOLCHAIN_FILE={toolchain}", f"-DPython_EXECUTABLE={sys.executable}"]
    run_tool(["cmake", "-S", HERE, "-B", folder, *options], what)
    run_tool(["cmake", "--build", folder, "--parallel", "2"], what)
    shutil.copyfile(folder / NAME, out)


def _wheel(distribution: str, module: str) -> Path:
    """The folder of an installed package, found without importing it."""
    wanted = VERSIONS[distribution]
    try:
        version = metadata.version(distribution)
    except metadata.PackageNotFoundError:
        version = ""
    spec = find_spec(module)
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    if version != wanted or not folders:
        found = f"{version} is installed" if version else "it is not installed"
        advice = f"pip install {distribution}=={wanted}"
        raise WorkError(f"{NAME} is built from {distribution} {wanted}, but {found}; {advice}")
    return Path(folders[0])


@cache
def _key(link_triple: str, name: str = NAME) -> str:
    """Names everything that a program is made from; TVM's files by their versions."""
    words = [name, link_triple, *_zig_options(link_triple)]
    if name == FRONT:
        words += front_defines()
    else:
        p = parts()
        words += [*p.options, *p.link, *p.defines, *VERSIONS.values()]
    words.append(run_tool(zig_command("version"), "asking for ziglang's version").strip())
    return hashlib.sha256(("\0".join(words) + sources_digest()).encode()).hexdigest()[:32]


def sources_digest() -> str:
    """Names the sources that are ours, the agent's among them."""
    digest = hashlib.sha256()
    for root in (HERE, program.SOURCES, INCLUDE):
        for path in sorted(root.rglob("*")):
            if path.suffix in {".c", ".cc", ".h"}:
                digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process builds, others wait for what it makes."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _cmake_lists() -> str:
    """The same parts for CMakeLists.txt, which asks for them with `python -m tvmsr.devices.server.build`."""
    p = parts()
    named = {
        "SOURCES": p.sources,
        "INCLUDES": p.includes,
        "SYSTEM": p.system,
        "DEFINES": p.defines,
        "OPTIONS": p.options,
        "LINK": p.link,
    }
    quoted = {name: " ".join(f"[==[{value}]==]" for value in values) for name, values in named.items()}
    return "".join(f"set(TVMSR_DEVICE_{name} {words})\n" for name, words in quoted.items())


if __name__ == "__main__":
    sys.stdout.write(_cmake_lists())
