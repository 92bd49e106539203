"""Runs a Program as the driver and the kernels would, on bytes: proves lowering without C.

It knows nothing but the Program. Buffers begin as garbage; every kernel is the formula that its spec and its plain
parameters say, over the whole picture.
"""

from __future__ import annotations

import numpy as np

from tvmsr.graph.model import PadMode
from tvmsr.kernels.spec import Conv, Form, Reads
from tvmsr.quant.held import Held
from tvmsr.quant.picture import fitted
from tvmsr.quant.reference import INTEGER_REFERENCE

DTYPE = {Form.U8: np.uint8, Form.S8: np.int8, Form.U16: np.uint16, Form.S16: np.int16}
TERM_LIMIT = 1 << 22


class Memory:
    """A buffer: a row that stands for all outside of the picture, then rows with borders, `pitch` bytes a pixel."""

    def __init__(self, buffer, height, width, rng):
        self.buffer = buffer
        self.size = (buffer.rows(height), buffer.columns(width))
        self.raw = rng.integers(0, 256, (self.size[0] + 1, self.size[1] + 2 * buffer.border, buffer.pitch), np.uint8)
        self._channels(0, buffer.channels)[0] = self.stored(buffer.pad)
        self.settle()

    def stored(self, codes):
        return (np.asarray(codes).astype(np.int64) - self.buffer.form.offset(self.buffer.bits)).astype(
            DTYPE[self.buffer.form]
        )

    def codes(self, stored):
        kind = np.uint8 if self.buffer.form.bytes == 1 else np.uint16
        return (stored.astype(np.int64) + self.buffer.form.offset(self.buffer.bits)).astype(kind)

    def _channels(self, offset, channels):
        kind = DTYPE[self.buffer.form]
        last = offset + channels * np.dtype(kind).itemsize
        assert last <= self.buffer.pitch, f"{self.buffer.name}: bytes [{offset}, {last}) of {self.buffer.pitch}"
        shape, strides = (*self.raw.shape[:2], channels), (*self.raw.strides[:2], np.dtype(kind).itemsize)
        return np.ndarray(shape, kind, buffer=self.raw.data, offset=offset, strides=strides)

    def settle(self):
        """What lies beside the picture, after it was written."""
        b, mode, width = self.buffer.border, self.buffer.mode, self.size[1]
        columns = [*range(-b, 0), *range(width, width + b)]
        if mode is PadMode.CONSTANT:
            self._channels(0, self.buffer.channels)[:, [b + c for c in columns]] = self.stored(self.buffer.pad)
        elif b:
            self.raw[1:, [b + c for c in columns]] = self.raw[1:, [b + c for c in inside(columns, width, mode)]]

    def rows_of(self, first, count, step=1):
        """Rows of `raw` that stand for rows first, first + step, ... of the picture."""
        rows, height = np.arange(first, first + count * step, step), self.size[0]
        if self.buffer.mode is not PadMode.CONSTANT:
            return 1 + inside(rows, height, self.buffer.mode)
        return np.where((rows < 0) | (rows >= height), 0, rows + 1)

    def padded(self, offset, channels):
        """Stored values with the row and the columns outside of the picture."""
        return self._channels(offset, channels)

    def inside(self, offset, channels):
        b = self.buffer.border
        return self._channels(offset, channels)[1:, b : b + self.size[1]]


def inside(indices, size, mode):
    found = np.asarray(indices)
    if mode is PadMode.REFLECT:
        found = np.abs(found)
        found = np.where(found >= size, 2 * (size - 1) - found, found)
    return np.clip(found, 0, size - 1)


def unread(program):
    """Stores (step, buffer, first byte) of which nobody reads a channel."""
    forms = {buffer.name: buffer.form for buffer in program.buffers}
    read = {(program.output, byte) for byte in range(8)}
    for step in program.steps:
        for view, channels in zip(step.operands[: step.reads], _channels_read(step), strict=True):
            end = view.offset + channels * forms[view.buffer].bytes
            read |= {(view.buffer, byte) for byte in range(view.offset, end)}
    found = []
    for step in program.steps:
        for view, held in zip(step.operands[step.reads :], step.stored, strict=True):
            end = view.offset + held.channels * forms[view.buffer].bytes
            if not any((view.buffer, byte) in read for byte in range(view.offset, end)):
                found.append((step.name, view.buffer, view.offset))
    return found


def _channels_read(step):
    """Of every operand that it reads."""
    if step.spatial is not None:
        return [step.spatial.channels]
    source = step.spec.source
    beside = [source.outputs] if step.spec.times else []
    return [source.inputs, *beside, *(r.modulo or source.outputs for r in step.spec.epilogue.residuals)]


def simulate(program, image, graph):
    assert unread(program) == []
    rng = np.random.default_rng(0)
    image = fitted(image, graph.sizes)
    memory = {b.name: Memory(b, *image.shape[:2], rng) for b in program.buffers}
    source = memory[program.input]
    source.inside(0, 3)[:] = source.stored(image)
    source.settle()
    for step in program.steps:
        if step.spatial is None:
            _run(step, memory)
        else:
            run_spatial(step, memory, graph)
        for view in step.operands[step.reads :]:
            memory[view.buffer].settle()
    result = memory[program.output]
    assert result.buffer.form is Form.U8
    return result.inside(0, result.buffer.channels).copy()


