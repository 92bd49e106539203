"""Crops side by side: the same results in the same order, one thread of BLAS, errors and interrupts come through."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from tests.quant import networks
from tvmsr.quant import abreast as module
from tvmsr.quant.abreast import MOST_THREADS, abreast, mapped
from tvmsr.quant.calibrate import calibrate

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


def test_blas_has_one_thread_meanwhile(monkeypatch):
    before = blas()
    monkeypatch.setattr(module, "threadpool_info", lambda: [{"user_api": "blas", "num_threads": 99}])
    with abreast():
        assert set(blas()) <= {1} and module._THREADS.get() == MOST_THREADS
        with abreast(2):
            assert set(blas()) <= {1} and module._THREADS.get() == MOST_THREADS
    assert blas() == before and module._THREADS.get() == 0
    monkeypatch.setattr(module, "threadpool_info", lambda: [{"user_api": "openmp", "num_threads": 99}])
    assert 1 <= module._threads_of_blas() < 99  # a library that nobody knows: CPUs


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
def test_plans_do_not_depend_on_threads(how):
    model, held = networks.residual(1), [networks.picture(s) for s in range(10, 13)]
    plans = []
    for threads in (1, 4):
        with abreast(threads):
            plans.append(calibrate(model, CROPS, held=held, **how))
    assert plans[0] == plans[1]


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
