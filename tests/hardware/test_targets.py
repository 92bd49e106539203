"""targets/*.toml are all valid, errors are one line, and this machine is recognised."""

import platform

import pytest

from tvmsr.errors import InputFileError, UsageError
from tvmsr.hardware import data_dir, host, host_levels, host_target, list_targets, load_target

V3 = frozenset({"avx2", "fma", "f16c", "bmi1", "bmi2"})
V4 = V3 | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}

GOOD = """
description = "a board"
triple = "aarch64-unknown-linux-gnu"
link_triple = "aarch64-linux-gnu.2.17"
[[levels]]
name = "portable"
isa = "portable"
cpu = "generic"
"""


@pytest.mark.parametrize("name", list_targets())
def test_every_target_loads(name):
    target = load_target(name)
    assert target.name == name
    assert target.levels and target.description
    assert all(level.needs for level in target.levels[:-1])


def test_names():
    assert {"host", "x86-64", "x86-64-v3", "x86-64-v4-vnni", "aarch64"} <= set(list_targets())
    assert (data_dir() / "x86-64-v3.toml").is_file()
    assert [level.name for level in load_target("x86-64-v3").levels] == ["avx512vnni", "avxvnni", "avx2"]
    assert [level.name for level in load_target("x86-64-v4-vnni").levels] == ["avx512vnni"]


def test_a_file_by_its_path(tmp_path):
    path = tmp_path / "board.toml"
    path.write_text(GOOD)
    assert load_target(path).levels[0].cpu == "generic"
    child = tmp_path / "child.toml"
    child.write_text('extends = "board"\ndescription = "child"\ncores = 4\n')
    assert load_target(child).cores == 4
    assert load_target(child).triple == load_target(path).triple


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("description = ", "Invalid value"),
        (GOOD.replace('triple = "aarch64-unknown', 'triple = "a b'), "triple"),
        (GOOD.replace('cpu = "generic"', ""), "levels.0.cpu"),
        ("speed = 1\n" + GOOD, "speed"),
        ("cores = 0\n" + GOOD, "cores"),
        (GOOD + '[[levels]]\nname = "portable"\nisa = "a"\ncpu = "b"\n', "one name"),
        (GOOD + '[[levels]]\nname = "other"\nisa = "a"\ncpu = "b"\n', "never opened"),
        ('extends = "bad"\n', "circle"),
        ('extends = "x86-64-v3"\nkeep = ["avx9"]\n', "keep"),
    ],
)
def test_errors_are_one_line(tmp_path, text, part):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(InputFileError) as error:
        load_target(path)
    assert "\n" not in str(error.value)
    assert part in str(error.value)


def test_unknown_names():
    with pytest.raises(UsageError, match="known are"):
        load_target("rpi99")
    with pytest.raises(InputFileError, match="No such file"):
        load_target("no/such/file.toml")


@pytest.mark.parametrize(
    ("flags", "best"),
    [
        (V4 | {"avx512_vnni", "avx_vnni"}, ["avx512vnni", "avxvnni", "avx2", "portable"]),
        (V3 | {"avx_vnni"}, ["avxvnni", "avx2", "portable"]),
        (V3, ["avx2", "portable"]),
        (V3 - {"fma"}, ["portable"]),
        (frozenset(), ["portable"]),
    ],
)
def test_levels_of_a_cpu(monkeypatch, flags, best):
    monkeypatch.setattr(host, "cpu_flags", lambda: flags)
    monkeypatch.setattr(host, "machine", lambda: "x86_64")
    monkeypatch.setattr("tvmsr.hardware.registry.machine", lambda: "x86_64")
    assert [level.name for level in host_levels()] == best
    assert host_target().levels == host_levels()[:1]
    assert host_target().triple == "x86_64-unknown-linux-gnu"


def test_another_cpu_is_portable(monkeypatch):
    monkeypatch.setattr(host, "machine", lambda: "riscv64")
    monkeypatch.setattr("tvmsr.hardware.registry.machine", lambda: "riscv64")
    monkeypatch.setattr(host, "_llvm_cpu", lambda: "sifive-u74")
    target = host_target()
    assert target.triple.startswith("riscv64-")
    assert [(level.name, level.cpu) for level in target.levels] == [("portable", "sifive-u74")]


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="reads flags of x86")
def test_llvm_knows_the_same_cpu():
    pytest.importorskip("tvm")
    known = V4 | {"avx512_vnni", "avx_vnni"}
    assert host._llvm_flags() & known == host.cpu_flags() & known
