"""`tvmsr calibrate`: a network and a handful of pictures become a Plan."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvmsr.commands.files import check_out
from tvmsr.commands.inputs import Crops, clock_of, complexities_for, crops_for
from tvmsr.commands.keeping import best_kept
from tvmsr.commands.progress import Progress, estimates, silent
from tvmsr.commands.source import DEFAULT_MODEL, Overrides, open_model, short_name
from tvmsr.commands.wishes import unheard
from tvmsr.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tvmsr.devices import Device
    from tvmsr.graph.model import Model
    from tvmsr.hardware.target import Target
    from tvmsr.quant.adabm.auto import Budget
    from tvmsr.quant.adabm.frontier import Frontier
    from tvmsr.quant.draft import SoFar, Tell
    from tvmsr.quant.plan import Plan
    from tvmsr.quant.representative import Representative


@dataclass(frozen=True)
class Calibration:
    """How to make a plan: the options that `calibrate` and `compile` share.

    strict_bits: no layer reads more bits than were asked for; else at 8 bits some do where that would lose more than
    max_drop dB (None: tvmsr.quant.calibrate.MAX_DROP). way: how CFQP makes its pictures, which are written into the
    folder save_data, too. costs: of auto bits, "time" on the target or "bits": what fewer of them are to save.
    adaptive: whether each "image" has its bits, or each "tile" of one. sensitivity: how the noise of layers is known,
    "noise", "gradient" (needs torch) or "deviation". weight_bits: of named auto bits, "fixed" or by "layer"; kept: the
    share of the multiplications that may stay at 8 bits with these (None: tvmsr.quant.adabm.maps.MOST_KEPT).
    max_time: milliseconds that a picture of `size`, "WIDTHxHEIGHT", may take, with bits "auto".
    """

    bits: str = "8"
    method: str = "cfqp"
    calib: Path | None = None
    hr: bool = False
    layer_bits: Mapping[str, int] | None = None
    equalise: bool = True
    bias_correction: bool = True
    rounding: bool = True
    strict_bits: bool = False
    max_drop: float | None = None
    way: str = "mix"
    save_data: Path | None = None
    costs: str = "time"
    adaptive: str = "image"
    sensitivity: str = "noise"
    weight_bits: str = "fixed"
    kept: float | None = None
    max_time: float | None = None
    size: str = ""
    learn: bool = False
    learn_bits: bool = False
    seed: int = 0

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Calibration:
        """Those among the arguments of a function, by their names, settled."""
        return cls(**{field.name: given[field.name] for field in fields(cls)}).settled()

    def settled(self) -> Calibration:
        """With what bits and method say of each other: auto bits are AdaBM's, whose bits are auto.

        UsageError where they contradict, and for words of any option that are none.
        """
        from tvmsr.quant.adabm.adaptation import check_words
        from tvmsr.quant.bits import AUTO, parse_wish
        from tvmsr.quant.methods import method_for, method_of

        check_words(self.costs, self.adaptive, self.sensitivity, self.weight_bits)
        is_silent = self.bits == Calibration.bits and method_of(self.method).adapts
        wish = parse_wish(AUTO if is_silent else self.bits)
        return replace(self, bits=str(wish), method=method_for(wish, self.method))

    @property
    def is_auto(self) -> bool:
        """Whether bits are chosen by layer and by picture."""
        from tvmsr.quant.bits import AUTO

        return self.bits.startswith(AUTO)

    @property
    def is_long(self) -> bool:
        """Whether it takes so long that Ctrl-C should leave something."""
        return self.is_auto or self.learn


@dataclass(frozen=True)
class Calibrated:
    """A plan, where it was written (None: nowhere yet), and what the user should know.

    loss: label and value: what the plan loses, and which layers read more bits, where that was judged. frontier: the
    plans that were looked at, where bits are "auto".
    """

    plan: Plan
    path: Path | None
    notes: tuple[str, ...]
    loss: tuple[tuple[str, str], ...] = ()
    frontier: Frontier | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "plan": str(self.path),
            "model": self.plan.model,
            "bits": self.plan.bits,
            "method": self.plan.method,
            "judged": None if self.plan.judged is None else self.plan.judged.model_dump(mode="json"),
            "notes": list(self.notes),
            "frontier": None if self.frontier is None else self.frontier.as_json(),
        }


def plan_for(
    model: Model,
    how: Calibration,
    progress: Progress = silent,
    better: Tell | None = None,
    target: Target | None = None,
    device: str | Device | None = None,
) -> tuple[Plan, tuple[str, ...]]:
    """The plan for an imported model, and notes. better: is given each whole plan on the way; target: see `plan_of`.

    progress: hears of the drop that these make expect, too, if it is one of `Estimating`. device: where plans are
    timed, if they are; None: here.
    """
    from tvmsr.commands.maxtime import budget_for

    how = how.settled()
    notes = unheard(model, how)
    saved = _saving(how)
    with budget_for(model, how.max_time, how.size, target, device) as budget, estimates(progress) as estimate:

        def tell(found: SoFar) -> None:
            if better is not None:
                better(found)
            estimate(found.drop)

        crops = crops_for(model, how)
        if model.graph.marks:
            plan = _imported(model, how, crops.used, progress)
        else:
            plan = plan_of(
                model, how, crops, _described(how), made=saved, better=tell, progress=progress, target=target,
                budget=budget,
            )  # fmt: skip
    return plan, (*model.assumed, *crops.notes, *notes, *_told(plan, how), *_missed(plan, how))


def _told(plan: Plan, how: Calibration) -> tuple[str, ...]:
    """Those of the plan's notes that ask for something, or answer an option: what came of the learned step."""
    from tvmsr.quant.adabm import words
    from tvmsr.quant.calibrate import TOO_ALIKE
    from tvmsr.quant.learned.learn import NOTED

    told = (*((NOTED,) if how.learn else ()), *((words.NOTED,) if how.is_auto else ()))
    return tuple(note for note in plan.notes if note == TOO_ALIKE or note.startswith(told))


