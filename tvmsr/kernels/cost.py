"""Cost models: predicted cycles of one core for one pixel of the grid. Simple, and measured where a number is given."""

from __future__ import annotations

from tvmsr.kernels.isa import Isa, Kind, Primitive
from tvmsr.kernels.layout import WeightLayout, direct_layout, winograd_layout
from tvmsr.kernels.planar_plan import QUAD
from tvmsr.kernels.planar_plan import plan as planar_plan
from tvmsr.kernels.spec import Conv, Epilogue, Form, Load, Tile
from tvmsr.kernels.transforms import F2_BYTES, Transform
from tvmsr.kernels.windows import widenings
from tvmsr.kernels.winograd_plan import plan

#: Loads a cycle; cycles that a tile costs beside its steps.
_LOADS = 2.0
_TILE = 12.0
#: Of a short tile (`Isa.short_tiles`) only so much of that: it is finished while the next one begins. They read weights
#: more often, so that one block's should be no more bytes than this, half of a small L1.
_OVERLAP = 0.4
FEW_WEIGHTS = 16_384
#: Of a tile of F(m x m, 3x3): cycles to transform a vector of inputs, and one of results, where the isa has none of its
#: own; as many times that with vectors of 64 bytes, of which one is stored a cycle.
_TRANSFORM = {2: (10.0, 15.0), 4: (25.0, 45.0)}
_WIDE = {2: 2.0, 4: 2.4}
#: Cycles to store a vector of sums; loads hide less well than in longer loops.
_SUM = 0.75
_BURST = 1.42
#: Where a row of positions is held (`Tile.positions`): loads hide, and so much is left of storing sums and of results.
_ROW_BURST, _ROW_SUMS, _ROW_RESULTS = 1.0, 0.65, 0.6
#: There weights pass more often, which costs a cycle for so many bytes unless they and the scratch stay in L1.
_ROW_STREAM, _L1 = 300.0, 52_000
#: Bytes of weights a cycle that arrive while something else is computed: from L2, up to a size, and from beyond.
_STREAM = (52.0, 27.0)
_IN_L2 = 150_000
#: Bytes of scratch that stay in L1, and what each costs, in cycles, of those beyond.
_NEAR, _ROW_NEAR = 36_000, 16_000
_FAR = 1 / 48
#: Cycles to widen a vector of 16-bit sums.
_WIDEN = 1.0
#: With pixels in the lanes: loads that one of a vector of pixels counts for, as most of 64 bytes cross a line; cycles
#: to transpose a word of a pixel, and to store four of its sums; what an issue takes that adds by another instruction.
_ACROSS = {4: 1.25, 8: 1.5, 16: 2.0}
_WORD, _FOUR_SUMS = 0.25, 1.5
_ADDED = 0.63
#: Of such a tile: cycles of a step beside its issues; as many times what widening takes where sums of 32 bits have to
#: wait on the stack.
_STEP, _WAITING = 0.4, 2.5
#: Rows that a kernel is called for, about.
_BAND = 16
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
    steps = layout.kernel_h * layout.runs * layout.steps * layout.halves
    issue = steps * (_issues(primitive, layout, pixels, vectors) + layout.blocks / layout.halves * primitive.prepare)
    loads = steps * (layout.blocks / layout.halves + vectors / pixels) / _LOADS
    tiles = layout.blocks * (_TILE + layout.kernel_h * layout.runs * 2) / pixels
    tiles *= _OVERLAP if tile[:2] in isa.short_tiles else 1.0
    finish = vectors * epilogue_cycles(epilogue, isa)
    unshared = _UNSHARED if layout.blocks > 2 and not _shares_code(source, epilogue, layout) else 1.0
    return source.groups * (max(issue, loads) + tiles + finish) * unshared


def _issues(primitive: Primitive, layout: WeightLayout, sums: int, vectors: int) -> float:
    """Cycles of a step's issues, a pixel: block by block, as a short last one may wait for its own sums.

    sums: of a vector, that take turns: pixels of a tile, times positions that are held.
    """
    full, rest = divmod(vectors, layout.vectors)
    blocks = [layout.vectors] * full + [rest] * (rest > 0)
    return sum(max(count * primitive.cycles, primitive.latency / sums) for count in blocks)


