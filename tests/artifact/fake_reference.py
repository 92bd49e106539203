"""What tests/artifact/fake/model.c computes, in numpy; and its parts for the linker."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np

from tvmsr.artifact.link import Parts
from tvmsr.artifact.toolchain import compiler
from tvmsr.quant.checks import data_checksum

FAKE = Path(__file__).parent / "fake"

#: Biases of the two bit choices: the plain parameters in sr_data.
BIAS = (3, 200)

PADS = {
    0: ((7, 0, 255), (1, 2, 3), (4, 5, 6)),
    1: ((9, 1, 254), (11, 12, 13), (14, 15, 16)),
}


def compiler_with(triple: str, flag: str) -> str:
    """A --cc that compiles the driver with one more flag."""
    return shlex.join([*compiler(triple, None), flag])


def layer_by_layer(triple: str) -> str:
    """A --cc with which every step is a phase of its own, all maps whole."""
    return compiler_with(triple, "-DSR_LAYER_BY_LAYER")


def parts(
    source: str = "model.c", manifest: dict | None = None, define: str = "", bias: tuple[int, int] = BIAS
) -> Parts:
    data = np.array(bias, "<i4").tobytes()
    define += f"#define DATA_CHECKSUM {data_checksum(data):#x}ull\n"
    text = define + (FAKE / source).read_text()
    return Parts(tables=text, data=data, manifest=json.dumps(manifest or {"model": "fake"}).encode())


def _padded(x: np.ndarray, pad: tuple[int, ...], top: int, left: int) -> np.ndarray:
    out = np.empty((x.shape[0] + 2 * top, x.shape[1] + 2 * left, 3), np.int64)
    out[:] = pad
    out[top : top + x.shape[0], left : left + x.shape[1]] = x
    return out


def _blur(x: np.ndarray, pad: tuple[int, ...], bias: int) -> np.ndarray:
    wide = _padded(x, pad, 1, 1)
    h, w = x.shape[:2]
    total = sum((1 + 3 * i + j) * wide[i : i + h, j : j + w] for i in range(3) for j in range(3))
    return (total + bias) & 255


def upscale(picture: np.ndarray, choice: int = 0) -> np.ndarray:
    """uint8 (H, W, 3) -> (2H, 2W, 3)."""
    bias, (pad0, pad1, pad2) = BIAS[choice], PADS[choice]
    x = picture.astype(np.int64)
    h, w = x.shape[:2]
    first = _blur(x, pad0, bias)
    rows = _padded(first, pad1, 2, 0)
    second = (sum((i + 1) * rows[i : i + h] for i in range(5)) + bias) & 255
    wide = 257 * rows[1 : 1 + h]
    third = _blur(second, pad2, bias)
    summed = (third + (wide >> 8) + x + bias) & 255
    out = np.empty((2 * h, 2 * w, 3), np.uint8)
    for dy in range(2):
        for dx in range(2):
            out[dy::2, dx::2] = (summed * (1 + 2 * dy + dx) + bias) & 255
    return out


def luma(picture: np.ndarray, scale: int) -> np.ndarray:
    """What tests/artifact/fake/model_y.c computes: uint8 (H, W, 3) -> Y (scale*H, scale*W)."""
    base = picture.astype(np.int64) @ np.array([1, 2, 3]) + BIAS[0]
    out = np.empty((base.shape[0] * scale, base.shape[1] * scale), np.uint8)
    for dy in range(scale):
        for dx in range(scale):
            out[dy::scale, dx::scale] = (base + 7 * dy + 13 * dx) & 255
    return out
