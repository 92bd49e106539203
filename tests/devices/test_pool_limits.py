"""Devices that hang, are slowed down or late: what limits are, and who is taken out at which."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from tests.devices.pool_fakes import (
    ARTIFACT,
    CHECKED,
    QUICK,
    FakeDevice,
    Pictures,
    after,
    fails,
    slowly,
)
from tvmsr.devices.pool import Limits, spread
from tvmsr.devices.pool.limits import Allowed, Pace
from tvmsr.errors import DeviceError


def test_a_device_that_hangs_and_comes_back_too_late():
    free, hung = threading.Event(), threading.Event()

    def hang(device: FakeDevice) -> None:
        slowly(device)
        if device.calls == 3:
            hung.set()
            assert free.wait(30)

    def and_then(device: FakeDevice) -> None:
        slowly(device)
        if device.calls == 38:  # the picture that hangs over there
            free.set()
            time.sleep(0.2)

    job = Pictures(40)
    device, other = FakeDevice("pi5", upscales=hang), FakeDevice("b", upscales=and_then)
    found = spread([device, other], ARTIFACT, job, limits=QUICK)
    assert job.all_right and hung.is_set() and device.calls == 3
    assert len(job.kept) == 40 + job.discarded, "what came too late is not kept"
    (note,) = found.notes
    assert note.startswith("pi5 was taken out: nothing was done within 0.5 seconds; its ") and "went to b" in note


def test_a_device_that_never_comes_back():
    free = threading.Event()
    device = FakeDevice("pi5", upscales=lambda d: d.calls < 3 or free.wait(60))
    started = time.monotonic()
    job = Pictures(20)
    assert spread([device, FakeDevice("b", upscales=slowly)], ARTIFACT, job, limits=QUICK).notes
    assert job.all_right and time.monotonic() - started < 30
    free.set()


def test_the_first_picture_and_the_last_device_may_take_their_time():
    def first(device: FakeDevice) -> None:
        time.sleep(1.0 if device.calls == 1 else 0.01)

    job = Pictures(12)
    slow, dead = FakeDevice("slow", upscales=first), fails(1, DeviceError("pi5: gone"))
    assert len(spread([slow, dead], ARTIFACT, job, limits=QUICK).notes) == 1
    assert job.all_right

    def later(device: FakeDevice) -> None:
        time.sleep(1.2 if device.calls == 8 else 0.01)

    job, slow, dead = Pictures(12), FakeDevice("slow", upscales=later), fails(1, DeviceError("pi5: gone"))
    (note,) = spread([slow, dead], ARTIFACT, job, limits=QUICK).notes
    assert job.all_right and "pi5" in note


def test_a_device_that_hangs_while_it_is_opened_again():
    free = threading.Event()
    device = FakeDevice(
        "pi5", upscales=after(2, DeviceError("pi5: gone")), opens=lambda d: d.opened == 1 or free.wait(60)
    )
    job = Pictures(150)
    (note,) = spread([device, FakeDevice("b", upscales=slowly)], ARTIFACT, job, limits=QUICK).notes
    assert job.all_right and note.endswith("it could not be opened again: nothing came back within 0.5 seconds")
    free.set()


#: What the firmware of a Raspberry Pi says when it is too hot.
HOT = {
    "/sys/devices/platform/soc/soc:firmware/get_throttled": b"4",
    "/sys/class/thermal/thermal_zone0/type": b"cpu-thermal",
    "/sys/class/thermal/thermal_zone0/temp": b"82000",
}


def heats_up(seconds: float) -> FakeDevice:
    """Slowed down from its fifth picture on, which take so long."""

    def act(device: FakeDevice) -> None:
        time.sleep(0.01 if device.calls < 5 else seconds)
        if device.calls == 5:
            device.tree = HOT

    return FakeDevice("pi5", upscales=act)


@pytest.mark.parametrize("manifest", [CHECKED, {}])
@pytest.mark.parametrize(("seconds", "out"), [(0.01, False), (0.2, True)])
def test_a_device_that_is_slowed_down(seconds: float, out: bool, manifest: dict[str, Any]):
    job, hot, other = Pictures(60), heats_up(seconds), FakeDevice("b", upscales=slowly, manifest=manifest)
    hot.manifest = manifest
    found = spread([hot, other], ARTIFACT, job, limits=Limits(look=0))
    notes = [note for note in found.notes if note.startswith("pi5")]
    why = "(throttled: the firmware throttles the CPU, 82 C)"
    assert job.all_right and hot.opened == 1 and len(notes) == 1 + out and job.discarded == 0
    assert notes[0] == (f"pi5 is slowed down {why}: it gets fewer pictures, as it takes its next one when it is done")
    assert notes[1:] == ([f"pi5 was taken out: it takes over 3 times as long as before {why}"] if out else [])


def test_the_last_device_and_emulated_ones_may_be_slowed_down():
    job, hot = Pictures(20), heats_up(0.2)
    dead = fails(1, DeviceError("b: gone"))
    hot.name, dead.name = "hot", "b"
    found = spread([hot, dead], ARTIFACT, job, limits=Limits(look=0))
    assert job.all_right and not any(note.startswith("hot was taken out") for note in found.notes)
    job, hot = Pictures(20), heats_up(0.01)
    hot.emulated = True
    assert spread([hot, FakeDevice("b", upscales=slowly)], ARTIFACT, job, limits=Limits(look=0)).notes == ()


@pytest.mark.parametrize("others", [0, 1])
def test_the_last_device_hangs(others: int):
    free = threading.Event()
    job, hung = Pictures(9), FakeDevice("pi5", upscales=lambda d: d.calls < 3 or free.wait(60))
    devices = [hung, *(fails(0, DeviceError("b: gone")) for _ in range(others))]
    started = time.monotonic()
    with pytest.raises(DeviceError) as raised:
        spread(devices, ARTIFACT, job, limits=Limits(floor=0.5, reopen=0.5, last_floor=1.0))
    free.set()
    late = "pi5: nothing was done within 1 seconds"
    assert late in str(raised.value) and time.monotonic() - started < 20 and len(job.delivered) < 9
    assert (str(raised.value) == late) == (not others)


def test_this_process_was_held_up(monkeypatch: pytest.MonkeyPatch):
    """A stopped client finds every device late when it goes on: it waits for what they have to say first."""
    late = 4

    def hold(device: FakeDevice) -> None:
        time.sleep(1.2 if device.calls == late else 0.01)

    def report(_done: int) -> None:
        if devices[0].calls == late and not stops:  # the thread in command, stopped with a device at work
            stops.append(time.sleep(0.9))

    stops: list[None] = []
    job, devices = Pictures(30), [FakeDevice("a", upscales=hold), FakeDevice("b", upscales=slowly)]
    assert spread(devices, ARTIFACT, job, limits=QUICK, report=report).notes == () and stops
    assert job.all_right


def test_limits_follow_from_measured_times():
    pace = Pace(Limits(factor=10, floor=2, share=0.05))
    assert pace.limit(1000) is None and pace.check_limit() is None
    pace.took(100, 1.0)
    pace.took(100, 0.5)
    assert pace.limit(1000) == Allowed(pytest.approx(100), pytest.approx(300)) and pace.limit(1) == Allowed(2, 60)
    pace.checked(0.1)
    assert pace.check_limit() == Allowed(2, 60) and not pace.wants_check()
    pace.took(100, 1.9)
    assert not pace.wants_check()
    pace.took(100, 0.2)
    assert pace.wants_check()