def _missed(plan: Plan, how: Calibration) -> tuple[str, ...]:
    """Where no layer may read more bits, the plan's own notes say what can be said."""
    from tvmsr.quant.verdict import missed_words

    words = missed_words(plan.judged) if plan.judged is not None and not how.strict_bits else None
    return (words,) if words else ()


def plan_of(
    model: Model,
    how: Calibration,
    crops: Crops,
    description: str,
    *,
    made: Callable[[Sequence[Representative]], None] | None = None,
    better: Tell | None = None,
    progress: Progress = silent,
    target: Target | None = None,
    budget: Budget | None = None,
) -> Plan:
    """The plan that these options make of these crops. made: is given CFQP's pictures; better: see quant.calibrate.

    target: what the plan will be compiled for; None: this machine. budget: what max_time and size say.
    """
    from tvmsr.quant.calibrate import MAX_DROP
    from tvmsr.quant.calibrate import calibrate as make_plan
    from tvmsr.quant.learned.learn import check_torch

    how = how.settled()
    if how.learn:
        check_torch()
    max_drop = MAX_DROP if how.max_drop is None else how.max_drop
    complexities = complexities_for(how, model.scale, progress) if how.is_auto and budget is None else []
    plan = make_plan(
        model,
        crops.used,
        bits=how.bits,
        method=how.method,
        equalise=how.equalise,
        bias_correction=how.bias_correction,
        rounding=how.rounding,
        layer_bits=dict(how.layer_bits or {}),
        max_drop=None if how.strict_bits else max_drop,
        held=crops.held,
        clock=clock_of(target),
        way=how.way,
        costs=how.costs,
        adaptive=how.adaptive,
        sensitivity=how.sensitivity,
        weight_bits=how.weight_bits,
        kept=how.kept,
        complexities=complexities,
        budget=budget,
        seed=how.seed,
        description=description,
        made=made,
        better=better,
        progress=progress,
    )
    return _learned(model, plan, how, crops, complexities, better, progress) if how.learn else plan


def _learned(
    model: Model,
    plan: Plan,
    how: Calibration,
    crops: Crops,
    complexities: Sequence[int],
    better: Tell | None,
    progress: Progress,
) -> Plan:
    """The learned step behind a plan, and thresholds fitted to what comes of it, where bits are learned, too."""
    from tvmsr.quant.adabm.fitted import with_fitted
    from tvmsr.quant.draft import SoFar
    from tvmsr.quant.learned.learn import learned

    plan = learned(
        model, plan, crops.used, crops.held, seed=how.seed, bits=how.learn_bits, better=better, progress=progress
    )
    if not how.learn_bits:
        return plan
    if better is not None:
        better(SoFar(plan, plan.judged.drop if plan.judged else None))
    return with_fitted(model, plan, crops.used, crops.held, complexities, progress)


