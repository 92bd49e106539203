"""Learning: Adam on windows of the crops, against the FP32 network's outputs on the same windows, which are kept."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from tvmsr.graph.analysis import macs_per_pixel, size_rule
from tvmsr.graph.execute import run_fp32
from tvmsr.graph.model import Model
from tvmsr.quant.learned.gradients import Tensor
from tvmsr.quant.learned.student import Student
from tvmsr.quant.picture import fitted
from tvmsr.quant.ranges import as_float

U8 = NDArray[np.uint8]

#: Side of a window in LR pixels, windows a step, and windows that are drawn of each crop.
SIZE, BATCH, PER_CROP = 48, 4, 6
#: Multiplications of all steps together: about three minutes of one CPU core. Small networks have enough at MOST_STEPS.
WORK, LEAST_STEPS, MOST_STEPS = 5.0e12, 40, 400
#: A step computes forward, to the values and to the weights.
PASSES = 3
#: Threads: sums of gradients depend on them, so there are as many wherever it runs. Two wait for each other so much
#: that small networks take longer.
THREADS = 1


@dataclass(frozen=True)
class Rates:
    """Step sizes of Adam, where there are 4 bits. weights, zeros: in codes; scales: of logarithms.

    biases: in 8-bit steps of the result.
    """

    weights: float = 0.008
    scales: float = 0.016
    zeros: float = 0.03
    biases: float = 0.02


@dataclass(frozen=True)
class Schedule:
    """How long and how fast. The rates rise over the first tenth and fall to nothing as a cosine does."""

    steps: int
    batch: int = BATCH
    size: int = SIZE
    rates: Rates = Rates()
    seed: int = 0

    def factor(self, step: int) -> float:
        """Of the rates."""
        warm = max(1, self.steps // 10)
        return min(1.0, (step + 1) / warm) * (0.5 + 0.5 * math.cos(math.pi * step / self.steps))


def schedule_for(model: Model, seed: int = 0) -> Schedule:
    """As many steps as the network's size allows; no clock is asked, so the same network has the same."""
    a_step = float(macs_per_pixel(model.graph)) * SIZE * SIZE * BATCH * PASSES
    return Schedule(steps=min(MOST_STEPS, max(LEAST_STEPS, int(WORK / a_step))), seed=seed)


@dataclass(frozen=True, eq=False)
class Lessons:
    """Windows (N, 3, H, W) and the FP32 outputs (N, C, H', W') on them, both in gray levels, float32."""

    pictures: Tensor
    outputs: Tensor


def lessons(model: Model, crops: Sequence[U8], schedule: Schedule) -> Lessons:
    """Windows at random places of the crops, each a picture of its own; outputs end at black and white."""
    rng, rule = np.random.default_rng(schedule.seed), size_rule(model.graph)
    side = min(schedule.size, *(min(crop.shape[:2]) for crop in crops))
    windows = []
    for crop in crops:
        for _ in range(PER_CROP):
            top, left = (int(rng.integers(0, length - side + 1)) for length in crop.shape[:2])
            windows.append(fitted(crop[top : top + side, left : left + side], rule))
    outputs = [cast("NDArray[np.float32]", run_fp32(model, as_float(window))) for window in windows]
    pictures = torch.tensor(np.stack(windows).astype(np.float32))
    wanted = torch.tensor(np.clip(np.stack(outputs) * np.float32(255), 0, 255))
    return Lessons(pictures.permute(0, 3, 1, 2).contiguous(), wanted.permute(0, 3, 1, 2).contiguous())


def tuned(student: Student, given: Lessons, schedule: Schedule) -> Iterator[int]:
    """Change the student, step by step; yields the number of each step behind it."""
    optimiser = torch.optim.Adam(_groups(student, schedule.rates), betas=(0.9, 0.99))
    first = [group["lr"] for group in optimiser.param_groups]
    order = _order(len(given.pictures), schedule)
    for step, chosen in enumerate(order):
        for group, rate in zip(optimiser.param_groups, first, strict=True):
            group["lr"] = rate * schedule.factor(step)
        optimiser.zero_grad(set_to_none=True)
        output = student(given.pictures[chosen], rounds_output=False)
        ((output - given.outputs[chosen]) ** 2).mean().backward()
        optimiser.step()
        yield step + 1


def _order(count: int, schedule: Schedule) -> Iterator[Tensor]:
    """The windows of each step: every window once, in random order, and again."""
    rng, left = np.random.default_rng(schedule.seed + 1), np.empty(0, np.int64)
    for _ in range(schedule.steps):
        while len(left) < schedule.batch:
            left = np.concatenate([left, rng.permutation(count)])
        yield torch.tensor(left[: schedule.batch])
        left = left[schedule.batch :]


def _groups(student: Student, rates: Rates) -> list[dict[str, Any]]:
    """What is learned, with its rate: finer codes are nearer to the network's, and move less, as do their scales."""
    grids = list(dict.fromkeys(grid for grid in student.grids.values() if grid.learns))
    layers = list(student.layers.values())
    scales = [(layer.change, layer.bits) for layer in layers] + [(grid.change, grid.bits) for grid in grids]
    found: dict[float, list[Tensor]] = {}
    for layer in layers:
        found.setdefault(rates.weights * 2.0 ** ((4 - layer.bits) / 2), []).append(layer.latent)
    for value, bits in scales:
        found.setdefault(rates.scales * 2.0 ** (4 - bits), []).append(value)
    found.setdefault(rates.biases, []).extend(layer.shift for layer in layers)
    found.setdefault(rates.zeros, []).extend(grid.moved for grid in grids if grid.moved.requires_grad)
    return [{"params": values, "lr": rate} for rate, values in found.items() if values]


@contextmanager
def settled() -> Iterator[None]:
    """Torch with THREADS threads, and what it had afterwards. Nothing is drawn by torch."""
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        yield
    finally:
        torch.set_num_threads(before)
