"""What a step takes: multiplies of which primitive, and bytes that it moves. For profiles; nothing decides by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tvmsr.kernels.algorithms import ALGORITHMS, primitive_of, weight_layout
from tvmsr.kernels.spec import Conv, KernelSpec, Load
from tvmsr.lower.program import Buffer, Program, Step


@dataclass(frozen=True)
class Effort:
    """Of one step, a picture's pixel at a time; what has no meaning for it is "", 0, 1 or None.

    primitive: row of the isa table. multiplies: those it does, as a share of the direct convolution's.
    useful: share of the primitive's lanes that hold channels and inputs, and not padding; None where that is not known.
    map_bytes_per_pixel: codes read and stored, each once, borders left out. packed_bytes: weights as kernels read them,
    once. shape: in words.
    """

    primitive: str
    multiplies: float
    useful: float | None
    map_bytes_per_pixel: float
    packed_bytes: int
    shape: str


def effort_of(step: Step, buffers: Mapping[str, Buffer], areas: Mapping[str, float]) -> Effort:
    """areas: pixels of every buffer for each one of the picture; buffers: of the program, by name."""
    moved = _bytes_of(step, buffers)
    map_bytes = sum(count * areas[view.buffer] for view, count in zip(step.operands, moved, strict=True))
    spec = step.spec
    if spec is None or not isinstance(spec.source, Conv):
        return Effort("", 1.0, None, map_bytes, 0, "")
    algorithm = ALGORITHMS[spec.algorithm]
    layout = weight_layout(spec)
    return Effort(
        primitive=primitive_of(spec).name,
        multiplies=algorithm.multiplies,
        useful=_useful(spec) if algorithm.multiplies == 1.0 else None,
        map_bytes_per_pixel=map_bytes,
        packed_bytes=0 if layout is None else layout.bytes,
        shape=_shape(spec.source),
    )


def areas_of(program: Program) -> dict[str, float]:
    """Pixels of every buffer for each one of the picture, for large pictures; 0 for a map of one pixel."""
    from tvmsr.lower.sizes import area_ratio

    return {buffer.name: area_ratio((buffer.rows, buffer.columns)) for buffer in program.buffers}


def _bytes_of(step: Step, buffers: Mapping[str, Buffer]) -> list[int]:
    """Bytes that every operand reads or stores for each pixel of its buffer."""
    if step.spatial is not None:
        return [step.spatial.channels * buffers[view.buffer].form.bytes for view in step.operands]
    source, epilogue = step.kernel.source, step.kernel.epilogue
    found = [_channels_read(source) * source.x.form.bytes]
    if step.kernel.times is not None:
        found.append(source.outputs * step.kernel.times.form.bytes)
    found += [(r.modulo or source.outputs) * r.operand.form.bytes for r in epilogue.residuals]
    return [*found, *(store.channels * store.form.bytes for store in epilogue.stores)]


def _channels_read(source: Conv | Load) -> int:
    chosen = source.channels if isinstance(source, Load) else ()
    return len(set(chosen)) or source.inputs


def _useful(spec: KernelSpec) -> float | None:
    """Of a convolution that multiplies each input with its weights; vectors of padding alone are not computed."""
    layout = weight_layout(spec)
    if layout is None:
        return None
    outputs = layout.outputs // layout.groups
    done = layout.runs * layout.steps * layout.halves * layout.depth * -(-outputs // layout.lanes) * layout.lanes
    return round(layout.kernel_w * layout.inputs * outputs / done, 4)


def _shape(conv: Conv) -> str:
    height, width = conv.kernel
    words = [f"{height}x{width} {conv.inputs} to {conv.outputs}"]
    words += [f"{name} {value}" for name in ("stride", "dilation", "groups") if (value := getattr(conv, name)) > 1]
    return ", ".join(words)
