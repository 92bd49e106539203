"""Which CPUs count as big, with folders that look like Linux's /sys/devices/system/cpu."""

from __future__ import annotations

import ctypes
import os
import threading
from pathlib import Path

import pytest

from tvmsr.artifact.link import DRIVER, PACK
from tvmsr.artifact.zig import run_tool, zig_command

MOST = 4096


class Cpus(ctypes.Structure):
    """sr_cpus of driver/cpu.h"""

    _fields_ = [("bits", ctypes.c_ulong * (MOST // (8 * ctypes.sizeof(ctypes.c_ulong))))]


WORD = 8 * ctypes.sizeof(ctypes.c_ulong)


@pytest.fixture(scope="module")
def cores(tmp_path_factory, triple):
    path = tmp_path_factory.mktemp("cores") / "cores.so"
    command = [*zig_command("cc"), "-O2", "-shared", "-fPIC", f"-I{PACK.parent}", DRIVER / "cores.c", "-o", path]
    run_tool(command, "test")
    return ctypes.CDLL(str(path))


def big(cores, root: Path, allowed: set[int]) -> set[int]:
    cpus = Cpus()
    for cpu in allowed:
        cpus.bits[cpu // WORD] |= 1 << cpu % WORD
    count = cores.sr_cpus_keep_big(ctypes.byref(cpus), str(root).encode())
    found = {cpu for cpu in range(MOST) if cpus.bits[cpu // WORD] >> cpu % WORD & 1}
    assert count == len(found)
    return found


def system(root: Path, capacities: dict[int, str]) -> Path:
    for cpu, text in capacities.items():
        (root / f"cpu{cpu}").mkdir()
        (root / f"cpu{cpu}" / "cpu_capacity").write_text(text)
    return root


@pytest.mark.parametrize(
    ("capacities", "allowed", "expected"),
    [
        # Four A55 beside four A76, before and after their clocks are counted.
        ([530, 530, 530, 530, 1024, 1024, 1024, 1024], range(8), range(8)),
        ([397, 397, 397, 397, 1024, 1024, 1024, 1024], range(8), range(4, 8)),
        ([290, 290, 290, 290, 1024, 1024, 1024, 1024], range(8), range(4, 8)),
        # A phone's three kinds: the middle ones work too.
        ([250, 250, 250, 250, 760, 760, 760, 1024], range(8), range(4, 8)),
        ([461, 460, 1024], range(3), {0, 2}),
        # Bound by its user: the largest of those it may use counts.
        ([250, 250, 250, 250, 1024, 1024], range(4), range(4)),
        ([250, 250, 1024, 1024], {1, 3}, {3}),
        ([1024] * 4, range(4), range(4)),
    ],
)
def test_big_is_nearly_half_of_the_largest(cores, tmp_path, capacities, allowed, expected):
    root = system(tmp_path, {cpu: f"{capacity}\n" for cpu, capacity in enumerate(capacities)})
    assert big(cores, root, set(allowed)) == set(expected)


def test_numbers_beyond_a_word(cores, tmp_path):
    root = system(tmp_path, {3: "100\n", 70: "1024\n", 4095: "1000\n"})
    assert big(cores, root, {3, 70, 4095}) == {70, 4095}


@pytest.mark.parametrize("text", ["", "\n", "much\n", "-5\n", "0\n"])
def test_where_the_system_does_not_say(cores, tmp_path, text):
    root = system(tmp_path, {0: "100\n", 1: text, 2: "1024\n"})
    assert big(cores, root, {0, 1, 2}) == {0, 1, 2}
    assert big(cores, tmp_path / "nothing", {0, 1}) == {0, 1}
    assert big(cores, root, {0, 2, 3}) == {0, 2, 3}, "CPU 3 has no folder"


def test_a_number_that_no_system_gives(cores, tmp_path):
    root = system(tmp_path, {0: "100\n", 1: "9" * 500})
    assert big(cores, root, {0, 1}) == {1}


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs Linux")
def test_this_machine(cores):
    cpus = Cpus()
    allowed = len(os.sched_getaffinity(0))
    assert cores.sr_cpus_allowed(0, ctypes.byref(cpus)) == allowed
    assert 1 <= cores.sr_default_threads() <= allowed


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs Linux")
def test_one_thread_is_moved_off_a_cpu_and_back(cores):
    before, here = os.sched_getaffinity(0), cores.sr_cpu_here()
    assert here in before
    cpus, thread = Cpus(), cores.sr_thread_id()
    assert thread == threading.get_native_id()
    count = cores.sr_cpus_allowed(thread, ctypes.byref(cpus))
    home = Cpus.from_buffer_copy(cpus)
    assert cores.sr_cpus_remove(ctypes.byref(cpus), here) == count - 1
    assert cores.sr_cpus_remove(ctypes.byref(cpus), MOST) == count - 1, "there is no such CPU"
    assert cores.sr_cpus_bind(thread, ctypes.byref(cpus)) == (count > 1)
    try:
        assert os.sched_getaffinity(0) == (before - {here} or before)
    finally:
        assert cores.sr_cpus_bind(thread, ctypes.byref(home)) == 1
    assert os.sched_getaffinity(0) == before
