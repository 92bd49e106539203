"""Training pictures: LR crops, all squares of one size, in the order and the positions that a seed says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from tvmsr.adabm_paper.protocol import Draw, Keep, Protocol
from tvmsr.errors import UsageError
from tvmsr.graph.analysis import size_rule
from tvmsr.graph.model import Graph

Tensor: TypeAlias = Any
U8Image = NDArray[np.uint8]


class Crops:
    """RGB bytes (H, W, 3) of an LR folder, cut to one square; batches of them.

    Raises UsageError where the squares would be smaller than the network runs on.
    """

    def __init__(self, crops: Sequence[U8Image], protocol: Protocol, graph: Graph, seed: int) -> None:
        if not crops:
            raise UsageError("AdaBM needs at least one calibration picture")
        rule = size_rule(graph)
        side = min(protocol.crop, *(min(crop.shape[:2]) for crop in crops)) // rule.multiple * rule.multiple
        least = max(rule.minimum, protocol_minimum(rule.multiple))
        if side < least:
            raise UsageError(
                f"the smallest of the calibration pictures leaves squares of {side} pixels, and AdaBM needs {least} or "
                "more: take it out, or give larger ones"
            )
        self.side, self._seed, self._protocol = side, seed, protocol
        squares = [crop[:side, :side] for crop in crops]
        held = min(protocol.quirks.held, len(squares) - 1) if protocol.quirks.keep is Keep.BEST else 0
        self.held = squares[len(squares) - held :]
        self._used = squares[: len(squares) - held]

    @property
    def count(self) -> int:
        """Crops in an epoch."""
        return len(self._used)

    def batches(self, epoch: int, size: int) -> Iterator[Tensor]:
        """The crops of an epoch, counted from 1 (0: calibration), as (B, 3, side, side), 0..1; the last may be smaller.

        Flipped left to right, upside down, and transposed, each half of the time. Draw.REPEATED: the same in all of 1,
        2, ...
        """
        repeated = self._protocol.quirks.draw is Draw.REPEATED
        rng = np.random.default_rng((self._seed, min(epoch, 1) if repeated else epoch))
        turned = [_turned(self._used[k], rng) for k in rng.permutation(self.count)]
        return (as_tensor(turned[at : at + size]) for at in range(0, self.count, size))

    def steps(self, size: int) -> int:
        return -(-self.count // size)


def protocol_minimum(multiple: int) -> int:
    """The least side that gradients and means of a crop say something about."""
    return -(-8 // multiple) * multiple


def _turned(crop: U8Image, rng: np.random.Generator) -> U8Image:
    across, down, over = rng.random(3) < 0.5
    crop = crop[:, ::-1] if across else crop
    crop = crop[::-1] if down else crop
    return crop.transpose(1, 0, 2) if over else crop


def as_tensor(pictures: Sequence[U8Image]) -> Tensor:
    """RGB bytes (H, W, 3) of one size -> (B, 3, H, W), 0..1."""
    stacked = np.ascontiguousarray(np.stack(pictures).transpose(0, 3, 1, 2))
    return torch.tensor(stacked).float() / 255
