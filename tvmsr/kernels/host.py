"""Kernels and the packer, loaded into this process: for tests, benchmarks and tuning on this machine."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvmsr.hardware.target import Level
from tvmsr.kernels.algorithms import ALGORITHMS, weight_layout
from tvmsr.kernels.isa import ISAS
from tvmsr.kernels.layout import ParamLayout, WeightLayout, param_layout, plain_params, plain_weights
from tvmsr.kernels.pipeline import compile_object, exported_name
from tvmsr.kernels.spec import KernelSpec

Bytes = NDArray[np.uint8]

_PACK = Path(__file__).with_name("pack.c")


def level_of(isa: str) -> Level:
    """The isa row's own CPU as a level."""
    row = ISAS[isa]
    return Level(isa, isa, row.cpu, row.features, row.needs)


def host_triple() -> str:
    """LLVM's name of this machine."""
    return f"{platform.machine()}-unknown-linux-gnu"


def missing_features(isa: str) -> tuple[str, ...]:
    """CPU features that an isa needs and this machine has not, by Linux's word; another machine altogether."""
    if ISAS[isa].machine not in ("", platform.machine()):
        return (f"{ISAS[isa].machine} instructions",)
    text = Path("/proc/cpuinfo").read_text()
    have = {w for line in text.splitlines() if line.startswith(("flags", "Features")) for w in line.split()}
    have |= {w.replace("_", "") for w in have}
    return tuple(n for n in ISAS[isa].needs if n.replace(".", "") not in have)


def aligned(size: int, alignment: int = 64) -> Bytes:
    """Zeroed bytes whose address is a multiple of `alignment`."""
    raw = np.zeros(size + alignment, np.uint8)
    start = -raw.ctypes.data % alignment
    return raw[start : start + size]


def link(folder: Path, objects: Mapping[str, bytes], sources: Sequence[Path], flags: Sequence[str] = ()) -> Path:
    """One shared library of objects and C sources."""
    paths = []
    for name, data in objects.items():
        path = folder / f"{name}.o"
        path.write_bytes(data)
        paths.append(str(path))
    library = folder / "library.so"
    cache = Path(tempfile.gettempdir(), f"tvmsr-zig-{os.getuid()}")
    command = [sys.executable, "-m", "ziglang", "cc", "-std=c99", "-O2", "-g0", "-fPIC", "-shared", *flags]
    command += ["-Wl,--no-undefined", "-o", str(library), *paths, *map(str, sources)]
    environment = {"ZIG_GLOBAL_CACHE_DIR": str(cache), **os.environ}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"linking failed: {done.stderr.strip()}")
    return library


class HostKernels:
    """Compiled kernels of this machine's isas, with the packer beside them."""

    def __init__(self, specs: Mapping[str, KernelSpec], flags: Sequence[str] = ()) -> None:
        """Compile, link and load `specs` (any isas that this CPU has); the packer is there even without specs."""
        objects = {}
        for isa in sorted({s.isa for s in specs.values()}):
            mine = {n: s for n, s in specs.items() if s.isa == isa}
            objects[isa] = compile_object(mine, level_of(isa), host_triple())
        self._specs = dict(specs)
        with tempfile.TemporaryDirectory(prefix="tvmsr-") as folder:
            self._library = ctypes.CDLL(str(link(Path(folder), objects, [_PACK], flags)))
        for name in ("weight_bytes", "plain_bytes", "block_bytes"):
            self._c(name).restype = ctypes.c_size_t

    def _c(self, name: str) -> Any:
        return getattr(self._library, f"tvmsr_{name}")

    def function(self, name: str) -> Any:
        """The C function of a spec."""
        spec = self._specs[name]
        function = self._library[exported_name(name, level_of(spec.isa))]
        function.restype = None
        return function

    def pack_weights(self, layout: WeightLayout, codes: NDArray[np.int8], weight_bits: int) -> Bytes:
        ints, plain = _ints(layout), plain_weights(codes, weight_bits)
        packed = aligned(self._c("weight_bytes")(ints))
        self._c("pack_weights")(ints, plain, weight_bits, _pointer(packed))
        return packed

    def pack_params(
        self,
        spec: KernelSpec,
        params: Mapping[str, NDArray[Any] | int],
        codes: NDArray[np.int8] | None = None,
        weight_bits: int = 8,
    ) -> Bytes:
        """The parameter block of one step."""
        layout, plain = _ints(param_layout(spec)), plain_params(spec, params)
        if self._c("plain_bytes")(layout, plain) != len(plain):
            raise ValueError("the packer and plain_params disagree about the size of the plain parameters")
        block = aligned(self._c("block_bytes")(layout, plain))
        weights = weight_layout(spec)
        weight_ints = None if weights is None else _ints(weights)
        raw = None if codes is None else plain_weights(codes, weight_bits)
        self._c("pack_params")(layout, plain, weight_ints, raw, weight_bits, _pointer(block))
        return block

    def run(
        self,
        name: str,
        tensors: Sequence[NDArray[Any]],
        rows: Sequence[NDArray[np.int32]],
        w: Bytes | None,
        p: Bytes,
        areas: Sequence[tuple[int, int, int, int]],
    ) -> None:
        """Call a kernel for every area; the arguments are those of `call`."""
        scratch = scratch_of(self._specs[name])
        for area in areas:
            call(self.function(name), tensors, rows, w, p, area, scratch)


def _ints(layout: WeightLayout | ParamLayout) -> Any:
    values = layout.ints()
    return (ctypes.c_int32 * len(values))(*values)


def _pointer(array: NDArray[Any]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def call(
    function: Any,
    tensors: Sequence[NDArray[Any]],
    rows: Sequence[NDArray[np.int32]],
    w: Any,
    p: Bytes,
    area: tuple[int, int, int, int],
    scratch: Bytes | None = None,
) -> None:
    """Call a kernel: tensors and row tables in the order x, times, residuals, stores; area: row0, row1, col0, col1.

    scratch: as many bytes as `scratch_of` gives, where the algorithm needs any.
    """
    operands = [_pointer(a) for pair in zip(tensors, rows, strict=True) for a in pair]
    given = [None if a is None else _pointer(a) for a in (w, p, scratch)]
    function(*operands, *given, *(ctypes.c_int32(v) for v in area))


def scratch_of(spec: KernelSpec) -> Bytes:
    """What one thread needs to run a kernel."""
    return aligned(ALGORITHMS[spec.algorithm].scratch(spec))
