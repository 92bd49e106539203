"""What tvmsr.h promises of the progress callback, in one phase and in five, with any threads and memory limit."""

from __future__ import annotations

import threading
from itertools import pairwise

import numpy as np
import pytest

from tests.artifact import fake_reference
from tests.artifact.fake_reference import layer_by_layer
from tests.artifact.test_driver import picture, smallest_memory
from tvmsr.artifact.link import link_shared
from tvmsr.errors import WorkError
from tvmsr.runtime import load

HEIGHT, WIDTH = 97, 400

#: Parts of the memory that the smallest strips take; None: no limit.
FACTORS = (None, 1.0, 1.5, 4.0)


@pytest.fixture(scope="module")
def layered(tmp_path_factory, triple):
    """The same network, every step a phase of its own."""
    path = tmp_path_factory.mktemp("layered") / "layered.so"
    link_shared(fake_reference.parts(), path, link_triple=triple, cc=layer_by_layer(triple))
    return path


@pytest.fixture(params=["fake", "layered"])
def artifact(request):
    return request.getfixturevalue(request.param)


def memory_of(path, factor: float | None, threads: int, height: int = HEIGHT) -> float | None:
    return factor and smallest_memory(path, WIDTH, height, threads) * factor


def reports(session, image: np.ndarray) -> list[tuple[int, int]]:
    calls: list[tuple[int, int]] = []
    result = session.upscale(image, progress=lambda done, total: calls.append((done, total)))
    np.testing.assert_array_equal(result, fake_reference.upscale(image))
    return calls


@pytest.mark.parametrize("threads", [1, 3])
def test_never_back_and_all_rows_in_the_last_call_alone(artifact, threads):
    image, counts = picture(HEIGHT, WIDTH), set()
    for factor in FACTORS:
        with load(artifact, threads=threads, memory=memory_of(artifact, factor, threads)) as session:
            calls = reports(session, image)
        total = 2 * HEIGHT
        assert {of for _, of in calls} == {total}
        assert all(0 <= before <= after for (before, _), (after, _) in pairwise(calls))
        assert [done == total for done, _ in calls] == [False] * (len(calls) - 1) + [True]
        counts.add(len(calls))
    assert len(counts) >= 3


def test_nothing_done_in_several_calls(fake):
    """The steps are ahead of each other: with strips of single rows the output begins some strips late."""
    image = picture(HEIGHT, WIDTH)
    with load(fake, threads=1, memory=memory_of(fake, 1.0, 1)) as session:
        done = [rows for rows, _ in reports(session, image)]
    assert done.count(0) > 1 and done[: done.count(0)] == [0] * done.count(0)


@pytest.mark.parametrize("size", [(1, 1), (3, 5)])
def test_one_strip_is_one_call_at_the_end(fake, size):
    with load(fake, threads=1) as session:
        assert reports(session, picture(*size)) == [(2 * size[0], 2 * size[0])]
        assert session.last().strips == 1


def test_what_the_last_call_returns_is_ignored(artifact):
    image = picture(HEIGHT, WIDTH)
    for factor in FACTORS:
        with load(artifact, threads=2, memory=memory_of(artifact, factor, 2)) as session:
            result = session.upscale(image, progress=lambda done, total: done == total)
            np.testing.assert_array_equal(result, fake_reference.upscale(image))


def test_cancelled_in_any_other_call(artifact):
    image = picture(9, WIDTH)
    with load(artifact, threads=2, memory=memory_of(artifact, 1.0, 2, 9)) as session:
        count = len(reports(session, image))
        assert count > 9
        for stop in range(1, count):
            calls: list[int] = []

            def cancel(done: int, _total: int, calls: list[int] = calls, stop: int = stop) -> bool:
                calls.append(done)
                return len(calls) == stop

            with pytest.raises(WorkError, match=r"cancelled after \d+ of 18 rows"):
                session.upscale(image, progress=cancel)
            assert len(calls) == stop
        np.testing.assert_array_equal(session.upscale(image), fake_reference.upscale(image))


def test_on_the_thread_that_called(fake):
    seen: set[int] = set()

    def work() -> None:
        with load(fake, threads=3) as session:
            session.upscale(picture(HEIGHT, WIDTH), progress=lambda _done, _total: seen.add(threading.get_ident()))

    caller = threading.Thread(target=work)
    caller.start()
    caller.join()
    assert seen == {caller.ident}
