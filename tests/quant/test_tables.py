from __future__ import annotations

import numpy as np
import pytest

from tvmsr.graph.model import ActivateAttrs, Activation, ConvAttrs
from tvmsr.operations.activate import unary
from tvmsr.quant.integer import Code
from tvmsr.quant.tables import FUNCTIONS, code_table

TABLES = [activation for activation in Activation if activation.is_table]
ONE = np.ones(2, np.float32)


def test_every_table_has_a_function():
    assert set(FUNCTIONS) == set(TABLES)


@pytest.mark.parametrize("activation", TABLES)
def test_functions_are_those_of_fp32(activation):
    x = np.concatenate([np.linspace(-12, 12, 4001), [-1e4, -200, 0.0, 200, 1e4]]).astype(np.float32)
    exact = np.asarray([FUNCTIONS[activation](float(v)) for v in x])
    with np.errstate(over="ignore"):
        wanted = unary(activation, x)
    assert np.all(np.isfinite(exact))
    assert np.allclose(exact, wanted, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("activation", TABLES)
def test_no_code_is_too_large_for_a_table(activation):
    """Scales as far apart as plans allow."""
    for scale in (1e-30, 1.0, 1e29):
        table = code_table(
            ActivateAttrs(activation), Code(8, np.float32(scale), 128, ONE), Code(8, np.float32(1e-3), 9, ONE)
        )
        assert table.shape == (256,)
        assert table.max() <= 255


@pytest.mark.parametrize("attrs", [ActivateAttrs, ConvAttrs])
@pytest.mark.parametrize(("gain", "offset"), [(1.0, 0.0), (2.0, -1.0), (-0.5, 0.25)])
def test_gain_and_offset(attrs, gain, offset):
    x, out = Code(12, np.float32(0.004), 2000, ONE), Code(15, np.float32(1e-4), 15000, ONE)
    table = code_table(attrs(activation=Activation.SIGMOID, gain=gain, offset=offset), x, out)
    values = (np.arange(4096) - 2000) * float(x.scale)
    wanted = np.rint((gain / (1 + np.exp(-values)) + offset) / float(out.scale)) + 15000
    assert np.abs(table.astype(int) - wanted).max() <= 1
    assert (table == wanted).mean() > 0.99


def test_factors_are_refused():
    uneven = Code(8, np.float32(1), 0, np.asarray([1, 0.5], np.float32))
    even = Code(8, np.float32(1), 0, ONE)
    for x, out in ((uneven, even), (even, uneven)):
        with pytest.raises(ValueError, match="equal"):
            code_table(ActivateAttrs(Activation.TANH), x, out)
