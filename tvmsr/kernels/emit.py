"""What the generators share: the kernel's signature, vector helpers, parameter addresses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from tvmsr.kernels.isa import ISAS, Isa, Rounding
from tvmsr.kernels.layout import ALIGN_WORDS, FieldKind, ParamLayout, param_fields, param_layout
from tvmsr.kernels.spec import Form, KernelSpec

#: A TIR expression, or a Python int where it is known now.
Expr = Any

_DTYPES = {Form.U8: "uint8", Form.S8: "int8", Form.U16: "uint16", Form.S16: "int16"}

#: Vectors of fewer lanes are cut from loads of a whole NEON register.
_SHORT, _CUT_BYTES = 8, 16

#: 1.5 * 2**23: added to |v| <= 2**22 it leaves rne(v) in the low bits of the mantissa.
_MAGIC = 12582912.0
_MAGIC_BITS = 0x4B400000


def dtype_of(form: Form) -> str:
    """TIR type of a stored value."""
    return _DTYPES[form]


@dataclass(frozen=True)
class Tensor:
    """A pointer operand and its row table, read or written as elements of `dtype`."""

    data: Expr
    rows: Expr
    dtype: str
    pitch: int  # elements from pixel to pixel

    @property
    def bytes(self) -> int:
        return 1 if self.dtype in ("uint8", "int8") else 2

    def row(self, index: Expr) -> Expr:
        """Element index at which a row starts; the table holds bytes."""
        offset = self.rows[index]
        return offset if self.bytes == 1 else T.shift_right(offset, T.int32(1))

    def load(self, index: Expr, lanes: int) -> Expr:
        return self.data[ramp(index, lanes)]


@dataclass(frozen=True)
class Frame:
    """The arguments of a kernel under construction."""

    spec: KernelSpec
    isa: Isa
    x: Tensor
    times: Tensor | None
    residuals: tuple[Tensor, ...]
    stores: tuple[Tensor, ...]
    weights: Expr
    params: Params
    scratch: Expr  # pointer to bytes
    rows: tuple[Expr, Expr]
    columns: tuple[Expr, Expr]

    @property
    def lanes(self) -> int:
        return self.isa.lanes

    @property
    def packed_weights(self) -> Tensor:
        """The packed weights, to be loaded like a tensor."""
        return Tensor(self.weights, None, str(self.weights.dtype), 0)


@dataclass(frozen=True)
class Params:
    """The parameter block: scalars by name, vectors by name and position."""

    words: Expr
    layout: ParamLayout
    scalars: dict[str, int]
    arrays: dict[str, int]
    lanes: int

    @property
    def _array_words(self) -> int:
        return _lines(self.layout.groups * self.layout.positions)

    @property
    def table(self) -> int:
        """Word at which the table starts."""
        return _lines(self.layout.scalars) + len(self.arrays) * self._array_words

    def scalar(self, name: str) -> Expr:
        return self.words[self.scalars[name]]

    def scalar_vector(self, name: str) -> Expr:
        return T.broadcast(self.scalar(name), self.lanes)

    def one(self, name: str, position: Expr) -> Expr:
        """The int32 of one position."""
        return self.words[self._start(name) + position]

    def ints(self, name: str, position: Expr) -> Expr:
        return self.words[ramp(self._start(name) + position, self.lanes)]

    def _start(self, name: str) -> int:
        return _lines(self.layout.scalars) + self.arrays[name] * self._array_words

    def floats(self, name: str, position: Expr) -> Expr:
        return T.reinterpret(f"float32x{self.lanes}", self.ints(name, position))


def _lines(words: int) -> int:
    return -(-words // ALIGN_WORDS) * ALIGN_WORDS


def ramp(start: Expr, lanes: int) -> Expr:
    """Index of `lanes` neighbouring elements."""
    return start if lanes == 1 else T.ramp(start, 1, lanes)


def concat(vectors: Sequence[Expr], lanes: int, count: int, start: int = 0) -> Expr:
    """`count` lanes from `start` on of the given vectors of `lanes`, one after the other; past the end: any."""
    if len(vectors) == 1 and count == lanes and start == 0:
        return vectors[0]
    return tirx.Shuffle(list(vectors), [i % (len(vectors) * lanes) for i in range(start, start + count)])


def modular(operation: str, a: Expr, b: Expr, lanes: int) -> Expr:
    """An operation (add, sub, mul, shl) on int32 vectors, modulo 2**32: TIR's own operations must not wrap."""
    name, everywhere = f"llvm.vp.{operation}.v{lanes}i32", T.broadcast(T.bool(True), lanes)
    return T.call_llvm_pure_intrin(f"int32x{lanes}", name, a, b, everywhere, T.int32(lanes))


