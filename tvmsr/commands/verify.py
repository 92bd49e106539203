"""`tvmsr verify`: an artifact against the definition of its arithmetic, byte for byte."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tvmsr.commands.progress import Progress, silent
from tvmsr.commands.source import Overrides, open_model
from tvmsr.errors import UsageError, WorkError

#: Sizes (height, width) of the pictures compared: narrow, odd, and larger than a tile of any kernel.
SIZES = ((1, 1), (7, 5), (33, 47), (64, 96))


@dataclass(frozen=True)
class Verified:
    """How many bytes were compared, on how many pictures and levels; all were equal."""

    artifact: str
    levels: tuple[str, ...]
    pictures: int
    bytes: int

    def as_json(self) -> dict[str, Any]:
        return {**vars(self), "levels": list(self.levels)}


def verify(
    artifact: Path,
    *,
    model: str | Path,
    plan: Path | None = None,
    seed: int = 0,
    overrides: Overrides | None = None,
    progress: Progress = silent,
) -> Verified:
    """Compare `artifact` with the reference executor on random pictures, at every level that this CPU has.

    model: the network it was made from; plan: its plan (default: the one it carries). Raises WorkError where a byte
    differs, UsageError where model and artifact do not belong together.
    """
    import numpy as np

    from tvmsr.artifact.manifest import read_manifest, read_plan_text
    from tvmsr.quant.bind import bind
    from tvmsr.quant.picture import upscale_picture
    from tvmsr.quant.plan import Plan
    from tvmsr.runtime import load, usable_levels

    network = open_model(model, overrides)
    manifest = read_manifest(Path(artifact))
    if manifest.model_checksum != network.checksum:
        raise UsageError(f"{artifact} was not made from {model}: the checksums of the networks differ")
    read = Plan.load(Path(plan)) if plan is not None else Plan.from_json(read_plan_text(Path(artifact)), str(artifact))
    graph = bind(network, read)
    levels, rng, compared = usable_levels(Path(artifact)), np.random.default_rng(seed), 0
    for done, (height, width) in enumerate(SIZES):
        progress("verify", done, len(SIZES))
        picture = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        want = upscale_picture(graph, picture)
        for level in levels:
            with load(Path(artifact), level=level) as session:
                got = session.upscale(picture)
            different = int(np.count_nonzero(got != want))
            if different:
                raise WorkError(
                    f"{artifact}, level {level}: {different} of {want.size} bytes differ from the reference on a "
                    f"{width}x{height} picture (seed {seed}); please report this with the plan"
                )
            compared += want.size
    progress("verify", len(SIZES), len(SIZES))
    return Verified(str(artifact), tuple(levels), len(SIZES), compared)
