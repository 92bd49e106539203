"""The driver against numpy: sizes, strips, threads, levels, choices, formats of the network's own colours."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import threading

import numpy as np
import pytest

from tests.artifact import fake_reference
from tvmsr.errors import InputFileError, TvmsrError, UsageError, WorkError
from tvmsr.runtime import load, usable_levels

SIZES = ((1, 1), (2, 3), (3, 2), (1, 300), (300, 1), (7, 5), (33, 47), (61, 130))


def picture(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("level", ["direct", "copied"])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_every_size_threads_and_level(fake, level, threads):
    with load(fake, threads=threads, level=level) as session:
        for height, width in SIZES:
            image = picture(height, width)
            np.testing.assert_array_equal(session.upscale(image), fake_reference.upscale(image))
        assert session.last().threads == threads


def smallest_memory(fake, width: int, height: int, threads: int = 1) -> float:
    """MiB below which the picture does not fit."""
    low, high = 0.0, 64.0
    for _ in range(24):
        middle = (low + high) / 2
        try:
            with load(fake, threads=threads, memory=middle) as session:
                session.workspace(width, height)
            high = middle
        except WorkError:
            low = middle
    return high


@pytest.mark.parametrize("threads", [1, 3])
def test_strips_do_not_change_bytes(fake, threads):
    image = picture(97, 400)
    want, seen = fake_reference.upscale(image), set()
    least = smallest_memory(fake, 400, 97, threads)
    for memory in (None, *(least * factor for factor in (1.0, 1.5, 2, 3, 4))):
        with load(fake, threads=threads, memory=memory) as session:
            np.testing.assert_array_equal(session.upscale(image), want)
            last = session.last()
            assert memory is None or last.workspace <= memory * 2**20
            assert last.workspace == session.workspace(400, 97)
            seen.add(last.strips)
    assert max(seen) >= 97 and len(seen) >= 3


def test_sessions_keep_working_between_sizes_and_choices(fake):
    with load(fake, threads=2) as session:
        for seed, (height, width, choice) in enumerate([(64, 64, 0), (5, 9, 1), (80, 200, 0), (64, 64, 1)]):
            image = picture(height, width, seed=seed)
            session.force_choice(choice)
            np.testing.assert_array_equal(session.upscale(image), fake_reference.upscale(image, choice))
            assert session.last().choice == choice and session.predict_choice(image) == choice
        session.force_choice(None)
        assert session.predict_choice(image) == 0
        with pytest.raises(WorkError, match="choice 2"):
            session.force_choice(2)


def test_input_of_any_stride(fake):
    image = picture(20, 30)
    want = fake_reference.upscale(image)
    wide = np.zeros((20, 50, 3), np.uint8)
    wide[:, 7:37] = image
    with load(fake, threads=1) as session:
        np.testing.assert_array_equal(session.upscale(wide[:, 7:37]), want)
        np.testing.assert_array_equal(session.upscale(image[::-1].copy()[::-1]), want)
        np.testing.assert_array_equal(session.upscale(np.asfortranarray(image)), want)


def test_progress_and_cancel(fake):
    image, calls = picture(200, 400), []
    with load(fake, threads=2, memory=smallest_memory(fake, 400, 200) * 2) as session:
        session.upscale(image, progress=lambda done, total: calls.append((done, total)))
        assert calls[-1] == (400, 400) and calls == sorted(calls) and len(calls) == session.last().strips
        with pytest.raises(WorkError, match="cancelled after"):
            session.upscale(image, progress=lambda done, total: done > 100)
        with pytest.raises(KeyboardInterrupt):
            session.upscale(image, progress=_interrupt)
        np.testing.assert_array_equal(session.upscale(image), fake_reference.upscale(image))


def _interrupt(_done: int, _total: int) -> None:
    raise KeyboardInterrupt


def test_one_call_at_a_time(fake):
    image = picture(200, 400)
    errors = []

    def again(_done: int, _total: int) -> None:
        try:
            session.workspace(8, 8)
        except UsageError as error:
            errors.append(str(error))

    with load(fake, threads=1) as session:
        session.upscale(image, progress=again)
        session.workspace(8, 8)
    assert errors and "another call" in errors[0]


def test_sessions_in_threads_of_the_host(fake):
    images = [picture(50 + i, 60, seed=i) for i in range(4)]
    failures = []

    def work(image):
        with load(fake, threads=2) as session:
            for _ in range(5):
                if not np.array_equal(session.upscale(image), fake_reference.upscale(image)):
                    failures.append(image.shape)

    workers = [threading.Thread(target=work, args=(image,)) for image in images]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fork_with_an_open_session(fake):
    image = picture(40, 50)
    with load(fake, threads=3) as session:
        session.upscale(image)
        child = os.fork()
        if child == 0:
            same = np.array_equal(session.upscale(image), fake_reference.upscale(image))
            session.close()
            os._exit(0 if same else 1)
        assert os.waitpid(child, 0)[1] == 0
        np.testing.assert_array_equal(session.upscale(image), fake_reference.upscale(image))


def test_levels(fake):
    assert usable_levels(fake) == ("direct", "copied")
    with load(fake) as session:
        assert session.level == "direct"
        assert session.info.levels == ("future", "direct", "copied")
    with pytest.raises(InputFileError, match="no no-such-feature, which level future needs"):
        load(fake, level="future")
    with pytest.raises(UsageError, match="no level nonsense"):
        load(fake, level="nonsense")


def test_limits(fake):
    with load(fake, memory=0.01, threads=1) as session, pytest.raises(WorkError, match="the limit is 10485"):
        session.upscale(picture(100, 1000))
    with load(fake, threads=1) as session:
        for width, height in ((2**31 - 1, 2), (2**30 - 1, 2**30 - 1), (3, 2**31 - 1)):
            with pytest.raises(WorkError, match="too large"):
                session.workspace(width, height)
        assert session.workspace(20, 10) > 0
        for width, height in ((0, 5), (5, -1)):
            with pytest.raises(WorkError, match="less than the smallest"):
                session.workspace(width, height)
    for threads in (0, -3, 1000):
        with pytest.raises(TvmsrError, match="threads"):
            load(fake, threads=threads)


def test_profile(fake):
    with load(fake, threads=1) as session:
        assert session.profile() == ()
        session.profiling(True)
        session.upscale(picture(40, 50))
        session.upscale(picture(40, 50))
        rows = session.profile()
        steps = ["blur0", "tall", "blur1", "add", "expand"]
        ran = ["choice", "input", *steps, "output"]
        assert [row.name for row in rows] == [*ran[:-1], *(f"a6:{name}" for name in steps), "output"]
        assert all(row.calls == (2 if row.name in ran else 0) and row.seconds >= 0 for row in rows)
        session.profiling(False)
        session.upscale(picture(40, 50))
        assert session.profile() == rows


def test_rounding_mode_of_the_host_is_its_own(fake):
    libm = ctypes.CDLL(ctypes.util.find_library("m"))
    upward = {"x86_64": 0x800, "aarch64": 0x400000}.get(os.uname().machine)
    if upward is None:
        pytest.skip("the number of FE_UPWARD is not known here")
    image = picture(60, 80)
    libm.fesetround(upward)
    try:
        with load(fake, threads=3) as session:  # threads begin with the mode of who starts them
            result = session.upscale(image)
        after = libm.fegetround()
    finally:
        libm.fesetround(0)
    assert after == upward
    np.testing.assert_array_equal(result, fake_reference.upscale(image))


def test_closed_session(fake):
    session = load(fake)
    session.close()
    session.close()
    with pytest.raises(UsageError, match="closed"):
        session.upscale(picture(4, 4))