def clamp(value: Expr, low: Expr, high: Expr) -> Expr:
    return T.max(T.min(value, high), low)


def clamp_floats(isa: Isa, value: Expr, low: Expr, high: Expr) -> Expr:
    """Clamp a float32 vector that is never NaN. TIR's min and max are a comparison and a selection where NaN counts."""
    if isa.float_min_max is None:
        return clamp(value, low, high)
    smaller, larger = isa.float_min_max
    kind = f"float32x{isa.lanes}"
    return T.call_llvm_pure_intrin(kind, larger, T.call_llvm_pure_intrin(kind, smaller, value, high), low)


def floats_at_most(isa: Isa, value: Expr, high: Expr) -> Expr:
    """The lesser of float32 vectors that are never NaN."""
    if isa.float_min_max is None:
        return T.min(value, high)
    return T.call_llvm_pure_intrin(f"float32x{isa.lanes}", isa.float_min_max[0], value, high)


def round_to_int(isa: Isa, value: Expr) -> Expr:
    """Round a float32 vector of at most 2**22: ties to even. Where `Rounding` adds, it must not be a product itself."""
    lanes = isa.lanes
    if isa.rounding is Rounding.LRINT:
        return T.call_llvm_pure_intrin(f"int32x{lanes}", f"llvm.lrint.v{lanes}i32.v{lanes}f32", value)
    shifted = value + T.broadcast(T.float32(_MAGIC), lanes)
    return T.reinterpret(f"int32x{lanes}", shifted) - T.broadcast(T.int32(_MAGIC_BITS), lanes)


def load_vectors(tensor: Tensor, index: Expr, vectors: int, lanes: int) -> list[Expr]:
    """Neighbouring vectors of `lanes` stored values; short ones, cut from one load, come widened to 16 bits.

    Cutting bytes first would leave LLVM with vectors of less than a register, which it widens badly.
    """
    if lanes >= _SHORT:
        return [tensor.load(index + n * lanes, lanes) for n in range(vectors)]
    width = _CUT_BYTES // tensor.bytes
    found: list[Expr] = []
    for first in range(0, vectors * lanes, width):
        whole = tensor.load(index + first, width)
        wide = T.bind(whole if tensor.bytes == 2 else T.cast(whole, f"int16x{width}"))
        found += [concat([wide], width, lanes, lane) for lane in range(0, width, lanes)]
    return found[:vectors]


def gather(tensor: Tensor, index: Expr, channels: Sequence[int], lanes: int) -> Expr:
    """A vector of the given channels of the pixel at element `index`, padded with whatever is near to `lanes`."""
    width = lanes if lanes >= _SHORT else _CUT_BYTES // tensor.bytes
    starts: list[int] = []
    for channel in sorted(set(channels)):
        if not starts or channel >= starts[-1] + width:
            starts.append(channel)
    loads = [T.bind(tensor.load(index + start, width)) for start in starts]
    where = [max(k for k, s in enumerate(starts) if s <= c) for c in channels]
    picks = [k * width + c - starts[k] for k, c in zip(where, channels, strict=True)]
    picks += [0] * (lanes - len(picks))
    if width == lanes and picks[: len(channels)] == list(range(len(channels))):
        return loads[0]
    return tirx.Shuffle(loads, picks)


