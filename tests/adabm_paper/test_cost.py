from fractions import Fraction

import pytest

from tvmsr.adabm_paper.cost import BitOps, bit_ops, fab, joined
from tvmsr.adabm_paper.layers import Layout, Role

LAYOUT = Layout({"head": Role.EIGHT, "a": Role.ADAPTIVE, "b": Role.FIXED, "tail": Role.FLOAT}, ())
MACS = {"head": Fraction(10), "a": Fraction(100), "b": Fraction(50), "tail": Fraction(5, 2)}


def test_fab_is_over_the_counted_layers_alike():
    assert fab({"a": 5.0, "b": 6.0}, LAYOUT) == 5.5


def test_bit_ops():
    found = bit_ops({"a": 5.0, "b": 6.0}, LAYOUT, MACS, 4, 2)
    quantized = 2 * (10 * 8 * 8 + 100 * 4 * 5 + 50 * 4 * 6)
    assert found.quantized == quantized
    assert found.total == quantized + 2 * 2.5 * 1024
    assert found.share == pytest.approx(found.total / (2 * 162.5 * 1024), rel=1e-12)


def test_published_shares_of_edsr():
    """EDSR-baseline x4: 40.5 % of the work is outside the blocks; W8A6 costs 43 %, W4A4 41 %, full 3.4 %."""
    side, up = 64 * 64 * 9, 64 * 256 * 9
    work = {f"b{k}": side for k in range(32)} | {"head": 3 * 64 * 9, "close": side, "up0": up, "up1": 4 * up}
    macs = {name: Fraction(value) for name, value in (work | {"tail": 16 * 64 * 3 * 9}).items()}
    body = {name: Role.ADAPTIVE if name.startswith("b") else Role.FLOAT for name in macs}
    ends = {name: Role.ADAPTIVE if name.startswith("b") or name == "close" else Role.EIGHT for name in macs}

    def share(roles: dict[str, Role], bits: float, weight_bits: int) -> float:
        return bit_ops(dict.fromkeys(macs, bits), Layout(roles, ()), macs, weight_bits, 1).share

    assert share(body, 6, 8) == pytest.approx(0.43, abs=0.005)
    assert share(body, 4, 4) == pytest.approx(0.41, abs=0.005)
    assert share(ends, 4, 4) == pytest.approx(0.034, abs=0.001)


def test_windows_add_up():
    average, found = joined([(5.0, BitOps(100.0, 60.0, 0.1)), (6.0, BitOps(300.0, 100.0, 0.2))])
    assert average == 5.5
    assert (found.total, found.quantized) == (400.0, 160.0)
    assert found.share == pytest.approx(400 / 2500)
