"""The default network for each kind of target: what its kernels add to what test_cross.py and test_macho.py see."""

from __future__ import annotations

from pathlib import Path

import pytest

import tvmsr
from tests.artifact import test_macho
from tests.artifact.elf_facts import dynamic, needs_binutils, symbols
from tests.artifact.test_cross import ARM_HELPERS, FUNCTIONS, WEAK, bionic, check_segments
from tvmsr.artifact import link
from tvmsr.artifact.formats import FFI_SYMBOL
from tvmsr.artifact.manifest import read_manifest
from tvmsr.commands.compile import Compiled
from tvmsr.hardware import load_target

#: What a file may weigh beside its weights: 200 KB for one level, 450 KB for three, per the project's promise.
TARGETS = {"arm": 450_000, "android-arm64": 450_000, "linux-armv7": 200_000, "apple-silicon": 450_000}
ELF_TARGETS = [name for name in TARGETS if name != "apple-silicon"]


#: In the symbol table of a dylib, because LLVM defines them in every object, weakly; nothing is bound to them.
HALF = {"___extendhfsf2", "___truncsfhf2"}


@pytest.fixture(scope="module")
def plan(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("plan") / "plan.json"
    tvmsr.calibrate("default:x2", out=path)
    return path


@pytest.fixture(scope="module")
def compiled(tmp_path_factory, plan) -> dict[str, Compiled]:
    folder = tmp_path_factory.mktemp("real")
    emits = {name: "so" if name == "apple-silicon" else "so,static" for name in TARGETS}
    return {
        name: tvmsr.compile("default:x2", out=folder / f"{name}.so", target=name, plan=plan, emit=emit)
        for name, emit in emits.items()
    }


@pytest.mark.parametrize("target", TARGETS)
def test_sizes_and_manifest(compiled, target):
    made = compiled[target]
    assert made.artifact.stat().st_size - made.weights_size <= TARGETS[target]
    manifest = read_manifest(made.artifact)
    assert manifest.target == target and [level.name for level in manifest.levels] == list(made.levels)
    assert manifest.compiler.startswith("ziglang")


@needs_binutils
@pytest.mark.parametrize("target", ELF_TARGETS)
def test_kernels_bring_no_names(compiled, target):
    shared, static, header = compiled[target].files
    found = symbols(shared)
    assert set(found["T"]) == {f"tvmsr_{name}" for name in link.API} | {FFI_SYMBOL}
    assert set(found) <= {"T", "U", "w"} and set(found["w"]) == {WEAK}
    assert not set(found["U"]) - FUNCTIONS
    found = symbols(static, static=True)
    assert set(found["T"]) == {f"tvmsr_{name}" for name in link.API}
    assert not set(found["U"]) - FUNCTIONS - (ARM_HELPERS if target == "linux-armv7" else set())
    assert "tvmsr_upscale(" in header.read_text()
    check_segments(shared, load_target(target).page_size)


@needs_binutils
def test_android_loads_it(compiled):
    path = compiled["android-arm64"].artifact
    assert not set(symbols(path)["U"]) - bionic()
    assert set(dynamic(path)["NEEDED"]) <= {"libc.so", "libm.so", "libdl.so"}


def test_kernels_are_not_visible_on_macos(compiled):
    found = test_macho.symbols(compiled["apple-silicon"].artifact.read_bytes())
    defined = {name for name, info in found.items() if info & 0x0E}
    assert defined - test_macho.LINKERS_OWN == {f"_tvmsr_{name}" for name in link.API} | {f"_{FFI_SYMBOL}"}
    assert set(found) - defined <= test_macho.FUNCTIONS | HALF


@pytest.mark.parametrize("target", ["arm", "linux-armv7"])
def test_same_bytes_again(compiled, plan, tmp_path, target):
    again = tvmsr.compile("default:x2", out=tmp_path / "other.so", target=target, plan=plan, emit="static,so")
    for one, two in zip(compiled[target].files, again.files, strict=True):
        assert one.read_bytes() == two.read_bytes()
