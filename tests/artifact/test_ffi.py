"""The TVM-FFI entry, through stock TVM."""

from __future__ import annotations

import numpy as np
import pytest

from tests.artifact import fake_reference
from tests.artifact.test_driver import picture

tvm = pytest.importorskip("tvm")


def test_load_module(fake):
    upscale = tvm.runtime.load_module(str(fake))["sr_upscale"]
    for channels, want in ((3, fake_reference.upscale),):
        image = picture(20, 31, channels)
        source = tvm.runtime.tensor(image)
        result = tvm.runtime.empty((40, 62, channels), "uint8")
        upscale(source, result)
        np.testing.assert_array_equal(result.numpy(), want(image))


def test_wrong_tensors_are_errors(fake):
    upscale = tvm.runtime.load_module(str(fake))["sr_upscale"]
    good, bad = tvm.runtime.empty((4, 4, 3), "uint8"), tvm.runtime.empty((4, 4, 3), "float32")
    for arguments, words in (((good,), "two tensors"), ((good, bad), "uint8"), ((good, good), "not 2 times")):
        with pytest.raises(RuntimeError, match=words):
            upscale(*arguments)
