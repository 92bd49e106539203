"""What makes pictures for a report, and what each made of one."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

from tvmsr.errors import UsageError
from tvmsr.evaluation.evaluate import to_bytes
from tvmsr.evaluation.metrics import to_luma
from tvmsr.imaging.bicubic import imresize
from tvmsr.imaging.colour import join_luma
from tvmsr.reporting.facts import BICUBIC, FP32, U8, Figures, Source

if TYPE_CHECKING:
    from tvmsr.commands.evaluate import Upscaler
    from tvmsr.devices import Runner
    from tvmsr.evaluation.dataset import Pair
    from tvmsr.evaluation.metrics import Protocol as Measure

#: Runs of an artifact on a picture, by turns with the others, behind one that warms up: at least so many, and up to the
#: most until they have taken so many seconds. The fastest counts.
RUNS, MOST_RUNS, SECONDS = 3, 20, 0.2

_BICUBIC = Source(BICUBIC, "bicubic", "as MATLAB enlarges")
_FP32 = Source(FP32, "FP32", "the network as it is")


@dataclass(frozen=True, eq=False)
class Output:
    """measured: RGB bytes, or Y bytes (H, W) of a Y network; milliseconds, choice: as in Figures."""

    measured: U8
    milliseconds: float | None = None
    choice: str = ""

    def shown(self, lr: U8) -> U8:
        """RGB bytes; of a Y network with the chroma of the LR picture."""
        return join_luma(lr, self.measured) if self.measured.ndim == 2 else self.measured

    def figures(self, pair: Pair, scale: int, measure: Measure) -> Figures:
        target = to_luma(pair.hr) if self.measured.ndim == 2 else pair.hr
        return Figures(
            measure.psnr(self.measured, target, scale),
            measure.ssim(self.measured, target, scale),
            self.milliseconds,
            self.choice,
        )


class Column(Protocol):
    """One source of pictures."""

    @property
    def source(self) -> Source: ...

    def make(self, lr: U8) -> Output: ...


@dataclass(frozen=True, eq=False)
class Bicubic:
    """What any network has to be better than."""

    scale: int
    source: Source = _BICUBIC

    def make(self, lr: U8) -> Output:
        return Output(imresize(lr, self.scale))


@dataclass(frozen=True, eq=False)
class Exact:
    """The network in FP32."""

    upscale: Upscaler
    source: Source = _FP32

    def make(self, lr: U8) -> Output:
        return Output(to_bytes(self.upscale(lr)))


@dataclass(frozen=True, eq=False)
class Artifact:
    """An artifact on this machine. forced: a choice of it, for all pictures."""

    source: Source
    runner: Runner
    forced: str | None = None

    def run(self, lr: U8) -> Output:
        """One run; its time ends when the last row is stored."""
        info = self.runner.info
        if len(info.choices) > 1:
            self.runner.force_choice(info.choice_number(self.forced))
        start = time.perf_counter()
        picture: NDArray[Any] = self.runner.upscale(lr)
        took = 1e3 * (time.perf_counter() - start)
        choice = info.choices[self.runner.last().choice] if len(info.choices) > 1 else ""
        return Output(picture, took, choice)

    def make(self, lr: U8) -> Output:
        return self.run(lr)


def outputs(columns: Sequence[Column], lr: U8) -> dict[str, Output]:
    """What each makes of an LR picture; artifacts by turns, so that what disturbs the machine disturbs all."""
    found = {column.source.key: column.make(lr) for column in columns}
    timed = [column for column in columns if isinstance(column, Artifact)]
    best: dict[str, float] = {}
    start = time.perf_counter()
    for done in range(MOST_RUNS):
        if done >= RUNS and time.perf_counter() - start >= SECONDS * len(timed):
            break
        for column in timed:
            took = column.run(lr).milliseconds or 0.0
            best[column.source.key] = min(best.get(column.source.key, took), took)
        timed.reverse()
    return {key: Output(one.measured, best.get(key), one.choice) for key, one in found.items()}


def figures(made: Mapping[str, Output], pair: Pair, scale: int, measure: Measure) -> dict[str, Figures]:
    """By source. UsageError, with the picture's name, where it cannot be measured."""
    try:
        return {key: one.figures(pair, scale, measure) for key, one in made.items()}
    except UsageError as error:
        raise UsageError(f"{pair.name}: {error}") from None
