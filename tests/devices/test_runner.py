"""The in-process runner."""

from __future__ import annotations

import numpy as np
import pytest

from tests.artifact import fake_reference
from tvmsr.devices import HereRunner, Runner
from tvmsr.devices.runner import force_named
from tvmsr.errors import UsageError
from tvmsr.runtime import ArtifactInfo


def test_here(fake):
    image = np.random.default_rng(0).integers(0, 256, (9, 14, 3), np.uint8)
    with HereRunner(fake, threads=2) as here:
        runner: Runner = here
        assert runner.level == "direct" and runner.name
        np.testing.assert_array_equal(runner.upscale(image), fake_reference.upscale(image))
        speed = runner.bench(20, 10, runs=3, warmup=1)
        assert (speed.threads, speed.runs) == (2, 3) and 0 < speed.minimum <= speed.median
        with pytest.raises(UsageError):
            runner.bench(20, 10, runs=0)


class Asked:
    """What is asked of a program that may be too old to know the question."""

    def __init__(self, *choices: str) -> None:
        self.info = ArtifactInfo(2, "rgb", (1, 1), 8, ("neon",), choices)
        self.forced: list[int | None] = []

    def force_choice(self, choice: int | None) -> None:
        self.forced.append(choice)


@pytest.mark.parametrize(
    ("choices", "name", "wanted"),
    [
        (("default",), "default", []), (("default",), "auto", []), (("base", "low"), None, []),
        (("base", "low"), "base", [0]), (("base", "low"), "low", [1]),
    ],
)  # fmt: skip
def test_a_choice_is_forced_where_that_makes_a_difference(choices, name, wanted):
    runner = Asked(*choices)
    force_named(runner, "sr.so", name)
    assert runner.forced == wanted
    with pytest.raises(UsageError, match=r"sr\.so: there is no bit choice 'a4'"):
        force_named(runner, "sr.so", "a4")
