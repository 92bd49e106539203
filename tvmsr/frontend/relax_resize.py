"""Resizes: which of the canonical ones a Relax resize2d is, and by what factor or to whose size."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import Any

from tvmsr.frontend import views
from tvmsr.frontend.importer import Importer, UnsupportedError, Value
from tvmsr.frontend.views import View
from tvmsr.graph.model import GatherAttrs, Grid, Resampling, ResizeAttrs
from tvmsr.operations.resize import position

#: Factors that are written as decimal fractions are one of these.
_LARGEST_DENOMINATOR = 64
_METHODS = {
    "nearest_neighbor": Resampling.NEAREST,
    "nearest": Resampling.NEAREST,
    "linear": Resampling.LINEAR,
    "bilinear": Resampling.LINEAR,
    "cubic": Resampling.CUBIC,
    "bicubic": Resampling.CUBIC,
}
_GRIDS = {
    "half_pixel": Grid.HALF_PIXEL,
    "pytorch_half_pixel": Grid.HALF_PIXEL,  # differs for pictures of one row only
    "align_corners": Grid.ALIGN_CORNERS,
    "asymmetric": Grid.ASYMMETRIC,
}
#: Where resized pixel i of step s lies, by coordinate transformation, and which pixel that is, by rounding.
_PLACES = {
    "half_pixel": lambda i, s: (i + Fraction(1, 2)) * s - Fraction(1, 2),
    "pytorch_half_pixel": lambda i, s: (i + Fraction(1, 2)) * s - Fraction(1, 2),
    "tf_half_pixel_for_nn": lambda i, s: (i + Fraction(1, 2)) * s,
    "asymmetric": lambda i, s: i * s,
}
_HALF = Fraction(1, 2)
_ROUNDINGS = {
    "": lambda x: ceil(x - _HALF),
    "round": lambda x: ceil(x - _HALF),
    "round_prefer_floor": lambda x: ceil(x - _HALF),
    "round_prefer_ceil": lambda x: floor(x + _HALF),
    "floor": floor,
    "ceil": ceil,
}
#: Spellings of our two nearest rules that hold for any step.
_ALWAYS = {
    ("asymmetric", "floor"): Grid.ASYMMETRIC,
    ("tf_half_pixel_for_nn", "floor"): Grid.HALF_PIXEL,
    ("half_pixel", "round_prefer_ceil"): Grid.HALF_PIXEL,
    ("pytorch_half_pixel", "round_prefer_ceil"): Grid.HALF_PIXEL,
}


@dataclass(frozen=True)
class Target:
    """By `factor` or, where that is 0, to the size of the tensor `like`."""

    factor: Fraction
    like: str = ""


def resize2d(net: Importer, args: list[Any], attrs: Any) -> Value:
    value = args[0]
    if attrs.layout != "NCHW" or attrs.method not in _METHODS:
        raise UnsupportedError(f"{attrs.method} in layout {attrs.layout}", "nearest, linear or cubic, NCHW")
    wanted = (int(args[1][0]), int(args[1][1]))
    if wanted == tuple(value.shape[2:]):
        return value
    method = _METHODS[attrs.method]
    source = net.tensor(value)
    if net.types[source].is_one_pixel:
        return views.broadcast(value, (*value.shape[:2], *wanted))
    target = _target(net, source, wanted, [float(v) for v in attrs.roi or ()])
    grid = _grid(attrs, method, target)
    whole = target.factor.denominator == 1 and target.factor >= 1
    if method is Resampling.NEAREST and whole:
        return repeated(net, net.whole(source), int(target.factor))
    if method is Resampling.CUBIC and int(attrs.cubic_exclude or 0):
        raise UnsupportedError("cubic without the pixels outside", "exclude_outside 0")
    cubic = round(float(attrs.cubic_alpha), 6) if method is Resampling.CUBIC else ResizeAttrs().cubic
    inputs = (source, target.like) if target.like else (source,)
    return net.emit("resize", inputs, ResizeAttrs(method, grid, target.factor, cubic))


def repeated(net: Importer, value: View, block: int) -> View:
    """Every pixel as a square of block x block: copies of channels and a depth to space."""
    axes = (*value.axes[:2], *((*axis, views.Atom(views.CHANNEL, block)) for axis in value.axes[2:]))
    return net.whole(net.tensor(View(value.source, axes)))


def _target(net: Importer, source: str, wanted: tuple[int, int], roi: list[float]) -> Target:
    """roi: with what our converters say the factors of a resize, as its last two numbers."""
    size = net.size(source)[1:]
    if any(roi):
        factors = {Fraction(v).limit_denominator(_LARGEST_DENOMINATOR) for v in roi[-2:]}
        if len(factors) > 1:
            raise UnsupportedError(f"by {roi[-2]:g} x {roi[-1]:g}", "one factor for height and width")
        factor = factors.pop()
        if wanted != tuple(floor(n * factor) for n in size):
            raise UnsupportedError(f"from {size} by {roi[-1]:g} to {wanted}", "a factor that is a simple fraction")
        return Target(factor)
    if wanted == tuple(n * (wanted[0] // size[0]) for n in size):
        return Target(Fraction(wanted[0] // size[0]))
    like = net.like(wanted)
    if like is not None:
        return Target(Fraction(0), like)
    for denominator in range(1, _LARGEST_DENOMINATOR):
        factor = Fraction(round(wanted[0] * denominator / size[0]), denominator)
        if factor > 0 and wanted == tuple(floor(n * factor) for n in size):
            return Target(Fraction(0), _sized(net, source, factor))
    raise UnsupportedError(
        f"from {size[0]}x{size[1]} to {wanted[0]}x{wanted[1]} pixels", "a factor, or the size of another tensor"
    )


def _sized(net: Importer, source: str, factor: Fraction) -> str:
    """A tensor of floor(factor * size), whose size alone is read."""
    hint, net.hint = net.hint, ""
    one = net.emit("gather", (source,), GatherAttrs((0,))).source
    made = net.emit("resize", (one,), ResizeAttrs(Resampling.NEAREST, Grid.ASYMMETRIC, factor)).source
    net.hint = hint
    return made


def _grid(attrs: Any, method: Resampling, target: Target) -> Grid:
    mode, rounding = str(attrs.coordinate_transformation_mode), str(attrs.rounding_method)
    if method is not Resampling.NEAREST:
        if mode not in _GRIDS:
            raise UnsupportedError(f"{attrs.method} in {mode} coordinates", "half_pixel, align_corners or asymmetric")
        return _GRIDS[mode]
    if (mode, rounding) in _ALWAYS:
        return _ALWAYS[mode, rounding]
    if target.factor and mode in _PLACES and rounding in _ROUNDINGS:
        for grid in (Grid.ASYMMETRIC, Grid.HALF_PIXEL):
            if _equal(grid, mode, rounding, target.factor):
                return grid
    raise UnsupportedError(
        f"nearest in {mode} coordinates, rounded by {rounding or 'round'}", "asymmetric and floor, or a whole factor"
    )


def _equal(grid: Grid, mode: str, rounding: str, factor: Fraction) -> bool:
    """True where the rule reads the pixels that ours reads, for the factor: its positions repeat themselves."""
    period = 4 * factor.numerator
    size = 4 * factor.denominator
    ours = ResizeAttrs(Resampling.NEAREST, grid, factor)
    return all(
        min(max(_ROUNDINGS[rounding](_PLACES[mode](Fraction(i), 1 / factor)), 0), size - 1)
        == min(floor(position(i, period, size, ours)), size - 1)
        for i in range(period)
    )
