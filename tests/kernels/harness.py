"""Random operands for a spec, a run of its kernel over bands and column ranges, and the comparison of every byte."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Protocol

import numpy as np

from tests.kernels.reference import place, results
from tvmsr.kernels.algorithms import ALGORITHMS, weight_layout
from tvmsr.kernels.choice import choose
from tvmsr.kernels.isa import ISAS
from tvmsr.kernels.layout import FieldKind, WeightLayout, param_fields
from tvmsr.kernels.spec import Conv, Epilogue, Form, KernelSpec, Load, Operand, Reads, Store, Tile

DTYPES = {Form.U8: np.uint8, Form.S8: np.int8, Form.U16: np.uint16, Form.S16: np.int16}
GUARD = 160
SLACK = 64  # what a kernel may read past its last pixel


class Kernels(Protocol):
    """Compiled kernels and the packer: in this process, or under an emulator."""

    def pack_weights(self, layout: WeightLayout, codes: np.ndarray, weight_bits: int) -> np.ndarray: ...

    def pack_params(self, spec: KernelSpec, params: dict, codes: np.ndarray | None, weight_bits: int) -> np.ndarray: ...

    def run(self, name: str, tensors: Sequence, rows: Sequence, w, p, areas: Sequence) -> None: ...


@dataclass
class Case:
    """A spec, and the numbers that tests vary beside it."""

    name: str
    source: Conv | Load
    epilogue: Epilogue
    bits: int = 8  # of x
    zero: str = "middle"  # of x: "low", "middle", "high"
    times_bits: int = 8  # of the second factor
    times_zero: str = "middle"
    out_bits: tuple[int, ...] = ()  # of each store; all of the form by default
    saturate: bool = False  # extreme weights and codes
    # Of x: all at the "low" or the "high" end of its range; or pairs of channels by turns high and low, from the first
    # ("even") or the second on ("odd").
    codes: str = ""
    bias: str = ""  # "low" or "high": as far out as leaves every sum within int32
    steep: bool = False  # multipliers at the ends of float32
    size: tuple[int, int] = (5, 29)  # rows, columns of the grid
    tile: Tile | None = None
    algorithm: str | None = None
    byte_form: Form | None = None  # of all bytes; by default the isa's around convolutions, U8 elsewhere
    given: np.ndarray | None = None  # weights, instead of random ones
    params: dict = field(default_factory=dict)  # those that are given, the others are random
    spec: dict[str, KernelSpec] = field(default_factory=dict)

    def seed(self) -> int:
        return sum(map(ord, self.name))

    def weights(self):
        if self.given is not None or not isinstance(self.source, Conv):
            return self.given
        rng, limit = np.random.default_rng(self.seed()), 2 ** (self.source.weight_bits - 1) - 1
        shape = (*self.source.kernel, self.source.inputs // self.source.groups, self.source.outputs)
        if self.saturate:
            return (np.where(np.arange(shape[3]) % 2, limit, -limit) * np.ones(shape)).astype(np.int8)
        return rng.integers(-limit, limit + 1, shape).astype(np.int8)

    def spec_for(self, isa: str) -> KernelSpec:
        if isa not in self.spec:
            weight, convolution = self.weights(), isinstance(self.source, Conv)
            form = self.byte_form or (ISAS[isa].byte_form if convolution else Form.U8)
            spec = choose(*stored_as(form, self.source, self.epilogue), isa, weight).spec
            if self.tile:
                spec = KernelSpec(spec.source, spec.epilogue, isa, self.algorithm or spec.algorithm, self.tile)
            self.spec[isa] = spec
        return self.spec[isa]


def store(channels: int, form: Form = Form.U8, pitch: int | None = None, **more) -> Store:
    return Store(form, (pitch or channels) * form.bytes, channels, **more)


def operand(channels: int, form: Form = Form.U8, pitch: int | None = None) -> Operand:
    return Operand(form, (pitch or channels) * form.bytes)


def one_pixel(form: Form = Form.U8) -> Operand:
    """A 1x1 map that stands for all pixels."""
    return Operand(form, 0)


def stored_as(form: Form, source: Conv | Load, epilogue: Epilogue) -> tuple[Conv | Load, Epilogue]:
    """The same step with its U8 operands and stores in another form; a picture that is shuffled stays U8."""

    def converted(o: Operand | Store):
        return replace(o, form=form) if o.form is Form.U8 and getattr(o, "block", 1) == 1 else o

    source = replace(source, x=converted(source.x))
    if isinstance(source, Load) and source.times:
        source = replace(source, times=converted(source.times))
    residuals = tuple(replace(r, operand=converted(r.operand)) for r in epilogue.residuals)
    return source, replace(epilogue, stores=tuple(map(converted, epilogue.stores)), residuals=residuals)


def stored_range(form: Form, bits: int) -> tuple[int, int]:
    offset = form.offset(bits)
    return -offset, 2**bits - 1 - offset


def zero_of(where: str, low: int, high: int) -> int:
    return {"low": low, "middle": (low + high) // 2 + 1, "high": high}[where]


def random_params(case: Case, spec: KernelSpec, rng: np.random.Generator) -> dict:
    """Plain parameters that send values over the whole range and past both bounds."""
    epilogue, outputs, params = spec.epilogue, spec.source.outputs, {}
    low, high = stored_range(spec.source.x.form, case.bits)
    params["x_zero"] = zero_of(case.zero, low, high)
    span = high - low
    if spec.times:
        low, high = stored_range(spec.times.form, case.times_bits)
        params["times_zero"] = zero_of(case.times_zero, low, high)
        span *= high - low
    if isinstance(spec.source, Conv):
        taps = spec.source.kernel[0] * spec.source.kernel[1] * spec.source.inputs / spec.source.groups
        span = span * 2 ** (spec.source.weight_bits - 1) * np.sqrt(taps) / 2
        params["bias"] = rng.integers(-int(span) // 4 - 1, int(span) // 4 + 2, outputs).astype(np.int32)
    code_bits = case.out_bits or tuple(min(12, 8 * s.form.bytes) for s in epilogue.stores)
    bits = 6 if epilogue.table else code_bits[0]
    zero = int(rng.integers(0, 2**bits)) if case.zero == "middle" else (0 if case.zero == "low" else 2**bits - 1)
    bounds = np.sort(rng.integers(0, 2**bits, (2, outputs)), 0) - zero
    bounds[:, ::2] = np.array([[-zero], [2**bits - 1 - zero]])  # every other channel has the full range
    gain = 2.0**bits / span * 2
    params["m"] = (gain * rng.uniform(0.2, 1.2, outputs)).astype(np.float32)
    if epilogue.leaky:
        params["m_neg"] = (params["m"] * rng.uniform(-0.3, 0.5, outputs)).astype(np.float32)
    if epilogue.residuals:
        one = 1 << epilogue.fraction
        params["m"] = params["m"] * np.float32(one)
        params["lo"], params["hi"] = np.full(outputs, -(2.0**22), np.float32), np.full(outputs, 2.0**22, np.float32)
        params["sum_lo"], params["sum_hi"] = bounds.astype(np.int32)
        for i, residual in enumerate(epilogue.residuals):
            form, own = residual.operand.form, 8 * residual.operand.form.bytes
            params[f"residual{i}_zero"] = int(rng.integers(0, 2**own)) - form.offset(own)
            if not residual.identity:
                ratio = one * 2.0 ** (bits - 8 * residual.operand.form.bytes)
                params[f"residual{i}_m"] = (ratio * rng.uniform(0.1, 1.5, outputs)).astype(np.float32)
    else:
        params["lo"], params["hi"] = bounds.astype(np.float32)
    if epilogue.post:
        zero = int(rng.integers(0, 2**bits))
        params["post_m"] = rng.uniform(0.3, 1.3, outputs).astype(np.float32)
        params["post_m_neg"] = (params["post_m"] * rng.uniform(-0.3, 0.5, outputs)).astype(np.float32)
        params["post_lo"] = np.full(outputs, -zero, np.float32)
        params["post_hi"] = np.full(outputs, 2**bits - 1 - zero, np.float32)
    if epilogue.table:
        params["code_zero"], params["table_zero"] = int(rng.integers(0, 2 ** code_bits[0])), zero
        params["table"] = rng.integers(0, 2 ** code_bits[0], 2**bits).astype(np.uint16)
        zero = params["code_zero"]
    for i, s in enumerate(epilogue.stores):
        own = zero
        if s.reads is Reads.CODE:
            own = int(rng.integers(0, 2 ** code_bits[i]))
            ratio = 2.0 ** (code_bits[i] - code_bits[0]) * 1.3
            params[f"store{i}_m"] = (ratio * rng.uniform(0.3, 1.0, outputs)).astype(np.float32)
            params[f"store{i}_lo"] = np.full(outputs, -own, np.float32)
            params[f"store{i}_hi"] = np.full(outputs, 2 ** code_bits[i] - 1 - own, np.float32)
        params[f"store{i}_zero"] = own - s.form.offset(code_bits[i])
    known = {f.name for f in param_fields(spec) if f.kind is not FieldKind.TABLE} | {"table"}
    assert set(params) <= known
    return params


def steep(params: dict, outputs: int) -> dict:
    """Multipliers whose products overflow to infinity, are subnormal, or round to zero."""
    ends = np.array([3.4e38, 1e-39, -3.4e38, 1e-45, 1.2e-38], np.float32)
    return {name: np.resize(np.roll(ends, k), outputs) for k, name in enumerate(sorted(params)) if _is_multiplier(name)}


def edge_of_bias(case: Case, spec: KernelSpec, zero: int, weight: np.ndarray) -> np.ndarray:
    """The least or the greatest bias of every channel with which no codes send its sum out of int32."""
    low, high = (end - zero for end in stored_range(spec.source.x.form, case.bits))
    codes = weight.reshape(-1, spec.source.outputs).astype(np.int64)
    up, down = np.maximum(codes, 0).sum(0), np.minimum(codes, 0).sum(0)
    if case.bias == "low":
        return (1 - 2**31 - (up * low + down * high)).astype(np.int32)
    return (2**31 - 1 - (up * high + down * low)).astype(np.int32)


def _is_multiplier(name: str) -> bool:
    return name in ("m", "m_neg") or name.endswith(("_m", "_m_neg"))


def scattered(rows: int, pixels: int, pitch: int, dtype, rng, after: int = GUARD):
    """A buffer of random bytes and a row table that walks it backwards, rows at odd places: (bytes, table, view).

    after: bytes behind the last pixel in memory.
    """
    item = np.dtype(dtype).itemsize
    stride = pixels * pitch + 3 * item
    buffer = rng.integers(0, 256, GUARD // 2 + rows * stride - 3 * item + after, dtype=np.uint8)
    table = (GUARD // 2 + np.arange(rows)[::-1] * stride).astype(np.int32)
    if item == 2:
        table = table // 2 * 2
    return buffer, table, lambda data, r: data[table[r] : table[r] + pixels * pitch].view(dtype).reshape(pixels, -1)


def check(kernels: Kernels, name: str, case: Case, spec: KernelSpec, areas=None, seed: int = 1) -> None:
    """Run the kernel over `areas` and compare every byte of every store with the reference."""
    rng = np.random.default_rng(case.seed() + seed)
    (height, width), outputs = case.size, spec.source.outputs
    weight, params = case.weights(), random_params(case, spec, rng)
    if case.steep:
        params |= steep(params, outputs)
    if case.bias and weight is not None:
        params["bias"] = edge_of_bias(case, spec, params["x_zero"], weight)
    params |= case.params
    x_rows, x_pixels = height, width
    if isinstance(spec.source, Conv):
        s, d, (kh, kw) = spec.source.stride, spec.source.dilation, spec.source.kernel
        x_rows, x_pixels = (height - 1) * s + (kh - 1) * d + 1, (width - 1) * s + (kw - 1) * d + 1
    tensors, tables = [], []
    extreme = case.codes or case.saturate
    x = _operand(spec.source.x, spec.source.inputs, case.bits, x_rows, x_pixels, rng, tensors, tables, extreme)
    times = None
    if spec.times:
        times = _operand(spec.times, outputs, case.times_bits, *case.size, rng, tensors, tables, case.saturate)
    residuals = [
        _operand(r.operand, r.modulo or outputs, 8 * r.operand.form.bytes, *case.size, rng, tensors, tables)
        for r in spec.epilogue.residuals
    ]
    wanted = results(spec, params, weight, x, residuals, times)
    expected = []
    for s, grid in zip(spec.epilogue.stores, wanted, strict=True):
        buffer, table, view = scattered(height * s.block, width * s.block, s.pitch, DTYPES[s.form], rng)
        tensors.append(buffer)
        tables.append(table)
        want = buffer.copy()
        pixels = np.stack([view(want, r) for r in range(height * s.block)])
        place(s, grid, pixels)
        for r in range(height * s.block):
            view(want, r)[:] = pixels[r]
        expected.append(want)
    packed, bits = None, 8
    if weight is not None:
        bits = spec.source.weight_bits
        packed = kernels.pack_weights(weight_layout(spec), weight, bits)
    block = kernels.pack_params(spec, params, weight, bits)
    inputs = [t.copy() for t in tensors[: spec.read_operands]]
    areas = snapped(areas or cuts(height, width), ALGORITHMS[spec.algorithm].granule, case.size)
    kernels.run(name, tensors, tables, packed, block, areas)
    for index, before in enumerate(inputs):
        assert np.array_equal(tensors[index], before), f"{name}: operand {index} is only read"
    for index, want in enumerate(expected):
        got = tensors[spec.read_operands + index]
        assert np.array_equal(got, want), f"{name}: store {index}: {np.count_nonzero(got != want)} bytes differ"


def snapped(areas, granule: tuple[int, int], size: tuple[int, int]):
    """The same areas, cut where an algorithm may be cut: a partition stays one."""

    def snap(at: int, axis: int) -> int:
        return at if at == size[axis] else at - at % granule[axis]

    return [(snap(r0, 0), snap(r1, 0), snap(c0, 1), snap(c1, 1)) for r0, r1, c0, c1 in areas]


def cuts(height: int, width: int):
    """Bands of odd heights, cut at odd columns, the last first: what is stored too much is not stored again."""
    middle, columns = min(3, height), sorted({0, min(7, width), min(20, width), width})
    bands = [(0, middle), (middle, height)]
    return [(*rows, *across) for rows in reversed(bands) for across in reversed([*pairwise(columns)])]


def share_of_lows(extreme, channels: int):
    """Of each channel, how often its codes are the least; else they are the greatest."""
    odd = np.arange(channels) // 2 % 2
    return {"low": 1.0, "high": 0.0, "even": odd, "odd": 1 - odd}.get(extreme, 0.5)


def _operand(op, channels, bits, rows, pixels, rng, tensors, tables, extreme=False):
    if op.pitch == 0:
        wide = Operand(op.form, channels * op.form.bytes)
        values = _operand(wide, channels, bits, 1, 1, rng, tensors, tables, extreme)
        tables[-1] = np.repeat(tables[-1], rows)
        return np.broadcast_to(values, (rows, pixels, channels))
    buffer, table, view = scattered(rows, pixels, op.pitch, DTYPES[op.form], rng, SLACK)
    low, high = stored_range(op.form, bits)
    values = rng.integers(low, high + 1, (rows, pixels, channels))
    if extreme:
        values = np.where(rng.random(values.shape) < share_of_lows(extreme, channels), low, high)
    for r in range(rows):
        view(buffer, r)[:, :channels] = values[r]
    tensors.append(buffer)
    tables.append(table)
    return values
