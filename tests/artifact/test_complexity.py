"""The driver's complexity of a picture against the definition in tvmsr/quant/complexity.py."""

from __future__ import annotations

import ctypes
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.artifact.fake_reference import FAKE
from tvmsr.artifact.link import DRIVER, INCLUDE, PACK
from tvmsr.artifact.toolchain import compile_flags, compiler
from tvmsr.quant.complexity import MOST, complexity


@pytest.fixture(scope="module")
def driver(tmp_path_factory, triple):
    """(picture, rows of the first part) -> its complexity by the driver's C."""
    path = tmp_path_factory.mktemp("complexity") / "complexity.so"
    flags = compile_flags(triple, None, "tvmsr", (INCLUDE, DRIVER, PACK.parent))
    sources = [str(DRIVER / "complexity.c"), str(FAKE.parent / "complexity_shim.c")]
    subprocess.run([*compiler(triple, None), *flags, "-shared", *sources, "-o", str(path)], check=True)
    function = ctypes.CDLL(str(path)).complexity_of
    function.restype = ctypes.c_uint32
    function.argtypes = [ctypes.c_void_p, *[ctypes.c_int64] * 3, ctypes.c_int, ctypes.c_int64]

    def call(image: np.ndarray, cut: int = 0) -> int:
        channels = 1 if image.ndim == 2 else image.shape[2]
        return function(image.ctypes.data, image.shape[1], image.shape[0], image.strides[0], channels, cut)

    return call


def picture(height: int, width: int, channels: int, seed: int) -> np.ndarray:
    """Noise, bytes of 0 and 255, or something flat; (H, W) where there is one channel."""
    rng = np.random.default_rng(seed)
    shape = (height, width) if channels == 1 else (height, width, channels)
    noise = rng.integers(0, 256, shape, np.uint8)
    return (noise, noise // 128 * 255, noise // 64)[seed % 3]


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 40), st.one_of(st.integers(1, 40), st.integers(250, 520)), st.sampled_from([1, 3, 4]),
    st.integers(0, 999), st.data(),
)  # fmt: skip
def test_equals_the_definition(driver, height, width, channels, seed, data):
    image = picture(height, width, channels, seed)
    cut = data.draw(st.integers(0, height))
    assert driver(image, cut) == complexity(image)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 2, 3), (2, 1), (1, 256, 4), (3, 257, 3), (2, 512), (2, 513, 3)])
def test_edges_of_blocks(driver, shape):
    image = np.random.default_rng(7).integers(0, 256, shape, np.uint8)
    assert driver(image) == complexity(image)


def test_strides(driver):
    """Rows with gaps, and bottom-up pictures."""
    image = np.random.default_rng(1).integers(0, 256, (17, 300, 3), np.uint8)
    assert driver(image[:, :290]) == complexity(image[:, :290])
    assert driver(image[::-1]) == complexity(image[::-1])


def test_the_most_there_can_be(driver):
    """A slanting edge between black and white is the steepest."""
    steep = np.array([[0, 255, 255], [0, 255, 255], [0, 0, 255]], np.uint8)
    assert driver(steep) == complexity(steep) <= MOST
