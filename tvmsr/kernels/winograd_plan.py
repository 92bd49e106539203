"""What Winograd kernels keep in scratch, and where. Nothing in this file needs tvm.

Four areas, each of whole lines of 64 bytes: V, transformed inputs of a strip of tiles, [position][tile][channel]; P,
sums of products, [tile][position][lane] of int32 for one block of output channels, or what rows of positions became,
[tile][row][column of results][lane]; then what a tile leaves half way, transformed along one axis only: of its inputs,
and of its results (with the rows of a range narrower than a tile).
Strides that many addresses share are an odd number of lines, so that those do not meet in the same set of a cache.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvmsr.kernels.isa import Isa, Kind, Primitive
from tvmsr.kernels.spec import Conv, Tile
from tvmsr.kernels.transforms import Transform

_LINE = 64
#: Bytes of the shortest vector in which channels are transformed, and that loads of V may take.
_SHORTEST = 16
#: Columns of the grid that a strip covers, at least: one group of tiles and more. Bytes of scratch that it may take,
#: most of a small L2.
_STRIPS = (1, 48, 96, 192)
#: Where a row of positions is held, so few tiles share a weight that a single group would read them too often.
_ROW_STRIPS = (8, 24, 48, 96)
_SCRATCH = 400_000


@dataclass(frozen=True)
class Plan:
    """Sizes and places for one kernel; element: bytes of a transformed input."""

    transform: Transform
    element: int
    lanes: int  # of int32
    vectors: int  # of a block of output channels
    tiles: int  # of a strip
    inputs: int
    rowwise: bool = False  # sums of a row of positions are held together, and combined before they go to P

    @property
    def vector(self) -> int:
        """Channels in a whole vector of transformed inputs."""
        return 4 * self.lanes // self.element

    @property
    def chunks(self) -> tuple[int, int]:
        """Whole vectors of channels, and how many channels wide the last, shorter one is (0: there is none)."""
        whole, rest = divmod(self.inputs, self.vector)
        return whole, max(_SHORTEST // self.element, 1 << (rest - 1).bit_length()) if rest else 0

    @property
    def pitch(self) -> int:
        """Channels from tile to tile in V; what lies past the convolution's own meets zero weights."""
        whole, rest = self.chunks
        return whole * self.vector + rest

    @property
    def positions(self) -> int:
        return self.transform.points**2

    @property
    def v_position(self) -> int:
        """Elements from position to position in V."""
        return _odd_lines(self.tiles * self.pitch * self.element) // self.element

    @property
    def sums(self) -> int:
        """What P holds of a tile and a vector of channels: sums of positions, or columns of results for each row."""
        return self.transform.points * (self.transform.outputs if self.rowwise else self.transform.points)

    @property
    def p_tile(self) -> int:
        """Words from tile to tile in P."""
        return _odd_lines(4 * self.sums * self.vectors * self.lanes) // 4

    @property
    def p(self) -> int:
        """Word at which P begins; V begins at 0."""
        return self.positions * self.v_position * self.element // 4

    @property
    def half_inputs(self) -> int:
        """Element at which the half transformed inputs begin."""
        return (self.p + self.tiles * self.p_tile) * 4 // self.element

    @property
    def half_results(self) -> int:
        """Word at which the half transformed results begin."""
        return self.half_inputs * self.element // 4 + self.positions * self.lanes

    @property
    def narrow(self) -> int:
        """Word at which the results of one row of a tile wait, where not all of them are wanted."""
        transform, width = self.transform, self.vectors * self.lanes
        return self.half_results + _lines(4 * transform.outputs * transform.points * width) // 4

    @property
    def bytes(self) -> int:
        return 4 * self.narrow + _lines(4 * self.transform.outputs * self.vectors * self.lanes)


def plan(conv: Conv, isa: Isa, tile: Tile, transform: Transform) -> Plan:
    """The plan of a kernel: whole groups of `tile.pixels` tiles fill a strip."""
    assert tile.positions in (1, transform.points)
    return Plan(
        transform=transform,
        element=1 if transform.bytes else 2,
        lanes=isa.lanes,
        vectors=tile.vectors,
        tiles=-(-tile.strip // tile.pixels) * tile.pixels,
        inputs=conv.inputs,
        rowwise=tile.positions > 1,
    )


def strips(conv: Conv, isa: Isa, primitive: Primitive, transform: Transform) -> tuple[Tile, ...]:
    """The tiles that are offered: the register tiles of direct convolutions, and rows, by strips of several lengths."""
    shapes = [(Tile(*shape), _STRIPS) for shape in primitive.tiles or isa.tiles]
    if transform.outputs == 2 and primitive.kind is Kind.BROADCAST:
        shapes += [(Tile(*shape, positions=transform.points), _ROW_STRIPS) for shape in isa.row_tiles]
    found = []
    for shape, strips_of in shapes:
        lengths = [-(-columns // transform.outputs // shape.pixels) * shape.pixels for columns in strips_of]
        tiles = [shape._replace(strip=length) for length in sorted(set(lengths))]
        fit = [tile for tile in tiles if plan(conv, isa, tile, transform).bytes <= _SCRATCH]
        found += fit or tiles[:1]
    return tuple(found)


def _lines(size: int) -> int:
    return -(-size // _LINE) * _LINE


def _odd_lines(size: int) -> int:
    lines = -(-size // _LINE)
    return (lines + 1 - lines % 2) * _LINE
