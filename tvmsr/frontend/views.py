"""Tensors as views: how reshape, transpose, expand and repeat of a tensor are followed without computing anything.

A tensor of a network is (N, C, H, W). Frameworks spell pixel shuffle, channel shuffle and repeats as reshapes and
transposes through five or six dimensions, and some networks keep channels last for a while; a View says what every
such dimension is made of. Where it is four dimensions again, it is one gather and at most one depth to space, or a
space to depth.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import prod

#: The kinds of an Atom.
CHANNEL, HEIGHT, WIDTH = "c", "h", "w"


class ViewError(ValueError):
    """A rearrangement that is neither a gather of channels nor a depth to space or its inverse."""


@dataclass(frozen=True)
class Atom:
    """A part of a dimension: `size` steps, each `stride` channels, rows or columns apart (0: a repetition)."""

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
        return tuple(_extent(axis) for axis in self.axes)


@dataclass(frozen=True)
class Moves:
    """What a four-dimensional view is: a space to depth by `fold`, a gather, a depth to space by `block`."""

    order: tuple[int, ...]
    block: int = 1
    fold: int = 1


def _extent(axis: Axis) -> int:
    return prod(atom.size for atom in axis)


def _atoms(kind: str, size: int, stride: int) -> Axis:
    return () if size == 1 else (Atom(kind, size, stride),)


def whole(source: str, channels: int, height: int, width: int) -> View:
    """The view of a tensor as it is: (1, C, H, W)."""
    sides = ((CHANNEL, channels), (HEIGHT, height), (WIDTH, width))
    return View(source, ((), *(_atoms(kind, size, 1) for kind, size in sides)))


def _merged(atoms: list[Atom]) -> Axis:
    """Neighbours that are one run are one atom."""
    axis: list[Atom] = []
    for atom in atoms:
        last = axis[-1] if axis else None
        if last is not None and last.kind == atom.kind and last.stride == atom.stride * atom.size:
            axis[-1] = Atom(atom.kind, last.size * atom.size, atom.stride)
        else:
            axis.append(atom)
    return tuple(axis)


def reshape(view: View, shape: tuple[int, ...]) -> View:
    """The view with other dimensions: atoms are regrouped, and split where they must be."""
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
            elif atom.size % left == 0:
                inner = atom.size // left
                axis.append(Atom(atom.kind, left, atom.stride * inner))
                atoms.insert(0, Atom(atom.kind, inner, atom.stride))
                left = 1
            else:
                raise ViewError(f"reshape of {view.shape} to {shape}")
        axes.append(_merged(axis))
    return View(view.source, tuple(axes))


def permute(view: View, order: tuple[int, ...]) -> View:
    """The view with its dimensions in another order."""
    return View(view.source, tuple(view.axes[i] for i in order))


def broadcast(view: View, shape: tuple[int, ...]) -> View:
    """The view with dimensions of size 1 repeated."""
    axes = ((),) * (len(shape) - len(view.axes)) + view.axes
    grown = []
    for axis, wanted in zip(axes, shape, strict=True):
        size = _extent(axis)
        if size not in (wanted, 1):
            raise ViewError(f"broadcast of {view.shape} to {shape}")
        grown.append(axis if size == wanted else _atoms(CHANNEL, wanted, 0))
    return View(view.source, tuple(grown))


def compact(view: View) -> View:
    """The view without the dimensions that only repeat it: what broadcasting restores."""
    return View(view.source, tuple(() if all(a.stride == 0 for a in axis) else axis for axis in view.axes))


def repeat(view: View, axis: int, times: int) -> View:
    """Each element of a dimension `times` times in a row."""
    axes = list(view.axes)
    axes[axis] = axes[axis] + _atoms(CHANNEL, times, 0)
    return View(view.source, tuple(axes))


def tile(view: View, times: tuple[int, ...]) -> View:
    """The whole of each dimension `times` times one after another."""
    if len(times) != len(view.axes):
        raise ViewError(f"tile of {view.shape} by {times}")
    axes = tuple(_atoms(CHANNEL, count, 0) + axis for count, axis in zip(times, view.axes, strict=True))
    return View(view.source, axes)


def pulled_back(view: View, frame: View) -> View:
    """`view`, which broadcasts to the shape of `frame`, in the four dimensions of the frame's source.

    A frame shows every element of its source once: what is done beside it may be done to the source.
    """
    atoms = [(axis, atom) for axis, content in enumerate(frame.axes) for atom in content]
    if any(atom.stride == 0 for _, atom in atoms):
        raise ViewError(f"dimensions {frame.shape} that repeat values")
    axes = ((),) * (len(frame.axes) - len(view.axes)) + view.axes
    split: list[Axis] = []
    for axis, wanted in zip(axes, frame.axes, strict=True):
        sizes = tuple(atom.size for atom in wanted)
        if not axis:
            split.extend([()] * len(sizes))
        else:
            split.extend(reshape(View(view.source, (axis,)), sizes).axes if sizes else [axis])
    places = sorted(range(len(atoms)), key=lambda i: (_KINDS.index(atoms[i][1].kind), -atoms[i][1].stride))
    dims: dict[str, list[Axis]] = {kind: [split[i] for i in places if atoms[i][1].kind == kind] for kind in _KINDS}
    return View(view.source, ((), *(_merged([a for axis in dims[kind] for a in axis]) for kind in _KINDS)))


_KINDS = (CHANNEL, HEIGHT, WIDTH)


def resolve(view: View, height: int = 0, width: int = 0) -> Moves:
    """A four-dimensional view of a tensor of that size (0: whatever it shows) as moves, in canonical order.

    Channel (dy*block + dx)*C + c of the gather is what pixel (dy, dx) of each block shows in channel c; after a space
    to depth, channel (dy*fold + dx)*C + c is channel c of pixel (dy, dx) of each block.
    """
    if len(view.axes) != 4:
        raise ViewError(f"a tensor of {len(view.axes)} dimensions")
    batch, channels, rows, columns = view.axes
    if batch:
        raise ViewError(f"dimensions that mix batch, channels and pixels in {view.shape}")
    first = _pixels(view, rows, HEIGHT, height), _pixels(view, columns, WIDTH, width)
    if first[0] != first[1]:
        raise ViewError(f"dimensions that take rows and columns apart in different ways in {view.shape}")
    fold, inner = first[0], (rows[1:], columns[1:]) if rows and rows[0].kind == HEIGHT else (rows, columns)
    if any(atom.kind != CHANNEL for axis in inner for atom in axis):
        raise ViewError(f"dimensions that mix channels and pixels in {view.shape}")
    block, across = (_extent(axis) for axis in inner)
    if block != across:
        raise ViewError(f"an upscaling by {across}x{block}, which is not square")
    if fold > 1 or any(atom.kind != CHANNEL for atom in channels):
        return _folded(view, channels, fold, block)
    offsets = [_offsets(axis) for axis in (*inner, channels)]
    return Moves(tuple(dy + dx + c for dy in offsets[0] for dx in offsets[1] for c in offsets[2]), block)


def _pixels(view: View, axis: Axis, kind: str, size: int) -> int:
    """Every which row (or column) a dimension shows: 1 for all of them."""
    if not axis or axis[0].kind != kind:
        if size > 1 or (axis and axis[0].kind != CHANNEL):
            raise ViewError(f"dimensions that mix channels and pixels in {view.shape}")
        return 1
    if axis[0].stride == 0 or (size and axis[0].size * axis[0].stride != size):
        raise ViewError(f"dimensions that cut the picture into windows in {view.shape}")
    return axis[0].stride


def _folded(view: View, channels: Axis, fold: int, block: int) -> Moves:
    """The moves where dimension 1 shows the pixels of each block of fold x fold among the channels."""
    wanted = {HEIGHT: Atom(HEIGHT, fold, 1), WIDTH: Atom(WIDTH, fold, 1)}
    seen = [atom for atom in channels if atom.kind != CHANNEL]
    if block > 1 or sorted(seen, key=lambda a: a.kind) != [wanted[HEIGHT], wanted[WIDTH]]:
        raise ViewError(f"dimensions that cut the picture into windows in {view.shape}")
    count = sum((atom.size - 1) * atom.stride for atom in channels if atom.kind == CHANNEL) + 1
    # The channels that a view shows are those of its source: all of them, or it would have become a gather before.
    steps = [atom.stride * {CHANNEL: 1, HEIGHT: fold * count, WIDTH: count}[atom.kind] for atom in channels]
    order = [sum(i) for i in product(*(_steps(a.size, step) for a, step in zip(channels, steps, strict=True)))]
    return Moves(tuple(order), 1, fold)


def _steps(size: int, stride: int) -> tuple[int, ...]:
    return tuple(i * stride for i in range(size))


def _offsets(axis: Axis) -> list[int]:
    return [sum(index) for index in product(*(_steps(a.size, a.stride) for a in axis))]


def channel_axis(view: View, axis: int, channels: int) -> list[int] | None:
    """Source channel of each index of a dimension that shows every channel once, and nothing else; None for others."""
    content = view.axes[axis]
    if any(atom.kind != CHANNEL for atom in content):
        return None
    order = _offsets(content)
    return order if sorted(order) == list(range(channels)) else None


def picked(view: View, axis: int, indices: list[int]) -> tuple[list[int], tuple[Axis, ...]] | None:
    """Some steps of a dimension of channels, beside others: the channels of the source that stay, and how these show.

    The channels that stay are those of each step one after another. None where the dimension is something else.
    """
    others = [atom for i, content in enumerate(view.axes) if i != axis for atom in content if atom.kind == CHANNEL]
    if any(atom.kind != CHANNEL for atom in view.axes[axis]) or any(a.stride == 0 for a in (*view.axes[axis], *others)):
        return None
    steps, inner = _offsets(view.axes[axis]), _offsets(tuple(others))
    stride, axes = len(inner), list[Axis]()
    for i, content in enumerate(view.axes):
        kept = list(_atoms(CHANNEL, len(indices), len(inner))) if i == axis else []
        for atom in content if i != axis else ():
            stride //= atom.size if atom.kind == CHANNEL else 1
            kept.append(Atom(CHANNEL, atom.size, stride) if atom.kind == CHANNEL else atom)
        axes.append(_merged(kept))
    return [steps[i] + offset for i in indices for offset in inner], tuple(axes)


def positions(view: View, channels: int) -> list[tuple[int, ...]] | None:
    """Where each channel of the source stands in the view, pixels apart; None where one is shown never or twice."""
    where: dict[int, tuple[int, ...]] = {}
    parts = [[atom if atom.kind == CHANNEL else Atom(atom.kind, 1) for atom in axis] for axis in view.axes]
    shown = [_indices(axis) for axis in parts]
    for combination in product(*shown):
        channel = sum(offset for _, offset in combination)
        if channel in where:
            return None
        where[channel] = tuple(index for index, _ in combination)
    return [where[c] for c in range(channels)] if sorted(where) == list(range(channels)) else None


def _indices(axis: list[Atom]) -> list[tuple[int, int]]:
    """(index, channel offset) of each step through a dimension, pixels left out."""
    return list(enumerate(_offsets(tuple(axis))))