def _saving(how: Calibration) -> Callable[[Sequence[Representative]], None] | None:
    """What writes CFQP's pictures; UsageError, before any work, where they cannot be written."""
    from tvmsr.imaging.files import write_pictures

    if how.save_data is None:
        return None
    folder = Path(how.save_data)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"--save-data {folder}: is there already and not an empty folder; name a new one")
    if not folder.absolute().parent.is_dir():
        raise UsageError(f"--save-data {folder}: there is no folder {folder.absolute().parent}; make it first")
    return lambda pictures: write_pictures(folder, [picture.pixels for picture in pictures])


def _imported(model: Model, how: Calibration, crops: list[NDArray[np.uint8]], progress: Progress) -> Plan:
    """The plan that a quantized file brings; what it does not say is measured on the crops."""
    from tvmsr.quant.calibrate import calibrate as make_plan
    from tvmsr.quant.imported import imported_plan

    if how.bits != Calibration.bits or how.method != Calibration.method or how.layer_bits or how.learn:
        raise UsageError(
            f"{model.name}: another tool has quantized it, and its bits and scales stay; give its FP32 file for others"
        )
    measured = make_plan(
        model,
        crops,
        method="minmax",
        equalise=False,
        bias_correction=False,
        rounding=False,
        max_drop=None,
        seed=how.seed,
        description=_described(how),
        progress=progress,
    )
    return imported_plan(model, measured)


def file_word(bits: str) -> str:
    """Bits as names of files have them, whatever a plan calls its own: not every system takes a colon."""
    return re.sub(r"[^A-Za-z0-9_.+-]", "-", bits)


def _described(how: Calibration) -> str:
    return "the bundled picture" if how.calib is None else f"pictures of {Path(how.calib).name}"


def calibrate(
    model: str | Path = DEFAULT_MODEL,
    *,
    out: Path | None = None,
    target: str | None = None,
    bits: str = "8",
    method: str = Calibration.method,
    calib: Path | None = None,
    hr: bool = False,
    layer_bits: Mapping[str, int] | None = None,
    equalise: bool = True,
    bias_correction: bool = True,
    rounding: bool = True,
    strict_bits: bool = False,
    max_drop: float | None = Calibration.max_drop,
    way: str = Calibration.way,
    save_data: Path | None = None,
    costs: str = Calibration.costs,
    adaptive: str = Calibration.adaptive,
    sensitivity: str = Calibration.sensitivity,
    weight_bits: str = Calibration.weight_bits,
    kept: float | None = Calibration.kept,
    max_time: float | None = Calibration.max_time,
    size: str = Calibration.size,
    learn: bool = False,
    learn_bits: bool = False,
    seed: int = 0,
    overrides: Overrides | None = None,
    progress: Progress = silent,
) -> Calibrated:
    """Quantize `model` after training and write the plan to `out` (default: MODEL-BITS.plan.json).

    calib: a folder of pictures, LR as they are, or HR with `hr=True` (downsized first). layer_bits: activation bits
    that single layers read, by node name. target: what will be compiled for (default: this machine), whose modelled
    time says which layers are cheap to give more bits. The rest: see Calibration. Ctrl-C keeps the best plan so far: it
    is written, and Interrupted says so. Raises UsageError, InputFileError or WorkError.
    """
    from tvmsr.hardware import load_target
    from tvmsr.quant.adabm.frontier import Frontier
    from tvmsr.quant.verdict import facts

    how = Calibration.of(locals())
    chosen = load_target(target) if target is not None else None
    if out is not None:
        check_out(Path(out))
    path = Path(out) if out is not None else Path(f"{short_name(model)}-{file_word(how.bits)}.plan.json")
    with best_kept(path) as better:
        plan, notes = plan_for(open_model(model, overrides), how, progress, better, chosen)
    plan.save(path)
    return Calibrated(plan, path, notes, facts(plan.judged), Frontier.of(plan))
