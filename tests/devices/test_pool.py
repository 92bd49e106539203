"""Work spread over devices that die, hang, slow down, and compute wrongly: every picture once, and right."""

from __future__ import annotations

import _thread
import threading
import time

import numpy as np
import pytest

from tests.devices.pool_fakes import (
    ARTIFACT,
    QUICK,
    FakeDevice,
    Pictures,
    after,
    alive,
    fails,
    slowly,
)
from tvmsr.devices.pool import Limits, Run, spread
from tvmsr.devices.pool.hand import Done
from tvmsr.devices.pool.member import State
from tvmsr.devices.pool.pool import _Pool
from tvmsr.devices.runner import Opening
from tvmsr.errors import DeviceError, InputFileError, UsageError, WorkError


def test_every_picture_once():
    job, devices, seen = Pictures(60), [FakeDevice(name, upscales=slowly) for name in "abc"], []
    found = spread(devices, ARTIFACT, job, opening=Opening(threads=2), report=seen.append)
    assert job.all_right and sorted(job.kept) == list(range(60)) and found.notes == ()
    assert [share.device for share in found.shares] == ["a", "b", "c"]
    assert all(share.pictures > 3 and share.seconds == share.pictures * 0.25 for share in found.shares)
    assert sum(share.pictures for share in found.shares) == 60
    assert {(share.level, share.out) for share in found.shares} == {("neon", "")}
    assert seen[0] == 0 and seen == sorted(seen) and seen[-1] == 60
    assert all(device.all_closed and device.openings == [Opening(threads=2)] for device in devices)
    assert not any(alive(name) for name in "abc")


def test_one_device_is_not_checked():
    job, device = Pictures(5), FakeDevice("a")
    assert spread([device], ARTIFACT, job).shares[0].pictures == 5
    assert job.all_right and device.checked == 0 and device.all_closed


@pytest.mark.parametrize("error", [DeviceError("a: gone"), InputFileError("damaged"), WorkError("out of memory")])
def test_a_failure_of_the_only_device_is_raised_as_it_is(error: Exception):
    job, device = Pictures(5), FakeDevice("a", upscales=after(2, error))
    with pytest.raises(type(error)) as raised:
        spread([device], ARTIFACT, job)
    assert raised.value is error and sorted(job.delivered) == [0, 1] and device.opened == 1 and device.all_closed


def test_the_only_device_does_not_open():
    error = UsageError("no level nothing")

    def refuse(_device: FakeDevice) -> None:
        raise error

    with pytest.raises(UsageError) as raised:
        spread([FakeDevice("a", opens=refuse)], ARTIFACT, Pictures(1))
    assert raised.value is error


def test_a_device_that_dies(caplog: pytest.LogCaptureFixture):
    job, dying, other = Pictures(40), fails(5, DeviceError("pi5: the program ended")), FakeDevice("b", upscales=slowly)
    found = spread([dying, other], ARTIFACT, job)
    assert job.all_right and dying.opened == 2 and dying.calls == 6 and dying.all_closed
    (note,) = found.notes
    assert note.startswith("pi5 was taken out: the program ended; its ") and "picture" in note
    assert "went to b" in note and note.endswith("it could not be opened again: nobody answers")
    assert caplog.messages == [note], "said while it happens too"
    assert found.shares[0].out and found.shares[1].out == ""


def test_a_result_that_was_on_its_way():
    """It was kept when the device was taken out, and is reported after that."""
    job = Pictures(2)
    pool = _Pool([FakeDevice("a"), FakeDevice("b")], ARTIFACT, Opening(), job, QUICK, lambda _: None)
    member = pool._members[0]
    member.number = 1
    assert member.surrender() == [(1, None)]
    member.drop()
    pool.done(member, Done(job.read(1), 0.1))
    assert job.discarded == 1 and member.state is State.OUT and not member.held


@pytest.mark.parametrize("checks", [0.0, 0.2])
def test_a_connection_that_is_lost_once(checks: float):
    """With dear checks it holds pictures then, which nobody has proven: they are done again."""

    def lose(device: FakeDevice) -> None:
        slowly(device)
        if device.calls == 4:
            raise DeviceError("pi5: it ended the connection")

    job = Pictures(60)
    device = FakeDevice("pi5", upscales=lose, checks=lambda _: time.sleep(checks))
    # Whether a check of no cost is cheap would otherwise be a matter of what else the machine does.
    limits = Limits() if checks else Limits(share=1e9)
    found = spread([device, FakeDevice("b", upscales=slowly)], ARTIFACT, job, limits=limits)
    assert job.all_right and device.opened == 2 and device.calls > 5 and device.all_closed
    (note,) = found.notes
    assert note.startswith("pi5 failed and was opened again: it ended the connection; its ")
    assert found.shares[0].out == "" and job.discarded == (3 if checks else 0)


