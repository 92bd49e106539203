"""`tvmsr compare`: ways to quantize a network, side by side: PSNR, SSIM, time, size."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from tvmsr.commands.calibrate import Calibration
from tvmsr.commands.comparison.results import Comparison, Row, Spread, Table
from tvmsr.commands.comparison.variants import CLIPS, DEFAULT_VARIANTS, FP32, SPREAD, STUDY, Variant, chosen
from tvmsr.commands.files import check_out
from tvmsr.commands.progress import Progress, silent
from tvmsr.commands.source import DEFAULT_MODEL, Overrides, open_model
from tvmsr.errors import UsageError

if TYPE_CHECKING:
    from tvmsr.commands.comparison.making import Made
    from tvmsr.commands.comparison.measuring import Measured
    from tvmsr.evaluation.dataset import Pairs
    from tvmsr.evaluation.metrics import Protocol
    from tvmsr.graph.model import Model

__all__ = ["Comparison", "Row", "Spread", "Table", "compare"]

#: Random calibration sets of the study, where nothing is said.
SETS = 30

_FP32_NOTE = (
    "FP32 is the network computed by numpy: its output is rounded and clipped to bytes, which a picture is made of, and"
    " it has no time, as nothing here runs it fast"
)
_CLIP_NOTE = "FP32 + clip has the figures of FP32, as bytes are clipped either way"


@dataclass(frozen=True)
class _Task:
    """What is compared, on which pictures. size: LR (width, height)."""

    network: Model
    variants: tuple[Variant, ...]
    shared: Calibration
    pairs: Pairs
    protocol: Protocol
    size: tuple[int, int]
    threads: int | None
    sets: int

    @property
    def is_study(self) -> bool:
        return self.variants is STUDY

    @property
    def spread(self) -> tuple[Variant, ...]:
        """Those that are measured over random sets, too."""
        if self.is_study:
            return tuple(variant for variant in STUDY if variant.name in SPREAD)
        return tuple(variant for variant in self.variants if variant.changes is not None) if self.sets else ()


def compare(
    model: str | Path = DEFAULT_MODEL,
    *,
    data: Path,
    calib: Path | None = None,
    hr: bool = False,
    lr: Path | None = None,
    variants: str | Sequence[str] = DEFAULT_VARIANTS,
    width: int = 640,
    height: int = 360,
    threads: int | None = None,
    sets: int | None = None,
    protocol: str = "y",
    way: str = Calibration.way,
    seed: int = 0,
    out: Path | None = None,
    overrides: Overrides | None = None,
    progress: Progress = silent,
) -> Comparison:
    """Quantize `model` in several ways, compile each for this machine, and measure it on the HR pictures of `data`.

    variants: "fp32", bits ("8", "a6w4"), methods, "strict" and further words, several joined by "+"
    (tvmsr.commands.comparison.variants); "cfqp" alone is the study of CFQP, with the time of the clip. sets: PSNR is
    measured over so many random calibration sets, too (default: 30 in the study, else none). calib, hr, way, seed: as
    in `calibrate`; data, lr, protocol: as in `evaluate`. Each .so is timed on noise of the LR size `width` x `height`,
    all of them by turns. out: the tables as Markdown. Nothing else stays. Raises UsageError, InputFileError or
    WorkError.
    """
    from tvmsr.evaluation.dataset import load_pairs
    from tvmsr.evaluation.metrics import protocol_named

    wanted, measure = chosen(variants), protocol_named(protocol)
    if out is not None:
        check_out(Path(out))
    shared = Calibration(calib=Path(calib) if calib is not None else None, hr=hr, way=way, seed=seed)
    network = open_model(model, overrides)
    _check_network(network, measure)
    pairs = load_pairs(Path(data), network.scale, lr=Path(lr) if lr is not None else None)
    count = sets if sets is not None else SETS if wanted is STUDY else 0
    task = _Task(network, wanted, shared, pairs, measure, (width, height), threads, count)
    _check_calibration(task)
    found = _compared(task, Path(data).resolve().name, progress)
    if out is not None:
        from tvmsr.imaging.files import write_text

        write_text(Path(out), found.as_markdown())
    return found


def _check_network(network: Model, protocol: Protocol) -> None:
    from tvmsr.graph.model import Colour

    if network.graph.marks:
        raise UsageError(f"{network.name}: another tool has quantized it; give its FP32 file to compare ways to do so")
    if protocol.needs_rgb and network.colour is Colour.Y:
        raise UsageError(f"{network.name} computes Y alone and has no RGB to measure; use --protocol y")


def _check_calibration(task: _Task) -> None:
    """What would fail after minutes is said at once."""
    from tvmsr.commands.comparison.spreading import check_sets
    from tvmsr.imaging.files import list_pictures

    if task.shared.calib is not None:
        list_pictures(task.shared.calib)
    if task.spread:
        check_sets(task.shared, task.sets)


def _compared(task: _Task, data: str, progress: Progress) -> Comparison:
    from tvmsr.commands.comparison.making import make_all
    from tvmsr.commands.comparison.measuring import measured
    from tvmsr.commands.comparison.spreading import spreads

    with tempfile.TemporaryDirectory(prefix="tvmsr-compare-") as folder:
        made = make_all(task.network, task.variants, task.shared, Path(folder), progress)
        found = measured(task.network, made, task.pairs, task.protocol, task.size, task.threads, progress)
    spread: tuple[Spread, ...] = ()
    if task.spread:
        spread = spreads(task.network, task.spread, task.shared, task.pairs, task.protocol, task.sets, progress)
    return Comparison(
        model=task.network.name,
        data=data,
        pictures=len(task.pairs),
        protocol=task.protocol.name,
        width=task.size[0],
        height=task.size[1],
        threads=found.threads,
        level=found.level,
        calibration=_described(task.shared.calib),
        way=task.shared.way,
        seed=task.shared.seed,
        rows=tuple(_row(variant, made, found) for variant in task.variants),
        clips=CLIPS if task.is_study else {},
        spreads=spread,
        notes=_notes(task, made, found),
    )


def _described(calib: Path | None) -> str:
    return "the bundled picture" if calib is None else f"pictures of {calib.resolve().name}"


def _row(variant: Variant, made: Sequence[Made], found: Measured) -> Row:
    exact = found.figures[FP32][0]
    psnr, ssim = found.figures[FP32 if variant.changes is None else variant.name]
    row = Row(variant.name, variant.text, psnr, ssim, 0.0 if psnr == exact else exact - psnr)
    one = next((one for one in made if one.variant is variant), None)
    if one is None:
        return row
    seconds = found.seconds[variant.name]
    return Row(**{**vars(row), "minimum": 1e3 * min(seconds), "median": 1e3 * median(seconds), "size": one.size})


def _whose(one: Made, note: str) -> str:
    """A note on the bits that were chosen, with the variant that it is of."""
    from tvmsr.quant.adabm.words import NOTED

    return f"{one.variant.name}: {note}" if note.startswith(NOTED) else note


def _notes(task: _Task, made: Sequence[Made], found: Measured) -> tuple[str, ...]:
    said = [_whose(one, note) for one in made for note in one.notes] or list(task.network.assumed)
    said += [_FP32_NOTE] if any(variant.changes is None for variant in task.variants) else []
    said += [_CLIP_NOTE] if task.is_study else []
    return tuple(dict.fromkeys([*said, *found.doubts]))
