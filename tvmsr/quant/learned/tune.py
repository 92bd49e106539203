"""Learning: Adam on windows of the crops, against the FP32 network's outputs on the same windows, which are kept."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from tvmsr.graph.analysis import macs_per_pixel, size_rule, tile_rule
from tvmsr.graph.execute import run_fp32
from tvmsr.graph.model import Model
from tvmsr.quant.learned.gradients import Tensor
from tvmsr.quant.learned.maps import Maps
from tvmsr.quant.learned.student import Student
from tvmsr.quant.picture import fitted
from tvmsr.quant.ranges import as_float, spaced
from tvmsr.quant.structure import analyse

U8 = NDArray[np.uint8]

#: Side of a window in LR pixels, windows a step, and pixels that are drawn of each crop, in windows. Many steps of few
#: pixels learn more than few of many.
SIZE, BATCH, DRAWN = 16, 2, 54 * 16**2
#: Side of a window of networks to which a picture counts as a whole, as in statistics of it.
WHOLE_SIZE = 32
#: How much tensors inside the network count beside the output, how many windows that is measured on, and how many bytes
#: the FP32 network's own may take.
INSIDE, WEIGHED, INSIDE_BYTES = 10.0, 8, 512 << 20
#: Multiplications of all steps together: about three minutes of one CPU core. Small networks have enough at MOST_STEPS.
WORK, LEAST_STEPS, MOST_STEPS = 5.0e12, 100, 2400
#: Steps that each further choice of a plan adds, beside those of one.
STEPS_A_CHOICE = 0.25
#: Share of the steps, the first ones, in which bits are learned too, and how many bits they may go in all of these.
MAPPED, TRAVEL = 0.3, 3.0
#: A step computes forward, to the values and to the weights.
PASSES = 3
#: Threads: sums of gradients depend on them, so there are as many wherever it runs. Two wait for each other so much
#: that small networks take longer.
THREADS = 1


@dataclass(frozen=True)
class Rates:
    """Step sizes of Adam, where there are 4 bits. weights, zeros: in codes; scales: of logarithms.

    biases: in 8-bit steps of the result; factors: of logarithms.
    """

    weights: float = 0.005
    scales: float = 0.02
    zeros: float = 0.03
    biases: float = 0.03
    factors: float = 0.02


@dataclass(frozen=True)
class Schedule:
    """How long and how fast. The rates rise over the first tenth and fall to nothing as a cosine does."""

    steps: int
    batch: int = BATCH
    size: int = SIZE
    rates: Rates = Rates()
    seed: int = 0

    @property
    def per_crop(self) -> int:
        """Windows that are drawn of each crop."""
        return max(1, DRAWN // self.size**2)

    def factor(self, step: int) -> float:
        """Of the rates."""
        warm = max(1, self.steps // 10)
        return min(1.0, (step + 1) / warm) * (0.5 + 0.5 * math.cos(math.pi * step / self.steps))


def schedule_for(model: Model, seed: int = 0, choices: int = 1) -> Schedule:
    """As many steps as the network's size allows; no clock is asked, so the same network has the same.

    choices: of the plan; more of them want more steps, but not each as many as one does.
    """
    size = WHOLE_SIZE if tile_rule(model.graph).whole_because else SIZE
    a_step = float(macs_per_pixel(model.graph)) * size * size * BATCH * PASSES
    steps = min(MOST_STEPS, max(LEAST_STEPS, int(WORK / a_step)))
    return Schedule(steps=steps + int(STEPS_A_CHOICE * steps) * (choices - 1), size=size, seed=seed)


@dataclass(frozen=True, eq=False)
class Lessons:
    """Windows (N, 3, H, W) and the FP32 outputs (N, C, H', W') on them, both in gray levels, float32.

    insides: tensors of the FP32 network on them by name, float16 and in units of their root mean squares; units: these.
    """

    pictures: Tensor
    outputs: Tensor
    insides: Mapping[str, Tensor]
    units: Mapping[str, float]


def lessons(model: Model, crops: Sequence[U8], schedule: Schedule, names: Sequence[str] = ()) -> Lessons:
    """Windows at random places of the crops, turned at random, each a picture of its own; outputs end at 0 and 255."""
    rng, rule = np.random.default_rng(schedule.seed), size_rule(model.graph)
    side = min(schedule.size, *(min(crop.shape[:2]) for crop in crops))
    windows = []
    for crop in crops:
        for _ in range(schedule.per_crop):
            top, left = (int(rng.integers(0, length - side + 1)) for length in crop.shape[:2])
            windows.append(fitted(_turned(crop[top : top + side, left : left + side], int(rng.integers(8))), rule))
    insides: dict[str, list[Tensor]] = {name: [] for name in names}

    def visit(name: str, value: NDArray[Any]) -> None:
        if name in insides:
            insides[name].append(torch.tensor(value).permute(2, 0, 1))

    outputs = [cast("NDArray[np.float32]", run_fp32(model, as_float(window), visit=visit)) for window in windows]
    pictures = torch.tensor(np.stack(windows).astype(np.float32))
    wanted = torch.tensor(np.clip(np.stack(outputs) * np.float32(255), 0, 255))
    units, kept = {}, {}
    for name in names:
        some = torch.stack(insides.pop(name))
        units[name] = float(some.square().mean().sqrt()) or 1.0
        kept[name] = (some / units[name]).half().contiguous()
    return Lessons(pictures.permute(0, 3, 1, 2).contiguous(), wanted.permute(0, 3, 1, 2).contiguous(), kept, units)


def _turned(window: U8, way: int) -> U8:
    """One of the eight ways in which a square can lie: the network's own output is right for each."""
    turned = np.rot90(window, way % 4)
    return turned[:, ::-1] if way >= 4 else turned