def test_a_second_failure_is_the_last():
    job, device = Pictures(60), FakeDevice("pi5", upscales=after(2, DeviceError("pi5: it ended the connection")))
    found = spread([device, FakeDevice("b", upscales=slowly)], ARTIFACT, job)
    assert job.all_right and device.opened == 2
    assert [note.split(":")[0] for note in found.notes] == ["pi5 failed and was opened again", "pi5 was taken out"]


def test_wrong_from_the_beginning():
    bad, job = FakeDevice("pi5"), Pictures(40)
    bad.wrong = True
    (note,) = spread([bad, FakeDevice("b", upscales=slowly)], ARTIFACT, job).notes
    assert note == "pi5 was taken out: it gave wrong bytes: check picture 1 of 3 gives 1, not 2"
    assert job.all_right and bad.calls == 0 and bad.opened == 1 and bad.all_closed


@pytest.mark.parametrize("checks", [0.0, 0.3])
def test_wrong_from_some_moment_on(checks: float):
    """Checks that cost nothing come at once; dear ones at the end. Nothing wrong is delivered in either case."""

    def turn(device: FakeDevice) -> None:
        slowly(device)
        device.wrong = device.calls > 4

    bad = FakeDevice("pi5", upscales=turn, checks=lambda _: time.sleep(checks))
    job = Pictures(40)
    found = spread([bad, FakeDevice("b", upscales=slowly)], ARTIFACT, job)
    assert job.all_right and bad.calls > 4 and bad.opened == 1
    (note,) = found.notes
    assert note.startswith("pi5 was taken out: it gave wrong bytes") and "went to b" in note
    assert job.discarded >= 1 and (checks == 0 or found.shares[0].pictures == 0)
    assert found.shares[0].pictures <= 4


def test_an_artifact_without_checks():
    job = Pictures(6)
    devices = [FakeDevice(name, manifest={}, upscales=slowly) for name in "ab"]
    (note,) = spread(devices, ARTIFACT, job).notes
    assert job.all_right and "no check pictures" in note and not any(device.checked for device in devices)


def test_no_device_is_left():
    job = Pictures(9)
    devices = [fails(2, DeviceError("pi5: it ended")), fails(3, DeviceError("pi5: it burned"))]
    devices[1].name = "b"
    with pytest.raises(DeviceError) as raised:
        spread(devices, ARTIFACT, job)
    said = str(raised.value)
    missing = [job.name(n) for n in range(9) if n not in job.delivered]
    assert "no device is left (pi5: it ended" in said and "b: pi5: it burned" in said
    assert f"{9 - len(missing)} of 9 pictures are done, missing: {', '.join(missing[:3])}" in said
    assert len(missing) >= 4 and f" and {len(missing) - 3} more" in said


def test_what_no_device_can_open():
    def refuse(_device: FakeDevice) -> None:
        raise InputFileError("sr.so: damaged")

    with pytest.raises(InputFileError, match=r"a: sr\.so: damaged; b: sr\.so: damaged"):
        spread([FakeDevice(name, opens=refuse) for name in "ab"], ARTIFACT, Pictures(2))


def test_a_picture_that_a_device_cannot_do():
    def refuse(device: FakeDevice) -> None:
        slowly(device)
        if device.calls == 2:
            raise WorkError("out of memory")

    job, small = Pictures(10), FakeDevice("small", upscales=refuse)
    found = spread([small, FakeDevice("b", upscales=slowly)], ARTIFACT, job)
    assert job.all_right and found.notes == () and small.calls > 2
    job = Pictures(1)
    spread([FakeDevice("small", upscales=after(0, WorkError("out of memory"))), FakeDevice("b")], ARTIFACT, job)
    assert job.all_right, "one picture, one device in reserve"


def test_a_picture_that_no_device_can_do():
    def refuse(device: FakeDevice) -> None:
        slowly(device)
        if device.calls == 3:
            raise WorkError(f"too large for {device.name}")

    job = Pictures(3)
    devices = [FakeDevice(name, upscales=after(0, WorkError(f"too large for {name}"))) for name in "ab"]
    with pytest.raises(WorkError, match="too large for"):
        spread(devices, ARTIFACT, job)
    assert not job.delivered and all(device.all_closed for device in devices)


@pytest.mark.parametrize("error", [UsageError("too large"), ZeroDivisionError("a bug")])
def test_errors_that_would_be_the_same_everywhere(error: Exception):
    job, devices = Pictures(30), [FakeDevice("a", upscales=after(3, error)), FakeDevice("b", upscales=slowly)]
    with pytest.raises(type(error)) as raised:
        spread(devices, ARTIFACT, job)
    assert raised.value is error and len(job.delivered) < 30 and all(device.all_closed for device in devices)


