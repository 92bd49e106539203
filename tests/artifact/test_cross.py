"""Artifacts for other CPUs and C libraries, made on this machine: what they ask of the system that loads them."""

from __future__ import annotations

import dataclasses
import json
import platform
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.artifact import fake_reference
from tests.artifact.elf_facts import dynamic, needs_binutils, segments, symbols
from tests.artifact.fake_reference import FAKE
from tvmsr.artifact import link
from tvmsr.artifact.formats import ELF, FFI_SYMBOL, page_of
from tvmsr.artifact.link import INCLUDE, Parts, link_shared
from tvmsr.artifact.static import link_static
from tvmsr.artifact.toolchain import linked_code
from tvmsr.errors import InputFileError
from tvmsr.runtime import load
from tvmsr.runtime.sections import read_library

GLIBC = ["x86_64-linux-gnu.2.17", "aarch64-linux-gnu.2.17", "arm-linux-gnueabihf.2.17"]
MUSL = ["x86_64-linux-musl", "aarch64-linux-musl", "arm-linux-musleabihf"]

CPUS = {"x86_64": ("x86-64", 64), "aarch64": ("AArch64", 64), "arm": ("ARM", 32)}

#: What the driver may ask of a C library. A new name here is a promise that every library has it and that it behaves
#: alike: no errno, no sysconf, no thread-local variables.
FUNCTIONS = {
    "calloc", "clock_gettime", "fclose", "fgets", "fopen", "free", "getauxval", "getpid", "malloc", "memcmp", "memcpy",
    "memmove", "memset", "pthread_cond_broadcast", "pthread_cond_destroy", "pthread_cond_init", "pthread_cond_signal",
    "pthread_cond_wait", "pthread_create", "pthread_join", "pthread_mutex_destroy", "pthread_mutex_init",
    "pthread_mutex_lock", "pthread_mutex_unlock", "pthread_sigmask", "sched_getaffinity", "sched_getcpu",
    "sched_setaffinity", "sigfillset", "snprintf", "strcmp", "strlen", "strncmp", "strstr", "strtol", "syscall",
    "vsnprintf",
}  # fmt: skip

#: What a linker's own library has on ARMv7, which need not have a division.
ARM_HELPERS = {
    "__aeabi_idiv", "__aeabi_idivmod", "__aeabi_ldivmod", "__aeabi_uidiv", "__aeabi_uidivmod", "__aeabi_uldivmod",
    "__aeabi_unwind_cpp_pr0", "__aeabi_unwind_cpp_pr1",
}  # fmt: skip

WEAK = "TVMFFIErrorSetRaisedFromCStr"

#: A C compiler for another CPU, the emulator, its C library's root, CPU models: each must do.
CROSS = {
    "aarch64-linux-gnu.2.17": ("aarch64-linux-gnu-gcc", "qemu-aarch64", "/usr/aarch64-linux-gnu", ["cortex-a53"]),
    # The driver must be able to say that a CPU lacks NEON.
    "arm-linux-gnueabihf.2.17": (
        "arm-linux-gnueabihf-gcc", "qemu-arm", "/usr/arm-linux-gnueabihf", ["cortex-a7", "cortex-a9,neon=off"],
    ),
}  # fmt: skip


def cpu(triple: str) -> str:
    return triple.split("-", maxsplit=1)[0]


def bionic() -> set[str]:
    """Functions that Android has."""
    lines = (Path(__file__).parent / "bionic.txt").read_text().splitlines()
    return {line for line in lines if not line.startswith("#")}


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Callable[[str], Path]:
    """The hand-written program as a shared library for a triple."""
    folder = tmp_path_factory.mktemp("cross")

    def make(triple: str) -> Path:
        path = folder / f"{triple}.so"
        if not path.exists():
            link_shared(fake_reference.parts(), path, link_triple=triple)
        return path

    return make


@pytest.fixture(scope="session")
def made_static(tmp_path_factory) -> Callable[[str], Path]:
    """The same as a static library; its manifest is what driver_check.c wants."""
    folder = tmp_path_factory.mktemp("cross_static")

    def make(triple: str) -> Path:
        path = folder / f"{triple}.a"
        if not path.exists():
            link_static(plain_parts(), path, link_triple=triple)
        return path

    return make


def plain_parts() -> Parts:
    return dataclasses.replace(fake_reference.parts(), manifest=b"{}")


@pytest.mark.parametrize("triple", GLIBC + MUSL)
def test_says_what_it_is_for(made, triple):
    library = read_library(made(triple))
    assert (library.format, library.cpu, library.bits) == ("ELF", *CPUS[cpu(triple)])


