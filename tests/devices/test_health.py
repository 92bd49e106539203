"""What is read of a machine's condition, what is complained of, and which figures are doubted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.devices import trees
from tvmsr.devices.health import Health, changed, complaints, doubts, health_of, look
from tvmsr.devices.power import Energy
from tvmsr.devices.sysfiles import BOOT, HOW, LARGEST_FILE, MOST_PATTERNS, WHAT, local_files
from tvmsr.errors import DeviceError


def test_raspberry_pi_5() -> None:
    health = health_of(trees.pi5())
    assert health.governors == ("performance",) and health.throttled is False and health.past == ()
    (clock,) = health.clocks
    assert (clock.cores, clock.now, clock.limit, clock.top) == ((0, 1, 2, 3), 2400.0, 2400.0, 2400.0)
    assert health.hottest is not None and (health.hottest.name, health.hottest.celsius) == ("cpu-thermal", 52.0)
    assert (health.memory, health.memory_total, health.cores) == (6 << 30, 8 << 30, 4)
    assert health.power is None and health.energy is None and health.battery is None
    assert complaints(health) == () and doubts(health, health) == ()


def test_a_fan_is_no_throttling_and_a_cpu_that_is_cooled_is() -> None:
    files = trees.pi5()
    assert health_of(files).throttled is False
    files["/sys/class/thermal/cooling_device0/type"] = b"cpufreq-cpu0\n"
    assert health_of(files).throttled is True


def test_throttled_raspberry_pi_4() -> None:
    health = health_of(trees.hot_pi4())
    assert health.throttled is True and health.governors == ("ondemand",)
    assert "the supply voltage is too low" in health.reasons and "the firmware throttles the CPU" in health.reasons
    assert "the firmware caps the clock" not in health.reasons
    kinds = [complaint.kind for complaint in complaints(health)]
    assert kinds == ["throttled", "heat", "load", "memory", "governor"]
    first = complaints(health)[0]
    assert first.severity == "fault" and "voltage is too low" in first.what and "power supply" in first.do
    said = doubts(health, health)
    assert "voltage" in said[0] and any("ondemand" in line for line in said)
    assert any("100 MiB of 1024" in line for line in said)


def test_what_was_once_is_a_note_and_no_doubt() -> None:
    health = health_of(trees.pi5(throttled="10000"))
    assert health.throttled is False and health.past == ("the supply voltage is too low",)
    (complaint,) = complaints(health)
    assert complaint.severity == "note" and doubts(health, health) == ()


def test_throttled_meanwhile() -> None:
    cool, hot = health_of(trees.pi5()), health_of(trees.pi5(throttled="40000", celsius=81))
    said = doubts(cool, hot)
    assert "meanwhile the firmware throttles the CPU" in said[0] and any("81 C" in line for line in said)
    assert any(line == "cpu-thermal: 52 to 81 C" for line in changed(cool, hot))
    assert changed(cool, cool) == ()


def test_server() -> None:
    before, after = health_of(trees.server()), health_of(trees.server(throttles=9, joules=130.5))
    assert before.throttled is False and before.throttle_count == 14
    # Such a CPU chooses its clock itself: a low one while it rests is nothing to complain of.
    assert complaints(before) == () and not before.clocks[0].steady
    assert before.hottest is not None and before.hottest.name == "x86_pkg_temp"
    assert before.energy is not None and after.energy is not None
    assert after.energy.since(before.energy) == pytest.approx(30.5)
    assert doubts(before, before) == () and "throttled itself 4 times" in doubts(before, after)[0]


def test_a_counter_that_begins_anew() -> None:
    assert Energy(2.0, 100.0, "").since(Energy(97.0, 100.0, "")) == pytest.approx(5.0)


def test_phone() -> None:
    health = health_of(trees.phone())
    assert [(clock.cores, clock.limited) for clock in health.clocks] == [
        ((0, 1, 2, 3), False), ((4, 5, 6), True), ((7,), False)
    ]  # fmt: skip
    assert health.throttled is True and [zone.name for zone in health.zones] == ["battery", "cpu-1-0-usr"]
    assert health.zones[-1].trip == 95.0
    assert health.battery is not None and health.battery.discharging and health.battery.percent == 15
    assert health.power is not None and health.power.watts == pytest.approx(3.9)
    kinds = [complaint.kind for complaint in complaints(health)]
    assert kinds == ["throttled", "limit", "governor", "battery"]
    assert "cores 4 to 6 may run at 1901 MHz of 2496" in complaints(health)[1].what


def test_the_supply_of_a_whole_module_and_not_its_parts() -> None:
    power = health_of(trees.jetson()).power
    assert power is not None and power.watts == pytest.approx(6.0) and power.source == "ina3221 VDD_IN"
    parts = trees.jetson() | {"/sys/class/hwmon/hwmon3/in1_label": b"VDD_GPU_SOC\n"}
    power = health_of(parts).power
    assert power is not None and power.watts == pytest.approx(8.0) and "VDD_CPU_GPU_CV" in power.source


def test_a_low_clock_counts_where_the_governor_wants_another() -> None:
    slow = trees.tree(trees.clocks([(4, 1500000, 2400000, 2400000)], "performance"))
    assert [complaint.kind for complaint in complaints(health_of(slow))] == ["clock"]
    idle = trees.tree(trees.clocks([(4, 1500000, 2400000, 2400000)], "schedutil"))
    assert [complaint.kind for complaint in complaints(health_of(idle))] == ["governor"]


def test_a_limit_that_somebody_set_and_one_of_heat() -> None:
    lowered = trees.jetson() | trees.tree(trees.clocks([(6, 1497600, 1497600, 1984000)], "schedutil"))
    first = complaints(health_of(lowered))[0]
    assert first.kind == "limit" and "nvpmodel -m 0" in first.do and "jetson_clocks" in first.do
    heated = trees.tree(trees.zone(0, "cpu-thermal", 84000, (("passive", 85),)))
    first = complaints(health_of(lowered | heated))[0]
    assert first.kind == "limit" and "cool down" in first.do and "nvpmodel" not in first.do
    limited = next(complaint for complaint in complaints(health_of(trees.phone())) if complaint.kind == "limit")
    assert "cool down" in limited.do


def test_near_the_trip_point() -> None:
    for celsius, severity in ((50, None), (81, "doubt"), (86, "fault")):
        files = trees.tree(trees.zone(0, "soc-thermal", 1000 * celsius, (("passive", 75), ("passive", 85))))
        found = [complaint.severity for complaint in complaints(health_of(files))]
        assert found == ([severity] if severity else [])


def test_others_at_work_are_seen_between_two_looks() -> None:
    quiet = trees.tree(trees.load(4, busy=100, idle=1000))
    later = {"idle": trees.load(4, busy=101, idle=1119), "busy": trees.load(4, busy=160, idle=1060)}
    busy = {name: health_of(trees.tree(files), quiet).busy for name, files in later.items()}
    assert busy == {"idle": pytest.approx(4 / 120), "busy": pytest.approx(2.0)}
    (complaint,) = complaints(Health(busy=2.0, cores=4))
    assert "use 2.0 of 4 cores" in complaint.what
    assert complaints(Health(busy=0.2, cores=4, load=9.0)) == ()  # that was earlier
    assert complaints(Health(busy=2.0, cores=64)) == ()


def test_look_reads_twice_and_waits_between() -> None:
    done: list[object] = []

    def read(patterns) -> dict[str, bytes]:
        done.append(tuple(patterns))
        return trees.pi5() | trees.tree(trees.load(4, busy=40 * len(done), idle=1000 + 120 * len(done)))

    health = look(read, done.append, 0.5)
    assert done == [("/proc/stat",), 0.5, HOW]
    assert health.busy == pytest.approx(4 * 80 / (80 + 240))


def test_doubts_of_an_emulator_and_of_nothing() -> None:
    health = health_of(trees.hot_pi4())
    (said,) = doubts(health, health, "qemu:arm")
    assert "emulator qemu:arm, not of a CPU" in said
    for looks in ((None, health), (health, None)):
        (said,) = doubts(*looks)
        assert "does not tell how it is" in said


def test_the_worse_of_two_looks_is_told_once() -> None:
    warm = Health(zones=health_of(trees.tree(trees.zone(0, "cpu", 82000, (("passive", 85),)))).zones)
    hot = replace(warm, zones=health_of(trees.tree(trees.zone(0, "cpu", 88000, (("passive", 85),)))).zones)
    (said,) = doubts(warm, hot)
    assert "88 C" in said
    (said,) = doubts(hot, warm)
    assert "88 C" in said


def test_nothing_is_known_of_an_empty_tree() -> None:
    health = health_of({})
    assert health == Health() and complaints(health) == () and health.as_json()["hottest"] is None


@pytest.mark.parametrize("junk", [b"", b"\xff\xfe", b"-", b"nan", b"99999999999999999999999"])
def test_junk_in_the_place_of_numbers(junk: bytes) -> None:
    health = health_of(dict.fromkeys(trees.pi5() | trees.phone() | trees.server() | trees.jetson(), junk))
    assert isinstance(complaints(health), tuple) and isinstance(health.as_json(), dict)


def test_files_of_this_machine() -> None:
    found = local_files(["/proc/self/status", "/proc/self/sta*s", "/proc/none", "/proc/self/fd", *BOOT])
    assert b"VmRSS" in found["/proc/self/status"] and len(found) == 2 and BOOT[0] in found
    assert local_files(["/proc/self/root/etc/hostname", "/proc/self/cwd/*"]) == {}
    assert len(local_files(["/proc/kallsyms"]).get("/proc/kallsyms", b"")) <= LARGEST_FILE
    for bad in ("/etc/passwd", "/proc/../etc/passwd", "proc/stat"):
        with pytest.raises(DeviceError, match="not below"):
            local_files([bad])
    with pytest.raises(DeviceError, match="256 at most"):
        local_files(["/proc/stat"] * (MOST_PATTERNS + 1))


def test_all_patterns_may_be_asked_for_at_once() -> None:
    assert len(WHAT) + len(HOW) <= MOST_PATTERNS and "/proc/stat" in local_files((*WHAT, *HOW))
