"""Statistics over the whole picture, and how networks spell them: one axis at a time, as sums, with roots."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isclose
from typing import Any, ClassVar

import numpy as np

from tvmsr.frontend import linear, views
from tvmsr.frontend.importer import Importer, Part, UnsupportedError, Value
from tvmsr.frontend.views import View
from tvmsr.graph.model import ActivateAttrs, Activation, Node, Statistic, StatisticAttrs

GLOBAL = "the mean, deviation or maximum of the whole picture"
#: Statistics of rows of which the statistic is that of the picture.
_BY_AXIS = (Statistic.MEAN, Statistic.MAX)


def statistic(net: Importer, name: str, attrs: StatisticAttrs) -> View:
    """A statistic of a tensor; of a 1x1 map, mean and maximum are the map."""
    if net.types[name].is_one_pixel and attrs.kind in (Statistic.MEAN, Statistic.MAX):
        return net.whole(name)
    return net.emit("statistic", (name,), attrs)


def over(net: Importer, value: Any, axes: list[int], attrs: StatisticAttrs, keep: bool) -> Value:
    """A reduction over dimensions: over all pixels a statistic, a mean over all channels of a pixel a convolution."""
    if isinstance(value, Unfinished):
        return value.reduced(net, axes, attrs, keep)
    if net.is_tensor(value):
        value = net.whole(net.tensor(value))
    inside, pixels = _atoms(value, axes), _pixels(value)
    if inside and all(atom.kind != views.CHANNEL for atom in inside):
        if len(inside) == len(pixels):
            return _whole(net, value, without(value, axes, keep), attrs)
        if attrs.kind in _BY_AXIS:
            return Unfinished(value, value, attrs).reduced(net, axes, attrs, keep)
    if not pixels and not inside:  # of a map that has one pixel
        return _whole(net, value, without(value, axes, keep), attrs)
    if len(axes) == 1 and attrs.kind is Statistic.MEAN:
        count = net.size(value.source)[0]
        if views.channel_axis(value, axes[0], count) is not None:
            made = net.emit("conv", (value.source,), *linear.channel_mean(count))
            return without(View(made.source, value.axes), axes, keep)
    raise UnsupportedError(f"over dimensions {axes} of {value.shape}", f"{GLOBAL}, or a mean over channels")


def _atoms(value: View, axes: list[int]) -> list[views.Atom]:
    return [atom for axis in axes for atom in value.axes[axis]]


def _pixels(value: View) -> list[views.Atom]:
    return [atom for axis in value.axes for atom in axis if atom.kind != views.CHANNEL]


def _whole(net: Importer, value: View, shown: View, attrs: StatisticAttrs) -> View:
    """The statistic of a value, shown as its reduction is."""
    spelled = _spelled_variance(net, value.source) if attrs.kind is Statistic.MEAN else None
    made = statistic(net, spelled or value.source, StatisticAttrs(Statistic.VARIANCE) if spelled else attrs)
    return View(made.source, shown.axes)


@dataclass(frozen=True)
class Unfinished(Part):
    """A statistic on its way: over one of two axes so far, or a sum that is not divided by the number of pixels yet.

    shown: what it would look like, without the dimensions that are gone; factor: times the mean.
    """

    value: View
    shown: View
    attrs: StatisticAttrs
    factor: float = 1.0
    words: ClassVar[str] = "a sum over pixels that is not divided by their number, or a mean along one side,"

    @property
    def shape(self) -> tuple[int, ...]:
        return self.shown.shape

    def reduced(
        self, net: Importer, axes: list[int], attrs: StatisticAttrs, keep: bool, *, is_sum: bool = False
    ) -> Value:
        """Over more axes."""
        inside = _atoms(self.shown, axes)
        if not inside or any(atom.kind == views.CHANNEL for atom in inside) or attrs != self.attrs:
            raise UnsupportedError(f"over dimensions {axes} of {self.shape}", GLOBAL)
        count = int(np.prod([atom.size for atom in inside])) if is_sum else 1
        shown = without(self.shown, axes, keep)
        return replace(self, shown=shown, factor=self.factor * count).finished(net)

    def scaled(self, net: Importer, factor: float) -> Value:
        """Times a number, which is what divides a sum by the number of pixels."""
        net.by_size = True
        return replace(self, factor=self.factor * factor).finished(net)

    def finished(self, net: Importer) -> Value:
        done = not _pixels(self.shown) and isclose(self.factor, 1.0, rel_tol=1e-6)
        return _whole(net, self.value, self.shown, self.attrs) if done else self


def _spelled_variance(net: Importer, name: str) -> str | None:
    """The x of (x - mean(x))^2, the mean over the picture."""
    square = net.nodes.get(name)
    centred = net.nodes.get(square.inputs[0]) if square is not None and _is(square, Activation.SQUARE) else None
    if centred is None or centred.op != "add":
        return None
    for value, minus in (centred.inputs, centred.inputs[::-1]):
        affine = net.nodes.get(minus)
        if affine is None or affine.op != "affine" or np.any(affine.weights["scale"] != -1):
            continue
        mean = net.nodes.get(affine.inputs[0])
        if mean is not None and mean.attrs == StatisticAttrs() and mean.inputs == (value,):
            return value
    return None


def _is(node: Node, kind: Activation) -> bool:
    return isinstance(node.attrs, ActivateAttrs) and node.op == "activate" and node.attrs.activation is kind


def root(net: Importer, args: list[Any], attrs: Any) -> Value:
    """The square root, which makes a deviation of a variance (and something small)."""
    value = args[0]
    node = net.nodes.get(value.source) if isinstance(value, View) else None
    epsilon = 0.0
    if node is not None and node.op == "affine" and np.all(node.weights["scale"] == 1):
        epsilon = float(node.weights["shift"][0]) if np.ptp(node.weights["shift"]) == 0 else -1.0
        node = net.nodes.get(node.inputs[0])
    found = node.attrs if node is not None else None
    if node is not None and isinstance(found, StatisticAttrs) and found.kind is Statistic.VARIANCE and epsilon >= 0:
        made = net.emit("statistic", node.inputs, replace(found, kind=Statistic.DEVIATION, epsilon=epsilon))
        return View(made.source, value.axes)
    return net.pointwise(value, "activate", ActivateAttrs(Activation.SQRT))


def without(value: View, axes: list[int], keep: bool) -> View:
    content = [() if i in axes else axis for i, axis in enumerate(value.axes)]
    return View(value.source, tuple(axis for i, axis in enumerate(content) if keep or i not in axes))
