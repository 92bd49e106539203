"""A whole picture through the reference executor: the bytes that every artifact of the same plan gives."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tvmsr.graph.model import Colour
from tvmsr.imaging.colour import join_luma
from tvmsr.quant.integer import IntegerGraph
from tvmsr.quant.reference import run

U8Image = NDArray[np.uint8]


def upscale_picture(graph: IntegerGraph, picture: U8Image) -> U8Image:
    """RGB bytes (H, W, 3) to (scale*H, scale*W, 3); the chroma of a Y network is that of `picture`, enlarged."""
    out: U8Image = run(graph, picture)
    return join_luma(picture, out[:, :, 0]) if graph.colour is Colour.Y else out
