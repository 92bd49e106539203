"""The in-process runner."""

from __future__ import annotations

import numpy as np
import pytest

from tests.artifact import fake_reference
from tvmsr.devices import HereRunner, Runner
from tvmsr.errors import UsageError


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
