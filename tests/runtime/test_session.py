"""What `load` and `Session` refuse, before C sees it."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tvmsr.errors import UsageError
from tvmsr.runtime import load


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((4,), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_wrong_arrays(fake, array):
    with load(fake, threads=1) as session, pytest.raises(UsageError, match="picture"):
        session.upscale(array)


@pytest.fixture
def interruptible():
    """Python's own handler, also where the tests were started in the background and ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_an_upscale_as_such(fake):
    before = signal.getsignal(signal.SIGINT)
    with load(fake, threads=1, memory=1 << 20) as session:
        with pytest.raises(KeyboardInterrupt):
            session.upscale(np.zeros((200, 64, 3), np.uint8), lambda _done, _total: signal.raise_signal(signal.SIGINT))
        assert signal.getsignal(signal.SIGINT) is before
        assert session.upscale(np.zeros((4, 4, 3), np.uint8)).dtype == np.uint8, "the session still works"


def test_upscaling_in_another_thread_leaves_signals_alone(fake):
    with load(fake, threads=1) as session, ThreadPoolExecutor(1) as pool:
        assert pool.submit(session.upscale, np.zeros((4, 4, 3), np.uint8)).result().dtype == np.uint8


def test_closed_while_another_thread_is_in_a_call(fake):
    """The call ends as it would have, and what it works with is freed after it."""
    inside, go = threading.Event(), threading.Event()

    def wait(_done: int, _total: int) -> None:
        inside.set()
        assert go.wait(30)

    session, picture = load(fake, threads=2), np.zeros((200, 64, 3), np.uint8)
    want = session.upscale(picture)
    freed = []
    close = session._abi.close
    session._abi.close = lambda handle: (freed.append(go.is_set()), close(handle))
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(session.upscale, picture, wait)
        assert inside.wait(30)
        session.close()
        with pytest.raises(UsageError, match="is closed"):
            session.last()
        go.set()
        np.testing.assert_array_equal(call.result(), want)
    assert freed == [True], "once, and not before the call's end"
    session.close()
    assert len(freed) == 1


def test_closed_by_its_own_progress(fake):
    with load(fake, threads=1) as session:
        assert session.upscale(np.zeros((9, 9, 3), np.uint8), lambda _done, _total: session.close()).shape == (
            18,
            18,
            3,
        )
        with pytest.raises(UsageError, match="is closed"):
            session.last()


def test_wrong_memory(fake):
    with pytest.raises(UsageError, match="memory limit"):
        load(fake, memory=0)


def test_a_session_is_freed_with_its_object(fake):
    for _ in range(50):
        load(fake, threads=4).upscale(np.zeros((4, 4, 3), np.uint8))


def _threads() -> set[int]:
    return {int(task.name) for task in Path("/proc/self/task").iterdir()}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a program say where its threads run")
@pytest.mark.parametrize("given", ["all", "one"])
def test_threads_run_where_they_may_before_and_after_they_are_woken_elsewhere(fake, given):
    """A sleeper is kept off the caller's CPU while it wakes, and only then."""
    before, allowed = _threads(), os.sched_getaffinity(0)
    with load(fake, threads=2) as session:
        (worker,) = _threads() - before
        wanted = allowed if given == "all" else {max(allowed)}
        deadline = time.monotonic() + 20
        while os.sched_getaffinity(worker) != allowed and time.monotonic() < deadline:
            time.sleep(0.01)  # opening woke it already: on a busy machine it has yet to come back
        os.sched_setaffinity(worker, wanted)
        for _ in range(20):
            session.upscale(np.zeros((40, 40, 3), np.uint8))
            time.sleep(0.005)  # it falls asleep
        deadline = time.monotonic() + 20
        while os.sched_getaffinity(worker) != wanted and time.monotonic() < deadline:
            time.sleep(0.01)
        assert os.sched_getaffinity(worker) == wanted
