"""What `tvmsr evaluate --method adabm-paper` does: AdaBM as published, measured; nothing is compiled or kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tvmsr.adabm_paper.protocol import METHOD, Protocol
from tvmsr.commands.files import is_artifact
from tvmsr.commands.inputs import NO_FOLDER, check_seed, draw_crops
from tvmsr.commands.progress import Progress, silent
from tvmsr.commands.source import DEFAULT_MODEL, Overrides, open_model
from tvmsr.errors import UsageError

if TYPE_CHECKING:
    from tvmsr.adabm_paper.measure import PaperEvaluation

__all__ = ["METHOD", "evaluate_paper"]


def evaluate_paper(
    what: str | Path = DEFAULT_MODEL,
    *,
    data: Path,
    lr: Path | None = None,
    bits: str | None = None,
    calib: Path | None = None,
    hr: bool = False,
    scope: str | None = None,
    settings: Protocol | None = None,
    protocol: str = "y",
    seed: int = 0,
    overrides: Overrides | None = None,
    progress: Progress = silent,
) -> PaperEvaluation:
    """Calibrate the network `what` by AdaBM's published procedure and measure it on the HR pictures of `data`.

    bits: of activations, before factors, and of weights ("a6w8"). scope: "body", or "full" with the ends at 8 bits.
    settings: all else, and both where they are not given; as published without. calib, hr, seed: as in `calibrate`;
    data, lr, protocol: as in `evaluate`. Ctrl-C ends fine-tuning, and what there is then is measured.
    Raises UsageError, without PyTorch too, or InputFileError.
    """
    from tvmsr.adabm_paper.folded import folded_factors
    from tvmsr.adabm_paper.measure import evaluate, need_torch, prepare
    from tvmsr.adabm_paper.named import differences, unheard
    from tvmsr.evaluation.dataset import load_pairs
    from tvmsr.evaluation.metrics import protocol_named

    need_torch()
    if is_artifact(what):
        raise UsageError(f"{what} is an artifact; AdaBM as published is computed of a network: give its file")
    check_seed(seed)
    protocol_named(protocol)
    chosen = _chosen(settings or Protocol(), bits, scope)
    model = open_model(what, overrides)
    pairs = load_pairs(Path(data), model.scale, lr=Path(lr) if lr is not None else None)
    crops = draw_crops(calib, chosen.pictures, chosen.crop, seed, model.scale if hr else None)
    prepared = prepare(model, crops, chosen, seed=seed, outside=folded_factors(model, what), progress=progress)
    found = evaluate(prepared, pairs, protocol=protocol, progress=progress)
    odd = differences(chosen)
    said = (*((f"not as published: {', '.join(odd)}",) if odd else ()), *unheard(chosen))
    notes = (*model.assumed, *((NO_FOLDER,) if calib is None else ()), *said, *found.notes)
    return replace(found, notes=notes)


def _chosen(settings: Protocol, bits: str | None, scope: str | None) -> Protocol:
    from tvmsr.adabm_paper.named import scope_named
    from tvmsr.quant.bits import parse_bits

    if bits is not None:
        width = parse_bits(bits)
        settings = replace(settings, bits=width.activations, weight_bits=width.weights)
    if scope is not None:
        settings = replace(settings, quirks=replace(settings.quirks, scope=scope_named(scope)))
    settings.check()
    return settings
