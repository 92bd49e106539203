"""The table of algorithms: each an exact way to compute a source. Nothing in this file needs tvm."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from itertools import product

from tvmsr.kernels.cost import (
    FEW_WEIGHTS,
    direct_cycles,
    lanewise_cycles,
    planar_cycles,
    planar_window_cycles,
    pointwise_cycles,
    windowed_cycles,
    winograd_cycles,
    winograd_window_cycles,
)
from tvmsr.kernels.isa import ISAS, Isa, Primitive
from tvmsr.kernels.layout import (
    WeightLayout,
    depthwise_layout,
    direct_layout,
    planar_layout,
    tap_by_tap,
    winograd_layout,
)
from tvmsr.kernels.legality import Weight, direct_legal, planar_legal, winograd_legal
from tvmsr.kernels.planar_plan import plan as planar_plan
from tvmsr.kernels.planar_plan import shapes
from tvmsr.kernels.spec import Conv, Epilogue, KernelSpec, Load, Tile
from tvmsr.kernels.transforms import F2_BYTES, F2_WORDS, F4_WORDS, Transform
from tvmsr.kernels.windows import legal_windows, transformed_windows
from tvmsr.kernels.winograd_plan import plan, strips


@dataclass(frozen=True)
class Algorithm:
    """One exact way to compute a source.

    `legal` says why not, "" where it is. `tiles`: those offered, all of them exact. `layout`: of packed weights; None:
    it has none. `generator` names a TIR generator as "module:function". Granule, read_ahead and scratch (bytes a
    thread): the kernel contract. `multiplies`: those it does, as a share of the direct convolution's.
    """

    name: str
    primitive: Callable[[Conv | Load, Isa], Primitive | None]
    legal: Callable[[Conv | Load, Primitive | None, Weight | None], str]
    tiles: Callable[[Conv | Load, Isa, Primitive | None, Weight | None], tuple[Tile, ...]]
    cycles: Callable[[Conv | Load, Epilogue, Isa, Primitive | None, Tile], float]
    layout: Callable[[Conv, Isa, Primitive, Tile], WeightLayout] | None
    generator: str
    granule: tuple[int, int] = (1, 1)
    read_ahead: tuple[int, int] = (0, 0)
    scratch: Callable[[KernelSpec], int] = lambda spec: 0
    multiplies: float = 1.0
    told: bool = False  # people want to know why it was not taken
    across: bool = False  # its vectors are of pixels: none for a grid of one


def primitive_of(spec: KernelSpec) -> Primitive:
    """The primitive that a convolution's spec stands for."""
    primitive = ALGORITHMS[spec.algorithm].primitive(spec.source, ISAS[spec.isa])
    if primitive is None:
        raise ValueError(f"{spec.algorithm} has no primitive of {spec.isa} for {spec.source.x.form.value}")
    return primitive


def weight_layout(spec: KernelSpec) -> WeightLayout | None:
    """Layout of the packed weights of a convolution; None for a pointwise pass."""
    layout = ALGORITHMS[spec.algorithm].layout
    if layout is None or not isinstance(spec.source, Conv):
        return None
    return layout(spec.source, ISAS[spec.isa], primitive_of(spec), spec.tile)


def _named(*names: str) -> Callable[[Conv | Load, Isa], Primitive | None]:
    """The first primitive of these names that reads the form in which x is stored."""

    def find(source: Conv | Load, isa: Isa) -> Primitive | None:
        return next((p for p in isa.primitives if p.name in names and source.x.form in p.forms), None)

    return find


def _tiles(shapes: Iterable[tuple[int, int]]) -> tuple[Tile, ...]:
    return tuple(Tile(*shape) for shape in shapes)


def _direct_tiles(
    source: Conv | Load, isa: Isa, primitive: Primitive | None, weight: Weight | None
) -> tuple[Tile, ...]:
    del weight
    if primitive is None or primitive.tiles or not isinstance(source, Conv):
        return _tiles((primitive and primitive.tiles) or isa.tiles)
    return (*_tiles(isa.tiles), *(t for t in _tiles(isa.short_tiles) if _may_be_short(source, isa, primitive, t)))