@needs_binutils
@pytest.mark.parametrize("triple", GLIBC + MUSL)
def test_symbols(made, triple):
    found = symbols(made(triple))
    assert set(found["T"]) == {f"tvmsr_{name}" for name in link.API} | {FFI_SYMBOL}
    assert set(found) <= {"T", "U", "w"} and set(found["w"]) == {WEAK}
    assert not set(found["U"]) - FUNCTIONS


@needs_binutils
@pytest.mark.parametrize("triple", GLIBC)
def test_glibc_2_17_is_enough(made, triple):
    versions = symbols(made(triple))["U"].values()
    assert all(version.startswith("GLIBC_") for version in versions)
    assert max(tuple(map(int, version[6:].split("."))) for version in versions) <= (2, 17)
    assert set(dynamic(made(triple))["NEEDED"]) <= {"libc.so.6", "libm.so.6", "libpthread.so.0"}


@needs_binutils
@pytest.mark.parametrize("triple", MUSL)
def test_android_has_what_a_musl_link_asks_for(made, triple):
    """Its loader knows the libraries by these names and looks functions up without versions."""
    undefined = symbols(made(triple))["U"]
    assert not set(undefined) - bionic()
    assert set(undefined.values()) == {""}
    entries = dynamic(made(triple))
    assert set(entries["NEEDED"]) <= {"libc.so", "libm.so", "libdl.so"}
    assert not {"VERNEED", "VERDEF", "VERSYM", "SONAME", "RUNPATH", "RPATH"} & set(entries)


@needs_binutils
@pytest.mark.parametrize("triple", GLIBC + MUSL)
def test_segments(made, triple):
    check_segments(made(triple), page_of(triple))


def test_android_keeps_x18(made):
    """The system's own register (shadow call stacks)."""
    dump = shutil.which("llvm-objdump-19") or shutil.which("aarch64-linux-gnu-objdump")
    if dump is None:
        pytest.skip("needs a disassembler: apt-get install llvm-19")
    text = subprocess.run(
        [dump, "-d", str(made("aarch64-linux-musl"))], capture_output=True, text=True, check=True
    ).stdout
    assert "ret" in text and not re.search(r"\b[xw]18\b", text)


def check_segments(path: Path, page: int) -> None:
    """What loaders with pages of 4, 16 and 64 KiB, and Android's checks, want."""
    found = segments(path)
    loads = [segment for segment in found if segment.kind == "LOAD"]
    assert loads and all(segment.align >= page for segment in loads)
    assert not any("W" in segment.flags and "E" in segment.flags for segment in found)
    (stack,) = [segment for segment in found if segment.kind == "GNU_STACK"]
    assert "E" not in stack.flags
    (relro,) = [segment for segment in found if segment.kind == "GNU_RELRO"]
    assert (relro.address + relro.size) % page == 0
    assert not [segment for segment in found if segment.kind == "TLS"]
    entries = dynamic(path)
    assert "TEXTREL" not in entries and "TEXTREL" not in " ".join(entries.get("FLAGS", []))


@needs_binutils
@pytest.mark.parametrize("triple", ["aarch64-linux-gnu.2.17", "arm-linux-gnueabihf.2.17"])
def test_static_symbols(made_static, triple):
    found = symbols(made_static(triple), static=True)
    assert set(found["T"]) == {f"tvmsr_{name}" for name in link.API}
    helpers = ARM_HELPERS if cpu(triple) == "arm" else set()
    assert not set(found["U"]) - FUNCTIONS - helpers
    assert not {"w", "W", "V", "D", "B", "C"} & set(found)


@needs_binutils
@pytest.mark.parametrize("triple", ["aarch64-linux-gnu.2.17", "arm-linux-musleabihf"])
def test_code_of_others_is_named(monkeypatch, tmp_path, triple):
    """All functions in the file are the driver's, the program's, or compiler-rt's where the manifest says so."""
    kept = dataclasses.replace(ELF, link_flags=lambda *words: [f for f in ELF.link_flags(*words) if f != "-s"])
    monkeypatch.setattr(link, "format_of", lambda triple: kept)
    path = tmp_path / "unstripped.so"
    link_shared(fake_reference.parts(), path, link_triple=triple)
    lines = subprocess.run(["readelf", "-sW", path], capture_output=True, text=True, check=True).stdout.splitlines()
    files = {words[-1] for words in map(str.split, lines) if len(words) > 4 and words[3] == "FILE"}
    ours = {path.name for path in link.driver_sources()} | {"model.c", "data.S", "data.o", "pack.c"}
    named = {"compiler_rt"} if linked_code(triple, None) else set()
    assert files - ours == named


