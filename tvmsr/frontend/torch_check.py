"""An import beside torch itself: both compute one small picture, and what differs is refused."""

from __future__ import annotations

import logging
from collections.abc import Callable
from math import ceil
from typing import Any

import numpy as np

from tvmsr.errors import InputFileError
from tvmsr.frontend.sizes import RawGraph
from tvmsr.frontend.torch_constants import base_name
from tvmsr.frontend.torch_operators import HARMLESS
from tvmsr.graph.analysis import macs_per_pixel, size_rule
from tvmsr.graph.execute import run_fp32
from tvmsr.graph.model import F32

_log = logging.getLogger(__name__)

#: A network in torch: a batch of pictures in, a batch (or a tuple of one) out.
Run = Callable[[Any], Any]

#: Sides of the picture: at least so many pixels; where a network is followed at some sizes only, multiples of this.
_SIDE, _MULTIPLE = 24, 64
#: More is not spent on it: pixels of the picture, multiply-accumulates, values of a tensor.
_MOST_PIXELS, _MOST_MACS, _MOST_VALUES = 1 << 15, 4e9, 1 << 26
#: How much may differ, relative to the largest value that torch computes.
_TOLERANCE = 1e-3


def runnable(program: Any) -> Run | None:
    """A program from a file as something to run; None where it has operators that nobody should run for a file."""
    names = {base_name(n.target) for n in program.graph.nodes if n.op == "call_function" and _is_aten(n.target)}
    unknown = sorted(names - HARMLESS)
    if unknown:
        _log.debug("not compared with torch: it has %s", ", ".join(unknown))
        return None
    module = program.module(check_guards=False)

    def run(picture: Any) -> Any:
        _check_sizes(module, picture)
        return module(picture)

    return run


def _check_sizes(module: Any, picture: Any) -> None:
    """ValueError where a program would make a huge tensor, whatever its file says of it; nothing is computed."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    class Walk(torch.fx.Interpreter):  # type: ignore[misc,name-defined,unused-ignore]
        def run_node(self, n: Any) -> Any:
            made = super().run_node(n)
            for value in made if isinstance(made, list | tuple) else (made,):
                if isinstance(value, torch.Tensor) and value.numel() > _MOST_VALUES:
                    raise ValueError(f"{n.name} makes {value.numel()} values")
            return made

    with FakeTensorMode(allow_non_fake_inputs=True) as mode, torch.no_grad():
        Walk(module).run(mode.from_tensor(picture))


def _is_aten(target: Any) -> bool:
    """Not arithmetic on sizes, nor an element of a tuple."""
    return hasattr(target, "_schema")


def check(run: Run, raw: RawGraph, white: float, source: str) -> None:
    """InputFileError where torch computes something else than the graph; nothing where they cannot be compared."""
    try:
        size = _size(raw)
        if size is None:
            return
        shape = (*size, raw.input_channels)
        picture = (np.random.default_rng(0).random(shape, np.float32) * np.float32(white)).astype(np.float32)
        wanted, got = _by_torch(run, picture), run_fp32(raw.graph, picture)
    except Exception as error:  # of torch, or for a size that does not suit: no reason to refuse a network
        _log.debug("%s: not compared with torch (%s)", source, error)
        return
    assert not isinstance(got, dict)
    if wanted is None or not np.all(np.isfinite(wanted)):
        _log.debug("%s: not compared with torch, which computes nothing to compare with", source)
        return
    what = f"{source}: its import computes something else than torch"
    if wanted.shape != got.shape:
        sizes = " and ".join("x".join(map(str, array.shape)) for array in (got, wanted))
        raise InputFileError(f"{what} (sizes {sizes}): please report; ONNX may do")
    difference = float(np.abs(wanted - got).max())
    if not difference <= _TOLERANCE * max(float(np.abs(wanted).max()), 1e-6 * white):
        raise InputFileError(f"{what} (largest difference {difference:.3g}): please report; ONNX may do")


def _size(raw: RawGraph) -> tuple[int, int] | None:
    """Height and width of a picture that suits, unlike where they may be; None where that is too much to compute."""
    if raw.seen is not None:
        height, width = raw.seen
    else:
        rule = size_rule(raw.graph)
        step = max(rule.multiple, _MULTIPLE) if raw.assumed else rule.multiple
        height = step * ceil(max(_SIDE, rule.minimum) / step)
        width = height + step * ceil(8 / step)
    pixels = height * width
    if pixels > _MOST_PIXELS or float(macs_per_pixel(raw.graph)) * pixels > _MOST_MACS:
        _log.debug("not compared with torch: too much to compute at %dx%d", width, height)
        return None
    return height, width


def _by_torch(run: Run, picture: F32) -> F32 | None:
    import torch

    with torch.no_grad():
        made = run(torch.from_numpy(picture.transpose(2, 0, 1)[None].copy()))
    while isinstance(made, list | tuple | dict) and len(made) == 1:
        made = next(iter(made.values())) if isinstance(made, dict) else made[0]
    if not isinstance(made, torch.Tensor) or made.ndim != 4:
        return None
    array: F32 = made[0].float().cpu().numpy().transpose(1, 2, 0)
    return array
