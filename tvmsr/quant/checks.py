"""Checksums of codes, and pictures made from a seed: what an artifact and the reference executor compare.

docs/numerics.md defines both; driver/checksum.h is the same in C.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvmsr.quant.integer import IntegerGraph

U64 = NDArray[np.uint64]

#: Multiplications that one check may cost about, and the smallest and the largest picture (pixels) whatever they cost.
CHECK_MACS = 50e6
_SMALLEST, _LARGEST = 12 * 9, 64 * 48

#: Seeds of an artifact's checks: one of each style of `check_picture`.
_SEEDS = (3, 4, 5)

#: Codes whose factors exist at a time (8 bytes each).
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Check:
    """A check picture and the checksum of the bytes (RGB) that upscaling it gives."""

    seed: int
    width: int
    height: int
    choice: int
    checksum: int


def mix(values: U64) -> U64:
    """uint64 of any shape to the same: every bit of a result depends on every bit of its value."""
    z = values + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def code_checksum(codes: NDArray[Any]) -> int:
    """Of codes (H, W, C), uint8 or uint16: sum of (code + 1) * mix(row * 2**32 + column * C + channel) mod 2**64."""
    if codes.ndim != 3 or codes.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"codes are uint8 or uint16 (H, W, C), not {codes.dtype} {codes.shape}")
    height, length = codes.shape[0], codes.shape[1] * codes.shape[2]
    flat = codes.reshape(height, length)
    inside = np.arange(length, dtype=np.uint64)
    rows, total = max(1, _BLOCK // max(1, length)), 0
    for first in range(0, height, rows):
        part = flat[first : first + rows].astype(np.uint64) + np.uint64(1)
        row = np.arange(first, first + len(part), dtype=np.uint64) << np.uint64(32)
        total += int((part * mix(row[:, None] + inside)).sum(dtype=np.uint64))
    return total % 2**64


def data_checksum(data: bytes) -> int:
    """Of an artifact's data: sum of (word + 1) * (mix(index) | 1) mod 2**64 over its little-endian 64-bit words.

    The last word is filled up with zeros. The factors are odd, so a change of one word always changes the sum.
    """
    words = np.frombuffer(data + b"\0" * (-len(data) % 8), "<u8").astype(np.uint64)
    total = 0
    for first in range(0, len(words), _BLOCK):
        part = words[first : first + _BLOCK] + np.uint64(1)
        index = np.arange(first, first + len(part), dtype=np.uint64)
        total += int((part * (mix(index) | np.uint64(1))).sum(dtype=np.uint64))
    return total % 2**64


def check_picture(seed: int, width: int, height: int) -> NDArray[np.uint8]:
    """RGB bytes (height, width, 3) made from a seed, 0 <= seed < 2**32; sizes below 2**28.

    seed % 3 is what they look like: 0 noise; 1 blocks of 8x8 equal pixels (flat areas and edges); 2 bytes 0 and 255.
    """
    style, block = seed % 3, 8 if seed % 3 == 1 else 1
    y = np.arange(height, dtype=np.uint64) // np.uint64(block)
    x = np.arange(width, dtype=np.uint64) // np.uint64(block) * np.uint64(3)
    column = x[:, None] + np.arange(3, dtype=np.uint64)
    place = (y[:, None, None] << np.uint64(32)) | column
    random = mix(np.uint64(seed) ^ mix(place))
    if style == 2:
        return np.where(random >> np.uint64(63), 255, 0).astype(np.uint8)
    return (random >> np.uint64(56)).astype(np.uint8)


def check_size(macs_per_pixel: float) -> tuple[int, int]:
    """(width, height) of the check pictures of a network that takes so many multiplications an input pixel."""
    area = min(max(CHECK_MACS / max(macs_per_pixel, 1.0), _SMALLEST), _LARGEST)
    width = max(12, round((area * 4 / 3) ** 0.5))
    return width, max(9, round(area / width))


def make_checks(graphs: Sequence[IntegerGraph], macs_per_pixel: float) -> tuple[Check, ...]:
    """The checks of an artifact, from the reference executor: three pictures for each bit choice."""
    from tvmsr.quant.picture import upscale_picture

    width, height = check_size(macs_per_pixel)
    return tuple(
        Check(seed, width, height, choice, code_checksum(upscale_picture(graph, check_picture(seed, width, height))))
        for choice, graph in enumerate(graphs)
        for seed in _SEEDS
    )
