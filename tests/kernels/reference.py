"""What a kernel must compute, in plain numpy on stored values: the formulas of tvmsr/quant/integer.py."""

from __future__ import annotations

import numpy as np

from tvmsr.kernels.spec import Conv, Reads
from tvmsr.quant.integer import TERM_LIMIT


def scaled(value, m, low, high):
    """rne(clamp(float32(value) * m, low, high)) as int64."""
    with np.errstate(over="ignore", under="ignore"):
        product = value.astype(np.float32) * np.asarray(m, np.float32)
    return np.rint(np.clip(product, np.float32(low), np.float32(high))).astype(np.int64)


def source_values(source, params, weight, x, times=None):
    """int64 (H, W, outputs); x (rows, pixels, inputs) and times hold stored values as int64."""
    centred = x - params["x_zero"]
    if not isinstance(source, Conv):
        value = centred[:, :, list(source.channels)] if source.channels else centred[:, :, : source.outputs]
        if source.times:
            value = value * (times - params["times_zero"])
            assert np.abs(value).max() < 2**31
        return value
    s, d, (kh, kw) = source.stride, source.dilation, source.kernel
    height, width = (x.shape[0] - d * (kh - 1) - 1) // s + 1, (x.shape[1] - d * (kw - 1) - 1) // s + 1
    ins, outs = source.inputs // source.groups, source.outputs // source.groups
    acc = np.tile(params["bias"].astype(np.int64), (height, width, 1))
    for g in range(source.groups):
        for i in range(kh):
            for j in range(kw):
                rows = centred[i * d : i * d + s * (height - 1) + 1 : s]
                part = rows[:, j * d : j * d + s * (width - 1) + 1 : s, g * ins : (g + 1) * ins]
                kernel = weight[i, j, :, g * outs : (g + 1) * outs].astype(np.float64)
                # Exact: float64 holds these sums of integers.
                acc[:, :, g * outs : (g + 1) * outs] += (part.astype(np.float64) @ kernel).astype(np.int64)
    assert np.abs(acc).max() < 2**31
    return acc


def results(spec, params, weight, x, residuals, times=None):
    """Stored values of every store on the grid, int64 (H, W, outputs)."""
    epilogue, value = spec.epilogue, source_values(spec.source, params, weight, x, times)
    m = np.where(value < 0, params["m_neg"], params["m"]) if epilogue.leaky else params["m"]
    result = scaled(value, m, params["lo"], params["hi"])
    if epilogue.residuals:
        for i, residual in enumerate(epilogue.residuals):
            wanted = np.arange(spec.source.outputs) % (residual.modulo or spec.source.outputs)
            centred = residuals[i][:, :, wanted] - params[f"residual{i}_zero"]
            if residual.identity:
                result = result + (centred << epilogue.fraction)
            else:
                result = result + scaled(centred, params[f"residual{i}_m"], -TERM_LIMIT, TERM_LIMIT)
        result = (result + (1 << epilogue.fraction >> 1)) >> epilogue.fraction
        result = np.clip(result, params["sum_lo"], params["sum_hi"])
    if epilogue.post:
        m = np.where(result < 0, params["post_m_neg"], params["post_m"])
        result = scaled(result, m, params["post_lo"], params["post_hi"])
    if epilogue.table:
        result = np.asarray(params["table"]).astype(np.int64)[result + params["table_zero"]] - params["code_zero"]
    stored = []
    for i, store in enumerate(epilogue.stores):
        kept = result
        if store.reads is Reads.CODE:
            kept = scaled(result, *(params[f"store{i}_{n}"] for n in ("m", "lo", "hi")))
        stored.append(kept + params[f"store{i}_zero"])
    return stored


def place(store, grid, into):
    """Write a store's channels of `grid` into pixels `into` (H * block, W * block, pitch elements)."""
    block, channels = store.block, store.channels
    part = grid[:, :, store.first : store.first + channels * block * block]
    height, width, _ = part.shape
    part = part.reshape(height, width, block, block, channels).transpose(0, 2, 1, 3, 4)
    into[:, :, :channels] = part.reshape(height * block, width * block, channels).astype(into.dtype)
