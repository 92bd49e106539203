"""Every pointwise pass gives the reference's bytes, and touches no byte that is not its own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.kernels.emulator import EMULATED_ISAS, HOST_ISAS, MACHINES, isa_of
from tests.kernels.harness import Case, check, one_pixel, operand, store
from tvmsr.kernels.isa import ISAS
from tvmsr.kernels.spec import Epilogue, Form, Load, Reads, Residual


def load(channels, form=Form.U8, outputs=None, pitch=None, gather=(), times=None):
    return Load(channels, outputs or len(gather) or channels, operand(channels, form, pitch), tuple(gather), times)


CASES = [
    Case("requantize_64", load(64), Epilogue((store(64, pitch=96),))),
    Case("requantize_9_low_zero", load(9), Epilogue((store(9),)), zero="low"),
    Case("stream_read_high_zero", load(48, Form.U16), Epilogue((store(48, Form.S16),)), bits=16, zero="high"),
    Case("s8_to_u16", load(27, Form.S8, pitch=29), Epilogue((store(27, Form.U16),))),
    Case("leaky_12", load(12), Epilogue((store(12),), leaky=True)),
    Case("table_16", load(16), Epilogue((store(16),), table=True)),
    Case("table_u16_out", load(20, Form.U16), Epilogue((store(20, Form.U16),), table=True), bits=10),
    Case("table_two_stores", load(8), Epilogue((store(8), store(8, Form.S16, reads=Reads.CODE)), table=True)),
    Case("add_two", load(64), Epilogue((store(64),), (Residual(operand(64)),), fraction=8)),
    Case(
        "add_three",
        load(28, Form.U16),
        Epilogue((store(28),), (Residual(operand(28)), Residual(operand(28, Form.U16))), fraction=5),
        bits=12,
    ),
    Case(
        "add_stream_stored_twice",
        load(128, Form.U16),
        Epilogue(
            (store(128, Form.U16), store(128, reads=Reads.CODE)),
            (Residual(operand(128, Form.U16), identity=True), Residual(operand(64), modulo=64)),
        ),
        bits=16,
        out_bits=(16, 8),
    ),
    Case("gather_repeat", load(3, gather=tuple(range(3)) * 9), Epilogue((store(27),))),
    Case("gather_far", load(256, gather=(255, 0, 17, 130, 131, 132, 64, 9, 1)), Epilogue((store(9),))),
    Case("gather_slice", load(64, gather=tuple(range(16, 40))), Epilogue((store(24),))),
    Case("shuffle_2", load(12), Epilogue((store(3, block=2),))),
    Case("shuffle_3_wide", load(144), Epilogue((store(16, block=3),))),
    Case("shuffle_4_rgba", load(48), Epilogue((store(3, pitch=4, block=4),))),
    Case("shuffle_u16", load(27), Epilogue((store(3, Form.U16, block=3),))),
    Case("times", load(64, times=operand(64)), Epilogue((store(64),))),
    Case("times_9_pitch", load(9, pitch=12, times=operand(9, pitch=16)), Epilogue((store(9, pitch=12),)), zero="low"),
    Case(
        "times_15_bits_shuffled",
        load(28, Form.U16, times=operand(28, Form.S16)),
        Epilogue((store(7, block=2), store(28, Form.S16, reads=Reads.CODE))),
        bits=15,
        times_bits=15,
        zero="high",
        times_zero="low",
        saturate=True,
    ),
    Case(
        "times_16_by_15_bits",
        load(21, Form.S16, times=operand(21, Form.U16)),
        Epilogue((store(21, Form.U16),)),
        bits=16,
        times_bits=15,
        zero="low",
        times_zero="high",
        out_bits=(16,),
        saturate=True,
    ),
    Case(
        "times_u8_by_u16_leaky_added",
        load(40, times=operand(40, Form.U16, pitch=44)),
        Epilogue((store(40),), (Residual(operand(40)),), fraction=8, leaky=True),
        times_bits=12,
    ),
    Case(
        "times_gathered_table",
        load(20, gather=(19, 0, 7, 3, 4), times=operand(5, Form.S16)),
        Epilogue((store(5),), table=True),
        times_bits=10,
    ),
    Case("times_one_pixel", load(64, times=one_pixel()), Epilogue((store(64),))),
    Case(
        "times_one_pixel_u16_added",
        load(21, Form.U16, times=one_pixel(Form.S16)),
        Epilogue((store(21), store(21, reads=Reads.CODE)), (Residual(one_pixel(Form.U16)),), fraction=4),
        bits=15,
        times_bits=10,
    ),
    Case(
        "add_one_pixels",
        load(130),
        Epilogue(
            (store(130),), (Residual(one_pixel()), Residual(one_pixel(), modulo=65), Residual(operand(130))), fraction=8
        ),
    ),
    Case("sum_leaky", load(70), Epilogue((store(70),), (Residual(operand(70)),), fraction=8, post=True)),
    Case(
        "product_leaky_shuffled",
        load(12, times=operand(12)),
        Epilogue((store(3, block=2), store(12, Form.S16, reads=Reads.CODE)), post=True),
    ),
    Case(
        "sum_leaky_table",
        load(20, Form.U16),
        Epilogue((store(20),), (Residual(operand(20)),), 5, leaky=True, table=True, post=True),
        bits=12,
    ),
    Case("split", load(64), Epilogue((store(16, pitch=80), store(48, first=16)))),
]


#: The same with bytes as convolutions of ARM store them.
SIGNED = [replace(case, byte_form=Form.S8, spec={}) for case in CASES]


def cases_of(name):
    return CASES if ISAS[isa_of(name)].byte_form is Form.U8 else SIGNED + CASES[:8]


PARAMS = [
    pytest.param(name, index, id=f"{case.name}{'' if index < len(CASES) else '_u8'}-{name}")
    for name in ("avx512vnni", "avx2", "sse41", "portable", *MACHINES)
    for index, case in enumerate(cases_of(name))
]


@pytest.mark.parametrize(("name", "index"), PARAMS)
def test_bytes(opened, name, index):
    case = cases_of(name)[index]
    check(opened(name, cases_of(name)), f"k{index}", case, case.spec_for(isa_of(name)))


def test_every_isa_is_tested():
    assert set(HOST_ISAS) == {"avx512vnni", "avxvnni", "avx2", "sse41", "portable"}
    assert set(ISAS) == {*HOST_ISAS, *EMULATED_ISAS}
