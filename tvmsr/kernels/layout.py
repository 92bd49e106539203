"""Layouts of packed weights and parameter blocks, as the ints that pack.c takes, and a kernel's plain parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvmsr.kernels.isa import Isa, Primitive
from tvmsr.kernels.spec import Conv, Form, KernelSpec, Reads, Tile
from tvmsr.kernels.transforms import Transform

#: Words of 64 bytes: header and arrays of a parameter block begin at multiples.
ALIGN_WORDS = 16


@dataclass(frozen=True)
class WeightLayout:
    """tvmsr_weight_layout of pack.h: same fields, same order."""

    element_bytes: int
    kernel_h: int
    kernel_w: int
    inputs: int
    outputs: int
    groups: int
    tap_pitch: int
    runs: int
    steps: int
    halves: int
    depth: int
    blocks: int
    vectors: int
    lanes: int
    transform: int = 0  # m of F(m x m, 3x3): weights are transformed as they are packed; 0: they are taken as they are
    offset: int = 0  # of a transform on bytes: what transformed inputs are stored with, at all positions but (1, 1)
    centre: int = 0  # and at (1, 1)

    @property
    def points(self) -> int:
        """Positions in the transformed domain; of a direct convolution, kernel rows."""
        return (self.transform + 2) ** 2 if self.transform else self.kernel_h

    @property
    def starts(self) -> int:
        """Start values in front of the weights of each position and block: only byte transforms have them."""
        return self.vectors * self.lanes if self.transform and self.element_bytes == 1 else 0

    @property
    def positions(self) -> int:
        """Output positions of one group, padding included."""
        return self.blocks * self.vectors * self.lanes

    @property
    def row_elements(self) -> int:
        """Elements of weights that one kernel row, or one position of a transform, takes for one block."""
        return self.runs * self.steps * self.halves * self.depth * self.vectors * self.lanes

    @property
    def bytes(self) -> int:
        row = self.row_elements * self.element_bytes + 4 * self.starts
        return self.groups * self.blocks * self.points * row

    def ints(self) -> tuple[int, ...]:
        return astuple(self)


@dataclass(frozen=True)
class ParamLayout:
    """tvmsr_param_layout of pack.h: same fields, same order."""

    outputs: int
    groups: int
    positions: int
    scalars: int
    arrays: int
    has_start: int
    has_table: int

    def ints(self) -> tuple[int, ...]:
        return astuple(self)


def run_shape(conv: Conv, group: int) -> tuple[int, int, int]:
    """(tap_pitch, runs, steps) of a kernel row; `group`: inputs of a step.

    A row is one run where its taps are not dilated and that takes no more steps than tap by tap.
    """
    ins, (_, width) = conv.inputs // conv.groups, conv.kernel
    pitch = conv.x.pitch // conv.x.form.bytes
    by_tap, in_one = -(-ins // group), -(-((width - 1) * pitch + ins) // group)
    if width > 1 and conv.dilation == 1 and in_one <= width * by_tap:
        return pitch, 1, in_one
    return 0, width, by_tap


def direct_layout(conv: Conv, isa: Isa, primitive: Primitive, tile: Tile) -> WeightLayout:
    """Weights of a direct convolution, in the order in which its loops read them."""
    vectors, lanes = tile.vectors, isa.lanes
    tap_pitch, runs, steps = run_shape(conv, primitive.group)
    return WeightLayout(
        element_bytes=primitive.weight_bytes,
        kernel_h=conv.kernel[0],
        kernel_w=conv.kernel[1],
        inputs=conv.inputs // conv.groups,
        outputs=conv.outputs,
        groups=conv.groups,
        tap_pitch=tap_pitch,
        runs=runs,
        steps=steps,
        halves=primitive.halves,
        depth=primitive.depth,
        blocks=-(-conv.outputs // conv.groups // (vectors * lanes)),
        vectors=vectors,
        lanes=lanes,
    )


def depthwise_layout(conv: Conv, isa: Isa, primitive: Primitive, tile: Tile) -> WeightLayout:
    """Weights of a depthwise convolution: every lane is a channel of its own, so they lie as one group's outputs."""
    single = tap_by_tap(replace(conv, inputs=1, groups=1))
    return direct_layout(single, isa, primitive, tile)


