"""An artifact of a hand-made IntegerGraph, and the comparison of all that it stores."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tvmsr.artifact.link import Parts, link_shared
from tvmsr.errors import WorkError
from tvmsr.hardware.target import Level, Target
from tvmsr.kernels.pipeline import compile_object
from tvmsr.lower.emit import emit
from tvmsr.lower.pipeline import lower
from tvmsr.quant.checks import code_checksum
from tvmsr.quant.integer import IntegerGraph
from tvmsr.quant.picture import fitted, upscale_picture
from tvmsr.quant.reference import run_tensors
from tvmsr.runtime import load


@dataclass(frozen=True, eq=False)
class Made:
    path: Path
    graph: IntegerGraph


def make(graph: IntegerGraph, path: Path, target: Target, levels: Sequence[Level], *, cc: str | None = None) -> Made:
    """Kernels for `levels`, and the driver, by another compiler where `cc` says so."""
    programs = [lower(graph, level) for level in levels]
    emitted = emit(programs, levels, graph)
    tiling = {"radius": graph.tiles.radius, "multiple": graph.tiles.grid, "whole_because": []}
    about = {"prefix": "tvmsr", "link_triple": target.link_triple, "triple": target.triple, "tiling": tiling}
    manifest = json.dumps(about).encode()
    with tempfile.TemporaryDirectory() as folder:
        objects = []
        for level in levels:
            objects.append(Path(folder, f"{level.name}.o"))
            objects[-1].write_bytes(compile_object(emitted.kernels[level.name], level, target.triple))
        parts = Parts(emitted.source, emitted.data, manifest, objects=tuple(objects))
        link_shared(parts, path, link_triple=target.link_triple, cc=cc)
    return Made(path, graph)


def compare(made: Made, image, *, threads=(1, 3), memory=(1.0, 0.6, 0.3)) -> int:
    """Upscale and trace at every number of threads and memory limit, as a part of what the picture takes without one.

    Returns the largest number of strips.
    """
    expected, most = upscale_picture(made.graph, image), 0
    tensors = run_tensors(made.graph, fitted(image, made.graph.sizes))
    for count in threads:
        with load(made.path, threads=count) as session:
            whole = session.workspace(image.shape[1], image.shape[0])
        for part in memory:
            with load(made.path, threads=count, memory=whole * part / 2**20) as session:
                try:
                    got, sums = session.traced(image)
                except WorkError as error:
                    assert "the limit is" in str(error) and part < 1, error
                    continue
                last = session.last()
            most = max(most, last.strips)
            assert last.workspace <= whole * part
            what = f"{count} threads, {part} of the memory, {image.shape[1]}x{image.shape[0]}, {last.strips} strips"
            for found in sums:
                codes = tensors[found.tensor][:, :, found.first : found.first + found.channels]
                assert found.sum == code_checksum(codes), f"{found}, {what}"
            np.testing.assert_array_equal(got, expected, what)
    return most
