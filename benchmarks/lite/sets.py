"""What networks are calibrated with: crops of photographs, and the pictures that CFQP makes of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from peering.networks import U8
from peering.runtimes import F32

from tvmsr.commands.calibrate import Calibration, plan_of
from tvmsr.commands.inputs import CROP_SIZE, Crops, crops_for
from tvmsr.graph.model import Model
from tvmsr.imaging.augment import calibration_crops
from tvmsr.quant.representative import DEFAULT_WAY, Representative

#: The crops as they are, and the same where the tool is told by hand that the input's range is 0..1.
ORDINARY, WHOLE = "ordinary", "whole"
#: The crops and what CFQP makes of them by the default way, which is what `--method cfqp` looks at.
BOTH = "both"
#: The name of the set of all crops that ours is calibrated on; others are of one crop, named by their seeds.
ALL = "all"

#: Makes the pictures and nothing that costs time beside them.
_METHOD = "cfqp-paper"


@dataclass(frozen=True)
class Shown:
    """What a network is calibrated with: arrays of float32 (N, H, W, C), 0..1, by ORDINARY, a way of CFQP, or BOTH."""

    name: str
    data: Mapping[str, F32]


def shown_sets(model: Model, folder: Path, ways: Sequence[str], count: int) -> Iterator[Shown]:
    """The set of all crops, and `count` sets of one crop, drawn by the seeds from 0.

    folder: HR photographs. ways: of CFQP, the default one among them.
    """
    how = Calibration(calib=folder, hr=True)
    yield _shown(model, ALL, crops_for(model, how).used, ways)
    for seed in range(count):
        crops = calibration_crops(folder, 1, CROP_SIZE, seed=seed, hr_scale=model.scale)
        yield _shown(model, str(seed), crops, ways)


def _shown(model: Model, name: str, crops: list[U8], ways: Sequence[str]) -> Shown:
    made = {way: _made(model, crops, way) for way in ways}
    data = {ORDINARY: crops, **made, BOTH: [*crops, *made[DEFAULT_WAY]]}
    return Shown(name, {key: stacked(pictures) for key, pictures in data.items()})


def _made(model: Model, crops: list[U8], way: str) -> list[U8]:
    """What --save-data writes."""
    kept: list[Representative] = []
    plan_of(model, Calibration(method=_METHOD, way=way), Crops(crops, [], ()), "crops", made=kept.extend)
    return [one.pixels for one in kept]


def stacked(pictures: Sequence[U8]) -> F32:
    """RGB bytes (H, W, 3) as one array, 0..1. Tools want one size: pictures that are smaller than the largest go on
    mirrored.
    """
    height, width = (max(picture.shape[axis] for picture in pictures) for axis in (0, 1))
    sides = [((0, height - p.shape[0]), (0, width - p.shape[1]), (0, 0)) for p in pictures]
    whole = [np.pad(p, side, mode="symmetric") for p, side in zip(pictures, sides, strict=True)]
    return np.stack(whole).astype(np.float32) / np.float32(255)
