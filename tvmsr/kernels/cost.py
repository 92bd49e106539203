"""Cost models: predicted cycles of one core for one pixel of the grid. Simple, and measured where a number is given."""

from __future__ import annotations

from tvmsr.kernels.isa import Isa, Primitive
from tvmsr.kernels.layout import WeightLayout, direct_layout
from tvmsr.kernels.spec import Conv, Epilogue, Form, Load, Tile

#: Loads a cycle; cycles that a tile costs beside its steps.
_LOADS = 2.0
_TILE = 12.0
#: Many blocks with code of their own, where one loop would do, cost instruction fetch and kilobytes.
_UNSHARED = 1.06
#: Cycles to write a byte of a map and read it again, as far as that does not hide behind multiplies.
_BYTE = 0.35


def direct_cycles(source: Conv | Load, epilogue: Epilogue, isa: Isa, primitive: Primitive | None, tile: Tile) -> float:
    """Direct convolution: the slower of issues and loads, the epilogue, what starting a tile costs."""
    if not isinstance(source, Conv) or primitive is None:
        raise TypeError("a direct convolution needs a convolution and its primitive")
    pixels = tile.pixels
    layout = direct_layout(source, isa, primitive, tile)
    outputs = source.outputs // source.groups
    vectors = -(-outputs // isa.lanes)  # vectors of padding are not computed
    widest = min(layout.vectors, vectors)
    steps = layout.kernel_h * layout.runs * layout.steps * layout.halves
    busy = max(1.0, primitive.latency / primitive.cycles / (pixels * widest))
    issue = steps * (vectors * primitive.cycles * busy + layout.blocks / layout.halves * primitive.prepare)
    loads = steps * (layout.blocks / layout.halves + vectors / pixels) / _LOADS
    tiles = layout.blocks * (_TILE + layout.kernel_h * layout.runs * 2) / pixels
    finish = vectors * epilogue_cycles(epilogue, isa)
    unshared = _UNSHARED if layout.blocks > 2 and not _shares_code(source, epilogue, layout) else 1.0
    return source.groups * (max(issue, loads) + tiles + finish) * unshared


def _shares_code(source: Conv, epilogue: Epilogue, layout: WeightLayout) -> bool:
    """Whether blocks of channels can run in a loop: tvmsr.kernels.epilogue.shared_blocks, as far as stores decide."""
    width = layout.vectors * layout.lanes
    return source.groups == 1 and all(s.block == 1 or s.channels % width == 0 for s in epilogue.stores)


def lanewise_cycles(
    source: Conv | Load, epilogue: Epilogue, isa: Isa, primitive: Primitive | None, tile: Tile
) -> float:
    """Depthwise convolution."""
    if not isinstance(source, Conv) or primitive is None:
        raise TypeError("a depthwise convolution needs a convolution and its primitive")
    taps = source.kernel[0] * source.kernel[1]
    return taps * 2 * primitive.cycles * -(-source.outputs // isa.lanes) + pointwise_cycles(
        source, epilogue, isa, primitive, tile
    )


def pointwise_cycles(
    source: Conv | Load, epilogue: Epilogue, isa: Isa, primitive: Primitive | None, tile: Tile
) -> float:
    """A pass over stored codes. Padding and many short blocks cost; a wide tile of few channels is not cheaper."""
    del primitive
    pixels, vectors = tile.pixels, tile.vectors
    blocks = -(-source.outputs // (vectors * isa.lanes))
    computed = -(-source.outputs // isa.lanes)
    loads = 5 if isinstance(source, Load) and source.times else 2
    return computed * (loads + epilogue_cycles(epilogue, isa)) + blocks * (_TILE + vectors / 4) / pixels


def storage_cycles(channels: int, form: Form) -> float:
    """What keeping a pixel of a map in memory costs."""
    return _BYTE * channels * form.bytes


def epilogue_cycles(epilogue: Epilogue, isa: Isa) -> float:
    """Cycles for one vector of outputs."""
    cycles = isa.epilogue_cycles * (1 + 0.5 * (len(epilogue.stores) - 1)) + 3 * len(epilogue.residuals)
    if epilogue.leaky:
        cycles += 1
    if epilogue.table:
        cycles += 3 * isa.lanes
    if any(s.block > 1 and s.channels < isa.lanes for s in epilogue.stores):
        cycles += 8
    return cycles
