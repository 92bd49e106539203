"""Bit choices by the picture, with a hand-written program: the second choice below a complexity."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.artifact import fake_reference
from tests.artifact.test_driver import picture, smallest_memory
from tvmsr.artifact.link import link_shared
from tvmsr.errors import StatusError, WorkError
from tvmsr.quant.complexity import complexity
from tvmsr.runtime import load

BELOW = 20_000


@pytest.fixture(scope="module")
def chosen(tmp_path_factory, triple):
    path = tmp_path_factory.mktemp("chosen") / "chosen.so"
    link_shared(fake_reference.parts(define=f"#define BELOW {BELOW}\n"), path, link_triple=triple)
    return path


def soft(height: int, width: int, channels: int = 3) -> np.ndarray:
    return (picture(height, width, channels) // 16).astype(np.uint8)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("level", ["direct", "copied"])
def test_the_picture_chooses(chosen, level, threads):
    with load(chosen, level=level, threads=threads) as session:
        for image in (picture(40, 50), soft(40, 50), soft(1, 1), picture(300, 70), soft(17, 300)):
            choice = int(complexity(image) < BELOW)
            assert session.predict_choice(image) == choice
            np.testing.assert_array_equal(session.upscale(image), fake_reference.upscale(image, choice))
            assert session.last().choice == choice


def test_of_any_format(chosen):
    """Gray pictures and those with alpha choose as their colours do."""
    with load(chosen, threads=2) as session:
        for make in (picture, soft):
            gray, alpha = make(30, 41, 1), make(30, 41, 4)
            assert session.predict_choice(gray) == int(complexity(gray) < BELOW)
            assert session.predict_choice(alpha) == session.predict_choice(np.ascontiguousarray(alpha[:, :, :3]))
            assert session.predict_choice(alpha[::-1]) == session.predict_choice(np.ascontiguousarray(alpha[::-1]))


def test_at_the_threshold(tmp_path, triple):
    """Below is below: a picture whose complexity is the number itself is not."""
    image = picture(33, 45)
    found = complexity(image)
    for below, choice in ((found, 0), (found + 1, 1)):
        path = tmp_path / f"{below}.so"
        link_shared(fake_reference.parts(define=f"#define BELOW {below}\n"), path, link_triple=triple)
        with load(path, threads=3) as session:
            assert session.predict_choice(image) == choice


def test_forced_and_fixed(chosen):
    busy, calm = picture(20, 30), soft(20, 30)
    with load(chosen, threads=1) as session:
        session.force_choice(1)
        assert session.predict_choice(busy) == 1
        np.testing.assert_array_equal(session.upscale(busy), fake_reference.upscale(busy, 1))
        session.force_choice(0)
        np.testing.assert_array_equal(session.upscale(calm), fake_reference.upscale(calm, 0))
        session.force_choice(None)
        assert (session.predict_choice(busy), session.predict_choice(calm)) == (0, 1)
    with load(chosen, threads=1, adaptive=False) as session:
        assert session.predict_choice(calm) == 0
        session.force_choice(1)
        assert session.predict_choice(busy) == 1
        session.force_choice(None)
        assert session.predict_choice(calm) == 0
        with pytest.raises(WorkError, match="choice 2; the file has 2"):
            session.force_choice(2)


def test_what_ran_is_told(chosen):
    with load(chosen, threads=1) as session:
        for image, choice in ((soft(20, 30), 1), (picture(20, 30), 0)):
            session.profiling(True)
            result, sums = session.traced(image)
            np.testing.assert_array_equal(result, fake_reference.upscale(image, choice))
            assert {found.step.startswith("a6:") for found in sums} == {bool(choice)} and len(sums) == 6
            ran = [row.name for row in session.profile() if row.calls]
            steps = ["blur0", "tall", "blur1", "add", "expand"]
            own = [f"a6:{name}" for name in steps] if choice else steps
            assert ran == ["choice", "input", *own, "output"]


def test_limits_hold_for_each(chosen):
    """Workspace is that of the largest that a picture may get, and a limit is kept by all."""
    memory = smallest_memory(chosen, 90, 60) * 1.1
    with load(chosen, threads=1, memory=memory) as session:
        for image in (soft(60, 90), picture(60, 90)):
            np.testing.assert_array_equal(
                session.upscale(image), fake_reference.upscale(image, int(complexity(image) < BELOW))
            )
            assert session.last().workspace <= session.workspace(90, 60) <= memory * 2**20
            assert session.last().strips > 1


def test_a_limit_names_what_the_largest_takes(tmp_path, triple):
    """Whichever comes last: a limit of so many bytes is enough for all."""
    path = tmp_path / "more.so"
    link_shared(fake_reference.parts(define=f"#define BELOW {BELOW}\n#define MORE 64000\n"), path, link_triple=triple)

    def refused(choice: int | None) -> int:
        with load(path, threads=1, memory=1000 / 2**20) as session:
            session.force_choice(choice)
            with pytest.raises(StatusError, match="the limit is 1000") as error:
                session.workspace(90, 60)
        return int(re.search(r"takes (\d+) bytes", str(error.value))[1])

    first, second = refused(0), refused(1)
    assert refused(None) == first > second + 60_000
    with load(path, threads=1, memory=first / 2**20) as session:
        assert session.workspace(90, 60) == first
