"""Small facts of groups and places that several passes ask for."""

from __future__ import annotations

from typing import cast

from tvmsr.graph.model import ConvAttrs
from tvmsr.kernels.spec import Conv, Operand
from tvmsr.lower.draft import Group


def attrs_of(group: Group) -> ConvAttrs:
    """Of the group's convolution; those of a 1x1 convolution for a group that has none."""
    return cast(ConvAttrs, group.conv.attrs) if group.conv else ConvAttrs()


def kernel_of(group: Group) -> tuple[int, int]:
    """Height and width of the kernel, in taps."""
    if group.conv is None:
        return (1, 1)
    height, width = group.conv.params["weight"].shape[:2]
    return int(height), int(width)


def convolution_of(group: Group, x: Operand, max_bits: int) -> Conv:
    """The source of a group that convolves, with the given operand."""
    if group.conv is None:
        raise TypeError(f"{group.name!r} has no convolution")
    attrs = attrs_of(group)
    return Conv(
        kernel=kernel_of(group),
        inputs=group.x.channels,
        outputs=group.channels,
        x=x,
        max_bits=max_bits,
        weight_bits=group.conv.weight_bits,
        stride=attrs.stride,
        dilation=attrs.dilation,
        groups=attrs.groups,
    )


def padding_of(group: Group) -> tuple[int, int, int, int]:
    """Top, left, bottom, right."""
    return attrs_of(group).padding


def border_of(group: Group) -> int:
    """Columns beside its picture that a group reads."""
    _, left, _, right = padding_of(group)
    return max(0, left, right)


def extent_of(group: Group) -> tuple[int, int]:
    """Input rows and columns that one output pixel reads."""
    dilation = attrs_of(group).dilation
    height, width = kernel_of(group)
    return (height - 1) * dilation + 1, (width - 1) * dilation + 1
