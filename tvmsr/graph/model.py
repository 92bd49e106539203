"""The canonical SR graph and the Model that carries it from the frontends to everything after them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from tvmsr.graph.extent import Extent

F32 = NDArray[np.float32]

INPUT = "input"
INPUT_CHANNELS = 3


class Activation(str, Enum):
    """What a convolution or a standalone `activate` node applies to each value."""

    NONE = "none"
    RELU = "relu"
    LEAKY = "leaky"  # slope per channel in Node.weights["slope"] (C,): LeakyReLU and PReLU alike
    CLIP = "clip"  # bounds in Node.attrs.low, .high
    TANH = "tanh"
    SIGMOID = "sigmoid"
    GELU = "gelu"  # with erf
    GELU_TANH = "gelu_tanh"  # its approximation with tanh
    SILU = "silu"
    HARD_SIGMOID = "hard_sigmoid"  # clip(x / 6 + 1/2, 0, 1)
    HARD_SWISH = "hard_swish"  # x * hard_sigmoid(x)
    MISH = "mish"
    SOFTPLUS = "softplus"
    ELU = "elu"  # alpha 1
    EXP = "exp"
    SQUARE = "square"
    SQRT = "sqrt"  # 0 below 0

    @property
    def is_table(self) -> bool:
        """True where the integer form is a table lookup (any function that is not piecewise linear)."""
        return self not in (Activation.NONE, Activation.RELU, Activation.LEAKY, Activation.CLIP)


class PadMode(str, Enum):
    """What a convolution reads outside of the picture."""

    CONSTANT = "constant"  # Node.weights["pad"]
    REPLICATE = "replicate"  # the nearest pixel
    REFLECT = "reflect"  # mirrored at the outermost pixel, which is not repeated


class Statistic(str, Enum):
    """A number per channel over all pixels."""

    MEAN = "mean"
    VARIANCE = "variance"
    DEVIATION = "deviation"  # square root of variance + epsilon
    MAX = "max"


class Resampling(str, Enum):
    """How `resize` makes a pixel of its neighbours, in height and width alike; outside lies the nearest pixel."""

    NEAREST = "nearest"
    LINEAR = "linear"
    CUBIC = "cubic"  # Keys' kernel with coefficient ResizeAttrs.cubic


class Grid(str, Enum):
    """Where pixel i of the resized picture lies in the original one, step = its size / the resized one's size."""

    HALF_PIXEL = "half_pixel"  # (i + 1/2) * step - 1/2; NEAREST: floor((i + 1/2) * step)
    ALIGN_CORNERS = "align_corners"  # i * (size - 1) / (resized - 1)
    ASYMMETRIC = "asymmetric"  # i * step; NEAREST: its floor


@dataclass(frozen=True)
class Attrs:
    """What an operation needs to know besides its weights. Rows of the table of operations use the fields they name."""


@dataclass(frozen=True)
class ConvAttrs(Attrs):
    """`conv`: weights "weight" (KH, KW, IC/groups, OC), "bias" (OC,), "pad" (IC,): what is read outside the picture.

    Everything linear that looks at neighbours in a fixed pattern is one: transposed convolutions (with a depth to
    space), pixel unshuffle, average pooling, padding and crops.
    """

    padding: tuple[int, int, int, int] = (0, 0, 0, 0)  # top, left, bottom, right, in pixels; negative: a crop
    stride: int = 1
    dilation: int = 1
    groups: int = 1
    activation: Activation = Activation.NONE
    low: float = 0.0  # bounds of Activation.CLIP
    high: float = 1.0
    gain: float = 1.0  # an activation that is a table gives gain * f(x) + offset
    offset: float = 0.0
    mode: PadMode = PadMode.CONSTANT


@dataclass(frozen=True)
class ActivateAttrs(Attrs):
    """`activate`: an activation that no convolution could take in."""

    activation: Activation = Activation.RELU
    low: float = 0.0
    high: float = 1.0
    gain: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True)
class AddAttrs(Attrs):
    """`add`: the sum may be followed by NONE, RELU or CLIP (bounds of its one requantization); others stay nodes.

    Operand i is multiplied by the weight "factor{i}" (C,), where there is one. Operands may be 1x1 maps.
    """

    activation: Activation = Activation.NONE
    low: float = 0.0
    high: float = 1.0


@dataclass(frozen=True)
class GatherAttrs(Attrs):
    """`gather`: output channel i is input channel channels[i]: slices, splits, repeats and permutations."""

    channels: tuple[int, ...] = ()


