"""Every convolution kernel gives the reference's bytes, and touches no byte that is not its own."""

from __future__ import annotations

import pytest

from tests.kernels.emulator import HOST_ISAS, MACHINES, isa_of
from tests.kernels.harness import Case, check, operand, store
from tvmsr.kernels.spec import Conv, Epilogue, Form, Reads, Residual, Tile


def conv(kernel, inputs, outputs, bits=8, weight_bits=8, form=Form.U8, pitch=None, **more):
    kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
    return Conv(kernel, inputs, outputs, operand(inputs, form, pitch), bits, weight_bits, **more)


def plain(outputs, form=Form.U8, pitch=None):
    return Epilogue((store(outputs, form, pitch),))


CASES = [
    Case("3x3_64x64", conv(3, 64, 64), plain(64)),
    Case("3x3_64x64_w7_high_zero", conv(3, 64, 64, weight_bits=7), plain(64), zero="high"),
    Case("3x3_32x32_low_zero", conv(3, 32, 32), plain(32), zero="low"),
    Case("3x3_3x28_pitch4", conv(3, 3, 28, pitch=4), plain(28)),
    Case("5x5_3x28_pitch3", conv(5, 3, 28), plain(28, pitch=32)),
    Case("3x3_28x27_w4", conv(3, 28, 27, weight_bits=4), plain(27, pitch=27)),
    Case("1x1_48x12_leaky", conv(1, 48, 12), Epilogue((store(12, pitch=16),), leaky=True)),
    Case("3x3_9x12_a4w4", conv(3, 9, 12, bits=4, weight_bits=4), plain(12), bits=4, out_bits=(4,)),
    Case("3x3_saturate", conv(3, 64, 32, weight_bits=8), plain(32), saturate=True),
    Case("3x3_saturate_w7", conv(3, 64, 32, weight_bits=7), plain(32), saturate=True),
    Case("3x3_64x256_shuffle2", conv(3, 32, 256), Epilogue((store(64, block=2),))),
    Case("3x3_32x12_shuffle2", conv(3, 32, 12), Epilogue((store(3, block=2),))),
    Case("3x3_32x27_shuffle3", conv(3, 32, 27), Epilogue((store(3, pitch=4, block=3),))),
    Case("3x3_32x48_shuffle4", conv(3, 32, 48), Epilogue((store(3, block=4),))),
    Case("3x3_16x4_shuffle2_y", conv(3, 16, 4), Epilogue((store(1, block=2),))),
    Case("3x3_a16", conv(3, 16, 32, bits=16, form=Form.S16), plain(32), bits=16),
    Case("3x3_a12_u16", conv(3, 18, 32, bits=12, form=Form.U16, weight_bits=5), plain(32, Form.S16), bits=12),
    Case("3x3_to_u16", conv(3, 32, 48), plain(48, Form.U16)),
    Case("3x3_stride2_dilation2", conv((3, 5), 10, 20, stride=2, dilation=2, pitch=13), plain(20)),
    Case("3x3_groups", conv(3, 24, 18, groups=3), plain(18)),
    Case("3x3_depthwise", conv(3, 40, 40, groups=40), plain(40)),
    Case("3x3_depthwise_wide", conv(3, 128, 128, groups=128, stride=2), plain(128)),
    Case("4x2_groups_stride2", conv((4, 2), 24, 16, groups=4, stride=2), plain(16)),
    Case("2x4_depthwise_stride3_dilation2", conv((2, 4), 20, 20, groups=20, stride=3, dilation=2), plain(20)),
    Case("3x3_table", conv(3, 8, 40), Epilogue((store(40),), table=True)),
    Case(
        "3x3_anchor",
        conv(3, 28, 27),
        Epilogue((store(3, block=3),), (Residual(operand(3, pitch=4), modulo=3),), fraction=8),
    ),
    Case(
        "3x3_stream",
        conv(3, 64, 64),
        Epilogue((store(64, Form.U16), store(64, reads=Reads.CODE)), (Residual(operand(64, Form.U16), True),)),
        out_bits=(16, 8),
    ),
    Case(
        "3x3_two_terms",
        conv(3, 12, 48),
        Epilogue((store(48),), (Residual(operand(48)), Residual(operand(24, Form.U16), modulo=24)), fraction=5),
    ),
    # Loads of a run by turns of several, some of them left over: 15 steps of four inputs, a load each on x86.
    *(
        Case(
            f"3x3_20x20_unroll{n}",
            conv(3, 20, 20, weight_bits=7),
            plain(20),
            tile=Tile(2, 1, unroll=n),
            algorithm="direct",
        )
        for n in (2, 3, 4, 99)
    ),
    Case(
        "3x3_steep",
        conv(3, 12, 48),
        Epilogue((store(48, Form.U16), store(48, reads=Reads.CODE)), (Residual(operand(48)),), 5, leaky=True),
        out_bits=(16, 8),
        steep=True,
    ),
    Case(
        "3x3_sum_leaky",
        conv(3, 20, 50),
        Epilogue(
            (store(50, Form.U16), store(50, reads=Reads.CODE)), (Residual(operand(50, Form.U16), True),), post=True
        ),
        out_bits=(16, 8),
    ),
    Case(
        "3x3_sum_leaky_steep",
        conv(3, 12, 48),
        Epilogue((store(48),), (Residual(operand(48)),), 8, post=True),
        zero="low",
        steep=True,
    ),
    Case(
        "3x3_slices",
        conv(3, 16, 64),
        Epilogue((store(16, pitch=64), store(48, pitch=50, first=16, reads=Reads.CODE))),
        out_bits=(8, 6),
    ),
]


@pytest.mark.parametrize("name", [*HOST_ISAS, *MACHINES])
@pytest.mark.parametrize("index", range(len(CASES)), ids=[c.name for c in CASES])
def test_bytes(opened, name, index):
    case = CASES[index]
    check(opened(name, CASES), f"k{index}", case, case.spec_for(isa_of(name)))
