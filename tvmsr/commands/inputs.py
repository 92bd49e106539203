"""What a calibration is given beside the network: crops, how busy whole pictures are, the cost model of the target."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tvmsr.commands.progress import Progress, silent
from tvmsr.errors import UsageError, WorkError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tvmsr.commands.calibrate import Calibration
    from tvmsr.graph.model import Model
    from tvmsr.hardware.target import Target
    from tvmsr.quant.widen import Clock

#: Calibration looks at this many crops of this many LR pixels a side, and judges what comes of it on further ones.
CROPS, CROP_SIZE, HELD = 16, 96, 8
#: Whole pictures of the folder whose complexity is measured, where pictures choose their bits.
MOST_WHOLE = 100

NO_FOLDER = (
    "no --calib folder: ranges come from the bundled picture; give a folder of pictures like those you will upscale"
)


@dataclass(frozen=True, eq=False)
class Crops:
    """LR crops (uint8, RGB) to calibrate with, those held back, and a note where they are the default set."""

    used: list[NDArray[np.uint8]]
    held: list[NDArray[np.uint8]]
    notes: tuple[str, ...]


def check_seed(seed: int) -> None:
    """UsageError for one that nothing can be drawn with."""
    if seed < 0:
        raise UsageError(f"--seed {seed}: expected 0 or more")


def draw_crops(calib: Path | None, count: int, size: int, seed: int, hr_scale: int | None) -> list[NDArray[np.uint8]]:
    """LR crops, RGB bytes, of the folder, or of the bundled picture. hr_scale: what HR pictures are downsized by."""
    from tvmsr.imaging.augment import calibration_crops, default_calibration

    if calib is None:
        return default_calibration(count, size, seed)
    return calibration_crops(calib, count, size, seed=seed, hr_scale=hr_scale)


def crops_for(model: Model, how: Calibration) -> Crops:
    """Of the user's folder, or of the bundled picture."""
    check_seed(how.seed)
    count = CROPS + HELD
    found = draw_crops(how.calib, count, CROP_SIZE, how.seed, model.scale if how.hr else None)
    apart = count // HELD
    held = found[apart - 1 :: apart]
    notes = (NO_FOLDER,) if how.calib is None else ()
    return Crops([crop for k, crop in enumerate(found) if k % apart != apart - 1], held, notes)


def complexities_for(how: Calibration, scale: int, progress: Progress = silent) -> list[int]:
    """Of whole LR pictures in the folder, or of their tiles, as the plan will choose; none without a folder."""
    from tvmsr.imaging.augment import check_hr
    from tvmsr.imaging.bicubic import make_lr
    from tvmsr.imaging.files import list_pictures, read_picture
    from tvmsr.quant.complexity import complexity
    from tvmsr.quant.plan import DEFAULT_TILE
    from tvmsr.quant.ranges import spaced
    from tvmsr.quant.tiles import complexities

    if how.calib is None:
        return []
    files, found = spaced(list_pictures(how.calib), MOST_WHOLE), []
    for done, file in enumerate(files, 1):
        picture = read_picture(file).pixels
        if how.hr:
            check_hr(file, picture, scale)
            picture = make_lr(picture, scale)
        tiles = complexities(picture, DEFAULT_TILE).flat if how.adaptive == "tile" else [complexity(picture)]
        found += [int(one) for one in tiles]
        progress("complexity", done, len(files))
    return found


def clock_of(target: Target | None) -> Clock | None:
    """The cost model of a target's best level; of this machine's where there is none, None where it cannot be known."""
    from tvmsr.hardware import load_target
    from tvmsr.lower.modelled import modelled_cycles
    from tvmsr.quant.widen import Clock

    try:
        chosen = target or load_target("host")
    except WorkError:
        return None
    level = chosen.levels[0]
    return Clock(f"{chosen.architecture} {level.name}", lambda graph: modelled_cycles(graph, level))