def test_a_picture_that_cannot_be_read():
    job, devices = Pictures(30, unreadable=frozenset({20})), [FakeDevice(name, upscales=slowly) for name in "ab"]
    with pytest.raises(OSError, match=r"20\.png"):
        spread(devices, ARTIFACT, job)
    assert set(job.delivered) >= set(range(19)), "what was done is delivered"
    assert all(device.all_closed for device in devices)


@pytest.mark.parametrize("names", ["a", "ab"])
def test_broken_pictures(names: str):
    """The others are done; all that are broken are named."""
    job, devices = Pictures(30, broken=frozenset({0, 20, 29})), [FakeDevice(name, upscales=slowly) for name in names]
    with pytest.raises(InputFileError) as raised:
        spread(devices, ARTIFACT, job)
    said = "3 of 30 pictures cannot be read, the others are done: 0.png: damaged; 20.png: damaged; 29.png: damaged"
    assert str(raised.value) == said and len(job.delivered) == 27
    assert all(device.all_closed for device in devices)


def test_many_broken_pictures_and_only_one():
    with pytest.raises(InputFileError, match=r"12 of 13 .*; 10\.png: damaged; and 2 more$"):
        spread([FakeDevice("a")], ARTIFACT, Pictures(13, broken=frozenset(range(1, 13))))
    with pytest.raises(InputFileError, match=r"^0\.png: damaged$"):
        spread([FakeDevice("a")], ARTIFACT, Pictures(1, broken=frozenset({0})))


@pytest.mark.parametrize("devices", [1, 2])
def test_ctrl_c_while_a_result_is_kept(devices: int):
    """It is answered at once; what is kept after it is discarded."""

    class Slow(Pictures):
        def keep(self, number, source, result):
            begun.set()
            assert free.wait(60)
            return super().keep(number, source, result)

    begun, free = threading.Event(), threading.Event()
    job = Slow(9)
    threading.Timer(0.5, _thread.interrupt_main).start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        spread([FakeDevice(f"d{n}", manifest={}) for n in range(devices)], ARTIFACT, job)
    assert begun.is_set() and time.monotonic() - started < 10
    free.set()
    until = time.monotonic() + 10
    while alive("d0") and time.monotonic() < until:
        time.sleep(0.02)
    assert not alive("d0") and not job.delivered and job.discarded == len(job.kept) == devices


def test_one_picture_goes_to_the_first_that_works():
    job, devices = Pictures(1), [FakeDevice("a"), FakeDevice("b")]
    assert spread(devices, ARTIFACT, job).notes == ()
    assert job.all_right and (devices[0].opened, devices[1].opened) == (1, 0)

    def refuse(_device: FakeDevice) -> None:
        raise DeviceError("a: nothing listens there")

    job, devices = Pictures(1), [FakeDevice("a", opens=refuse), FakeDevice("b")]
    assert spread(devices, ARTIFACT, job).notes == ("a was taken out: nothing listens there",)
    assert job.all_right and devices[1].opened == 1


def test_ctrl_c():
    free = threading.Event()
    devices = [FakeDevice("a", upscales=lambda d: d.calls < 3 or free.wait(60)), FakeDevice("b", upscales=slowly)]
    job = Pictures(100_000)
    timer = threading.Timer(0.7, _thread.interrupt_main)
    timer.start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        spread(devices, ARTIFACT, job)
    assert time.monotonic() - started < 20 and not alive("b") and devices[1].all_closed
    kept = len(job.kept)
    free.set()
    until = time.monotonic() + 10
    while alive("a") and time.monotonic() < until:
        time.sleep(0.02)
    assert not alive("a") and devices[0].all_closed and len(job.kept) == kept, "nothing is kept after the end"


class Choosing(Pictures):
    """A PiecewiseJob: odd pictures are run in two pieces of one choice, the others whole, as the artifact chooses."""

    def upscale(self, number: int, source: np.ndarray, run: Run) -> np.ndarray:
        unforced = run.workspace(4, 6)
        if number % 2:
            run.force(2)
        self.seen.append((unforced, run.workspace(4, 6), run.workspace(4, 6)))
        parts = [run(part) for part in np.array_split(source, 1 + number % 2)]
        self.choices.append(run.choices)
        return np.concatenate(parts)


@pytest.mark.parametrize(("choice", "plain", "own"), [(None, 1024, 0), ("low", 25, 1)])
def test_a_choice_for_the_pieces_of_one_picture(choice: str | None, plain: int, own: int):
    """The next picture has what the opening said again, and nobody is asked without need."""
    job, device = Choosing(4), FakeDevice("a")
    job.seen, job.choices = [], []
    spread([device], ARTIFACT, job, opening=Opening(choice=choice))
    assert job.all_right
    assert job.seen == [(plain, plain, plain), (plain, 26, 26)] * 2 and job.choices == [(own,), (2,)] * 2
    again = None if choice is None else 1
    assert device.runners[0].asked == [2, again, 2]
