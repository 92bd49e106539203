"""What LLVM says of a target's levels. Names that it does not know it ignores, so it is asked before it compiles."""

from __future__ import annotations

from tvmsr.errors import InputFileError
from tvmsr.hardware.rules import KNOWN_NEEDS
from tvmsr.hardware.target import Level, Target

#: LLVM's names of features where they differ from the driver's.
LLVM_NAMES = {"aarch64": {"fp16": "fullfp16"}, "arm": {"vfpv4": "vfp4"}}

#: LLVM's CPU with what every machine of an instruction set has, and no more.
_BASE = {"x86_64": "x86-64"}


def check_levels(target: Target) -> None:
    """InputFileError where LLVM does not know a level's names, or would use what `needs` has no driver check."""
    for i, level in enumerate(target.levels):
        found = _problem(level, target)
        if found is not None:
            raise InputFileError(f"target {target.name}: levels.{i}.{found}")


def _problem(level: Level, target: Target) -> str | None:
    from tvm.target import codegen

    if not codegen.llvm_is_valid_cpu(level.cpu, target.triple):
        return f"cpu: LLVM has no {level.cpu!r} for {target.architecture}"
    for feature in level.features:
        if feature[1:] not in _features(target.triple, level.cpu, (f"+{feature[1:]}",)):
            return f"features: LLVM has no {feature[1:]!r} for {target.architecture}"
    names = LLVM_NAMES.get(target.architecture, {})
    needs = tuple(f"+{names.get(need, need)}" for need in level.needs)
    promised = _features(target.triple, _BASE.get(target.architecture, "generic"), needs)
    brought = _features(target.triple, level.cpu, level.features) - promised
    extra = [need for need in KNOWN_NEEDS.get(target.architecture, ()) if names.get(need, need) in brought]
    if not extra:
        return None
    taken = ", ".join(f'"-{names.get(need, need)}"' for need in extra)
    return f"needs: {level.cpu} has {', '.join(extra)} too: name it here, or take it away with features = [{taken}]"


def _features(triple: str, cpu: str, attributes: tuple[str, ...]) -> frozenset[str]:
    from tvm.target import Target as TvmTarget
    from tvm.target import codegen

    made = TvmTarget({"kind": "llvm", "mtriple": triple, "mcpu": cpu, "mattr": list(attributes)})
    return frozenset(map(str, codegen.llvm_get_cpu_features(made)))
