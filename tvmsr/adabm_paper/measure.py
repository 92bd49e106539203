"""From a network and crops to figures: what `evaluate --method adabm-paper` shows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tvmsr.adabm_paper.cost import BitOps, bit_ops, fab, joined
from tvmsr.adabm_paper.protocol import METHOD, Adapt, Protocol, Scope
from tvmsr.errors import UsageError
from tvmsr.evaluation.evaluate import Evaluation, PairSet, Row, Upscaler, measure_one
from tvmsr.evaluation.metrics import protocol_named
from tvmsr.graph.analysis import macs_by_node, size_rule
from tvmsr.graph.model import F32, Colour, Model
from tvmsr.quant.picture import fitted

if TYPE_CHECKING:
    from tvmsr.adabm_paper.student import Student
    from tvmsr.adabm_paper.tune import History

U8Image = NDArray[np.uint8]
Progress = Callable[[str, int, int], object]

TERA = 1e12

_WORDS = {
    Adapt.NONE: "fixed bits",
    Adapt.IMAGE: "bits by picture",
    Adapt.LAYER: "bits by layer",
    Adapt.BOTH: "bits by picture and layer",
}


def _silent(_stage: str, _done: int, _total: int) -> None:
    """Report nothing."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """A student that is ready to be measured. seconds: of calibration, clipping and fine-tuning together."""

    student: Student
    history: History
    seconds: float


@dataclass(frozen=True)
class PaperEvaluation(Evaluation):
    """Figures as of any evaluation, and per picture: fab; tera_bitops; bitops_share of FP32, 0..1.

    layer_factors: of the adaptive layers; thresholds: of the image factor, in complexity; pixel_losses: per epoch,
    gray levels; seconds: of all but measuring; step_seconds: of an iteration of training.
    """

    layer_factors: Mapping[str, int] = field(default_factory=dict)
    thresholds: tuple[float, float] = (0.0, 0.0)
    pixel_losses: tuple[float, ...] = ()
    seconds: float = 0.0
    step_seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        return {
            **super().as_json(),
            "layer_factors": dict(self.layer_factors),
            "thresholds": list(self.thresholds),
            "pixel_losses": list(self.pixel_losses),
            "seconds": self.seconds,
            "step_seconds": self.step_seconds,
        }


def prepare(
    model: Model,
    crops: Sequence[U8Image],
    protocol: Protocol,
    *,
    seed: int = 0,
    outside: Mapping[str, F32] | None = None,
    progress: Progress = _silent,
) -> Prepared:
    """Calibrate a network by the published procedure, clip and fine-tune it.

    crops: RGB bytes (H, W, 3), LR. outside: see tvmsr.adabm_paper.student. The same arguments give the same student on
    one machine with one number of threads. Ctrl-C during fine-tuning ends it early. Raises UsageError, without torch
    too, and where the network has no layer to adapt or the crops are too small.
    """
    need_torch()
    from tvmsr.adabm_paper.calibrate import calibrate, clip
    from tvmsr.adabm_paper.data import Crops, as_tensor
    from tvmsr.adabm_paper.student import student_of
    from tvmsr.adabm_paper.tune import History, tune

    if model.graph.marks:
        raise UsageError(f"{model.name}: another tool has quantized it; give its FP32 file")
    protocol.check()
    start = time.perf_counter()
    ready = Crops(crops, protocol, model.graph, seed)
    student = student_of(model, protocol, as_tensor([crops[0][: ready.side, : ready.side]]), outside)
    total = ready.steps(protocol.calibration_batch)
    done = iter(range(1, total + 1))
    calibrate(student, ready.batches(0, protocol.calibration_batch), lambda: progress("calibrate", next(done), total))
    if protocol.clipping:
        clip(student, next(iter(ready.batches(1, protocol.quirks.clipping_pictures))))
    history = tune(student, ready, progress) if protocol.epochs else History((), 0)
    return Prepared(student, history, time.perf_counter() - start)


def need_torch() -> None:
    """Raise UsageError where PyTorch is not installed, or cannot be loaded."""
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError as error:
        raise UsageError(
            f"--method {METHOD}: needs PyTorch, which is not installed; pip install tvmsr[torch]"
        ) from error
    except (ImportError, OSError) as error:
        raise UsageError(
            f"--method {METHOD}: PyTorch is installed but cannot be loaded ({error}); "
            "pip install --force-reinstall torch"
        ) from error


def evaluate(
    prepared: Prepared,
    pairs: PairSet,
    *,
    protocol: str = "y",
    fp32: bool = True,
    progress: Progress = _silent,
) -> PaperEvaluation:
    """Measure a student on pairs of a test set, by the named protocol ("y" or "rgb"), beside bicubic.

    fp32: beside the same network without quantization, too. Ctrl-C after the first picture keeps the figures of
    those that are done; a note says so. Raises UsageError.
    """
    model, chosen, rows = prepared.student.model, protocol_named(protocol), []
    macs, exact = macs_by_node(model.graph), _exact(prepared.student) if fp32 else None
    notes = list(_notes(prepared))
    total = len(pairs)
    try:
        for done, pair in enumerate(pairs):
            progress("evaluate", done, total)
            output, bits = upscaled(prepared.student, pair.lr, macs)
            row = measure_one(pair, lambda _, output=output: output, model.scale, chosen, exact)  # type: ignore[misc]
            average, cost = bits
            extra = {"fab": average, "tera_bitops": cost.total / TERA, "bitops_share": cost.share}
            rows.append(replace(row, figures={**row.figures, **extra}))
    except KeyboardInterrupt:
        if not rows:
            raise
        notes.append(f"interrupted: these are {len(rows)} of {total} pictures")
    if not rows:
        raise UsageError("there is nothing to measure: the test set is empty")
    progress("evaluate", total, total)
    return _described(prepared, model.scale, chosen.name, rows, notes)


def _described(prepared: Prepared, scale: int, name: str, rows: Sequence[Row], notes: Sequence[str]) -> PaperEvaluation:
    from tvmsr.adabm_paper.maps import layer_factor

    student, epochs = prepared.student, prepared.history.epochs
    by_layer = student.protocol.by_layer
    steps = sum(epoch.steps for epoch in epochs)
    lower, upper = (float(threshold.detach()) for threshold in student.thresholds)
    return PaperEvaluation(
        scale,
        name,
        tuple(rows),
        tuple(notes),
        {layer.name: round(float(layer_factor(layer.measure).detach())) for layer in student.adaptive()}
        if by_layer
        else {},
        (lower, upper),
        tuple(epoch.pixels for epoch in epochs),
        prepared.seconds,
        sum(epoch.seconds for epoch in epochs) / steps if steps else 0.0,
    )


def _notes(prepared: Prepared) -> list[str]:
    """What the figures are of."""
    student, history = prepared.student, prepared.history
    protocol, layout = student.protocol, student.layout
    bits = f"W{protocol.weight_bits}A{protocol.bits}, {_WORDS[protocol.adapt]}"
    rest = "the ends in FP32" if protocol.quirks.scope is Scope.BODY else "the ends at 8 bits"
    notes = [
        f"AdaBM as published, {bits}: fake quantization of {len(layout.counted)} convolutions, {rest}; no artifact",
        "tera_bitops: sum of MACs x weight bits x activation bits, FP32 convolutions as 32 x 32; bitops_share: of FP32",
    ]
    if history.interrupted:
        notes.append(f"interrupted: fine-tuned for {len(history.epochs)} of {protocol.epochs} epochs, and a part")
    return notes


def upscaled(
    student: Student, lr: U8Image, macs: Mapping[str, Any] | None = None
) -> tuple[NDArray[Any], tuple[float, BitOps]]:
    """LR bytes (H, W, 3) -> (scale*H, scale*W, 3) of 0..1 or the Y plane (scale*H, scale*W); FAB and BitOPs.

    Windows of protocol.patch pixels, the last of a row and column with what is left, have bits of their own.
    """
    work = macs_by_node(student.model.graph) if macs is None else macs
    scale, (height, width) = student.model.scale, lr.shape[:2]
    planes = () if student.model.colour is Colour.Y else (3,)
    out, parts = np.empty((height * scale, width * scale, *planes), np.float32), []
    for top, bottom in windows(height, student.protocol.patch):
        for left, right in windows(width, student.protocol.patch):
            made, cost = _window(student, lr[top:bottom, left:right], work)
            out[top * scale : bottom * scale, left * scale : right * scale] = made
            parts.append(cost)
    return out, joined(parts)


def _exact(student: Student) -> Upscaler:
    """The teacher as a function of a picture, whole."""
    import torch

    from tvmsr.adabm_paper.data import as_tensor

    def run(lr: U8Image) -> NDArray[Any]:
        with torch.no_grad():
            found = student.exact(as_tensor([fitted(lr, size_rule(student.model.graph))]))
        return _picture(student, found.output, lr)

    return run


def _picture(student: Student, output: Any, lr: U8Image) -> NDArray[Any]:
    """What (1, C, H, W) is of an LR picture, (H', W', 3) or the Y plane."""
    made = output[0].permute(1, 2, 0).numpy()[: lr.shape[0] * student.model.scale, : lr.shape[1] * student.model.scale]
    return made[:, :, 0] if student.model.colour is Colour.Y else made


def windows(side: int, patch: int | None) -> list[tuple[int, int]]:
    """Where a side is cut: every `patch` pixels, and the last part goes on to the end."""
    count = max(side // patch, 1) if patch else 1
    return [(k * (patch or 0), side if k == count - 1 else (k + 1) * (patch or 0)) for k in range(count)]


def _window(student: Student, lr: U8Image, macs: Mapping[str, Any]) -> tuple[NDArray[Any], tuple[float, BitOps]]:
    import torch

    from tvmsr.adabm_paper.data import as_tensor

    layout = student.layout
    seen = fitted(lr, size_rule(student.model.graph))
    with torch.no_grad():
        found = student.quantized(as_tensor([seen]))
    bits = dict(zip(layout.counted, found.bits[0].tolist(), strict=True))
    ops = bit_ops(bits, layout, macs, student.protocol.weight_bits, seen.shape[0] * seen.shape[1])
    return _picture(student, found.output, lr), (fab(bits, layout), ops)
