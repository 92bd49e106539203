"""Whole pictures of any size: through the reference executor, and through the network in FP32.

A network may need sides of at least so many pixels, or multiples of some number (SizeRule). Other pictures are
continued at the bottom and on the right with their last row and column, and the result is cropped. Everything that a
network sees is continued alike, statistics of the picture too: artifacts do the same.
"""

from __future__ import annotations

from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from tvmsr.graph.analysis import SizeRule, size_rule
from tvmsr.graph.execute import run_fp32
from tvmsr.graph.model import F32, Colour, Model
from tvmsr.imaging.colour import join_luma
from tvmsr.quant.integer import IntegerGraph
from tvmsr.quant.reference import run

U8Image = NDArray[np.uint8]
Picture = TypeVar("Picture", bound=NDArray[Any])


def fitted_side(side: int, rule: SizeRule) -> int:
    """The least side of at least `side` pixels that the network runs on."""
    multiple = rule.multiple
    return max(rule.minimum, -(-side // multiple) * multiple)


def fitted(picture: Picture, rule: SizeRule) -> Picture:
    """(H, W, C), continued to sides that the network runs on; the picture itself where they are such."""
    height, width = picture.shape[:2]
    below, right = fitted_side(height, rule) - height, fitted_side(width, rule) - width
    if below == right == 0:
        return picture
    return cast(Picture, np.pad(picture, ((0, below), (0, right), (0, 0)), mode="edge"))


def upscale_picture(graph: IntegerGraph, picture: U8Image) -> U8Image:
    """RGB bytes (H, W, 3) to (scale*H, scale*W, 3): the bytes that every artifact of the same plan gives.

    The chroma of a Y network is that of `picture`, enlarged.
    """
    out = _cropped(run(graph, fitted(picture, graph.sizes)), picture, graph.scale)
    return join_luma(picture, out[:, :, 0]) if graph.colour is Colour.Y else np.ascontiguousarray(out)


def fp32_picture(model: Model, picture: F32) -> F32:
    """The network in FP32 on a picture (H, W, 3), RGB 0..1: (scale*H, scale*W, 3), or one channel of a Y network."""
    seen = fitted(picture, size_rule(model.graph))
    return _cropped(cast(F32, run_fp32(model, seen)), picture, model.scale)


def _cropped(out: Picture, picture: NDArray[Any], scale: int) -> Picture:
    return cast(Picture, out[: picture.shape[0] * scale, : picture.shape[1] * scale])