def _may_be_short(source: Conv, isa: Isa, primitive: Primitive, tile: Tile) -> bool:
    """Whether one block of just these vectors holds all channels, and its weights are few."""
    layout = direct_layout(source, isa, primitive, tile)
    vectors = -(-source.outputs // source.groups // isa.lanes)
    return vectors == tile.vectors and layout.bytes <= FEW_WEIGHTS * layout.groups


def _window_legal(source: Conv | Load, primitive: Primitive | None, weight: Weight | None) -> str:
    problem = direct_legal(source, primitive, weight)
    if problem or not isinstance(source, Conv) or primitive is None:
        return problem
    if legal_windows(source, primitive, weight):
        return ""
    return f"products of two steps of a{source.max_bits} with these weights may leave 16 bits"


def _window_tiles(
    source: Conv | Load, isa: Isa, primitive: Primitive | None, weight: Weight | None
) -> tuple[Tile, ...]:
    if not isinstance(source, Conv) or primitive is None:
        return ()
    shapes = primitive.tiles or isa.tiles
    return tuple(Tile(*shape, n) for n in legal_windows(source, primitive, weight) for shape in shapes)


def _winograd_window_legal(source: Conv | Load, primitive: Primitive | None, weight: Weight | None) -> str:
    problem = winograd_legal(source, primitive, weight, F2_BYTES)
    if problem or not isinstance(source, Conv) or primitive is None:
        return problem
    if transformed_windows(source, primitive, weight, F2_BYTES):
        return ""
    return f"transformed products of two steps of a{source.max_bits} with these weights may leave 16 bits"


def _winograd_window_tiles(
    source: Conv | Load, isa: Isa, primitive: Primitive | None, weight: Weight | None
) -> tuple[Tile, ...]:
    if not isinstance(source, Conv) or primitive is None:
        return ()
    windows = transformed_windows(source, primitive, weight, F2_BYTES)
    return tuple(t._replace(window=n) for n in windows for t in strips(source, isa, primitive, F2_BYTES))


def _depthwise_legal(source: Conv | Load, primitive: Primitive | None, weight: Weight | None) -> str:
    del weight
    if not isinstance(source, Conv) or not source.groups == source.inputs == source.outputs:
        return "not depthwise"
    return "" if primitive else "its input form has no primitive"


def _pointwise_legal(source: Conv | Load, primitive: Primitive | None, weight: Weight | None) -> str:
    del primitive, weight
    return "" if isinstance(source, Load) else "a convolution"


def _modular(source: Conv | Load, isa: Isa) -> Primitive | None:
    """Products of 16-bit numbers, whatever x is, summed modulo 2**32."""
    del source
    found = next((p for p in isa.primitives if p.name == "pair16"), None)
    return found and replace(found, modular=True)


def _winograd(name: str, primitive: Callable[[Conv | Load, Isa], Primitive | None], transform: Transform) -> Algorithm:
    """A row of a transform."""

    def tiles(source: Conv | Load, isa: Isa, primitive: Primitive | None, weight: Weight | None) -> tuple[Tile, ...]:
        del weight
        assert isinstance(source, Conv) and primitive is not None  # else it is not legal
        return strips(source, isa, primitive, transform)

    def scratch(spec: KernelSpec) -> int:
        assert isinstance(spec.source, Conv)
        return plan(spec.source, ISAS[spec.isa], spec.tile, transform).bytes

    return Algorithm(
        name,
        primitive,
        partial(winograd_legal, transform=transform),
        tiles,
        partial(winograd_cycles, transform=transform),
        partial(winograd_layout, transform=transform),
        "tvmsr.kernels.winograd:winograd",
        granule=(transform.outputs, 1),
        scratch=scratch,
        multiplies=(transform.points / transform.outputs / 3) ** 2,
        told=True,
    )


def _planar_tiles(
    source: Conv | Load, isa: Isa, primitive: Primitive | None, weight: Weight | None
) -> tuple[Tile, ...]:
    del weight
    assert isinstance(source, Conv) and primitive is not None  # else it is not legal
    return shapes(source, isa, primitive)


def _planar_window_legal(source: Conv | Load, primitive: Primitive | None, weight: Weight | None) -> str:
    problem = planar_legal(source, primitive, weight)
    if problem or not isinstance(source, Conv):
        return problem
    return _window_legal(tap_by_tap(source), primitive, weight)


def _planar_window_tiles(
    source: Conv | Load, isa: Isa, primitive: Primitive | None, weight: Weight | None
) -> tuple[Tile, ...]:
    assert isinstance(source, Conv) and primitive is not None  # else it is not legal
    windows = legal_windows(tap_by_tap(source), primitive, weight)
    return tuple(t._replace(window=n) for n in windows for t in shapes(source, isa, primitive))


def _planar_scratch(spec: KernelSpec) -> int:
    assert isinstance(spec.source, Conv)
    return planar_plan(spec.source, ISAS[spec.isa], primitive_of(spec), spec.tile).bytes


def _planar(name: str, *primitives: str) -> Algorithm:
    """A row with pixels in the lanes."""
    return Algorithm(
        name,
        _named(*primitives),
        planar_legal,
        _planar_tiles,
        planar_cycles,
        planar_layout,
        "tvmsr.kernels.planar:planar",
        scratch=_planar_scratch,
        across=True,
    )


def _lanewise_tiles(
    source: Conv | Load, isa: Isa, primitive: Primitive | None, weight: Weight | None
) -> tuple[Tile, ...]:
    del source, isa, weight
    return _tiles((primitive and primitive.tiles) or product((4,), (1, 2, 4)))


ALGORITHMS: dict[str, Algorithm] = {
    row.name: row
    for row in (
        Algorithm(
            "direct",
            _named("dot4", "chain", "pair16", "mac"),
            direct_legal,
            _direct_tiles,
            direct_cycles,
            direct_layout,
            "tvmsr.kernels.conv:direct",
            told=True,
        ),
        # Steps summed in 16 bits, as many as bits and weights allow.
        Algorithm(
            "direct_window",
            _named("window"),
            _window_legal,
            _window_tiles,
            windowed_cycles,
            direct_layout,
            "tvmsr.kernels.conv:direct",
            told=True,
        ),
        # Bytes multiplied as 16-bit numbers, where their 8-bit products would saturate.
        Algorithm(
            "direct_wide",
            _named("wide4"),
            direct_legal,
            _direct_tiles,
            direct_cycles,
            direct_layout,
            "tvmsr.kernels.conv:direct",
            told=True,
        ),
        # Two pixels by two channels at once, where the CPU multiplies matrices of bytes.
        Algorithm(
            "direct_matrix",
            _named("matrix"),
            direct_legal,
            _direct_tiles,
            direct_cycles,
            direct_layout,
            "tvmsr.kernels.conv:direct",
            told=True,
        ),
        # The same, where pixels fill vectors and output channels do not.
        _planar("planar", "dot4", "pair16"),
        replace(
            _planar("planar_window", "window"),
            legal=_planar_window_legal,
            tiles=_planar_window_tiles,
            cycles=planar_window_cycles,
        ),
        _planar("planar_wide", "wide4"),
        _winograd("winograd2", _named("dot4", "chain", "matrix"), F2_BYTES),
        # The same in windows over the input channels of a position.
        replace(
            _winograd("winograd2_window", _named("window"), F2_BYTES),
            legal=_winograd_window_legal,
            tiles=_winograd_window_tiles,
            cycles=winograd_window_cycles,
        ),
        # On words: 9 to 13 bits; and with more outputs a tile, up to 8 bits.
        _winograd("winograd2_words", _modular, F2_WORDS),
        _winograd("winograd4", _modular, F4_WORDS),
        Algorithm(
            "depthwise",
            _named("lanewise"),
            _depthwise_legal,
            _lanewise_tiles,
            lanewise_cycles,
            depthwise_layout,
            "tvmsr.kernels.depthwise:depthwise",
        ),
        Algorithm(
            "pointwise",
            lambda source, isa: None,
            _pointwise_legal,
            _lanewise_tiles,
            pointwise_cycles,
            None,
            "tvmsr.kernels.pointwise:pointwise",
        ),
    )
}


def positions(spec: KernelSpec) -> tuple[int, int]:
    """Groups of output positions, and positions of one group, padding included: the shape of parameter arrays."""
    layout, lanes = weight_layout(spec), ISAS[spec.isa].lanes
    if layout is not None:
        return layout.groups, -(-layout.positions // lanes) * lanes  # the epilogue reads whole vectors
    width = spec.tile.vectors * lanes
    return 1, -(-spec.source.outputs // width) * width
