"""`tvmsr demo`: the first look. The embedded network, compiled for this machine, on the bundled picture."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tvmsr.commands.compile import compile as compile_model
from tvmsr.commands.progress import Progress, silent
from tvmsr.errors import UsageError


@dataclass(frozen=True)
class Demo:
    """PSNR in dB on Y against the original, with bicubic beside it; times in seconds."""

    artifact: Path
    picture: Path
    scale: int
    level: str
    width: int
    height: int
    compile_seconds: float
    upscale_seconds: float
    psnr: float
    bicubic_psnr: float
    size: int

    def as_json(self) -> dict[str, Any]:
        return {**vars(self), "artifact": str(self.artifact), "picture": str(self.picture)}


def demo(folder: Path = Path("tvmsr-demo"), *, scale: int = 2, progress: Progress = silent) -> Demo:
    """Compile `default:x2` (or x4) into `folder`, upscale the bundled picture and write a before/after PNG there."""
    from fractions import Fraction

    from tvmsr.evaluation.metrics import psnr_y
    from tvmsr.imaging.bicubic import imresize, make_lr
    from tvmsr.imaging.files import write_picture
    from tvmsr.imaging.picture import demo_picture, side_by_side
    from tvmsr.runtime import load

    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be made a folder ({error.strerror}); give another --folder") from None
    made = compile_model(f"default:x{scale}", out=folder / f"default-x{scale}.so", progress=progress)
    original = demo_picture()
    lr = make_lr(original, scale)
    with load(made.artifact) as session:
        session.upscale(lr)
        start = time.perf_counter()
        ours = session.upscale(lr)
        seconds, level = time.perf_counter() - start, session.level
    bicubic = imresize(lr, Fraction(scale))
    picture = folder / f"before-after-x{scale}.png"
    write_picture(picture, side_by_side(bicubic, ours, original, ("bicubic", "tvmsr", "original")))
    return Demo(
        artifact=made.artifact,
        picture=picture,
        scale=scale,
        level=level,
        width=lr.shape[1],
        height=lr.shape[0],
        compile_seconds=made.seconds,
        upscale_seconds=seconds,
        psnr=psnr_y(ours, original, scale),
        bicubic_psnr=psnr_y(bicubic, original, scale),
        size=made.size,
    )
