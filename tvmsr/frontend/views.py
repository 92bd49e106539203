"""Tensors as views: how reshape, transpose, expand and repeat of a tensor are followed without computing anything.

A tensor of a network is (N, C, H, W). Frameworks spell pixel shuffle, channel shuffle and repeats as reshapes and
transposes through five or six dimensions; a View says what every such dimension is made of. Where it is four
dimensions again, it is one gather and at most one depth_to_space.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import prod

#: The kinds of an Atom.
CHANNEL, HEIGHT, WIDTH = "c", "h", "w"


class ViewError(ValueError):
    """A rearrangement that is neither a gather of channels nor a depth to space."""


@dataclass(frozen=True)
class Atom:
    """An indivisible part of a dimension: `size` steps, each `stride` channels apart (0: a repetition)."""

    kind: str
    size: int
    stride: int = 0


Axis = tuple[Atom, ...]


@dataclass(frozen=True)
class View:
    """A rearrangement of the tensor `source`; the outermost atom of a dimension comes first."""

    source: str
    axes: tuple[Axis, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(prod(atom.size for atom in axis) for axis in self.axes)


def whole(source: str, channels: int, height: int, width: int) -> View:
    """The view of a tensor as it is: (1, C, H, W)."""
    return View(source, ((), _channel(channels, 1), (Atom(HEIGHT, height),), (Atom(WIDTH, width),)))


def _channel(size: int, stride: int) -> Axis:
    return () if size == 1 else (Atom(CHANNEL, size, stride),)


def reshape(view: View, shape: tuple[int, ...]) -> View:
    """The view with other dimensions: atoms are regrouped, channel atoms split where they must be."""
    if prod(shape) != prod(view.shape):
        raise ViewError(f"reshape of {view.shape} to {shape}")
    atoms = [atom for axis in view.axes for atom in axis]
    axes = []
    for wanted in shape:
        axis, left = list[Atom](), wanted
        while left > 1:
            atom = atoms.pop(0)
            if left % atom.size == 0:
                axis.append(atom)
                left //= atom.size
            elif atom.size % left == 0 and atom.kind == CHANNEL:
                inner = atom.size // left
                axis.append(Atom(CHANNEL, left, atom.stride * inner))
                atoms.insert(0, Atom(CHANNEL, inner, atom.stride))
                left = 1
            else:
                raise ViewError(f"reshape of {view.shape} to {shape}")
        axes.append(tuple(axis))
    return View(view.source, tuple(axes))


def permute(view: View, order: tuple[int, ...]) -> View:
    """The view with its dimensions in another order."""
    return View(view.source, tuple(view.axes[i] for i in order))


def broadcast(view: View, shape: tuple[int, ...]) -> View:
    """The view with dimensions of size 1 repeated."""
    axes = ((),) * (len(shape) - len(view.axes)) + view.axes
    grown = []
    for axis, wanted in zip(axes, shape, strict=True):
        size = prod(atom.size for atom in axis)
        if size not in (wanted, 1):
            raise ViewError(f"broadcast of {view.shape} to {shape}")
        grown.append(axis if size == wanted else _channel(wanted, 0))
    return View(view.source, tuple(grown))


def repeat(view: View, axis: int, times: int) -> View:
    """Each element of a dimension `times` times in a row."""
    axes = list(view.axes)
    axes[axis] = axes[axis] + _channel(times, 0)
    return View(view.source, tuple(axes))


def tile(view: View, times: tuple[int, ...]) -> View:
    """The whole of each dimension `times` times one after another."""
    if len(times) != len(view.axes):
        raise ViewError(f"tile of {view.shape} by {times}")
    axes = tuple(_channel(count, 0) + axis for count, axis in zip(times, view.axes, strict=True))
    return View(view.source, axes)


def resolve(view: View) -> tuple[list[int], int]:
    """A four-dimensional view as (channels of the gather, block of the depth to space), in canonical order.

    Channel (dy*block + dx)*C + c of the gather is what pixel (dy, dx) of each block shows in channel c.
    """
    if len(view.axes) != 4:
        raise ViewError(f"a tensor of {len(view.axes)} dimensions")
    batch, channels, rows, columns = view.axes
    if batch or not rows or not columns or rows[0].kind != HEIGHT or columns[0].kind != WIDTH:
        raise ViewError(f"dimensions {view.shape} that mix batch, channels and pixels")
    inner = (*channels, *rows[1:], *columns[1:])
    if any(atom.kind != CHANNEL for atom in inner):
        raise ViewError(f"dimensions {view.shape} that mix channels and pixels")
    block, across = (prod(atom.size for atom in axis[1:]) for axis in (rows, columns))
    if block != across:
        raise ViewError(f"an upscaling by {across}x{block}, which is not square")
    offsets = [_offsets(axis) for axis in (rows[1:], columns[1:], channels)]
    return [dy + dx + c for dy in offsets[0] for dx in offsets[1] for c in offsets[2]], block


def _offsets(axis: Axis) -> list[int]:
    return [
        sum(index)
        for index in product(*(range(0, a.size * a.stride, a.stride) if a.stride else (0,) * a.size for a in axis))
    ]
