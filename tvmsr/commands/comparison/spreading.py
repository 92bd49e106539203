"""How much it matters which pictures a variant is calibrated with: PSNR over random sets of one crop each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tvmsr.commands.calibrate import Calibration, plan_of
from tvmsr.commands.comparison.results import Spread
from tvmsr.commands.comparison.variants import Variant
from tvmsr.commands.inputs import CROP_SIZE, Crops
from tvmsr.commands.progress import Progress
from tvmsr.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tvmsr.evaluation.dataset import Pair
    from tvmsr.evaluation.metrics import Protocol
    from tvmsr.graph.model import Model
    from tvmsr.quant.plan import Plan


def check_sets(shared: Calibration, sets: int) -> None:
    """UsageError where random sets cannot be drawn, or would all show one picture."""
    from tvmsr.imaging.files import list_pictures

    if sets < 2:
        raise UsageError(f"--sets {sets}: a deviation takes at least 2 sets")
    if shared.calib is None:
        raise UsageError("random sets are drawn from a folder of pictures: name one with --calib")
    if len(list_pictures(shared.calib)) < 2:
        raise UsageError(f"--calib {shared.calib} holds one picture: random sets of it say nothing; give more pictures")


def spreads(
    model: Model,
    variants: Sequence[Variant],
    shared: Calibration,
    pairs: Iterable[Pair],
    protocol: Protocol,
    sets: int,
    progress: Progress,
) -> tuple[Spread, ...]:
    """Set n is the crop that seed + n draws; what a variant makes of it is run by the reference executor.

    Artifacts give the same bytes; to compile each would take longer than to run it on a test set.
    """
    found: dict[str, list[float]] = {variant.name: [] for variant in variants}
    for number in range(sets):
        progress("sets", number, sets)
        crop = _crop(shared, shared.seed + number, model.scale)
        plans = [plan_of(model, variant.calibration(shared), Crops([crop], [], ()), "one crop") for variant in variants]
        for variant, psnr in zip(variants, _measured(model, plans, pairs, protocol), strict=True):
            found[variant.name].append(psnr)
    progress("sets", sets, sets)
    return tuple(Spread(variant.name, variant.text, tuple(found[variant.name])) for variant in variants)


def _crop(shared: Calibration, seed: int, scale: int) -> NDArray[np.uint8]:
    from tvmsr.imaging.augment import calibration_crops

    assert shared.calib is not None
    hr_scale = scale if shared.hr else None
    (crop,) = calibration_crops(Path(shared.calib), 1, CROP_SIZE, seed=seed, hr_scale=hr_scale)
    return crop


def _measured(model: Model, plans: Sequence[Plan], pairs: Iterable[Pair], protocol: Protocol) -> list[float]:
    """PSNR of each plan, the mean over the pictures."""
    from tvmsr.quant.adaptive import bind_choices, choosing_of
    from tvmsr.quant.tiles import upscale_tiles

    made, rows = [(bind_choices(model, plan), choosing_of(plan)) for plan in plans], []
    for pair in pairs:
        results = [upscale_tiles(graphs, choosing, pair.lr) for graphs, choosing in made]
        rows.append([protocol.psnr(result, pair.hr, model.scale) for result in results])
    return [float(mean) for mean in np.mean(rows, axis=0)]
