"""This machine is recognised, whichever it is: levels from what CPUs say of themselves."""

import platform
import subprocess

import pytest

from tvmsr.errors import WorkError
from tvmsr.hardware import cpu_name, cpuinfo, host, host_levels, host_target, load_target
from tvmsr.hardware.target import architecture, system

V3 = "avx2 fma f16c bmi1 bmi2"
V4 = f"{V3} avx512f avx512bw avx512cd avx512dq avx512vl"

A53 = "fp asimd evtstrm crc32 cpuid"
A76 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"
V1 = f"{A76} sve i8mm bf16"
A7 = "half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae evtstrm"


def x86(flags):
    return f"processor\t: 0\nmodel name\t: A CPU\nflags\t\t: {flags}\n\n" * 2


def arm(*cores, model=""):
    text = "".join(
        f"processor\t: {i}\nFeatures\t: {features}\nCPU implementer\t: 0x41\nCPU part\t: {part}\n\n"
        for i, (features, part) in enumerate(cores)
    )
    return text + (f"Model\t\t: {model}\n" if model else "")


@pytest.fixture
def pretend(monkeypatch):
    """Be another machine: what `uname` and /proc/cpuinfo say."""

    def change(machine, text="", os="Linux"):
        monkeypatch.setattr(platform, "machine", lambda: machine)
        monkeypatch.setattr(platform, "system", lambda: os)
        monkeypatch.setattr(cpuinfo, "_cpuinfo", lambda: text)

    return change


def names():
    return [level.name for level in host_levels()]


@pytest.mark.parametrize(
    ("flags", "best"),
    [
        (f"{V4} avx512_vnni avx_vnni", ["avx512vnni", "avxvnni", "avx2", "portable"]),
        (f"{V3} avx_vnni", ["avxvnni", "avx2", "portable"]),
        (V3, ["avx2", "portable"]),
        (V3.replace("fma", ""), ["portable"]),
        ("ssse3 sse4_1", ["sse41", "portable"]),
        (f"{V3} ssse3 sse4_1", ["avx2", "sse41", "portable"]),
        ("ssse3", ["portable"]),
        ("", ["portable"]),
    ],
)
def test_x86(pretend, flags, best):
    pretend("x86_64", x86(flags))
    assert names() == best
    assert host_target().levels == host_levels()[:1]
    assert host_target().triple == "x86_64-unknown-linux-gnu"
    assert cpu_name() == "A CPU"


def test_older_x86_is_target_x86_64(pretend):
    pretend("x86_64", x86("ssse3 sse4_1"))
    assert host_levels() == load_target("x86-64").levels


@pytest.mark.parametrize(
    ("features", "best"),
    [(V1, ["i8mm", "dotprod", "neon"]), (A76, ["dotprod", "neon"]), (A53, ["neon"]), ("", ["neon"])],
)
def test_arm64(pretend, features, best):
    pretend("aarch64", arm((features, "0xd0b")))
    assert names() == best
    target = host_target()
    assert [level.name for level in target.levels] == best[:1]
    assert (target.triple, target.link_triple) == ("aarch64-unknown-linux-gnu", "aarch64-linux-gnu.2.17")
    assert target.levels[0] in load_target("arm").levels


def test_a_level_is_what_every_core_has(pretend):
    pretend("aarch64", arm((A53, "0xd03"), (A76, "0xd0b")))
    assert names() == ["neon"]


@pytest.mark.parametrize("machine", ["armv7l", "armv8l"])
def test_arm32(pretend, machine):
    pretend(machine, arm((A7, "0xc07")))
    assert names() == ["neon32"]
    assert host_target().link_triple == "arm-linux-gnueabihf.2.17"


def test_a_32_bit_python_on_a_64_bit_kernel(pretend, monkeypatch):
    pretend("aarch64", arm((A7, "0xd08")))
    monkeypatch.setattr(cpuinfo.sys, "maxsize", 2**31 - 1)
    assert names() == ["neon32"]


@pytest.mark.parametrize(("has", "best"), [({"DotProd", "I8MM"}, ["i8mm", "dotprod"]), ({"DotProd"}, ["dotprod"])])
def test_macos(pretend, monkeypatch, has, best):
    def sysctl(command, **_options):
        known = command[-1].removeprefix("hw.optional.arm.FEAT_") in has
        return subprocess.CompletedProcess(command, 0 if known else 1, "1\n" if known else "", "")

    pretend("arm64", os="Darwin")
    monkeypatch.setattr(subprocess, "run", sysctl)
    assert names()[: len(best)] == best
    assert (host_target().object, host_target().system) == ("macho", "macos")


def test_windows_on_arm(pretend, monkeypatch):
    pretend("ARM64", os="Windows")
    monkeypatch.setattr(cpuinfo, "_llvm_features", lambda: frozenset({"neon", "dotprod", "fullfp16"}))
    assert names() == ["dotprod", "neon"]
    assert host_target().triple == "aarch64-pc-windows-gnu"
    assert cpuinfo.features() == {"neon", "dotprod", "fp16"}


def test_another_cpu_is_portable(pretend, monkeypatch):
    pretend("riscv64", "isa : rv64imafdc\n")
    monkeypatch.setattr(host, "llvm_cpu", lambda: "sifive-u74")
    target = host_target()
    assert target.triple.startswith("riscv64-")
    assert [(level.name, level.cpu) for level in target.levels] == [("portable", "sifive-u74")]


def test_another_system(pretend):
    pretend("sparc64", os="SunOS")
    with pytest.raises(WorkError, match="SunOS on sparc64"):
        host_target()


def test_names_of_cpus(pretend):
    pretend("aarch64", arm(*[(A76, "0xd05")] * 4, *[(A76, "0xd0b")] * 2, model="A board"))
    assert cpu_name() == "A board, 2x Cortex-A76, 4x Cortex-A55"
    pretend("aarch64", arm((A76, "0xfff")))
    assert cpu_name() == "1x core 0x41:0xfff"


def test_words_of_triples():
    assert [architecture(word) for word in ("arm64", "AMD64", "armv7l", "armv6l")] == [
        "aarch64",
        "x86_64",
        "arm",
        "armv6l",
    ]
    assert architecture("arm-linux-gnueabihf.2.17") == architecture("armv7-unknown-linux-gnueabihf") == "arm"
    triples = ("aarch64-unknown-linux-android", "aarch64-apple-macos11.0", "x86_64-pc-windows-gnu", "arm-none-eabi")
    assert [system(triple) for triple in triples] == ["android", "macos", "windows", ""]


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="reads flags of x86")
def test_llvm_knows_the_same_cpu():
    pytest.importorskip("tvm")
    known = {
        "avx2",
        "fma",
        "f16c",
        "bmi",
        "bmi2",
        "avx512f",
        "avx512bw",
        "avx512dq",
        "avx512vl",
        "avx512vnni",
        "avxvnni",
    }
    assert cpuinfo._llvm_features() & known == cpuinfo.features() & known
