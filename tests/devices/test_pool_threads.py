"""The threads of a pool: each can be stopped, whatever it waits for."""

from __future__ import annotations

import _thread
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from tests.devices.pool_fakes import FakeDevice, alive
from tvmsr.devices import Here, Opening
from tvmsr.devices.channel import ProcessChannel
from tvmsr.devices.pool import together
from tvmsr.devices.pool.worker import Desk, Worker, stop_all
from tvmsr.errors import DeviceError, WorkError


def test_a_worker_that_waits_for_a_process():
    """Stopping it kills the process, also one that neither reads nor writes."""
    pids, raised = [], []

    def wait() -> None:
        channel = ProcessChannel([sys.executable, "-S", "-c", "import time; time.sleep(60)"], "a fake", silence=60)
        pids.append(channel.pid)
        channel.receive(1)

    desk = Desk()
    worker = Worker("w", desk)
    worker.order(wait, lambda _: None, raised.append)
    while not pids:
        time.sleep(0.01)
    time.sleep(0.2)
    started = time.monotonic()
    stop_all([worker])
    assert time.monotonic() - started < 10 and not alive("w")
    desk.handle(5)
    assert isinstance(raised[0], DeviceError)


def test_a_worker_that_was_stopped_connects_no_more():
    begun, go, raised = threading.Event(), threading.Event(), []

    def connect() -> None:
        begun.set()
        assert go.wait(10)
        script = textwrap.dedent("import sys, time; sys.stdout.write('x'); sys.stdout.flush(); time.sleep(60)")
        ProcessChannel([sys.executable, "-S", "-c", script], "a fake", silence=60).receive(1)

    desk = Desk()
    worker = Worker("w", desk)
    worker.order(connect, lambda _: None, raised.append)
    assert begun.wait(10)
    worker.stop()
    go.set()
    assert worker.join(10)
    desk.handle(5)
    assert "was stopped" in str(raised[0])


@pytest.mark.parametrize("call", ["upscale", "bench", "traced"])
def test_a_worker_that_is_at_work_on_this_machine(call: str, fake: Path):
    """Stopping it ends the call at the next strip, and the session may be closed by whoever wants to."""
    picture, begun, raised = np.zeros((4000, 4000, 3), np.uint8), threading.Event(), []
    device = Here()

    def work() -> None:
        runner = device.open(fake, Opening(threads=1, memory=8))
        begun.set()
        while True:
            runner.bench(4000, 4000, runs=1000) if call == "bench" else getattr(runner, call)(picture)

    desk = Desk()
    worker = Worker("w", desk)
    worker.order(work, lambda _: None, raised.append)
    assert begun.wait(30)
    time.sleep(0.1)
    stop_all([worker])
    device.close()
    assert not alive("w")
    desk.handle(5)
    assert isinstance(raised[0], (DeviceError, WorkError)) and (
        "stopped" in str(raised[0]) or "cancel" in str(raised[0])
    )


def test_together():
    at_once, most, turns = [], [], []

    class Emulated(FakeDevice):
        emulated = True

    def work(device, call):
        (turns if device.emulated else at_once).append(device.name)
        most.append((len(turns), len(at_once)))
        time.sleep(0.2)
        call(lambda: seen.append((device.name, threading.current_thread() is threading.main_thread())))
        (turns if device.emulated else at_once).remove(device.name)
        if device.name == "bad":
            raise DeviceError("bad: gone")
        return device.name.upper()

    seen: list[tuple[str, bool]] = []
    devices = [Emulated("q"), FakeDevice("a"), FakeDevice("bad"), Emulated("r")]
    found = together(devices, work)
    assert (found[0], found[1], str(found[2]), found[3]) == ("Q", "A", "bad: gone", "R")
    assert max(turns for turns, _ in most) == 1 and max(at_once for _, at_once in most) == 2
    assert sorted(seen) == [("a", True), ("bad", True), ("q", True), ("r", True)]
    with pytest.raises(ZeroDivisionError):
        together(devices, lambda device, call: 1 // 0)


def test_together_interrupted():
    channels: list[ProcessChannel] = []

    def work(device, call):
        channels.append(
            ProcessChannel([sys.executable, "-S", "-c", "import time; time.sleep(60)"], device.name, silence=60)
        )
        channels[-1].receive(1)

    threading.Timer(0.7, _thread.interrupt_main).start()
    with pytest.raises(KeyboardInterrupt):
        together([FakeDevice("a"), FakeDevice("b")], work)
    assert len(channels) == 2 and all(channel.closed for channel in channels)
