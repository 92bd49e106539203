"""Fine-tuning of bounds and bit maps against the FP32 network: no ground truth, no change of weights."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

import torch

from tvmsr.adabm_paper.data import Crops, as_tensor
from tvmsr.adabm_paper.layers import Role
from tvmsr.adabm_paper.losses import loss_of, pixel_loss
from tvmsr.adabm_paper.protocol import Draw, Keep, Order, Protocol
from tvmsr.adabm_paper.student import Pass, Student

Tensor: TypeAlias = Any

#: How far apart Order.KEPT holds lower and upper ones, and a weight bound from 0, in published units.
_APART = 1e-3
#: What the FP32 network makes of crops that come again is kept up to this many bytes.
KEPT_BYTES = 1 << 30


class Group(Enum):
    """Parameters that are trained together."""

    WEIGHTS = "weight bounds"
    ACTIVATIONS = "activation bounds"
    MAPS = "bit maps"


@dataclass(frozen=True)
class Epoch:
    """What an epoch did: means over its steps. bits: the average; rate: Adam's, of the first group."""

    groups: tuple[Group, ...]
    rate: float
    pixels: float
    bits: float
    steps: int
    seconds: float


@dataclass(frozen=True)
class History:
    """kept: the epoch whose parameters the student ends with, counted from 1; 0: those before training."""

    epochs: tuple[Epoch, ...]
    kept: int
    interrupted: bool = False


def schedule(protocol: Protocol) -> list[tuple[Group, ...]]:
    """Which groups each epoch trains, first to last. Without maps there are two groups."""
    groups = [Group.WEIGHTS, Group.ACTIVATIONS, Group.MAPS]
    if not (protocol.by_image or protocol.by_layer):
        groups = groups[:2]
    if not protocol.is_cyclic:
        return [tuple(groups)] * protocol.epochs
    return [(groups[epoch % len(groups)],) for epoch in range(protocol.epochs)]


def parameters_of(student: Student, group: Group) -> list[tuple[list[Tensor], float]]:
    """(parameters, learning rate) of a group; those that have no effect are left out."""
    protocol, layers = student.protocol, student.layers.values()
    if group is Group.WEIGHTS:
        return [([layer.bound for layer in layers], protocol.rate_weights)]
    if group is Group.ACTIVATIONS:
        return [([bound for layer in layers for bound in (layer.lower, layer.upper)], protocol.rate_activations)]
    found = []
    if protocol.by_layer:
        found.append(([layer.measure for layer in layers if layer.role is Role.ADAPTIVE], protocol.rate_layers))
    if protocol.by_image:
        found.append((list(student.thresholds), protocol.rate_image))
    return found


class _Trainer:
    """One optimizer a group, which keeps its moments from one of its epochs to the next."""

    def __init__(self, student: Student, groups: Sequence[Group]) -> None:
        self.student, self.protocol = student, student.protocol
        self._teachers: dict[int, Pass] = {}
        self._optimizers = {group: _adam(parameters_of(student, group)) for group in groups}

    def epoch(self, groups: tuple[Group, ...], batches: Any, done: Callable[[], object]) -> Epoch:
        start, pixels, bits, weighted, steps = time.perf_counter(), 0.0, 0.0, 0, 0
        rate = float(self._optimizers[groups[0]].param_groups[0]["lr"])
        self._open(groups)
        for number, batch in enumerate(batches):
            found = self._step(groups, batch, self._teacher(number, batch))
            pixels, bits = pixels + found[0] * len(batch), bits + found[1] * len(batch)
            weighted, steps = weighted + len(batch), steps + 1
            done()
        for group in groups:
            for options in self._optimizers[group].param_groups:
                options["lr"] *= self.protocol.decay
        return Epoch(groups, rate, pixels / weighted, bits / weighted, steps, time.perf_counter() - start)

    def _open(self, groups: tuple[Group, ...]) -> None:
        """Gradients for these groups alone: what others would cost is not computed."""
        for group, optimizer in self._optimizers.items():
            for options in optimizer.param_groups:
                for parameter in options["params"]:
                    parameter.requires_grad_(group in groups)
        self.student.changed()

    def _teacher(self, number: int, batch: Tensor) -> Pass:
        if number in self._teachers:
            return self._teachers[number]
        with torch.no_grad():
            teacher = self.student.exact(batch)
        each = sum(value.nbytes for value in (teacher.output, *teacher.features))
        comes_again = self.protocol.quirks.draw is Draw.REPEATED
        if comes_again and each * (len(self._teachers) + 1) <= KEPT_BYTES:
            self._teachers[number] = teacher
        return teacher

    def _step(self, groups: tuple[Group, ...], batch: Tensor, teacher: Pass) -> tuple[float, float]:
        for group in groups:
            self._optimizers[group].zero_grad()
        student = self.student.quantized(batch)
        total, pixels = loss_of(student, teacher, self.protocol, with_bits=Group.MAPS in groups)
        if total.requires_grad:
            total.backward()
            for group in groups:
                self._optimizers[group].step()
        if self.protocol.quirks.order is Order.KEPT:
            ordered(self.student)
        if Group.WEIGHTS in groups:
            self.student.changed()
        return pixels, float(student.bits.detach().mean())

    def close(self) -> None:
        self._open(())


