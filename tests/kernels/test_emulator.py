"""The emulated process itself: what leaves its bytes dies and says so, and the next request finds another process."""

from __future__ import annotations

import numpy as np
import pytest

from tests.kernels.emulator import isa_of, open_kernels
from tests.kernels.harness import Case, check, operand, random_params, store
from tvmsr.kernels.spec import Epilogue, Load

CASE = Case("bytes", Load(16, 16, operand(16)), Epilogue((store(16),)))


@pytest.mark.parametrize("name", ["neon@cortex-a53", "neon32@cortex-a7"])
def test_bytes_past_the_end(name):
    spec = CASE.spec_for(isa_of(name))
    with open_kernels(name, {"k": spec}) as kernels:
        block = kernels.pack_params(spec, random_params(CASE, spec, np.random.default_rng(1)))
        tensors = [np.zeros(16 * 4, np.uint8) for _ in range(2)]
        table = np.zeros(1, np.int32)
        kernels.run("k", tensors, [table, table], None, block, [(0, 1, 0, 4)])
        for operand_rows in ([table + 1, table], [table, table + 1]):
            with pytest.raises(AssertionError, match=r"died under cortex-a.*Segmentation fault"):
                kernels.run("k", tensors, operand_rows, None, block, [(0, 1, 0, 4)])
        check(kernels, "k", CASE, spec)