def tap_by_tap(conv: Conv) -> Conv:
    """The same weights where no taps lie side by side: dilated."""
    return replace(conv, dilation=2)


def planar_layout(conv: Conv, isa: Isa, primitive: Primitive, tile: Tile) -> WeightLayout:
    """Weights of a convolution with pixels in the lanes, tap by tap: a word for each channel of a block."""
    del isa
    _, runs, steps = run_shape(tap_by_tap(conv), primitive.group)
    return WeightLayout(
        element_bytes=primitive.weight_bytes,
        kernel_h=conv.kernel[0],
        kernel_w=conv.kernel[1],
        inputs=conv.inputs,
        outputs=conv.outputs,
        groups=1,
        tap_pitch=0,
        runs=runs,
        steps=steps,
        halves=primitive.halves,
        depth=primitive.depth,
        blocks=-(-conv.outputs // tile.vectors),
        vectors=1,
        lanes=tile.vectors,
    )


def winograd_layout(conv: Conv, isa: Isa, primitive: Primitive, tile: Tile, transform: Transform) -> WeightLayout:
    """Transformed weights of a 3x3 convolution: a position of the transform takes the place of a kernel row."""
    offset, centre = transform.offsets(conv.x.form, conv.max_bits)
    return WeightLayout(
        element_bytes=primitive.weight_bytes,
        kernel_h=3,
        kernel_w=3,
        inputs=conv.inputs,
        outputs=conv.outputs,
        groups=1,
        tap_pitch=0,
        runs=1,
        steps=-(-conv.inputs // primitive.group),
        halves=primitive.halves,
        depth=primitive.depth,
        blocks=-(-conv.outputs // (tile.vectors * isa.lanes)),
        vectors=tile.vectors,
        lanes=isa.lanes,
        transform=transform.outputs,
        offset=offset,
        centre=centre,
    )


def row_inputs(conv: Conv, primitive: Primitive) -> NDArray[np.int64]:
    """Index into (KW, IC/groups) of every element of a kernel row as it is packed, -1 where there is no weight."""
    ins, width = conv.inputs // conv.groups, conv.kernel[1]
    tap_pitch, runs, steps = run_shape(conv, primitive.group)
    run, element = np.indices((runs, steps * primitive.group))
    tap, channel = np.divmod(element, tap_pitch) if tap_pitch else (run, element)
    return np.where((tap < width) & (channel < ins), tap * ins + channel, -1).reshape(-1)


class FieldKind(str, Enum):
    """What a plain parameter is."""

    SCALAR = "scalar"  # one int32
    INT = "int"  # int32 per output channel
    FLOAT = "float"  # float32 per output channel
    TABLE = "table"  # uint16 entries, any number


@dataclass(frozen=True)
class ParamField:
    """One plain parameter; `name` is its key in Step.params."""

    name: str
    kind: FieldKind


def stored_zero(form: Form, bits: int, zero: int) -> int:
    """The zero point of stored values: every *_zero of the plain parameters is one."""
    return zero - form.offset(bits)


def param_fields(spec: KernelSpec) -> tuple[ParamField, ...]:
    """The plain parameters of a kernel, in the order of the file.

    x_zero, and where there is a table: table_length, code_zero (plain zero point of the table's codes), table_zero
    (added to the rounded value to index it); times_zero (products); residual{i}_zero, store{i}_zero. Then per channel:
    bias (convolutions); m, m_neg (leaky), lo, hi of the source (float32: of its term where there are residuals, else of
    the result minus its zero); residual{i}_m (not where identity); sum_lo, sum_hi (int32, result minus its zero; where
    there are residuals); post_m, post_m_neg, post_lo, post_hi (post: float32, of what it makes minus that one's zero);
    store{i}_m, store{i}_lo, store{i}_hi of stores that read the code. Then table.
    """
    epilogue = spec.epilogue
    names = ["x_zero"] + (["table_length", "code_zero", "table_zero"] if epilogue.table else [])
    names += ["times_zero"] if spec.times else []
    names += [f"residual{i}_zero" for i in range(len(epilogue.residuals))]
    names += [f"store{i}_zero" for i in range(len(epilogue.stores))]
    fields = [ParamField(name, FieldKind.SCALAR) for name in names]
    if isinstance(spec.source, Conv):
        fields.append(ParamField("bias", FieldKind.INT))
    floats = ["m"] + (["m_neg"] if epilogue.leaky else []) + ["lo", "hi"]
    floats += [f"residual{i}_m" for i, r in enumerate(epilogue.residuals) if not r.identity]
    fields += [ParamField(name, FieldKind.FLOAT) for name in floats]
    if epilogue.residuals:
        fields += [ParamField("sum_lo", FieldKind.INT), ParamField("sum_hi", FieldKind.INT)]
    if epilogue.post:
        fields += [ParamField(f"post_{name}", FieldKind.FLOAT) for name in ("m", "m_neg", "lo", "hi")]
    for i, store in enumerate(epilogue.stores):
        if store.reads is Reads.CODE:
            fields += [ParamField(f"store{i}_{name}", FieldKind.FLOAT) for name in ("m", "lo", "hi")]
    if epilogue.table:
        fields.append(ParamField("table", FieldKind.TABLE))
    return tuple(fields)


_DTYPE = {FieldKind.INT: np.int32, FieldKind.FLOAT: np.float32}


def plain_params(spec: KernelSpec, params: Mapping[str, NDArray[Any] | int]) -> bytes:
    """The plain parameters as they lie in the file: those of one step. table_length may be left out."""
    given = dict(params)
    if spec.epilogue.table:
        given["table_length"] = len(np.asarray(given["table"]))
    fields = param_fields(spec)
    wanted = {f.name for f in fields}
    if wanted != set(given):
        raise ValueError(f"parameters missing: {sorted(wanted - set(given))}, unknown: {sorted(set(given) - wanted)}")
    return b"".join(_plain_field(f, given[f.name], spec.source.outputs) for f in fields)


def _plain_field(field: ParamField, value: NDArray[Any] | int, outputs: int) -> bytes:
    if field.kind is FieldKind.SCALAR:
        return np.array([value], "<i4").tobytes()
    array = np.asarray(value)
    if field.kind is FieldKind.TABLE:
        raw = array.astype("<u2").tobytes()
        return raw + b"\0" * (-len(raw) % 4)
    if array.shape != (outputs,):
        raise ValueError(f"{field.name} has shape {array.shape}, not ({outputs},)")
    if array.dtype != _DTYPE[field.kind]:
        raise TypeError(f"{field.name} is {array.dtype}, not {np.dtype(_DTYPE[field.kind])}")
    return array.astype(array.dtype.newbyteorder("<")).tobytes()


def plain_weights(codes: NDArray[np.int8], weight_bits: int) -> bytes:
    """Weight codes (KH, KW, IC/groups, OC) as they lie in the file: a byte each, at 4 bits or fewer two in a byte."""
    flat = np.ascontiguousarray(codes, np.int8).reshape(-1)
    if weight_bits > 4:
        return flat.tobytes()
    padded = np.zeros(flat.size + flat.size % 2, np.uint8)
    padded[: flat.size] = flat.view(np.uint8) & 15
    return (padded[0::2] | (padded[1::2] << 4)).astype(np.uint8).tobytes()


def param_layout(spec: KernelSpec) -> ParamLayout:
    """Layout of the parameter block of a kernel."""
    from tvmsr.kernels.algorithms import positions

    fields = param_fields(spec)
    groups, width = positions(spec)
    return ParamLayout(
        outputs=spec.source.outputs,
        groups=groups,
        positions=width,
        scalars=sum(f.kind is FieldKind.SCALAR for f in fields),
        arrays=sum(f.kind in _DTYPE for f in fields),
        has_start=int(isinstance(spec.source, Conv)),
        has_table=int(spec.epilogue.table),
    )
