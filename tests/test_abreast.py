"""Crops side by side: the same results in the same order, one thread of BLAS, errors and interrupts come through."""

from __future__ import annotations

import threading
import time
from contextlib import nullcontext

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from tests.quant import networks
from tvmsr import abreast as module
from tvmsr.abreast import MOST_THREADS, abreast, mapped
from tvmsr.graph.execute import run_fp32
from tvmsr.hardware.cpuinfo import usable_cpus
from tvmsr.quant.bind import bind
from tvmsr.quant.calibrate import calibrate
from tvmsr.quant.reference import run

CROPS = [networks.picture(s) for s in range(5)]


def blas() -> list[int]:
    return [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]


def slow(number: int) -> tuple[int, int]:
    time.sleep(0.02 * (5 - number))
    return number, threading.get_ident()


@pytest.mark.parametrize("threads", [1, 2, 4, 99])
def test_results_come_in_order(threads):
    ticks = []
    with abreast(threads):
        found = mapped(slow, range(5), lambda: ticks.append(threading.get_ident()))
    assert [number for number, _ in found] == list(range(5))
    assert ticks == [threading.get_ident()] * 5
    others = {thread for _, thread in found} - {threading.get_ident()}
    assert len(others) == (0 if threads == 1 else min(threads, 5))


def test_outside_of_it_and_within_its_threads_one_after_another():
    assert {thread for _, thread in mapped(slow, range(3))} == {threading.get_ident()}
    with abreast(2):
        inner = mapped(lambda _: {thread for _, thread in mapped(slow, range(3))}, range(2))
    assert [len(threads) for threads in inner] == [1, 1]


@pytest.fixture
def two():
    """BLAS has two threads, whatever the environment says."""
    if not blas():
        pytest.skip("numpy's BLAS is one that threadpoolctl does not know")
    with threadpool_limits(2, user_api="blas"):
        yield


def test_blas_has_one_thread_meanwhile(two):
    with abreast():
        assert set(blas()) == {1} and module._THREADS.get() == 2
        with abreast(3):
            assert set(blas()) == {1} and module._THREADS.get() == 2
    assert set(blas()) == {2} and module._THREADS.get() == 0


def test_two_that_overlap_leave_blas_as_it_was(two):
    """In one process: the second begins while the first goes on, and ends after it."""
    inside, ended, found = threading.Event(), threading.Event(), []

    def second() -> None:
        with abreast():
            found.extend([module._THREADS.get(), *blas()])
            inside.set()
            ended.wait()

    thread = threading.Thread(target=second)
    with abreast():
        thread.start()
        inside.wait()
    ended.set()
    thread.join()
    assert found == [2, *[1] * (len(found) - 1)] and set(blas()) == {2}
    with abreast():
        assert module._THREADS.get() == 2 and set(blas()) == {1}


@pytest.mark.parametrize(("said", "threads"), [("3", 3), ("0", 1), ("many", usable_cpus()), (None, usable_cpus())])
def test_a_blas_that_cannot_be_asked(monkeypatch, said, threads):
    monkeypatch.setattr(module, "threadpool_info", lambda: [{"user_api": "openmp", "num_threads": 99}])
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if said is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", said)
    with abreast():
        assert module._THREADS.get() == min(threads, MOST_THREADS)


def test_each_thread_of_an_openmp_blas_is_limited(two, monkeypatch):
    (known, *_) = [one for one in threadpool_info() if one["user_api"] == "blas"]
    monkeypatch.setattr(module, "threadpool_info", lambda: [known | {"threading_layer": "openmp"}])
    limited = []

    def limits(*_: object, **__: object) -> nullcontext[None]:
        limited.append(threading.get_ident())
        return nullcontext()

    monkeypatch.setattr(module, "threadpool_limits", limits)
    with abreast(3):
        mapped(slow, range(5))
    assert len(set(limited)) == 4 and limited[0] == threading.get_ident()


def test_work_that_takes_long_says_where_it_can_end():
    """FP32 and integer networks between their nodes."""
    model = networks.residual(1)
    graph = bind(model, calibrate(model, CROPS))
    ended = []

    def goes_on(run):
        try:
            while True:
                run()
        except BaseException as error:
            ended.append(type(error))
            raise

    runs = [lambda: run_fp32(model, CROPS[0].astype(np.float32) / 255), lambda: run(graph, CROPS[0])]

    def done() -> None:
        raise KeyboardInterrupt

    with abreast(3), pytest.raises(KeyboardInterrupt):
        mapped(lambda run: run and goes_on(run), [None, *runs], done)
    assert ended == [module._Unwanted] * 2
    module.check_wanted()  # here nobody works for anybody


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_the_first_error_ends_it(error):
    begun = []

    def fails(number: int) -> None:
        begun.append(number)
        time.sleep(0.01)
        if number == 1:
            raise error(str(number))

    with abreast(2), pytest.raises(error, match="1"):
        mapped(fails, range(100))
    assert len(begun) < 100 and module._THREADS.get() == 0


@pytest.mark.parametrize(
    "how", [{"bits": "8"}, {"bits": "auto:a4w4", "costs": "bits"}, {"method": "minmax", "way": "crop"}]
)
def test_plans_do_not_depend_on_threads(how, two):
    """Also not on BLAS's, which calibration itself takes in hand."""
    model, held = networks.residual(1), [networks.picture(s) for s in range(10, 13)]
    seen = []

    def progress(*_: object) -> None:
        seen.append((module._THREADS.get(), *blas()))

    plans = [calibrate(model, CROPS, held=held, progress=progress, **how)]
    assert {(2, 1)} == {one[:2] for one in seen}
    for threads in (1, 4):
        with abreast(threads):
            plans.append(calibrate(model, CROPS, held=held, **how))
    assert plans[0] == plans[1] == plans[2]


def test_an_interrupt_does_not_wait_for_what_has_not_begun(monkeypatch):
    """Ctrl-C is raised where the results are waited for."""
    begun = []

    def some(number: int) -> int:
        begun.append(number)
        time.sleep(0.02)
        return number

    def interrupted() -> None:
        raise KeyboardInterrupt

    with abreast(2), pytest.raises(KeyboardInterrupt):
        mapped(some, range(50), interrupted)
    assert len(begun) < 10
    assert np.array_equal(mapped(lambda number: number, range(3)), [0, 1, 2])
