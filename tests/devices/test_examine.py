"""What a device is, and which target suits it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.devices import trees
from tests.devices.conftest import need_emulator
from tvmsr.devices import Facts, Here, find_device
from tvmsr.devices.examine import Cores, Machine, compare, machine_of, obstacles, remedy, suggest
from tvmsr.devices.sysfiles import WHAT
from tvmsr.errors import DeviceError
from tvmsr.hardware import load_target

DOT = frozenset({"neon", "fp16", "dotprod"})
PI5 = Facts("aarch64", "Linux", "glibc 2.41", DOT, 4, 16384, 8 << 30)
PI4 = Facts("aarch64", "Linux", "glibc 2.31", frozenset({"neon"}), 4, 4096, 4 << 30)
PHONE = Facts("aarch64", "Linux", "musl", DOT | {"sve", "i8mm"}, 8, 4096, 8 << 30)
SERVER = Facts("x86_64", "Linux", "glibc 2.36", frozenset({"avx2", "fma", "f16c", "bmi", "bmi2"}), 2, 4096, 1 << 36)


def arm(parts: list[int], features: frozenset[str], words: str = trees.A76, **more: object) -> Machine:
    """A board that does not say its name."""
    files = trees.tree({"/proc/cpuinfo": trees.arm_cpuinfo(parts, words), **more})
    return machine_of(Facts("aarch64", "Linux", "glibc 2.36", features, len(parts), 4096, 1 << 33), files)


def test_raspberry_pi_5() -> None:
    machine = machine_of(PI5, trees.pi5())
    assert machine.name == "Raspberry Pi 5 Model B Rev 1.0, 4x Cortex-A76" and not machine.emulated
    assert machine.clusters == (Cores("cortex-a76", 4, 2400.0, 0),)
    assert suggest(machine) == "rpi5" and compare(machine, load_target("rpi5")) == ()


def test_raspberry_pi_4() -> None:
    machine = machine_of(PI4, trees.hot_pi4())
    assert suggest(machine) == "rpi4" and compare(machine, load_target("rpi4")) == ()
    said = compare(machine, load_target("rpi5"))
    assert said[0] == "it can run none of the target's levels: its CPU has no dotprod"
    assert "it has 4x cortex-a72, which the target does not know" in said
    assert "it has no cortex-a76, of which the target has 4" in said


def test_raspberry_pi_with_a_32_bit_system() -> None:
    facts = replace(PI4, machine="armv8l", features=frozenset({"neon", "vfpv4"}))
    machine = machine_of(facts, trees.hot_pi4())
    assert not machine.emulated and machine.architecture == "arm" and suggest(machine) == "linux-armv7"
    assert compare(machine, load_target("rpi4"))[0] == "it is arm, the target aarch64"


def test_phone() -> None:
    machine = machine_of(PHONE, trees.phone())
    assert (machine.system, machine.libc) == ("Android", "bionic")
    assert [(c.core, c.count) for c in machine.clusters] == [("cortex-x2", 1), ("cortex-a710", 3), ("cortex-a510", 4)]
    assert suggest(machine) == "android-arm64"
    assert any("C library is bionic" in line for line in compare(machine, load_target("arm")))


def test_server() -> None:
    machine = machine_of(SERVER, trees.server())
    assert machine.name == "Intel(R) Xeon(R) Gold 6240" and suggest(machine) == "x86-64-v3"
    assert compare(machine, load_target("x86-64-v3")) == (
        "level avx512vnni will not be used there: the CPU has no avx512f, avx512bw, avx512cd, avx512dq, avx512vl, "
        "avx512vnni",
        "level avxvnni will not be used there: the CPU has no avxvnni",
    )
    assert suggest(replace(machine, features=frozenset({"ssse3"}))) == "x86-64"


@pytest.mark.parametrize(
    ("parts", "features", "target"),
    [
        ([0xD08] * 4, frozenset({"neon"}), "rpi4"),
        ([0xD03] * 4, frozenset({"neon"}), "rpi3"),
        ([0xD05] * 4, DOT, "rk3566"),
        ([0xD05] * 4 + [0xD0B] * 4, DOT, "rk3588"),
        ([0xD42] * 8, DOT, "jetson-orin"),
        ([0xD40] * 2, DOT | {"i8mm", "sve"}, "graviton3"),
        ([0xD0C] * 4, DOT, "arm"),
        ([0xD40] * 2, DOT, "arm"),  # its i8mm is hidden: the level of graviton3 would not run
    ],
)
def test_by_cores(parts: list[int], features: frozenset[str], target: str) -> None:
    assert suggest(arm(parts, features)) == target


def test_by_clock_where_the_cores_are_the_same() -> None:
    clocks = trees.clocks([(4, 1000000, 1000000, 1000000)], "ondemand")
    assert suggest(arm([0xD03] * 4, frozenset({"neon"}), **clocks)) == "rpi-zero2"


def test_by_the_boards_name() -> None:
    machine = machine_of(replace(PI5, cores=6, page_size=4096), trees.jetson())
    assert suggest(machine) == "jetson-orin"
    rock = arm([0xD05] * 4, DOT, **{"/proc/device-tree/compatible": "radxa,rock-5b\0rockchip,rk3588\0"})
    assert suggest(rock) == "rk3588"


def test_never_one_that_would_not_run() -> None:
    machine = machine_of(PI4, trees.hot_pi4())
    assert suggest(replace(machine, page_size=65536)) == "arm"
    for other in (
        replace(machine, libc="musl"),
        replace(machine, libc="glibc 2.12"),
        replace(machine, architecture="riscv64"),
        replace(machine, architecture="arm", features=frozenset({"vfpv4"})),
    ):
        with pytest.raises(DeviceError, match="no target suits this device"):
            suggest(other)
    assert any("pages have 64 KiB" in line for line in compare(replace(machine, page_size=65536), load_target("rpi4")))
    old = compare(replace(machine, libc="glibc 2.12"), load_target("rpi4"))
    assert old == ("its glibc is 2.12, the target wants 2.17 or newer",)


def test_what_stops_artifacts_and_what_to_do_about_it() -> None:
    machine = machine_of(PI4, trees.hot_pi4())
    assert obstacles(machine, load_target("rpi4")) == ()
    assert obstacles(machine, load_target("rpi5")) == (
        "it can run none of the target's levels: its CPU has no dotprod",
    )
    assert remedy(machine, load_target("rpi5")) == (
        "rpi4 suits it better, add it again with --target rpi4 and --overwrite"
    )
    pages = replace(machine, page_size=65536)
    assert len(obstacles(pages, load_target("rpi4"))) == 1 and "--target arm " in remedy(pages, load_target("rpi4"))
    musl = replace(machine, libc="musl")
    assert obstacles(musl, load_target("rpi4")) == ("its C library is musl, the target's glibc",)
    assert "targets/README.md" in remedy(musl, load_target("rpi4"))
    assert "mend the target's file" in remedy(machine, replace(load_target("rpi4"), name="mine"))


def test_other_numbers_and_clocks() -> None:
    clocks = trees.clocks([(2, 1500000, 1500000, 1500000)], "ondemand")
    said = compare(arm([0xD08] * 2, frozenset({"neon"}), **clocks), load_target("rpi4"))
    assert said == (
        "it has 2x cortex-a72, the target 4",
        "cortex-a72 runs at up to 1500 MHz there, at 1800 in the target",
    )
    assert compare(arm([0xD0C] * 2, DOT), load_target("arm")) == (
        "level i8mm will not be used there: the CPU has no i8mm",
    )
    assert "--memory" in compare(replace(machine_of(PI4, trees.hot_pi4()), memory=400 << 20), load_target("rpi4"))[0]


def test_capacity_puts_the_fast_cores_first() -> None:
    capacities = {f"{trees.CPU}/cpu{i}/cpu_capacity": 1024 if i < 2 else 400 for i in range(4)}
    machine = arm([0xD0B] * 2 + [0xD05] * 2, DOT, **capacities)
    assert [(c.core, c.capacity) for c in machine.clusters] == [("cortex-a76", 1024), ("cortex-a55", 400)]


def test_an_emulated_board_is_not_taken_for_the_machine_below() -> None:
    for files in (trees.server(), {"/proc/cpuinfo": trees.server()["/proc/cpuinfo"]}):
        machine = machine_of(PI4, files)
        assert machine.emulated and machine.clusters == () and "Xeon" not in machine.name
        assert suggest(machine) == "arm"
    below = machine_of(SERVER, trees.pi5())
    assert below.emulated and below.board == "" and suggest(below) == "x86-64-v3"


@pytest.mark.parametrize("junk", [b"", b"\xff", b"processor : x\nCPU implementer : 0x41\nCPU part : what"])
def test_junk_in_the_files(junk: bytes) -> None:
    machine = machine_of(PI4, dict.fromkeys(trees.pi5(), junk) | {f"{trees.CPU}/modalias": junk})
    assert suggest(machine) == "arm"


def test_here_and_emulated() -> None:
    with Here() as here:
        machine = machine_of(here.facts(), here.files(WHAT))
        assert not machine.emulated and machine.name and machine.as_json()["features"] == sorted(machine.features)
    need_emulator("arm")
    with find_device("qemu:arm") as device:
        machine = machine_of(device.facts(), device.files(WHAT))
        assert machine.emulated and suggest(machine) == "linux-armv7"