def lookup(isa: Isa, words: Expr, index: Expr) -> Expr:
    """The int32 at each of a vector of indices. On Zen 5, tables of tanh: 0.20 ns a value by AVX-512's gather, 0.33 by
    loads; AVX2's is no faster than they are.
    """
    if not isa.gather:
        return words[index]
    nothing, everywhere = T.broadcast(T.int32(0), isa.lanes), T.broadcast(T.bool(True), isa.lanes)
    return T.call_llvm_pure_intrin(f"int32x{isa.lanes}", isa.gather, nothing, words.data, index, everywhere, T.int32(4))


def build_function(spec: KernelSpec, name: str, body: Callable[[Frame], None]) -> tirx.PrimFunc:
    """A PrimFunc with the signature of the kernel contract."""
    with IRBuilder() as ib, T.prim_func(s_tir=True):
        T.func_name(name)
        T.func_attr({"global_symbol": name, "tir.noalias": True})
        body(_arguments(spec))
    return ib.get()


def _arguments(spec: KernelSpec) -> Frame:
    """Declare the arguments, in the contract's order, then their buffers: TVM wants all arguments first."""
    from tvmsr.kernels.algorithms import weight_layout

    isa, epilogue = ISAS[spec.isa], spec.epilogue
    operands = [("x", spec.source.x.form, spec.source.x.pitch)]
    operands += [("times", spec.times.form, spec.times.pitch)] if spec.times else []
    operands += [(f"r{i}", r.operand.form, r.operand.pitch) for i, r in enumerate(epilogue.residuals)]
    operands += [(f"y{i}", s.form, s.pitch) for i, s in enumerate(epilogue.stores)]
    pointers = [
        (T.arg(name, T.handle(dtype_of(form))), T.arg(f"{name}_rows", T.handle("int32"))) for name, form, _ in operands
    ]
    layout = weight_layout(spec)
    weight_dtype = "int8" if layout is None or layout.element_bytes == 1 else "int16"
    weights, words = T.arg("w", T.handle(weight_dtype)), T.arg("p", T.handle("int32"))
    scratch = T.arg("scratch", T.handle("uint8"))
    row0, row1, col0, col1 = (T.arg(n, T.int32()) for n in ("row0", "row1", "col0", "col1"))
    tensors = tuple(_tensor(*operand, *pair) for operand, pair in zip(operands, pointers, strict=True))
    last = spec.read_operands
    first = last - len(epilogue.residuals)
    return Frame(
        spec=spec,
        isa=isa,
        x=tensors[0],
        times=tensors[1] if spec.times else None,
        residuals=tensors[first:last],
        stores=tensors[last:],
        weights=T.decl_buffer((1,), weight_dtype, data=weights),
        params=_params(spec, T.decl_buffer((1,), "int32", data=words)),
        scratch=scratch,
        rows=(row0, row1),
        columns=(col0, col1),
    )


def _params(spec: KernelSpec, words: Expr) -> Params:
    fields = param_fields(spec)
    scalars = [f.name for f in fields if f.kind is FieldKind.SCALAR]
    arrays = [f.name for f in fields if f.kind in (FieldKind.INT, FieldKind.FLOAT)]
    return Params(
        words,
        param_layout(spec),
        {n: i for i, n in enumerate(scalars)},
        {n: i for i, n in enumerate(arrays)},
        ISAS[spec.isa].lanes,
    )


def _tensor(name: str, form: Form, pitch: int, data: Expr, rows: Expr) -> Tensor:
    if pitch % form.bytes:
        raise ValueError(f"{name}: a pitch of {pitch} bytes cuts 16-bit values")
    dtype = dtype_of(form)
    return Tensor(
        T.decl_buffer((1,), dtype, data=data), T.decl_buffer((1,), "int32", data=rows), dtype, pitch // form.bytes
    )