@dataclass(frozen=True)
class ShuffleAttrs(Attrs):
    """`depth_to_space`: input channel (dy*block + dx)*C + c goes to pixel (y*block + dy, x*block + dx), channel c."""

    block: int = 2


@dataclass(frozen=True)
class PoolAttrs(Attrs):
    """`max_pool`: the largest value of each window; what lies outside the picture never counts."""

    kernel: tuple[int, int] = (2, 2)
    stride: int = 2
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)


@dataclass(frozen=True)
class StatisticAttrs(Attrs):
    """`statistic`: a 1x1 map. unbiased: variances are divided by the number of pixels less one."""

    kind: Statistic = Statistic.MEAN
    epsilon: float = 0.0
    unbiased: bool = False


@dataclass(frozen=True)
class ResizeAttrs(Attrs):
    """`resize`: to floor(factor * size); where factor is 0, to the size of the second input, which is not read.

    With a factor, the grid's step is 1 / factor exactly.
    """

    method: Resampling = Resampling.LINEAR
    grid: Grid = Grid.HALF_PIXEL
    factor: Fraction = Fraction(0)
    cubic: float = -0.75


@dataclass(frozen=True)
class LayerNormAttrs(Attrs):
    """`layer_norm`: over the channels of each pixel, biased variance; weights "gamma" and "beta", each (C,)."""

    epsilon: float = 1e-6


@dataclass(frozen=True, eq=False)
class Node:
    """One operation; its output tensor has its name.

    `add` and `concat` take two or more inputs, `mul` two (the second may be a 1x1 map), `resize` one or two; `affine`
    (weights "scale", "shift", each (C,)) exists between the frontend and the end of canonicalisation only.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    attrs: Attrs = field(default_factory=Attrs)
    weights: Mapping[str, F32] = field(default_factory=dict)

    @property
    def reads(self) -> tuple[str, ...]:
        """The inputs whose values it reads: of the second input of a resize only the size counts."""
        return self.inputs[:1] if self.op == "resize" else self.inputs


@dataclass(frozen=True)
class TensorType:
    """Channels of a tensor, and its height and width as functions of the picture's."""

    channels: int
    rows: Extent
    columns: Extent

    @staticmethod
    def scaled(channels: int, factor: int) -> TensorType:
        """Of a tensor `factor` times as high and wide as the picture."""
        return TensorType(channels, Extent().then(factor, 0), Extent().then(factor, 0))

    @property
    def size(self) -> tuple[Extent, Extent]:
        return self.rows, self.columns

    @property
    def is_one_pixel(self) -> bool:
        """True for a 1x1 map, whatever the picture's size."""
        return self.rows.is_one and self.columns.is_one

    @property
    def ratio(self) -> Fraction:
        """Height relative to the picture's, for large ones; 0 for a 1x1 map."""
        return self.rows.ratio

    def __str__(self) -> str:
        return f"{self.channels} channels of {self.rows} x {self.columns}"


@dataclass(frozen=True)
class Mark:
    """How another tool quantized a tensor: value = (code - zero) * scale, codes 0 .. 2**bits - 1."""

    bits: int
    scale: float
    zero: int


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in execution order; `output` names the last tensor. marks: of a file that was quantized, by tensor.

    measured: the tensor that tvmsr.quant.ending makes bytes of, where the output is not the network's own.
    """

    nodes: tuple[Node, ...]
    output: str
    marks: Mapping[str, Mark] = field(default_factory=dict)
    measured: str = ""

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def node(self, name: str) -> Node:
        return next(n for n in self.nodes if n.name == name)

    def consumers(self, name: str) -> tuple[Node, ...]:
        return tuple(n for n in self.nodes if name in n.inputs)

    def with_nodes(self, nodes: tuple[Node, ...], output: str | None = None) -> Graph:
        return replace(self, nodes=nodes, output=self.output if output is None else output)


class Colour(str, Enum):
    """What the network computes; the canonical input is RGB 0..1 for all."""

    RGB = "rgb"
    Y = "y"  # BT.601 studio range: (16 + 65.481 R + 128.553 G + 24.966 B) / 255


@dataclass(frozen=True, eq=False)
class Model:
    """A canonical graph and what is known of the network.

    `assumed` lists, in words, what the file could not tell and was taken from the family's defaults. `clip` says that
    the network ended in a clip to the pixel range, which canonicalisation removed.
    """

    graph: Graph
    name: str
    family: str
    scale: int
    colour: Colour
    clip: bool
    licence: str
    assumed: tuple[str, ...]
    checksum: str  # SHA-256 of the canonical graph: structure and weights
