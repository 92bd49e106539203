"""The peers, one module each, loaded when needed: other packages may be missing.

A module has TITLE, MODULES (imported before an opening is timed), VARIANTS (name: what it is), HELD (environment that
holds it to AVX2; None where nothing does, HELD_NOTE says why), `version()`, `convert(job, variant)` (what gives the
files of a network for a size; what is the same for all sizes is done before) and `open_network(files, variant, threads,
feed)`, feed being the input, float32 (1, C, H, W).
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]

NAMES = ("ort", "openvino", "ncnn", "mnn", "litert")


@dataclass(frozen=True, order=True)
class Size:
    """Of a picture."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"

    @staticmethod
    def parse(words: str) -> Size:
        width, _, height = words.partition("x")
        return Size(int(width), int(height))


@dataclass(frozen=True)
class Job:
    """A network and the sizes of the pictures.

    In folder: WIDTHxHEIGHT.onnx of each size, crop.onnx of the calibration's, any.onnx of any; calibration.npy
    (N, C, H, W) of 0..1; ncnn.param, ncnn.bin and the same of ncnn-int8, or ncnn.reason.
    """

    folder: Path
    sizes: tuple[Size, ...]

    @staticmethod
    def read(path: Path) -> Job:
        values = json.loads(path.read_text())
        return Job(Path(values["folder"]), tuple(map(Size.parse, values["sizes"])))

    def file(self, name: str) -> Path:
        return self.folder / name

    @property
    def calibration(self) -> F32:
        return np.load(self.folder / "calibration.npy")


#: The files of a network for a size.
Files = Callable[[Size], list[Path]]


@dataclass(frozen=True)
class Opened:
    """A network with its input. run: once, timed; picture: what it gave as (H, W, C), bytes, or float32 0..1.

    check: raises where what it computes is wrong, not timed. level: of the CPU, where the runtime says it.
    """

    run: Callable[[], NDArray[Any]]
    picture: Callable[[NDArray[Any]], NDArray[Any]]
    level: str = ""
    check: Callable[[], None] = lambda: None


def channels_last(output: NDArray[Any]) -> NDArray[Any]:
    """(1, C, H, W) as (H, W, C)."""
    return output[0].transpose(1, 2, 0)


class Runtime(Protocol):
    """See above."""

    TITLE: str
    MODULES: tuple[str, ...]
    VARIANTS: dict[str, str]
    HELD: dict[str, str] | None
    HELD_NOTE: str

    def version(self) -> str: ...

    def convert(self, job: Job, variant: str) -> Files: ...

    def open_network(self, files: list[str], variant: str, threads: int, feed: F32) -> Opened: ...


def runtime(name: str) -> Runtime:
    """The module of a peer. It imports its packages when it is used."""
    module: Any = importlib.import_module(f"peering.runtimes.{name}")
    return module
