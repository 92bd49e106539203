"""What steps take, against numbers that were counted by hand."""

from __future__ import annotations

import pytest

from tests.lower.networks import srresnet, srvgg, strided
from tests.lower.spatial_nets import ALL as SPATIAL
from tests.lower.test_programs import integer_graph
from tvmsr.hardware.target import Level
from tvmsr.kernels.algorithms import ALGORITHMS, weight_layout
from tvmsr.kernels.isa import ISAS
from tvmsr.kernels.spec import Conv
from tvmsr.lower.effort import Effort, areas_of, effort_of
from tvmsr.lower.pipeline import lower
from tvmsr.lower.program import Program


def _efforts(program: Program) -> list[Effort]:
    buffers, areas = {buffer.name: buffer for buffer in program.buffers}, areas_of(program)
    return [effort_of(step, buffers, areas) for step in program.steps]


def _lowered(graph, isa: str) -> Program:
    return lower(graph, Level(isa, isa, "generic"))


def test_bytes_of_a_small_network() -> None:
    """Convolutions of 3, 8, 8, 8 to 8 and then 48 channels with an anchor and a shuffle by 4, all in bytes."""
    efforts = _efforts(_lowered(integer_graph(srvgg()), "avx512vnni"))
    shapes = ["3x3 3 to 8", *["3x3 8 to 8"] * 3, "3x3 8 to 48"]
    assert [effort.shape for effort in efforts] == shapes
    # read and stored; the last step reads three channels of the anchor and stores three of 16 pixels
    assert [effort.map_bytes_per_pixel for effort in efforts] == [3 + 8, 16, 16, 16, 8 + 3 + 48]
    # 8 channels would fill half of a vector: pixels are in the lanes, and nothing is packed beside the 8
    for index in (1, 2, 3):
        assert (efforts[index].primitive, efforts[index].useful) == ("dot4", 1.0)
        assert efforts[index].packed_bytes == 3 * 3 * 8 * 8
    if efforts[4].multiplies == 1.0:
        assert (efforts[4].primitive, efforts[4].useful) == ("dot4", 1.0)
        assert efforts[4].packed_bytes == 3 * 3 * 8 * 48


def test_wider_codes_are_more_bytes() -> None:
    narrow, wide = (_efforts(_lowered(integer_graph(srvgg(), bits), "avx512vnni")) for bits in ("8", "a12w8"))
    assert wide[1].map_bytes_per_pixel == 2 * narrow[1].map_bytes_per_pixel == 32
    assert (narrow[1].primitive, wide[1].primitive) == ("dot4", "pair16")


def test_grids_of_other_sizes() -> None:
    """SRResNet ends on a grid of 16 pixels for each of the picture."""
    last = _efforts(_lowered(integer_graph(srresnet()), "avx2"))[-1]
    assert last.map_bytes_per_pixel % 16 == 0 and last.map_bytes_per_pixel >= 16 * (8 + 3)
    efforts = _efforts(_lowered(integer_graph(strided()), "avx2"))
    assert any("stride 2" in effort.shape for effort in efforts)


@pytest.mark.parametrize("isa", ISAS)
def test_every_step_has_an_effort(isa: str) -> None:
    program = _lowered(integer_graph(srresnet()), isa)
    names = {primitive.name for primitive in ISAS[isa].primitives}
    for step, effort in zip(program.steps, _efforts(program), strict=True):
        assert effort.map_bytes_per_pixel > 0
        if not isinstance(step.kernel.source, Conv):
            assert effort == Effort("", 1.0, None, effort.map_bytes_per_pixel, 0, "")
            continue
        layout = weight_layout(step.kernel)
        assert layout is not None and effort.packed_bytes == layout.bytes >= step.layer.weight.size  # type: ignore[union-attr]
        assert effort.primitive in names and effort.multiplies == ALGORITHMS[step.kernel.algorithm].multiplies
        assert effort.useful is None or 0 < effort.useful <= 1


@pytest.mark.parametrize("name", SPATIAL)
def test_loops_of_the_driver(name: str) -> None:
    program = _lowered(SPATIAL[name](), "portable")
    areas = areas_of(program)
    moved = {buffer.name: buffer.form.bytes * areas[buffer.name] for buffer in program.buffers}
    found = 0
    for step, effort in zip(program.steps, _efforts(program), strict=True):
        if step.spatial is not None:
            found += 1
            expected = step.spatial.channels * sum(moved[view.buffer] for view in step.operands)
            assert effort.map_bytes_per_pixel == pytest.approx(expected)
            assert (effort.primitive, effort.packed_bytes) == ("", 0)
    assert found
