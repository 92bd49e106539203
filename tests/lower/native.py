"""Runs a Program with its compiled kernels and no driver: whole buffers in numpy, row tables in Python.

Where this is right and the artifact is wrong, the driver is to blame; where both are, the kernels.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from tests.lower.simulate import Memory, grid_of, run_spatial
from tvmsr.kernels.algorithms import ALGORITHMS, weight_layout
from tvmsr.kernels.host import HostKernels, call, scratch_of
from tvmsr.kernels.spec import Conv
from tvmsr.quant.picture import fitted

#: What a kernel may read past the last pixel it needs.
SLACK = 64


class SlackMemory(Memory):
    """A buffer with slack behind it, addressed by byte offsets as kernels do."""

    def __init__(self, buffer, height, width, rng):
        super().__init__(buffer, height, width, rng)
        flat = rng.integers(0, 256, self.raw.size + 2 * SLACK, np.uint8)
        flat[SLACK:-SLACK] = self.raw.reshape(-1)
        self.flat, self.raw = flat, flat[SLACK:-SLACK].reshape(self.raw.shape)

    def rows(self, first, count, column):
        """Offsets from flat[0] of rows `first`... at `column`, both relative to the picture."""
        at = self.rows_of(first, count) * self.raw.shape[1] + self.buffer.border + column
        return (SLACK + at * self.buffer.pitch).astype(np.int32)


def compile_programs(programs):
    """Kernels of all steps; those of one spec once. Returns them and {spec: name}."""
    names = {}
    for program in programs:
        for step in program.steps:
            if step.spec is not None:
                names.setdefault(step.spec, f"k{len(names)}")
    return HostKernels({name: spec for spec, name in names.items()}), names


def execute(program, image, kernels, names, graph, bands=1):
    rng = np.random.default_rng(1)
    image = fitted(image, graph.sizes)
    memory = {b.name: SlackMemory(b, *image.shape[:2], rng) for b in program.buffers}
    source = memory[program.input]
    source.inside(0, 3)[:] = source.stored(image)
    source.settle()
    for step in program.steps:
        if step.spec is None:
            run_spatial(step, memory, graph)
        else:
            _run(step, memory, kernels, names[step.spec], bands)
        for view in step.operands[step.reads :]:
            memory[view.buffer].settle()
    result = memory[program.output]
    return result.inside(0, result.buffer.channels).copy()


def _run(step, memory, kernels, name, bands):
    spec, held = step.spec, [memory[view.buffer] for view in step.operands]
    stride = getattr(spec.source, "stride", 1)
    height, width = grid_of(step, held[0].size)
    reads = spec.read_operands
    extent = (spec.source.kernel[0] - 1) * spec.source.dilation + 1 if isinstance(spec.source, Conv) else 1
    rows = [held[0].rows(-step.padding[0], (height - 1) * stride + extent, -step.padding[1])]
    rows += [
        np.full(height, m.rows(0, 1, 0)[0], np.int32) if view.broadcast else m.rows(0, height, 0)
        for m, view in zip(held[1:reads], step.operands[1:reads], strict=True)
    ]
    blocks = [store.block for store in spec.epilogue.stores]
    rows += [m.rows(0, height * block, 0) for m, block in zip(held[reads:], blocks, strict=True)]
    tensors = [m.flat[view.offset :] for m, view in zip(held, step.operands, strict=True)]
    packed, codes, bits = None, None, 8
    if step.layer is not None:
        codes, bits = step.layer.weight, step.layer.bits
        packed = kernels.pack_weights(weight_layout(spec), codes, bits)
    block = kernels.pack_params(spec, step.params, codes, bits)
    edges = np.linspace(0, height, min(bands, height) + 1).astype(int)
    edges[:-1] -= edges[:-1] % ALGORITHMS[spec.algorithm].granule[0]
    for top, bottom in pairwise(edges):
        call(kernels.function(name), tensors, rows, packed, block, (top, bottom, 0, width), scratch_of(spec))