def run_spatial(step, memory, graph):
    """A step of the driver's own, by the reference: nothing of it is in a Program but tables for C."""
    view, x = step.operands[0], memory[step.operands[0].buffer]
    for spatial, name, store in zip(step.spatial.each, step.nodes, step.operands[1:], strict=True):
        node, y = next(n for n in graph if n.name == name), memory[store.buffer]
        code = next((n.output for n in graph if n.name == node.inputs[0]), graph.input)
        operands = [Held(x.codes(x.inside(view.offset, spatial.channels)), code)]
        if node.op == "resize" and len(node.inputs) > 1:
            operands.append(Held(np.empty((*y.size, 1), np.uint8), code))
        stored = y.stored(INTEGER_REFERENCE[node.op](node, tuple(operands)))
        y.inside(store.offset, spatial.channels)[:] = stored


def _rne(values, m, lo, hi):
    product = values.astype(np.float32) * m
    return np.rint(np.minimum(np.maximum(product, np.float32(lo)), np.float32(hi))).astype(np.int64)


def _run(step, memory):
    spec, p = step.spec, step.params
    reads = spec.read_operands
    value = _source(step, memory[step.operands[0].buffer])
    if spec.times:
        value = _times(step, value, memory[step.operands[1].buffer])
    m = np.where(value < 0, p["m_neg"], p["m"]) if spec.epilogue.leaky else p["m"]
    value = _rne(value, m, p["lo"], p["hi"])
    if spec.epilogue.residuals:
        value = _sum(step, value, memory)
    if spec.epilogue.post:
        m = np.where(value < 0, p["post_m_neg"], p["post_m"])
        value = _rne(value, m, p["post_lo"], p["post_hi"])
    if spec.epilogue.table:
        assert p["table_length"] == len(p["table"])
        value = p["table"][value + p["table_zero"]].astype(np.int64) - p["code_zero"]
    for i, (store, view) in enumerate(zip(spec.epilogue.stores, step.operands[reads:], strict=True)):
        code = value
        if store.reads is Reads.CODE:
            code = _rne(value, p[f"store{i}_m"], p[f"store{i}_lo"], p[f"store{i}_hi"])
        _store(store, code + p[f"store{i}_zero"], memory[view.buffer], view.offset)


def _source(step, x):
    """int32 values of the grid, exactly as the kernel contract says."""
    source, p = step.spec.source, step.params
    assert (source.x.form, source.x.pitch) == (x.buffer.form, x.buffer.pitch)
    offset = step.operands[0].offset
    if not isinstance(source, Conv):
        values = x.inside(offset, source.inputs).astype(np.int64) - p["x_zero"]
        return values[:, :, list(source.channels)] if source.channels else values
    top, left, _, right = step.padding
    b = x.buffer.border
    assert b >= max(left, right)
    values = x.padded(offset, source.inputs).astype(np.int64) - p["x_zero"]
    height, width = grid_of(step, x.size)
    out = np.broadcast_to(p["bias"].astype(np.int64), (height, width, source.outputs)).copy()
    ins, outs = source.inputs // source.groups, source.outputs // source.groups
    weight = step.layer.weight.astype(np.int64)
    for i in range(source.kernel[0]):
        for j in range(source.kernel[1]):
            rows, column = x.rows_of(i * source.dilation - top, height, source.stride), b - left + j * source.dilation
            tap = values[rows][:, column : column + (width - 1) * source.stride + 1 : source.stride]
            assert tap.shape[:2] == (height, width)
            for g in range(source.groups):
                chosen = slice(g * outs, (g + 1) * outs)
                out[:, :, chosen] += tap[:, :, g * ins : (g + 1) * ins] @ weight[i, j, :, chosen]
    assert np.abs(out).max() < 2**31
    return out


def grid_of(step, size):
    """Height and width of a kernel's grid over an input of this size."""
    source, (top, left, bottom, right) = step.spec.source, step.padding
    if not isinstance(source, Conv):
        return size
    rows, columns = ((k - 1) * source.dilation + 1 for k in source.kernel)
    return (size[0] + top + bottom - rows) // source.stride + 1, (size[1] + left + right - columns) // source.stride + 1


def _times(step, value, held):
    spec = step.spec
    pitch = 0 if step.operands[1].broadcast else held.buffer.pitch
    assert (spec.times.form, spec.times.pitch) == (held.buffer.form, pitch)
    codes = held.inside(step.operands[1].offset, spec.source.outputs).astype(np.int64)
    value = value * (codes - step.params["times_zero"])
    assert np.abs(value).max() < 2**31
    return value


def _sum(step, value, memory):
    epilogue, p = step.spec.epilogue, step.params
    for i, residual in enumerate(epilogue.residuals):
        view = step.operands[step.spec.read_operands - len(epilogue.residuals) + i]
        held = memory[view.buffer]
        pitch = 0 if view.broadcast else held.buffer.pitch
        assert (residual.operand.form, residual.operand.pitch) == (held.buffer.form, pitch)
        outputs = step.spec.source.outputs
        codes = held.inside(view.offset, residual.modulo or outputs).astype(np.int64)
        if residual.modulo:
            codes = codes[:, :, np.arange(outputs) % residual.modulo]
        m = np.float32(1 << epilogue.fraction) if residual.identity else p[f"residual{i}_m"]
        value = value + _rne(codes - p[f"residual{i}_zero"], m, -TERM_LIMIT, TERM_LIMIT)
    half = (1 << epilogue.fraction) >> 1
    return np.clip((value + half) >> epilogue.fraction, p["sum_lo"], p["sum_hi"])


def _store(store, values, held, offset):
    assert (store.form, store.pitch) == (held.buffer.form, held.buffer.pitch)
    s = store.block
    part = values[:, :, store.first : store.first + store.channels * s * s]
    height, width = part.shape[:2]
    shuffled = part.reshape(height, width, s, s, -1).transpose(0, 2, 1, 3, 4).reshape(height * s, width * s, -1)
    info = np.iinfo(DTYPE[store.form])
    assert shuffled.min() >= info.min and shuffled.max() <= info.max
    target = held.inside(offset, store.channels)
    target[:] = shuffled