def windowed_cycles(
    source: Conv | Load, epilogue: Epilogue, isa: Isa, primitive: Primitive | None, tile: Tile
) -> float:
    """Direct convolution in windows: the same, and widening the sums of each."""
    cycles = direct_cycles(source, epilogue, isa, primitive, tile)
    assert isinstance(source, Conv) and primitive is not None  # else there would be no such cycles
    if primitive.kind is Kind.CHAIN:
        return cycles  # all windows are of one length, and widening is in the primitive's cycles
    layout = direct_layout(source, isa, primitive, tile)
    vectors = source.groups * -(-source.outputs // source.groups // isa.lanes)
    return cycles + vectors * _WIDEN * widenings((layout.kernel_h, layout.runs, layout.steps), tile.window)


def planar_cycles(source: Conv | Load, epilogue: Epilogue, isa: Isa, primitive: Primitive | None, tile: Tile) -> float:
    """Pixels in the lanes: issues or loads, inputs and sums transposed, the epilogue of whole pixels."""
    assert isinstance(source, Conv) and primitive is not None  # else it would not be legal
    scheme = planar_plan(source, isa, primitive, tile)
    vectors, taps = tile.pixels // isa.lanes, source.kernel[0] * source.kernel[1]
    steps = taps * scheme.units * scheme.blocks
    apart = primitive.fused == "" and primitive.widen == ""
    issue = max(tile.vectors * vectors * max(primitive.cycles, apart * _ADDED), primitive.latency)
    loads = (tile.vectors + vectors * _ACROSS[isa.lanes]) / _LOADS
    products = steps * (max(issue, loads) + _STEP) + scheme.blocks * (_TILE / 2 + 2 * taps)
    longer = (1 + (source.kernel[1] - 1) / tile.strip) * (1 + (source.kernel[0] - 1) / _BAND)
    inputs = scheme.units * _WORD * longer
    sums = scheme.blocks * -(-tile.vectors // QUAD) * _FOUR_SUMS
    finish = -(-source.outputs // isa.lanes) * (epilogue_cycles(epilogue, isa) + 1)
    return products / tile.pixels + inputs + sums + finish


def planar_window_cycles(
    source: Conv | Load, epilogue: Epilogue, isa: Isa, primitive: Primitive | None, tile: Tile
) -> float:
    """The same in windows, and widening the sums of each."""
    cycles = planar_cycles(source, epilogue, isa, primitive, tile)
    assert isinstance(source, Conv) and primitive is not None
    scheme = planar_plan(source, isa, primitive, tile)
    widened = scheme.blocks * tile.vectors * widenings((*source.kernel, scheme.units), tile.window)
    held = 2 * tile.vectors * tile.pixels // isa.lanes + tile.pixels // isa.lanes + 2
    waiting = _WAITING if tile.window > 2 and held > isa.registers else 1.0  # of two steps, no sum has to be held
    return cycles + _WIDEN * waiting * widened / isa.lanes


def winograd_cycles(
    source: Conv | Load,
    epilogue: Epilogue,
    isa: Isa,
    primitive: Primitive | None,
    tile: Tile,
    transform: Transform,
) -> float:
    """A transform: of a tile, its products, the transforms of its inputs and of its results, and the epilogue."""
    assert isinstance(source, Conv) and primitive is not None  # else it would not be legal
    layout = winograd_layout(source, isa, primitive, tile, transform)
    vectors = -(-source.outputs // isa.lanes)
    steps = layout.points * layout.steps
    issue = _issues(primitive, layout, tile.pixels * tile.positions, vectors) + layout.blocks * primitive.prepare
    loads = steps * (layout.blocks + vectors / tile.pixels) / _LOADS
    wide = _WIDE[transform.outputs] if isa.lanes == 16 else 1.0
    begin = 0.0 if isa.lanes == 16 else layout.blocks * _TILE / 2 / tile.pixels  # the next tile's products hide it
    groups = layout.points * (begin + vectors * _SUM * wide)
    chunks = -(-source.inputs * primitive.weight_bytes // (4 * isa.lanes))
    moved = (isa.transforms or _TRANSFORM)[transform.outputs]
    inputs, results = chunks * moved[0] * wide, vectors * moved[1] * wide
    untouched = layout.blocks * layout.vectors - vectors  # vectors of padding
    scheme = plan(source, isa, tile, transform)
    scratch, near = scheme.bytes - tile.strip * layout.points * 4 * isa.lanes * untouched, _NEAR
    finish = transform.outputs**2 * vectors * epilogue_cycles(epilogue, isa)
    streamed = layout.bytes / tile.strip / _STREAM[layout.bytes > _IN_L2]
    burst, again = _BURST, 0.0
    if tile.positions > 1:
        burst, groups, results = _ROW_BURST, groups * _ROW_SUMS, results * _ROW_RESULTS
        scratch, near = scheme.half_inputs * scheme.element, _ROW_NEAR
        again = layout.bytes / tile.strip / _ROW_STREAM * (layout.bytes + scratch > _L1)
    far = max(0, scratch - near) / tile.strip * _FAR
    products = max(steps * issue, loads * burst, streamed)
    return (products + groups + inputs + results + again + far + finish) / transform.outputs**2


def winograd_window_cycles(
    source: Conv | Load, epilogue: Epilogue, isa: Isa, primitive: Primitive | None, tile: Tile
) -> float:
    """The transform on bytes in windows: the same, and widening the sums of each."""
    assert isinstance(source, Conv) and primitive is not None  # else it would not be legal
    transform = F2_BYTES
    cycles = winograd_cycles(source, epilogue, isa, primitive, tile, transform)
    if primitive.kind is Kind.CHAIN:
        return cycles
    layout = winograd_layout(source, isa, primitive, tile, transform)
    widened = layout.points * -(-source.outputs // isa.lanes) * widenings((1, 1, layout.steps), tile.window)
    return cycles + _WIDEN * widened / transform.outputs**2


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
    loads = 3 if isinstance(source, Load) and source.times else 1
    return computed * (loads + epilogue_cycles(epilogue, isa)) + blocks * (_TILE + vectors / 4) / pixels


def storage_cycles(channels: int, form: Form) -> float:
    """What keeping a pixel of a map in memory costs."""
    return _BYTE * channels * form.bytes


def epilogue_cycles(epilogue: Epilogue, isa: Isa) -> float:
    """Cycles for one vector of outputs."""
    cycles = isa.epilogue_cycles + (1 if isa.packs and not epilogue.tame else 0)
    cycles = cycles * (1 + 0.5 * (len(epilogue.stores) - 1)) + 2.5 * len(epilogue.residuals)
    if epilogue.leaky:
        cycles += 1
    if epilogue.post:
        cycles += isa.epilogue_cycles + 1
    if epilogue.table:
        cycles += 3 * isa.lanes
    if any(s.block > 1 and s.channels < isa.lanes for s in epilogue.stores):
        cycles += 1.5
    return cycles
