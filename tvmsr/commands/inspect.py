"""`tvmsr inspect`: what a model, a plan or an artifact is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tvmsr.commands.files import is_artifact, is_plan
from tvmsr.commands.source import DEFAULT_MODEL, Overrides, open_model
from tvmsr.errors import UsageError


@dataclass(frozen=True)
class Inspection:
    """kind: "artifact", "plan" or "model"; facts: label and value; rows: one a layer, with the labels of `columns`."""

    kind: str
    facts: tuple[tuple[str, str], ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    data: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        return {"kind": self.kind, **self.data}


def inspect(
    what: str | Path = DEFAULT_MODEL, *, plan: Path | None = None, overrides: Overrides | None = None
) -> Inspection:
    """Describe `what`. An artifact is read, not loaded, so one for another CPU will do.

    plan: where to write the plan that an artifact carries. Raises UsageError or InputFileError.
    """
    if is_artifact(what):
        return _artifact(Path(what), plan)
    if plan is not None:
        raise UsageError(f"--plan takes the plan out of an artifact, which {what} is not")
    if is_plan(what):
        return _plan(Path(what))
    return _model(what, overrides)


def _artifact(path: Path, plan_out: Path | None) -> Inspection:
    from tvmsr.artifact.manifest import read_manifest, read_plan_text
    from tvmsr.imaging.files import write_text

    manifest = read_manifest(path)
    if plan_out is not None:
        write_text(Path(plan_out), read_plan_text(path))
    data = manifest.model_dump(mode="json")
    facts = tuple((key, str(value)) for key, value in data.items() if not isinstance(value, (list, dict)))
    rows = tuple(
        (level.name, layer.name, layer.bits, layer.kernel, layer.reason)
        for level in manifest.levels
        for layer in level.layers
    )
    return Inspection("artifact", facts, ("level", "layer", "bits", "kernel", "why"), rows, data)


def _plan(path: Path) -> Inspection:
    from tvmsr.quant.plan import Plan

    plan = Plan.load(path)
    facts = (("model", plan.model), ("bits", plan.bits), ("method", plan.method))
    rows = tuple(
        (name, str(tensor.bits), f"{tensor.scale:.6g}", str(tensor.zero), tensor.reason)
        for name, tensor in plan.tensors.items()
    )
    return Inspection("plan", facts, ("tensor", "bits", "scale", "zero", "why"), rows, plan.model_dump(mode="json"))


def _model(what: str | Path, overrides: Overrides | None) -> Inspection:
    from tvmsr.graph.analysis import macs_per_pixel, parameter_count, receptive_radius, tensor_types

    model = open_model(what, overrides)
    types = tensor_types(model.graph)
    facts = (
        ("name", model.name),
        ("family", model.family),
        ("scale", f"x{model.scale}"),
        ("colour", model.colour.value),
        ("parameters", f"{parameter_count(model.graph):,}"),
        ("MACs per input pixel", f"{float(macs_per_pixel(model.graph)):,.0f}"),
        ("receptive radius", f"{receptive_radius(model.graph)} pixels"),
        ("final clip removed", "yes" if model.clip else "no"),
        ("licence", model.licence),
        ("checksum", model.checksum),
        *((f"assumed {i + 1}", text) for i, text in enumerate(model.assumed)),
    )
    rows = tuple(
        (node.name, node.op, str(types[node.name].channels), f"x{types[node.name].ratio}") for node in model.graph
    )
    data = {
        "facts": dict(facts),
        "nodes": [dict(zip(("name", "op", "channels", "size"), r, strict=True)) for r in rows],
    }
    return Inspection("model", facts, ("node", "operation", "channels", "size"), rows, data)
