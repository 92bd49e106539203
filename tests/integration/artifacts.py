"""From a network to an open artifact with every level that this CPU has, and the comparison of its bytes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tvmsr.artifact.build import build
from tvmsr.errors import WorkError
from tvmsr.hardware import host_levels, host_target
from tvmsr.hardware.target import Level, Target
from tvmsr.lower.pipeline import lower
from tvmsr.quant.bind import bind
from tvmsr.quant.calibrate import calibrate
from tvmsr.quant.integer import IntegerGraph
from tvmsr.quant.picture import upscale_picture
from tvmsr.runtime import load, usable_levels

LEVELS = host_levels()
TARGET = replace(host_target(), levels=LEVELS)
#: Options of `make` where nothing but bytes is looked at: the numbers need not be the best ones.
CHEAP = {"max_drop": None, "bias_correction": False}


def one_level(index: int) -> Target:
    """This CPU with one of its levels, another for every index: where all of them take too long to compile."""
    return replace(TARGET, levels=(LEVELS[index % len(LEVELS)],))


def two_levels(index: int) -> Target:
    """This CPU with a level and the next but one, others for every index."""
    chosen = {index % len(LEVELS), (index + 2) % len(LEVELS)}
    return replace(TARGET, levels=tuple(LEVELS[i] for i in sorted(chosen)))


@dataclass(frozen=True, eq=False)
class Made:
    path: Path
    graph: IntegerGraph
    levels: tuple[Level, ...]

    @property
    def size_without_weights(self) -> int:
        """Bytes of the file, less those of weights in codes of 8 bits."""
        weights = sum(node.params["weight"].size for node in self.graph if node.op == "conv")
        return self.path.stat().st_size - weights


def make(model, folder: Path, crops, bits="8", target=TARGET, **options) -> Made:
    plan = calibrate(model, crops, bits=bits, **options)
    graph = bind(model, plan)
    programs = [lower(graph, level) for level in target.levels]
    return Made(build(programs, graph, model, plan, target, folder / "sr.so").path, graph, target.levels)


def compare(made: Made, image, *, threads=(1, 2, 3), memory=(1.0, 0.7, 0.45)) -> int:
    """Upscale at every level, number of threads and memory limit, as a part of what the picture takes without one.

    Returns the largest number of strips that a picture was cut into.
    """
    expected, most = upscale_picture(made.graph, image), 0
    assert usable_levels(made.path) == tuple(level.name for level in made.levels)
    for level in made.levels:
        for count in threads:
            with load(made.path, level=level.name, threads=count) as session:
                whole = session.workspace(image.shape[1], image.shape[0])
            for part in memory:
                with load(made.path, level=level.name, threads=count, memory=whole * part / 2**20) as session:
                    try:
                        got = session.upscale(image)
                    except WorkError as error:
                        assert "the limit is" in str(error) and part < 1
                        continue
                    most = max(most, session.last().strips)
                    assert session.last().level == level.name
                what = f"{level.name}, {count} threads, {part} of the memory, {image.shape[1]}x{image.shape[0]}"
                np.testing.assert_array_equal(got, expected, what)
    return most
