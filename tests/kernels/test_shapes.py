"""Every tile that ARM rows are offered, and convolutions of any shape: built at once for a row, run by every CPU.

Tiles meet sums that reach the largest values: codes and weights at their bounds. Shapes are drawn with a fixed seed.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.kernels.emulator import EMULATED_ISAS, MACHINES, isa_of
from tests.kernels.harness import Case, check, operand, store
from tvmsr.kernels.algorithms import ALGORITHMS
from tvmsr.kernels.isa import ISAS
from tvmsr.kernels.spec import Conv, Epilogue, Form, Tile

SHAPES = 16
#: Inputs of 1x1 and 3x3 convolutions around the steps that one load serves, and vectors of outputs.
INPUTS, OUTPUTS = (1, 3, 9, 12, 18, 28, 33), (4, 12, 28)


def conv(kernel, inputs, outputs, form, bits=8, weight_bits=8, pitch=None, **more):
    return Conv(kernel, inputs, outputs, operand(inputs, form, pitch), bits, weight_bits, **more)


def plain(outputs, form=Form.U8):
    return Epilogue((store(outputs, form),))


def tile_cases(isa):
    """Extreme sums for every algorithm, form and tile: a full block of outputs, and a rest of one channel."""
    row, cases = ISAS[isa], []
    for form, bits in ((Form.S8, 8), (Form.S16, 16), (Form.U16, 15)):
        source = conv((1, 3), 11, 1, form, bits, dilation=2)
        for algorithm in ALGORITHMS.values():
            primitive = algorithm.primitive(source, row)
            if not algorithm.name.startswith("direct") or algorithm.legal(source, primitive, None):
                continue
            odd = (Tile(3, 2),) if form is Form.S8 else ()  # an odd last pixel
            tiles = algorithm.tiles(source, row, primitive, None) + odd
            for number, tile in enumerate(tiles if form is not Form.U16 else tiles[:1]):
                outputs = tile.vectors * row.lanes + 1
                source = conv((1, 3), (11, 16, 21, 30)[number % 4], outputs, form, bits, dilation=2)
                name = f"{algorithm.name}_{form.value}_{tile}"
                case = Case(name, source, plain(outputs), bits, saturate=True, tile=tile, size=(3, 31))
                case.algorithm = algorithm.name
                cases.append(case)
    return cases


def shape_cases(isa):
    """Convolutions of any shape and form, by the algorithm and tile that are chosen for them."""
    rng, cases = np.random.default_rng(20), []

    def one(*values):
        return values[int(rng.integers(len(values)))]

    for number in range(SHAPES):
        form = one(Form.S8, Form.S8, Form.S8, Form.S16, Form.U16)
        bits = {Form.S8: one(8, 8, 5), Form.S16: one(9, 15, 16), Form.U16: one(12, 15)}[form]
        groups, kernel = one(1, 1, 1, 2), one((1, 1), (3, 3), (3, 3), (2, 4), (5, 1))
        inputs, outputs = groups * one(*INPUTS), groups * one(*OUTPUTS)
        more = {"stride": one(1, 1, 2), "dilation": one(1, 1, 2), "groups": groups}
        source = conv(kernel, inputs, outputs, form, bits, one(8, 8, 4, 7), inputs + one(0, 0, 1, 4), **more)
        case = Case(f"shape{number}", source, plain(outputs, one(Form.S8, Form.U8, Form.U16)), bits)
        case.zero, case.saturate = one("low", "middle", "high"), one(False, True)
        case.size = int(rng.integers(1, 5)), int(rng.integers(1, 36))
        cases.append(case)
    return cases


CASES = {isa: tile_cases(isa) + shape_cases(isa) for isa in EMULATED_ISAS}
PARAMS = [
    pytest.param(name, index, id=f"{case.name}-{name}")
    for name in MACHINES
    for index, case in enumerate(CASES[isa_of(name)])
]


@pytest.mark.parametrize(("name", "index"), PARAMS)
def test_bytes(opened, name, index):
    case = CASES[isa_of(name)][index]
    check(opened(name, CASES[isa_of(name)]), f"k{index}", case, case.spec_for(isa_of(name)))
