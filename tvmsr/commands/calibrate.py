"""`tvmsr calibrate`: a network and a handful of pictures become a Plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvmsr.commands.files import check_out
from tvmsr.commands.progress import Progress, silent
from tvmsr.commands.source import DEFAULT_MODEL, Overrides, open_model, short_name
from tvmsr.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tvmsr.graph.model import Model
    from tvmsr.quant.plan import Plan

#: Calibration looks at this many crops of this many LR pixels a side.
CROPS, CROP_SIZE = 16, 96

NO_FOLDER = (
    "no --calib folder: ranges come from the bundled picture; give a folder of pictures like those you will upscale"
)


@dataclass(frozen=True)
class Calibration:
    """How to make a plan: the options that `calibrate` and `compile` share."""

    bits: str = "8"
    method: str = "minmax"
    calib: Path | None = None
    hr: bool = False
    layer_bits: Mapping[str, int] | None = None
    equalise: bool = True
    bias_correction: bool = True
    seed: int = 0


@dataclass(frozen=True)
class Calibrated:
    """A plan, where it was written (None: nowhere yet), and what the user should know."""

    plan: Plan
    path: Path | None
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "plan": str(self.path),
            "model": self.plan.model,
            "bits": self.plan.bits,
            "method": self.plan.method,
            "notes": list(self.notes),
        }


def crops_for(model: Model, how: Calibration) -> tuple[list[NDArray[np.uint8]], tuple[str, ...]]:
    """LR crops (uint8, RGB) to calibrate with, and a note where they are the default set."""
    from tvmsr.imaging.augment import calibration_crops, default_calibration

    if how.calib is None:
        return default_calibration(CROPS, CROP_SIZE, how.seed), (NO_FOLDER,)
    hr_scale = model.scale if how.hr else None
    return calibration_crops(how.calib, CROPS, CROP_SIZE, seed=how.seed, hr_scale=hr_scale), ()


def plan_for(model: Model, how: Calibration, progress: Progress = silent) -> tuple[Plan, tuple[str, ...]]:
    """The plan for an imported model, and notes."""
    from tvmsr.quant.bits import parse_bits
    from tvmsr.quant.calibrate import calibrate as make_plan

    bits = parse_bits(how.bits)
    crops, notes = crops_for(model, how)
    if model.graph.marks:
        return _imported(model, how, crops, progress), (*model.assumed, *notes)
    plan = make_plan(
        model,
        crops,
        bits=bits,
        method=how.method,
        equalise=how.equalise,
        bias_correction=how.bias_correction,
        layer_bits=dict(how.layer_bits or {}),
        seed=how.seed,
        description=_described(how),
        progress=progress,
    )
    return plan, (*model.assumed, *notes)


def _imported(model: Model, how: Calibration, crops: list[NDArray[np.uint8]], progress: Progress) -> Plan:
    """The plan that a quantized file brings; what it does not say is measured on the crops."""
    from tvmsr.quant.calibrate import calibrate as make_plan
    from tvmsr.quant.imported import imported_plan

    if how.bits != Calibration.bits or how.method != Calibration.method or how.layer_bits:
        raise UsageError(
            f"{model.name}: another tool has quantized it, and its bits and scales stay; give its FP32 file for others"
        )
    measured = make_plan(
        model,
        crops,
        equalise=False,
        bias_correction=False,
        max_drop=None,
        seed=how.seed,
        description=_described(how),
        progress=progress,
    )
    return imported_plan(model, measured)


def _described(how: Calibration) -> str:
    return "the bundled picture" if how.calib is None else f"pictures of {Path(how.calib).name}"


def calibrate(
    model: str | Path = DEFAULT_MODEL,
    *,
    out: Path | None = None,
    bits: str = "8",
    method: str = "minmax",
    calib: Path | None = None,
    hr: bool = False,
    layer_bits: Mapping[str, int] | None = None,
    equalise: bool = True,
    bias_correction: bool = True,
    seed: int = 0,
    overrides: Overrides | None = None,
    progress: Progress = silent,
) -> Calibrated:
    """Quantize `model` after training and write the plan to `out` (default: MODEL-BITS.plan.json).

    calib: a folder of pictures, LR as they are, or HR with `hr=True` (downsized first). layer_bits: activation bits
    that single layers read, by node name. Raises UsageError, InputFileError or WorkError.
    """
    if out is not None:
        check_out(Path(out))
    how = Calibration(bits, method, calib, hr, layer_bits, equalise, bias_correction, seed)
    plan, notes = plan_for(open_model(model, overrides), how, progress)
    path = Path(out) if out is not None else Path(f"{short_name(model)}-{bits}.plan.json")
    plan.save(path)
    return Calibrated(plan, path, notes)
