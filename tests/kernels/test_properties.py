"""Any size, any cut, any zero point, extreme codes: one kernel of each kind, built once."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernels.emulator import HOST_ISAS, MACHINES, isa_of, open_kernels
from tests.kernels.harness import Case, check, operand, store
from tvmsr.kernels.host import HostKernels, missing_features
from tvmsr.kernels.spec import Conv, Epilogue, Form, Load, Reads, Residual


def conv(kernel, inputs, outputs, form=Form.U8, bits=8, **more):
    return Conv(kernel, inputs, outputs, operand(inputs, form), bits, 8, **more)


CASES = [
    Case("conv", conv((3, 3), 12, 48), Epilogue((store(48),), leaky=True)),
    Case("conv_shuffle", conv((5, 1), 9, 27), Epilogue((store(3, block=3),), (Residual(operand(3), modulo=3),), 8)),
    Case("conv_a12", conv((1, 3), 8, 16, Form.S16, 12, stride=2), Epilogue((store(16, Form.U16),)), bits=12),
    Case("depthwise", conv((3, 3), 20, 20, groups=20), Epilogue((store(20),))),
    Case(
        "product",
        Load(20, 20, operand(20, Form.U16), times=operand(20, Form.U16)),
        Epilogue((store(20, Form.U16), store(20, reads=Reads.CODE))),
        bits=15,
        times_bits=15,
        out_bits=(15, 8),
    ),
    Case(
        "stream",
        Load(40, 40, operand(40, Form.U16)),
        Epilogue((store(40, Form.U16), store(40, reads=Reads.CODE)), (Residual(operand(40, Form.U16), identity=True),)),
        bits=16,
        out_bits=(16, 8),
    ),
]


@pytest.fixture(scope="module")
def built():
    """Kernels of every row that this machine has."""
    isas = [i for i in HOST_ISAS if not missing_features(i)]
    return isas, HostKernels(specs_of(isas))


@pytest.fixture(scope="module")
def emulated(request):
    isas = [isa_of(request.param)]
    with open_kernels(request.param, specs_of(isas)) as library:
        yield isas, library


def specs_of(isas):
    return {f"{i}_{k}": case.spec_for(i) for i in isas for k, case in enumerate(CASES)}


@st.composite
def areas(draw, height, width):
    """A partition of the grid into bands and column ranges, in any order."""
    rows = sorted(draw(st.sets(st.integers(1, max(1, height - 1)), max_size=3)) | {0, height})
    columns = sorted(draw(st.sets(st.integers(1, max(1, width - 1)), max_size=3)) | {0, width})
    pieces = [(r0, r1, c0, c1) for r0, r1 in itertools.pairwise(rows) for c0, c1 in itertools.pairwise(columns)]
    return draw(st.permutations(pieces))


def check_any_cut(built, data):
    isas, kernels = built
    k = data.draw(st.integers(0, len(CASES) - 1))
    size = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 40))
    zero = data.draw(st.sampled_from(["low", "middle", "high"]))
    case = replace(CASES[k], size=size, zero=zero, saturate=data.draw(st.booleans()), spec={})
    cut = data.draw(areas(*size))
    seed = data.draw(st.integers(0, 1000))
    for isa in isas:
        check(kernels, f"{isa}_{k}", case, CASES[k].spec_for(isa), cut, seed)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_cut(built, data):
    check_any_cut(built, data)


@pytest.mark.parametrize("emulated", MACHINES, indirect=True)
@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_cut_emulated(emulated, data):
    check_any_cut(emulated, data)


def check_empty_ranges(built):
    isas, kernels = built
    for isa in isas:
        for k, case in enumerate(CASES):
            whole = (0, case.size[0], 0, case.size[1])
            check(kernels, f"{isa}_{k}", case, case.spec_for(isa), [(2, 2, 0, 9), (0, 3, 5, 5), whole])


def test_empty_ranges_write_nothing(built):
    check_empty_ranges(built)


@pytest.mark.parametrize("emulated", MACHINES, indirect=True)
def test_empty_ranges_write_nothing_emulated(emulated):
    check_empty_ranges(emulated)