def insides_of(model: Model, crops: int) -> tuple[str, ...]:
    """The tensors that are compared beside the output: the sums of a network over pixels, none of one without.

    What other tensors hold is better left free. Evenly spaced ones, the last among them, where all on so many crops
    would not fit into INSIDE_BYTES.
    """
    structure = analyse(model.graph)
    end = structure.moved(structure.output)
    names = [node.name for node in model.graph if node.op == "add" and node.name not in end]
    kinds = {name: structure.types[name] for name in names if not structure.types[name].is_one_pixel}
    values = max((float(kind.channels * kind.ratio**2) for kind in kinds.values()), default=1.0)
    most = int(INSIDE_BYTES / (2 * values * DRAWN * crops))
    return tuple(reversed(spaced(list(kinds)[::-1], max(1, most))))


def tuned(
    made: Sequence[Student],
    given: Lessons,
    schedule: Schedule,
    shares: Sequence[float] = (1.0,),
    maps: Maps | None = None,
) -> Iterator[int]:
    """Change the students, which are the choices of one plan, step by step; yields the number of each step behind it.

    shares: of the pictures, that each choice gets. A step is one choice's; what all have in common is learned for the
    mean over pictures, by weights on their losses. maps: the students' bits, where these are learned in the first part
    of the steps, by what the output says alone.
    """
    groups = _groups(made, schedule.rates)
    if maps is not None:
        groups.append(
            {"params": [lean.value for lean in maps.leans.values()], "lr": TRAVEL / (MAPPED * schedule.steps)}
        )
    optimiser = torch.optim.Adam(groups, betas=(0.9, 0.99), fused=True)
    first = [group["lr"] for group in optimiser.param_groups]
    weight = _weight_inside(made[0], given)
    order, turns = _order(len(given.pictures), schedule), _turns(steps_of(shares), schedule.steps)
    for step, (chosen, turn) in enumerate(zip(order, turns, strict=True)):
        for group, rate in zip(optimiser.param_groups, first, strict=True):
            group["lr"] = rate * schedule.factor(step)
        optimiser.zero_grad(set_to_none=True)
        maps = _settled_in_time(maps, step, schedule)
        error, inside = _errors(made[turn], given, chosen)
        loss = error if weight == 0 or maps is not None else error + weight * inside
        (loss * (shares[turn] / steps_of(shares)[turn])).backward()
        if maps is not None:
            maps.level_gradients()
        optimiser.step()
        if maps is not None:
            maps.level()
        yield step + 1


def _settled_in_time(maps: Maps | None, step: int, schedule: Schedule) -> Maps | None:
    """None from where bits are settled on."""
    if maps is None or is_mapping(step, schedule):
        return maps
    maps.settle()
    return None


def is_mapping(step: int, schedule: Schedule) -> bool:
    """Whether bits are still learned in a step, of which the first is 0."""
    return step < MAPPED * schedule.steps


def _errors(student: Student, given: Lessons, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Mean squares of what the output and the tensors inside differ by, these in units of their own mean squares."""
    output, values = student.seen(given.pictures[chosen], tuple(given.insides))
    inside = torch.zeros(())
    for name, wanted in given.insides.items():
        inside = inside + ((values[name] / given.units[name] - wanted[chosen].float()) ** 2).mean()
    return ((output - given.outputs[chosen]) ** 2).mean(), inside / max(len(given.insides), 1)


def _weight_inside(student: Student, given: Lessons) -> float:
    """What makes the tensors inside count INSIDE times as much as the output does, at the start."""
    with torch.no_grad():
        error, inside = _errors(student, given, torch.arange(min(WEIGHED, len(given.pictures))))
    return INSIDE * float(error) / float(inside) if float(inside) > 0 else 0.0


def steps_of(shares: Sequence[float]) -> list[float]:
    """Of all steps, those of each choice: half by what it is used, half alike, as each has ranges of its own."""
    return [0.5 * share + 0.5 / len(shares) for share in shares]


def _turns(wanted: Sequence[float], steps: int) -> Iterator[int]:
    """Whose step it is, as evenly as can be: the one that lacks most."""
    had = [0.0] * len(wanted)
    for _ in range(steps):
        had = [one + more for one, more in zip(had, wanted, strict=True)]
        turn = had.index(max(had))
        had[turn] -= 1
        yield turn


def _order(count: int, schedule: Schedule) -> Iterator[Tensor]:
    """The windows of each step: every window once, in random order, and again."""
    rng, left = np.random.default_rng(schedule.seed + 1), np.empty(0, np.int64)
    for _ in range(schedule.steps):
        while len(left) < schedule.batch:
            left = np.concatenate([left, rng.permutation(count)])
        yield torch.tensor(left[: schedule.batch])
        left = left[schedule.batch :]


def _groups(made: Sequence[Student], rates: Rates) -> list[dict[str, Any]]:
    """What is learned, with its rate: finer codes are nearer to the network's, and move less, as do their scales."""
    grids = list(dict.fromkeys(grid for student in made for grid in student.grids.values() if grid.learns))
    weights, layers = list(made[0].layers.values()), [one for student in made for one in student.layers.values()]
    scales = [(layer.change, layer.bits) for layer in weights] + [(grid.change, grid.bits) for grid in grids]
    factors = [(change, made[0].grids[name].bits) for name, change in made[0].factors.items()]
    found: dict[float, list[Tensor]] = {}
    for layer in weights:
        found.setdefault(rates.weights * 2.0 ** ((4 - layer.bits) / 2), []).append(layer.latent)
    for value, bits in scales:
        found.setdefault(rates.scales * 2.0 ** (4 - bits), []).append(value)
    for value, bits in factors:
        found.setdefault(rates.factors * 2.0 ** (4 - bits), []).append(value)
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
