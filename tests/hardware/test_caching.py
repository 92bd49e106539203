"""What is known of caches: of targets, and of machines whose files are made up here."""

from __future__ import annotations

import pytest

from tvmsr.hardware import load_target
from tvmsr.hardware.caching import Caching, caching_here, caching_of

KIB, MIB = 1 << 10, 1 << 20


@pytest.mark.parametrize(
    ("name", "core", "shared"),
    [("rk3588", 512 * KIB, 3 * MIB), ("rpi4", 0, MIB), ("x86-64-v3", MIB, 25952256)],
)
def test_targets(name, core, shared):
    assert caching_of(load_target(name)) == Caching(core, shared)


def cpu(folder, number: int, siblings: str, caches: dict[str, tuple[int, str, str, str]]) -> None:
    here = folder / f"cpu{number}"
    (here / "topology").mkdir(parents=True)
    (here / "topology" / "thread_siblings_list").write_text(siblings + "\n")
    for name, fields in caches.items():
        index = here / "cache" / name
        index.mkdir(parents=True)
        for field, text in zip(("level", "type", "size", "shared_cpu_list"), fields, strict=True):
            (index / field).write_text(f"{text}\n")


def test_two_threads_of_a_core(tmp_path):
    first = {"index0": (1, "Data", "48K", "0,4"), "index1": (1, "Instruction", "32K", "0,4")}
    outer = {"index2": (2, "Unified", "2048K", "0,4"), "index3": (3, "Unified", "30M", "0-7")}
    cpu(tmp_path, 0, "0,4", first | outer)
    assert caching_here(tmp_path) == Caching(2 * MIB, 30 * MIB)


def test_big_and_little(tmp_path):
    for number in (0, 1):
        cpu(tmp_path, number, str(number), {"index2": (2, "Unified", "512K", "0-1")})
    cpu(tmp_path, 10, "10", {"index2": (2, "Unified", "1024K", "10"), "index3": (3, "Unified", "4096K", "0-10")})
    assert caching_here(tmp_path) == Caching(MIB, 4 * MIB)


def test_what_nobody_tells(tmp_path):
    assert caching_here(tmp_path / "none") == Caching()
    cpu(tmp_path, 0, "0", {"index2": (2, "Unified", "", "0"), "index3": ("three", "Unified", "4M", "0-7")})
    assert caching_here(tmp_path) == Caching()