@pytest.mark.parametrize("triple", ["aarch64-linux-gnu.2.17", "arm-linux-gnueabihf.2.17"])
def test_same_bytes_from_another_folder_and_cache(made, made_static, monkeypatch, tmp_path, triple):
    """The C library's start files are made anew too."""
    monkeypatch.setenv("ZIG_GLOBAL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("ZIG_LOCAL_CACHE_DIR", str(tmp_path / "local"))
    folder = tmp_path / "a folder" / "deep"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    link_shared(fake_reference.parts(), Path("other.so"), link_triple=triple)
    assert Path("other.so").read_bytes() == made(triple).read_bytes()
    link_static(plain_parts(), Path("other.a"), link_triple=triple)
    assert Path("other.a").read_bytes() == made_static(triple).read_bytes()


def tools(triple: str) -> tuple[str, str, str, list[str]]:
    """Compiler, emulator, root and CPUs; skips where they are missing."""
    compiler, emulator, root, cpus = CROSS[triple]
    if shutil.which(compiler) is None or not Path(root).is_dir():
        pytest.skip(f"needs {compiler}: apt install gcc-{compiler.removesuffix('-gcc')}")
    if shutil.which(emulator) is None:
        pytest.skip(f"needs {emulator}: apt install qemu-user")
    return compiler, emulator, root, cpus


def check_runs(library: Path, triple: str, folder: Path, cpus: list[str]) -> None:
    """driver_check.c with the library, on each of the CPUs."""
    compiler, emulator, root, _ = tools(triple)
    program = folder / "check"
    flags = ["-std=c11", "-O1", f"-I{INCLUDE}", FAKE / "driver_check.c", library, "-lm", "-pthread"]
    subprocess.run([compiler, *flags, f"-Wl,-rpath,{folder}", "-o", program], check=True)
    for name in cpus:
        command = [emulator, "-cpu", name, "-L", root, program, "no-fork"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert (done.stdout, done.returncode) == ("ok\n", 0), f"{name}: {done.stderr}"


@pytest.mark.parametrize("triple", CROSS)
def test_static_library_in_a_program_of_another_compiler(made_static, tmp_path, triple):
    *_, cpus = tools(triple)
    check_runs(made_static(triple), triple, tmp_path, cpus)


@pytest.mark.parametrize("triple", CROSS)
def test_shared_library_in_a_program_of_another_compiler(tmp_path, triple):
    *_, cpus = tools(triple)
    path = tmp_path / "libsr.so"
    link_shared(plain_parts(), path, link_triple=triple)
    check_runs(path, triple, tmp_path, cpus)


@needs_binutils
@pytest.mark.parametrize("triple", CROSS)
def test_linked_by_another_compiler(tmp_path, triple):
    compiler, *_, cpus = tools(triple)
    shared, static = tmp_path / "libsr.so", tmp_path / "sr.a"
    link_shared(plain_parts(), shared, link_triple=triple, cc=compiler)
    assert set(symbols(shared)["T"]) == {f"tvmsr_{name}" for name in link.API} | {FFI_SYMBOL}
    check_segments(shared, page_of(triple))
    check_runs(shared, triple, tmp_path, cpus[:1])
    link_static(plain_parts(), static, link_triple=triple, cc=compiler)
    assert set(symbols(static, static=True)["T"]) == {f"tvmsr_{name}" for name in link.API}
    check_runs(static, triple, tmp_path, cpus[:1])


@needs_binutils
@pytest.mark.parametrize("triple", ["aarch64-linux-musl", "x86_64-linux-gnu.2.17"])
def test_pages_as_large_as_the_target_says(tmp_path, triple):
    link_shared(plain_parts(), tmp_path / "a.so", link_triple=triple, page=65536)
    assert {segment.align for segment in segments(tmp_path / "a.so") if segment.kind == "LOAD"} == {65536}


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="musl loads it")
@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="has another triple")
@pytest.mark.parametrize(("system", "words"), [("android", "it is for Android"), ("musl", "it is for Linux with musl")])
def test_another_c_library_is_named_where_loading_fails(tmp_path, system, words):
    link_triple = f"{platform.machine()}-linux-musl"
    manifest = {"link_triple": link_triple, "triple": f"{platform.machine()}-unknown-linux-{system}"}
    parts = dataclasses.replace(fake_reference.parts(), manifest=json.dumps(manifest).encode())
    link_shared(parts, tmp_path / "a.so", link_triple=link_triple)
    with pytest.raises(InputFileError, match=f"cannot be loaded: .*{words}"):
        load(tmp_path / "a.so")