def _adam(found: list[tuple[list[Tensor], float]]) -> Any:
    options = [{"params": parameters, "lr": rate} for parameters, rate in found]
    return torch.optim.Adam(options, betas=(0.9, 0.999), eps=1e-8)


def ordered(student: Student) -> None:
    """Move upper bounds and thresholds up, where they are not above the lower ones, and weight bounds above 0."""
    pairs = [(layer.lower, layer.upper) for layer in student.layers.values()]
    with torch.no_grad():
        for lower, upper in [*pairs, student.thresholds]:
            upper.copy_(torch.maximum(upper, lower + _APART * lower.abs().clamp(min=1)))
        for layer in student.layers.values():
            layer.bound.clamp_(min=_APART)
    student.changed()


def tune(student: Student, crops: Crops, progress: Callable[[str, int, int], object]) -> History:
    """Train a calibrated student by its protocol. Ctrl-C ends it early: what there is stays, and History says so."""
    protocol = student.protocol
    plan = schedule(protocol)
    trainer = _Trainer(student, list(dict.fromkeys(group for groups in plan for group in groups)))
    steps, count = crops.steps(protocol.batch), 0
    best = _Best(student, crops) if protocol.quirks.keep is Keep.BEST else None
    epochs: list[Epoch] = []

    def done() -> None:
        nonlocal count
        count += 1
        progress("fine-tune", count, steps * len(plan))

    interrupted = False
    try:
        for number, groups in enumerate(plan, 1):
            epochs.append(trainer.epoch(groups, crops.batches(number, protocol.batch), done))
            if best is not None:
                best.look(number)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        trainer.close()
    kept = best.restore() if best is not None else len(epochs)
    return History(tuple(epochs), kept, interrupted)


class _Best:
    """The parameters of the epoch with the least pixel loss on crops that were held back."""

    def __init__(self, student: Student, crops: Crops) -> None:
        self._student, self._held = student, crops.held
        self._least, self._epoch, self._state = float("inf"), 0, _copied(student.parameters())
        self.look(0)

    def look(self, epoch: int) -> None:
        self._student.changed()
        with torch.no_grad():
            losses = []
            for crop in self._held:
                picture = as_tensor([crop])
                losses.append(float(pixel_loss(self._student.quantized(picture), self._student.exact(picture))))
        self._student.changed()
        loss = sum(losses) / len(losses) if losses else -float(epoch)
        if loss < self._least:
            self._least, self._epoch, self._state = loss, epoch, _copied(self._student.parameters())

    def restore(self) -> int:
        with torch.no_grad():
            for name, value in self._student.parameters().items():
                value.copy_(self._state[name])
        self._student.changed()
        return self._epoch


def _copied(parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in parameters.items()}
