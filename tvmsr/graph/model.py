"""The canonical SR graph and the Model that carries it from the frontends to everything after them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

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
    GELU = "gelu"
    SILU = "silu"

    @property
    def is_table(self) -> bool:
        """True where the integer form is a table lookup (any function that is not piecewise linear)."""
        return self in (Activation.TANH, Activation.SIGMOID, Activation.GELU, Activation.SILU)


@dataclass(frozen=True)
class Attrs:
    """What an operation needs to know besides its weights. Rows of the table of operations use the fields they name."""


@dataclass(frozen=True)
class ConvAttrs(Attrs):
    """`conv`: weights "weight" (KH, KW, IC/groups, OC), "bias" (OC,), "pad" (IC,): what is read outside the picture."""

    padding: tuple[int, int, int, int] = (0, 0, 0, 0)  # top, left, bottom, right, in pixels
    stride: int = 1
    dilation: int = 1
    groups: int = 1
    activation: Activation = Activation.NONE
    low: float = 0.0  # bounds of Activation.CLIP
    high: float = 1.0


@dataclass(frozen=True)
class ActivateAttrs(Attrs):
    """`activate`: an activation that no convolution could take in."""

    activation: Activation = Activation.RELU
    low: float = 0.0
    high: float = 1.0


@dataclass(frozen=True)
class AddAttrs(Attrs):
    """`add`: the sum may be followed by NONE, RELU or CLIP (bounds of its one requantization); others stay nodes."""

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


@dataclass(frozen=True, eq=False)
class Node:
    """One operation; its output tensor has its name.

    `add` and `concat` take two or more inputs, `mul` two; `affine` (weights "scale", "shift", each (C,)) exists
    between the frontend and the end of canonicalisation only.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    attrs: Attrs = field(default_factory=Attrs)
    weights: Mapping[str, F32] = field(default_factory=dict)


@dataclass(frozen=True)
class TensorType:
    """Channels of a tensor, and its height and width relative to the input's."""

    channels: int
    ratio: Fraction


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in execution order; `output` names the last tensor."""

    nodes: tuple[Node, ...]
    output: str

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
