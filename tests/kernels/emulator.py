"""Kernels of CPUs that are not here, run by qemu's user mode: the interface of HostKernels, in a process of its own."""

from __future__ import annotations

import atexit
import shutil
import struct
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tvmsr.kernels
from tvmsr.artifact.zig import run_tool, zig_command
from tvmsr.kernels.algorithms import ALGORITHMS, weight_layout
from tvmsr.kernels.host import HostKernels, aligned, call, level_of, missing_features
from tvmsr.kernels.isa import ISAS
from tvmsr.kernels.layout import WeightLayout, param_layout, plain_params, plain_weights
from tvmsr.kernels.pipeline import compile_object, exported_name
from tvmsr.kernels.spec import KernelSpec

_PACKAGE = Path(tvmsr.kernels.__file__).parent
_SERVER = Path(__file__).with_name("server.c")
_PACK_WEIGHTS, _PACK_PARAMS, _RUN = range(3)
_GUARD = 256  # bytes behind scratch
_SECONDS = 120  # of one request: what takes longer does not end


@dataclass(frozen=True)
class Family:
    """CPUs that run the same programs."""

    qemu: str
    triple: str  # LLVM's
    target: str  # ziglang's


@dataclass(frozen=True)
class Machine:
    """An emulated CPU that runs the kernels of an isa."""

    isa: str
    cpu: str  # qemu's name
    family: Family


_ARM64 = Family("qemu-aarch64", "aarch64-unknown-linux-musl", "aarch64-linux-musl")
_ARM32 = Family("qemu-arm", "armv7-unknown-linux-musleabihf", "arm-linux-musleabihf")
_CPUS = (
    ("neon", _ARM64, ("cortex-a53", "cortex-a72", "cortex-a76")),
    ("dotprod", _ARM64, ("cortex-a76", "max")),
    ("i8mm", _ARM64, ("max",)),
    ("neon32", _ARM32, ("cortex-a7", "cortex-a15")),
)

#: Emulated machines by the names that tests show.
MACHINES = {f"{isa}@{cpu}": Machine(isa, cpu, family) for isa, family, cpus in _CPUS for cpu in cpus}
EMULATED_ISAS = tuple(isa for isa, _, _ in _CPUS)
#: Rows that the machine at hand may have.
HOST_ISAS = tuple(isa for isa in ISAS if isa not in EMULATED_ISAS)


def half(name: str, cases: Sequence[Any]) -> list[Any]:
    """Every second case, others than of the neighbouring instruction sets: to build all for each takes minutes."""
    isa = isa_of(name)
    found = EMULATED_ISAS if isa in EMULATED_ISAS else HOST_ISAS
    return list(cases[found.index(isa) % 2 :: 2])


def isa_of(name: str) -> str:
    """The isa of a parameter: a row that this machine may have, or an emulated machine."""
    return MACHINES[name].isa if name in MACHINES else name


@contextmanager
def open_kernels(name: str, specs: Mapping[str, KernelSpec]) -> Iterator[HostKernels | EmulatedKernels]:
    """Kernels of a row (here) or of an emulated machine; skips the test where they cannot run."""
    if name in MACHINES:
        if not shutil.which(MACHINES[name].family.qemu):
            pytest.skip("apt-get install qemu-user")
        kernels = EmulatedKernels(specs, MACHINES[name])
        yield kernels
        kernels.close()
        return
    missing = missing_features(name)
    if missing:
        pytest.skip(f"this CPU has no {', '.join(missing)}")
    yield Guarded(specs)


class Guarded(HostKernels):
    """Kernels of this machine, which find rubbish in scratch and must not write past it."""

    def __init__(self, specs: Mapping[str, KernelSpec], flags: Sequence[str] = ()) -> None:
        super().__init__(specs, flags)
        self._scratch = {name: ALGORITHMS[spec.algorithm].scratch(spec) for name, spec in specs.items()}

    def run(
        self,
        name: str,
        tensors: Sequence[np.ndarray],
        rows: Sequence[np.ndarray],
        w: np.ndarray | None,
        p: np.ndarray,
        areas: Sequence[tuple[int, int, int, int]],
    ) -> None:
        size = self._scratch[name]
        scratch = aligned(size + _GUARD)
        scratch[:] = np.random.default_rng(size).integers(0, 256, scratch.size, np.uint8)
        guard = scratch[size:].copy()
        for area in areas:
            call(self.function(name), tensors, rows, w, p, area, scratch if size else None)
        assert np.array_equal(scratch[size:], guard), f"{name} writes past its scratch"


