"""CMake as an app calls it: configure and build in a folder, with a compiler that is fast because it only copies."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tvmsr.artifact.zig import environment

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
PACKAGE = ROOT / "tvmsr" / "artifact" / "cmake"

#: In the place of tvmsr: notes what it was asked for, then copies sr.so, sr.a or PREFIX.a from its own folder.
STUB = """
import shutil, sys
from pathlib import Path
here, words = Path(__file__).parent, sys.argv[1:]
out = Path(words[words.index("-o") + 1])
name = words[words.index("--prefix") + 1] if "--prefix" in words else "sr"
with (here / "calls").open("a") as file:
    file.write(" ".join(words) + "\\n")
shutil.copyfile(here / (name + out.suffix), out)
"""


def needs_cmake() -> str:
    """CMake's generator; skips where there is no CMake or nothing that it can drive."""
    for program, generator in (("ninja", "Ninja"), ("make", "Unix Makefiles")):
        if shutil.which("cmake") and shutil.which(program):
            return generator
    pytest.skip("needs CMake and ninja or make: apt install cmake ninja-build, or pip install cmake ninja")


def needs_compiler(name: str) -> str:
    """`cc` or `c++`; ziglang's C where there is none. Its C++ takes minutes the first time: too long for a test."""
    if shutil.which(name):
        return name
    if name == "cc":
        return f"{sys.executable} -m ziglang cc"
    pytest.skip("needs a C++ compiler: apt install g++")


@dataclass(frozen=True)
class Stub:
    """A folder with the stand-in for the compiler and the artifacts that it hands out."""

    folder: Path

    @property
    def option(self) -> str:
        return f"-DTVMSR_COMMAND={sys.executable};{self.folder / 'stub.py'}"

    @property
    def calls(self) -> list[str]:
        """What it was asked for so far, a line each."""
        file = self.folder / "calls"
        return file.read_text().splitlines() if file.exists() else []


def make_stub(folder: Path, artifacts: dict[str, Path]) -> Stub:
    """A stub that hands out artifacts by name: sr.so, one.a."""
    folder.mkdir(exist_ok=True)
    (folder / "stub.py").write_text(STUB)
    for name, path in artifacts.items():
        shutil.copyfile(path, folder / name)
    return Stub(folder)


def run(*command: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    everything = {**environment(), **(env or {})}
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, env=everything, check=False)


def configure(
    source: Path, build: Path, *options: str, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    # Release: without an -O ziglang builds its sanitizer's runtime first.
    command = ["cmake", "-G", needs_cmake(), "-S", source, "-B", build, "-DCMAKE_BUILD_TYPE=Release", *options]
    return run(*command, env={"CC": needs_compiler("cc"), **(env or {})})


def built(source: Path, build: Path, *options: str, env: dict[str, str] | None = None) -> Path:
    """The build folder after configuring and building, which must succeed."""
    done = configure(source, build, f"-Dtvmsr_DIR={PACKAGE}", *options, env=env)
    assert done.returncode == 0, done.stderr
    rebuild(build, env)
    return build


def rebuild(build: Path, env: dict[str, str] | None = None) -> str:
    """What the build printed."""
    done = run("cmake", "--build", build, "--parallel", str(os.cpu_count()), env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def project(folder: Path, text: str, *, before: str = "find_package(tvmsr REQUIRED)") -> Path:
    """A C project of one source with `text` in its CMakeLists.txt."""
    folder.mkdir(parents=True, exist_ok=True)
    head = f"cmake_minimum_required(VERSION 3.16)\nproject(app LANGUAGES C)\n{before}\n"
    (folder / "CMakeLists.txt").write_text(head + text)
    (folder / "app.c").write_text('#include "tvmsr.h"\nint main(void) { TVMSR_FN(close)(0); return 0; }\n')
    return folder
