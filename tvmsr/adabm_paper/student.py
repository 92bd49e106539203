"""A network with quantizers before its convolutions, and the same without: student and teacher in one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch

from tvmsr.adabm_paper.cost import EIGHT_BITS
from tvmsr.adabm_paper.layers import Layout, Role, layout_of
from tvmsr.adabm_paper.maps import complexity, image_factor, layer_factor
from tvmsr.adabm_paper.protocol import Protocol, Scope
from tvmsr.adabm_paper.quantizers import quantize, quantize_weight
from tvmsr.errors import UsageError
from tvmsr.graph.model import F32, INPUT, Model
from tvmsr.operations.graph_in_torch import constants_of, run
from tvmsr.quant.structure import analyse

Tensor: TypeAlias = Any

PEAK = 255.0
#: Before the end of a network that computes 0..255, values spread more than this times as wide as the picture, 0..1.
_LARGE = 16.0


@dataclass(frozen=True, eq=False)
class Layer:
    """A quantized convolution. The tensors are what training changes, in place; scalars.

    lower, upper: of what it reads; bound: of its weight; measure: its factor before rounding. They are in published
    units: a value of ours is theirs times unit, a weight times weight_unit and, an output channel, times outside.
    """

    name: str
    role: Role
    lower: Tensor
    upper: Tensor
    bound: Tensor
    measure: Tensor
    unit: float
    weight_unit: float
    outside: Tensor | float

    def weight_bits(self, base: int) -> int:
        return EIGHT_BITS if self.role is Role.EIGHT else base


@dataclass(frozen=True, eq=False)
class Pass:
    """What a forward pass made: output (B, C, H, W); features; bits (B, K) of the counted layers."""

    output: Tensor
    features: tuple[Tensor, ...]
    bits: Tensor


#: Given a layer and the values that it reads in published units, before they are quantized.
Visitor = Callable[[Layer, Tensor], None]


@dataclass(frozen=True, eq=False)
class Student:
    """thresholds: of the image factor, lower and upper."""

    model: Model
    protocol: Protocol
    layout: Layout
    layers: Mapping[str, Layer]
    thresholds: tuple[Tensor, Tensor]
    constants: Mapping[str, Mapping[str, Tensor]]
    _kept: dict[str, Tensor] = field(default_factory=dict)  # quantized weights, while they do not change

    def exact(self, picture: Tensor, visit: Visitor | None = None) -> Pass:
        """The network in FP32 on (B, 3, H, W), RGB 0..1."""

        def read(name: str, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
            if visit is not None and name in self.layers:
                visit(self.layers[name], x / self.layers[name].unit)
            return x, weight

        return self._pass(picture, read, torch.full((len(picture), len(self.layout.counted)), 32.0))

    def quantized(self, picture: Tensor, visit: Visitor | None = None) -> Pass:
        """The network with fake quantization; visit may change a layer's bounds before they are used."""
        factor = self.image_factor(picture)
        bits: dict[str, Tensor] = {}

        def read(name: str, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
            layer = self.layers.get(name)
            if layer is None:
                return x, weight
            if visit is not None:
                visit(layer, x.detach() / layer.unit)
            bits[name] = self.bits(layer, factor)
            shape = bits[name].reshape(-1, 1, 1, 1)
            made = quantize(x, layer.lower * layer.unit, layer.upper * layer.unit, shape)
            return made, self._weight(layer, weight)

        found = self._pass(picture, read, None)
        counted = torch.stack([bits[name].expand(len(picture)) for name in self.layout.counted], 1)
        return Pass(found.output, found.features, counted)

    def _pass(self, picture: Tensor, read: Any, bits: Tensor) -> Pass:
        graph = self.model.graph
        output, kept = run(graph, self.constants, picture, keep=self.layout.features, read=read)
        return Pass(output, tuple(kept[name] for name in self.layout.features), bits)

    def image_factor(self, picture: Tensor) -> Tensor:
        """(B,): zeros where pictures do not count."""
        if not self.protocol.by_image:
            return torch.zeros(len(picture))
        return image_factor(complexity(picture), *self.thresholds)

    def bits(self, layer: Layer, factor: Tensor) -> Tensor:
        """(B,) or (1,): the bits of what a layer reads, for pictures of these factors."""
        if layer.role is Role.EIGHT:
            return torch.full((1,), float(EIGHT_BITS))
        base = torch.full((1,), float(self.protocol.bits))
        if layer.role is Role.FIXED:
            return base
        return base + factor + (layer_factor(layer.measure) if self.protocol.by_layer else 0.0)

    def _weight(self, layer: Layer, weight: Tensor) -> Tensor:
        if torch.is_grad_enabled() and layer.bound.requires_grad:
            return self._weight_now(layer, weight)
        if layer.name not in self._kept:
            self._kept[layer.name] = self._weight_now(layer, weight).detach()
        return self._kept[layer.name]

    def _weight_now(self, layer: Layer, weight: Tensor) -> Tensor:
        inner = published_weight(layer, weight)
        made = quantize_weight(inner, layer.bound, layer.weight_bits(self.protocol.weight_bits))
        return made * (layer.weight_unit * layer.outside)

    def changed(self) -> None:
        """To be called after weight bounds changed."""
        self._kept.clear()

    def parameters(self) -> dict[str, Tensor]:
        """All that training may change, by name."""
        found = {"image.lower": self.thresholds[0], "image.upper": self.thresholds[1]}
        for name, layer in self.layers.items():
            for key in ("lower", "upper", "bound", "measure"):
                found[f"{name}.{key}"] = getattr(layer, key)
        return found

    def adaptive(self) -> Iterator[Layer]:
        return (layer for layer in self.layers.values() if layer.role is Role.ADAPTIVE)


def published_weight(layer: Layer, weight: Tensor) -> Tensor:
    """The weight in published units: what is quantized."""
    return weight / (layer.weight_unit * layer.outside)


def student_of(model: Model, protocol: Protocol, sample: Tensor, outside: Mapping[str, F32] | None = None) -> Student:
    """A student without bounds yet. sample (B, 3, H, W): pictures that protocol.inside is found out on.

    outside: by convolution, factors (OC,) that the published network applies after the quantized convolution and that
    importing folded into its weight (batch normalisation); none is 0. Raises UsageError.
    """
    protocol.check()
    layout = layout_of(model, protocol.quirks.scope)
    inside = protocol.inside or _inside(model, sample)
    constants = constants_of(model.graph)
    ends = _ends(model)
    layers = {}
    for name in layout.quantized:
        reads, makes = (1 / PEAK if at_end else inside for at_end in ends[name])
        factor = (outside or {}).get(name)
        beside: Tensor | float = 1.0 if factor is None else _factors(name, factor)
        tensors = {key: torch.zeros(()) for key in ("lower", "upper", "bound", "measure")}
        layers[name] = Layer(name, layout.roles[name], unit=reads, weight_unit=makes / reads, outside=beside, **tensors)
    return Student(model, protocol, layout, layers, (torch.zeros(()), torch.zeros(())), constants)


def _factors(name: str, factor: F32) -> Tensor:
    found = torch.tensor(factor)
    if not bool(torch.isfinite(found).all()) or bool((found == 0).any()):
        raise UsageError(f"{name}: factors beside a quantized weight must be finite and not 0; leave them out")
    return found.reshape(-1, 1, 1, 1)


def _ends(model: Model) -> dict[str, tuple[bool, bool]]:
    """By convolution: whether it reads the picture's values, and whether what it makes is the output's."""
    structure = analyse(model.graph)
    reads = {name for name, source in structure.source.items() if source == INPUT}
    makes = {model.graph.output}
    for node in reversed(model.graph.nodes):
        # Through moves, sums and activations values keep their size.
        if node.name in makes and node.op != "conv":
            makes.update(node.reads)
    return {node.name: (node.inputs[0] in reads, node.name in makes) for node in model.graph if node.op == "conv"}


def _inside(model: Model, sample: Tensor) -> float:
    """1 where values inside are as large as in a network that computes 0..255, else 1 / 255.

    What the last convolution reads tells them apart: it spreads about 100 times as wide as the picture, or as wide.
    """
    last, spread = layout_of(model, Scope.FULL).named(Role.EIGHT)[-1], 0.0

    def read(name: str, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        nonlocal spread
        spread = float(x.std()) if name == last else spread
        return x, weight

    with torch.no_grad():
        run(model.graph, constants_of(model.graph), sample, read=read)
    return 1.0 if spread > _LARGE * float(sample.std().clamp(min=0.01)) else 1 / PEAK