class EmulatedKernels:
    """Compiled kernels with the packer beside them, under an emulator."""

    def __init__(self, specs: Mapping[str, KernelSpec], machine: Machine) -> None:
        """Compile and link `specs` (of the machine's isa); machines of one isa share the program."""
        self._machine = machine
        self._program = _program(machine.isa, machine.family, tuple(sorted(specs.items(), key=lambda s: s[0])))
        self._numbers = {name: i for i, name in enumerate(sorted(specs))}
        self._scratch = {name: ALGORITHMS[spec.algorithm].scratch(spec) for name, spec in specs.items()}
        self._process: subprocess.Popen[bytes] | None = None

    def pack_weights(self, layout: WeightLayout, codes: np.ndarray, weight_bits: int) -> np.ndarray:
        packed = self._ask(_PACK_WEIGHTS, [weight_bits, *layout.ints()], [plain_weights(codes, weight_bits)])
        return np.frombuffer(packed, np.uint8)

    def pack_params(
        self, spec: KernelSpec, params: Mapping[str, Any], codes: np.ndarray | None = None, weight_bits: int = 8
    ) -> np.ndarray:
        weights, plain = weight_layout(spec), [plain_params(spec, params)]
        if codes is not None:
            plain.append(plain_weights(codes, weight_bits))
        numbers = [weight_bits, *param_layout(spec).ints(), *(weights.ints() if weights else ())]
        return np.frombuffer(self._ask(_PACK_PARAMS, numbers, plain), np.uint8)

    def run(
        self,
        name: str,
        tensors: Sequence[np.ndarray],
        rows: Sequence[np.ndarray],
        w: np.ndarray | None,
        p: np.ndarray,
        areas: Sequence[tuple[int, int, int, int]],
    ) -> None:
        """Call a kernel for every area; `tensors` change as if it had run here."""
        blobs = [a.tobytes() for pair in zip(tensors, rows, strict=True) for a in pair]
        blobs += [b"" if w is None else w.tobytes(), p.tobytes()]
        numbers = [self._numbers[name], self._scratch[name], *(n for area in areas for n in area)]
        reply = self._ask(_RUN, numbers, blobs)
        at = 0
        for i, before in enumerate(blobs):
            after = reply[at : at + len(before)]
            at += len(before)
            if i % 2 == 0 and i < 2 * len(tensors):
                tensors[i // 2][:] = np.frombuffer(after, tensors[i // 2].dtype)
            else:
                assert after == before, f"{name} changes its row tables, weights or parameters"

    def _ask(self, command: int, numbers: Sequence[int], blobs: Sequence[bytes]) -> bytes:
        request = struct.pack(f"<3I{len(numbers)}i", command, len(numbers), len(blobs), *numbers)
        request += struct.pack(f"<{len(blobs)}I", *map(len, blobs)) + b"".join(blobs)
        process = self._process or self._start()
        guard = threading.Timer(_SECONDS, process.kill)
        guard.start()
        try:
            process.stdin.write(request)
            process.stdin.flush()
            return self._read(process, struct.unpack("<I", self._read(process, 4))[0])
        except (BrokenPipeError, EOFError):
            raise AssertionError(f"the program died under {self._machine.cpu}: {self._last_words()}") from None
        finally:
            guard.cancel()

    @staticmethod
    def _read(process: subprocess.Popen[bytes], size: int) -> bytes:
        data = process.stdout.read(size)
        if len(data) < size:
            raise EOFError
        return data

    def _start(self) -> subprocess.Popen[bytes]:
        command = [self._machine.family.qemu, "-cpu", self._machine.cpu, str(self._program)]
        pipe = subprocess.PIPE
        # In the program's folder: a core file, where the system writes one, goes away with it.
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, cwd=self._program.parent)
        return self._process

    def _last_words(self) -> str:
        """What a dead process said; the next request starts another."""
        process, self._process = self._process, None
        process.kill()
        said = process.communicate()[1].decode(errors="replace").strip()
        return said or f"exit code {process.returncode}"

    def close(self) -> None:
        if self._process:
            self._process.communicate()  # its stdin ends, and so does it
            self._process = None


@cache
def _folder() -> Path:
    """Where the session's programs lie."""
    folder = tempfile.TemporaryDirectory(prefix="tvmsr-")
    atexit.register(folder.cleanup)
    return Path(folder.name)


@cache
def _program(isa: str, family: Family, specs: tuple[tuple[str, KernelSpec], ...]) -> Path:
    """One static program of the kernels, the packer and the server."""
    folder, level = Path(tempfile.mkdtemp(dir=_folder())), level_of(isa)
    inputs = [_PACKAGE / "pack.c", _SERVER, folder / "table.c"]
    names = [exported_name(name, level) for name, _ in specs]
    if names:
        inputs.append(folder / "kernels.o")
        inputs[-1].write_bytes(compile_object(dict(specs), level, family.triple))
    inputs[2].write_text(
        "".join(f"extern void {name}(void);\n" for name in names)
        + f"void (*const test_kernels[])(void) = {{{', '.join(names) or '0'}}};\n"
    )
    command = [*zig_command("cc"), "-target", family.target, "-static", "-std=c11", "-D_GNU_SOURCE", "-O2", "-g0"]
    flags = ["-Wall", "-Wextra", "-Werror", f"-I{_PACKAGE}", "-o", folder / "program"]
    run_tool([*command, *flags, *inputs], "the kernel server")
    return folder / "program"
