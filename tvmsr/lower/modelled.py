"""What a network takes on a CPU level by the cost models, before anything is compiled."""

from __future__ import annotations

from collections.abc import Mapping

from tvmsr.hardware.target import Level
from tvmsr.kernels.algorithms import ALGORITHMS
from tvmsr.kernels.cost import storage_cycles
from tvmsr.kernels.isa import ISAS
from tvmsr.kernels.spec import KernelSpec
from tvmsr.lower.effort import areas_of
from tvmsr.lower.pipeline import lower
from tvmsr.lower.program import Buffer, Step
from tvmsr.quant.integer import IntegerGraph


def modelled_cycles(graph: IntegerGraph, level: Level) -> dict[str, float]:
    """Predicted cycles of one core for each pixel of a large picture: its kernels', and what the maps they store cost.

    By convolution, with all that its step takes in; by step, where that has none. What the driver does in C counts for
    its maps alone. Raises WorkError where the network cannot be compiled for the level.
    """
    program = lower(graph, level)
    areas, buffers = areas_of(program), {buffer.name: buffer for buffer in program.buffers}
    found: dict[str, float] = {}
    for step in program.steps:
        name = step.name if step.layer is None else step.layer.name
        found[name] = found.get(name, 0.0) + _step_cycles(step, buffers, areas)
    return found


def _step_cycles(step: Step, buffers: Mapping[str, Buffer], areas: Mapping[str, float]) -> float:
    stores = step.operands[step.reads :]
    cycles = sum(
        storage_cycles(held.channels, buffers[view.buffer].form) * areas[view.buffer]
        for view, held in zip(stores, step.stored, strict=True)
    )
    if step.spec is not None:
        cycles += _kernel_cycles(step.spec) * areas[stores[0].buffer] / step.blocks[0] ** 2
    return cycles


def _kernel_cycles(spec: KernelSpec) -> float:
    """For a pixel of its grid."""
    algorithm, isa = ALGORITHMS[spec.algorithm], ISAS[spec.isa]
    return algorithm.cycles(spec.source, spec.epilogue, isa, algorithm.primitive(spec.source, isa), spec.tile)
