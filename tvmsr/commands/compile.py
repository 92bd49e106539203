"""`tvmsr compile`: a network becomes one shared library."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvmsr.commands.calibrate import Calibration, file_word, plan_for
from tvmsr.commands.files import check_out
from tvmsr.commands.keeping import best_kept
from tvmsr.commands.progress import Progress, silent
from tvmsr.commands.source import DEFAULT_MODEL, Overrides, open_model, short_name
from tvmsr.commands.wishes import asked, option
from tvmsr.errors import UsageError

if TYPE_CHECKING:
    from tvmsr.devices import Device
    from tvmsr.graph.model import Model
    from tvmsr.hardware.target import Target
    from tvmsr.quant.adabm.frontier import Frontier
    from tvmsr.quant.plan import Plan


#: Behind the name of a plan that Ctrl-C left.
UNFINISHED = ".unfinished.plan.json"


@dataclass(frozen=True)
class Compiled:
    """An artifact and what went into it. Sizes in bytes. files: all that was written, the artifact first."""

    artifact: Path
    files: tuple[Path, ...]
    model: str
    target: str
    levels: tuple[str, ...]
    bits: str
    size: int
    weights_size: int
    seconds: float
    notes: tuple[str, ...]
    loss: tuple[tuple[str, str], ...] = ()  # label and value: what the plan loses, where that was judged
    frontier: Frontier | None = None  # the plans that were looked at, of bits "auto"

    def as_json(self) -> dict[str, Any]:
        return {
            **vars(self),
            "artifact": str(self.artifact),
            "files": [str(path) for path in self.files],
            "levels": list(self.levels),
            "notes": list(self.notes),
            "loss": dict(self.loss),
            "frontier": None if self.frontier is None else self.frontier.as_json(),
        }


def build_artifact(
    model: Model,
    plan: Plan,
    target: Target,
    out: Path,
    *,
    emit: str | Sequence[str] = "so",
    prefix: str = "tvmsr",
    cc: str | None = None,
    apart: frozenset[str] = frozenset(),
    progress: Progress = silent,
) -> Any:
    """Bind, lower for every level of the target, and link. Returns what tvmsr.artifact.build reports.

    apart: what tvmsr.lower.pipeline.lower keeps apart, to time it.
    """
    from tvmsr.artifact.build import build
    from tvmsr.lower.pipeline import lower_choices
    from tvmsr.lower.program import Program
    from tvmsr.quant.adaptive import bind_choices, choosing_of

    steps = len(target.levels) + 2
    progress("compile", 0, steps)
    graphs, names = bind_choices(model, plan), choosing_of(plan).names
    programs: list[Program] = []
    for done, level in enumerate(target.levels):
        programs += lower_choices(graphs, names, level, apart)
        progress("compile", done + 1, steps)
    built = build(programs, graphs, model, plan, target, out, cc=cc, prefix=prefix, emit=emit)
    progress("compile", steps, steps)
    return built


def compile(
    model: str | Path = DEFAULT_MODEL,
    *,
    out: Path | None = None,
    target: str | None = None,
    device: str | Device | None = None,
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
    plan: Path | None = None,
    emit: str | Sequence[str] = "so",
    prefix: str = "tvmsr",
    cc: str | None = None,
    seed: int = 0,
    overrides: Overrides | None = None,
    progress: Progress = silent,
) -> Compiled:
    """Compile `model` for `target` and write `out` (default: MODEL-TARGET-BITS.so in the current folder).

    device: compile for the target that it was added with, in the place of a target; nothing of it runs but what
    `max_time` times. Without both: for this machine.
    emit: "so", "static" or both ("so,static", or a list); a static library comes with a header, and where there are two
    libraries `out` says where and under which name, each file having its own suffix.
    With `plan`, that plan is used as it is, and options that would ask for another are refused; without, the network is
    calibrated first, as `calibrate` does. Ctrl-C while bits are chosen or learned keeps the best plan so far, beside
    what would have been written, and Interrupted says so. Raises UsageError, InputFileError or WorkError; nothing is
    half-written.
    """
    from tvmsr.hardware import check_levels, load_target
    from tvmsr.quant.adabm.frontier import Frontier
    from tvmsr.quant.verdict import facts

    start, how = time.perf_counter(), Calibration.of(locals())
    target = _target(target, device)
    chosen = load_target(target)
    suffix = _suffix(chosen, out, emit, prefix)
    check_levels(chosen)
    network = open_model(model, overrides)
    if plan is not None:
        ready, notes = _given_plan(Path(plan), how), network.assumed
        notes = (*notes, f"--seed {seed} changes nothing beside --plan") if seed != 0 else notes
    else:
        unfinished = _path(model, target, how.bits, out, UNFINISHED)
        with best_kept(unfinished, ", for --plan") if how.is_long else contextlib.nullcontext() as better:
            ready, notes = plan_for(network, how, progress, better, chosen, device)
    path = Path(out) if out is not None else _path(model, target, ready.bits, out, suffix)
    built = build_artifact(network, ready, chosen, path, emit=emit, prefix=prefix, cc=cc, progress=progress)
    return Compiled(
        artifact=built.path,
        files=built.files,
        model=network.name,
        target=chosen.name,
        levels=tuple(level.name for level in chosen.levels),
        bits=ready.bits,
        size=built.size,
        weights_size=built.weights_size,
        seconds=time.perf_counter() - start,
        notes=tuple(notes),
        loss=facts(ready.judged),
        frontier=Frontier.of(ready),
    )


def _path(model: str | Path, target: str, bits: str, out: Path | None, suffix: str) -> Path:
    """Of a file with this suffix: of the name that the artifact has, or by default would have."""
    named = f"{short_name(model)}-{target_word(target)}-{file_word(bits)}"
    return Path(f"{named}{suffix}") if out is None else Path(out).with_name(f"{Path(out).stem}{suffix}")


def _suffix(target: Target, out: Path | None, emit: str | Sequence[str], prefix: str) -> str:
    """Of what is written by default; UsageError where it cannot be written, before any work."""
    from tvmsr.artifact.link import check_prefix
    from tvmsr.artifact.outputs import default_suffix, outputs

    check_prefix(prefix)
    suffix = default_suffix(emit, target.link_triple)
    for path in outputs(Path(out or f"a{suffix}"), emit, target.link_triple).files:
        check_out(path)
    return suffix


def _target(target: str | None, device: str | Device | None) -> str:
    if device is None:
        return target or "host"
    if target is not None:
        raise UsageError("--target and --device both say what to compile for; give one")
    from tvmsr.devices import find_device
    from tvmsr.devices.examine import target_of

    with find_device(device) as where:
        return target_of(where)


def _given_plan(path: Path, how: Calibration) -> Plan:
    """The plan of a file; UsageError where options ask for another one."""
    from tvmsr.quant.plan import Plan

    others = asked(how)
    if others:
        raise UsageError(f"--plan {path} has its own quantization, so {option(others[0])} cannot be given beside it")
    return Plan.load(path)


def target_word(target: str) -> str:
    """The target's name for a file name: the stem where it is a path."""
    return Path(target).stem if target.endswith(".toml") else target
