"""Names of kernels: readable, and different for different specs."""

from __future__ import annotations

import hashlib

from tvmsr.kernels.spec import Conv, Epilogue, KernelSpec, Load, Reads


def symbol(spec: KernelSpec) -> str:
    """What a kernel computes, its tile, and a hash of the whole spec; levels append their names.

    `tvmsr_conv3x3_u8w8_64x64_t6x4_requant_1a2b3c`
    """
    digest = hashlib.sha256(repr(spec).encode()).hexdigest()[:6]
    parts = ["tvmsr", _source(spec.source), f"t{spec.tile}", *_epilogue(spec.epilogue), digest]
    if isinstance(spec.source, Conv) and spec.algorithm != "direct":
        parts.insert(1, spec.algorithm)
    return "_".join(parts)


def _source(source: Conv | Load) -> str:
    channels, form = f"{source.inputs}x{source.outputs}", source.x.form.value
    if isinstance(source, Load):
        times = f"x{source.times.form.value}" if source.times else ""
        return f"point_{form}{times}_{channels}{'_gather' if source.channels else ''}"
    height, width = source.kernel
    extras = [(source.stride, "s"), (source.dilation, "d"), (source.groups, "g")]
    suffix = "".join(f"_{letter}{value}" for value, letter in extras if value > 1)
    return f"conv{height}x{width}_{form}w{source.weight_bits}_{channels}{suffix}"


def _epilogue(epilogue: Epilogue) -> list[str]:
    words = ["leaky" if epilogue.leaky else "requant"]
    if epilogue.residuals:
        words.append(f"add{len(epilogue.residuals)}")
    if epilogue.post:
        words.append("post")
    if epilogue.table:
        words.append("table")
    if len(epilogue.stores) > 1:
        read = any(s.reads is Reads.CODE for s in epilogue.stores)
        words.append(f"store{len(epilogue.stores)}{'code' if read else ''}")
    block = max(s.block for s in epilogue.stores)
    if block > 1:
        words.append(f"shuffle{block}")
    return words
