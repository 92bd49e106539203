"""Runs a Program as the driver and the kernels would, on bytes: proves lowering without C.

It knows nothing but the Program. Buffers begin as garbage; every kernel is the formula that its spec and its plain
parameters say, over the whole picture.
"""

from __future__ import annotations

import numpy as np

from tvmsr.kernels.spec import Conv, Form, Reads

DTYPE = {Form.U8: np.uint8, Form.S8: np.int8, Form.U16: np.uint16, Form.S16: np.int16}
TERM_LIMIT = 1 << 22


class Memory:
    """A buffer: rows and columns with borders, `pitch` bytes a pixel."""

    def __init__(self, buffer, height, width, rng):
        self.buffer = buffer
        self.size = tuple(-(-n * buffer.ratio.numerator // buffer.ratio.denominator) for n in (height, width))
        b = buffer.border
        self.raw = rng.integers(0, 256, (self.size[0] + 2 * b, self.size[1] + 2 * b, buffer.pitch), np.uint8)
        if b:
            inside = np.zeros(self.raw.shape[:2], bool)
            inside[b:-b, b:-b] = True
            self._channels(0, buffer.channels)[~inside] = self.stored(buffer.pad)

    def stored(self, codes):
        return (np.asarray(codes).astype(np.int64) - self.buffer.form.offset(self.buffer.bits)).astype(
            DTYPE[self.buffer.form]
        )

    def _channels(self, offset, channels):
        kind = DTYPE[self.buffer.form]
        last = offset + channels * np.dtype(kind).itemsize
        assert last <= self.buffer.pitch, f"{self.buffer.name}: bytes [{offset}, {last}) of {self.buffer.pitch}"
        shape, strides = (*self.raw.shape[:2], channels), (*self.raw.strides[:2], np.dtype(kind).itemsize)
        return np.ndarray(shape, kind, buffer=self.raw.data, offset=offset, strides=strides)

    def padded(self, offset, channels):
        """Stored values with their borders."""
        return self._channels(offset, channels)

    def inside(self, offset, channels):
        b = self.buffer.border
        return self._channels(offset, channels)[b : b + self.size[0], b : b + self.size[1]]


def simulate(program, image):
    rng = np.random.default_rng(0)
    memory = {b.name: Memory(b, *image.shape[:2], rng) for b in program.buffers}
    source = memory[program.input]
    source.inside(0, 3)[:] = source.stored(image)
    for step in program.steps:
        _run(step, memory)
    result = memory[program.output]
    assert result.buffer.form is Form.U8
    return result.inside(0, result.buffer.channels).copy()


def _rne(values, m, lo, hi):
    product = values.astype(np.float32) * m
    return np.rint(np.minimum(np.maximum(product, np.float32(lo)), np.float32(hi))).astype(np.int64)


def _run(step, memory):
    spec, p = step.spec, step.params[0]
    reads = spec.read_operands
    value = _source(step, memory[step.operands[0].buffer])
    if spec.times:
        value = _times(step, value, memory[step.operands[1].buffer])
    m = np.where(value < 0, p["m_neg"], p["m"]) if spec.epilogue.leaky else p["m"]
    value = _rne(value, m, p["lo"], p["hi"])
    if spec.epilogue.residuals:
        value = _sum(step, value, memory)
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
    source, p = step.spec.source, step.params[0]
    assert (source.x.form, source.x.pitch) == (x.buffer.form, x.buffer.pitch)
    offset = step.operands[0].offset
    if not isinstance(source, Conv):
        values = x.inside(offset, source.inputs).astype(np.int64) - p["x_zero"]
        return values[:, :, list(source.channels)] if source.channels else values
    top, left = step.padding[:2]
    b = x.buffer.border
    assert b >= max(step.padding)
    values = x.padded(offset, source.inputs).astype(np.int64) - p["x_zero"]
    height, width = (-(-n // source.stride) for n in x.size)
    out = np.broadcast_to(p["bias"].astype(np.int64), (height, width, source.outputs)).copy()
    ins, outs = source.inputs // source.groups, source.outputs // source.groups
    weight = step.layer.weight.astype(np.int64)
    for i in range(source.kernel[0]):
        for j in range(source.kernel[1]):
            row, column = b - top + i * source.dilation, b - left + j * source.dilation
            tap = values[row :: source.stride, column :: source.stride][:height, :width]
            for g in range(source.groups):
                chosen = slice(g * outs, (g + 1) * outs)
                out[:, :, chosen] += tap[:, :, g * ins : (g + 1) * ins] @ weight[i, j, :, chosen]
    assert np.abs(out).max() < 2**31
    return out


def _times(step, value, held):
    spec = step.spec
    assert (spec.times.form, spec.times.pitch) == (held.buffer.form, held.buffer.pitch)
    codes = held.inside(step.operands[1].offset, spec.source.outputs).astype(np.int64)
    value = value * (codes - step.params[0]["times_zero"])
    assert np.abs(value).max() < 2**31
    return value


def _sum(step, value, memory):
    epilogue, p = step.spec.epilogue, step.params[0]
    for i, residual in enumerate(epilogue.residuals):
        view = step.operands[step.spec.read_operands - len(epilogue.residuals) + i]
        held = memory[view.buffer]
        assert (residual.operand.form, residual.operand.pitch) == (held.buffer.form, held.buffer.pitch)
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
    target[:] = shuffled[: target.shape[0], : target.shape[1]]
