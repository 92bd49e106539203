"""`tvmsr inspect`: what a model, a plan or an artifact is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvmsr.commands.files import is_artifact, is_plan
from tvmsr.commands.source import DEFAULT_MODEL, Overrides, open_model
from tvmsr.errors import UsageError

if TYPE_CHECKING:
    from tvmsr.artifact.manifest import AdaptiveEntry, Manifest
    from tvmsr.graph.analysis import SizeRule
    from tvmsr.graph.model import Model, TensorType
    from tvmsr.quant.plan import Plan


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
    plain = tuple(
        (key, str(value))
        for key, value in data.items()
        if key not in _IN_WORDS and value is not None and not isinstance(value, (list, dict))
    )
    rows = tuple(
        (level.name, layer.name, layer.bits, layer.kernel, layer.reason)
        for level in manifest.levels
        for layer in level.layers
    )
    return Inspection(
        "artifact", (*plain, *_of_pictures(manifest)), ("level", "layer", "bits", "kernel", "why"), rows, data
    )


#: Fields of a manifest that `_of_pictures` says as the lines of a model do.
_IN_WORDS = ("minimum_width", "minimum_height", "receptive_radius")


def _of_pictures(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """What pictures an artifact takes, how they may be cut, and what was assumed of its network."""
    yield "choices", ", ".join(manifest.choices)
    if manifest.adaptive is not None:
        yield from _of_choices(manifest, manifest.adaptive)
    yield "receptive radius", f"{manifest.receptive_radius} pixels"
    yield "pictures", f"from {manifest.minimum_width}x{manifest.minimum_height} pixels"
    if manifest.tiling is not None:
        if manifest.tiling.multiple > 1:
            yield "tiles", f"at multiples of {manifest.tiling.multiple} pixels"
        yield from _counted("not in tiles", manifest.tiling.whole_because)
    yield from _counted("assumed", manifest.assumed)


def _of_choices(manifest: Manifest, adaptive: AdaptiveEntry) -> Iterator[tuple[str, str]]:
    """How a file with several bit choices chooses, and what each of them takes when it is opened."""
    names = dict(zip(adaptive.factors, manifest.choices, strict=False))
    what, size = ("tiles", f" of {adaptive.tile} pixels") if adaptive.tile else ("pictures", "")
    for factor, where in ((-1, f"below {adaptive.low}"), (1, f"above {adaptive.high}")):
        if factor in names:
            yield f"{what}{size} of a complexity {where}", names[factor]
    yield f"other {what}", names.get(0, manifest.choices[0])
    for level in manifest.levels:
        packed = zip(manifest.choices, level.packed_bytes, strict=False)
        texts = [f"{name} {'+' if number else ''}{size:,}" for number, (name, size) in enumerate(packed)]
        yield f"bytes of packed weights, {level.name}", ", ".join(texts)


def _counted(label: str, texts: Sequence[str]) -> tuple[tuple[str, str], ...]:
    return tuple((f"{label} {i + 1}", text) for i, text in enumerate(texts))


def _plan(path: Path) -> Inspection:
    from tvmsr.quant.plan import Plan
    from tvmsr.quant.verdict import facts as loss

    plan = Plan.load(path)
    named = (("model", plan.model), ("bits", plan.bits), ("method", plan.method))
    facts = (*named, *loss(plan.judged), *_choices_of(plan))
    rows = tuple(
        (name, str(tensor.bits), f"{tensor.scale:.6g}", str(tensor.zero), tensor.reason)
        for name, tensor in plan.tensors.items()
    )
    return Inspection("plan", facts, ("tensor", "bits", "scale", "zero", "why"), rows, plan.model_dump(mode="json"))


def _choices_of(plan: Plan) -> Iterator[tuple[str, str]]:
    """The choices beside the plan itself, and which pictures they are for."""
    if plan.adaptive is None:
        return
    for choice in plan.adaptive.choices:
        limit = f"below {plan.adaptive.low}" if choice.factor < 0 else f"above {plan.adaptive.high}"
        what = f"tiles of {plan.adaptive.tile} pixels" if plan.adaptive.mode == "tile" else "pictures"
        yield f"choice {choice.name}", f"{choice.bits or 'other bits'} for {what} of a complexity {limit}"


def _pictures(rule: SizeRule) -> str:
    """What the network runs on; other pictures are continued with their outermost pixels."""
    text = f"from {rule.minimum}x{rule.minimum} pixels"
    return text if rule.multiple == 1 else f"{text}, sides multiples of {rule.multiple}"


def _quantized(model: Model) -> tuple[tuple[str, str], ...]:
    count = len(model.graph.marks)
    return (("quantized", f"by another tool: {count} tensors have its scales"),) if count else ()


def _size(kind: TensorType) -> str:
    """Relative to the picture where it is, else as a function of its sides."""
    if all(extent.times(kind.ratio) for extent in kind.size):
        return f"x{kind.ratio}"
    return f"{kind.rows} x {kind.columns}" if kind.rows.steps != kind.columns.steps else str(kind.rows)


def _model(what: str | Path, overrides: Overrides | None) -> Inspection:
    from tvmsr.graph.analysis import macs_per_pixel, parameter_count, size_rule, tensor_types, tile_rule

    model = open_model(what, overrides)
    types, sizes, tiles = tensor_types(model.graph), size_rule(model.graph), tile_rule(model.graph)
    facts = (
        ("name", model.name),
        ("family", model.family),
        ("scale", f"x{model.scale}"),
        ("colour", model.colour.value),
        ("parameters", f"{parameter_count(model.graph):,}"),
        ("MACs per input pixel", f"{float(macs_per_pixel(model.graph)):,.0f}"),
        ("receptive radius", f"{tiles.radius} pixels"),
        ("pictures", _pictures(sizes)),
        *_counted("not in tiles", tiles.whole_because),
        ("final clip removed", "yes" if model.clip else "no"),
        ("licence", model.licence),
        ("checksum", model.checksum),
        *_quantized(model),
        *_counted("assumed", model.assumed),
    )
    rows = tuple((node.name, node.op, str(types[node.name].channels), _size(types[node.name])) for node in model.graph)
    data = {
        "facts": dict(facts),
        "nodes": [dict(zip(("name", "op", "channels", "size"), r, strict=True)) for r in rows],
    }
    return Inspection("model", facts, ("node", "operation", "channels", "size"), rows, data)
