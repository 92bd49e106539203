"""Peaks of this machine, measured: bare loops (loops.c), compiled by ziglang at their first use."""

from __future__ import annotations

import ctypes
import hashlib
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvmsr.hardware.cpuinfo import cpu_name, features, machine, usable_cpus
from tvmsr.hardware.peaks.caches import Block, blocks, cache_sizes, memory_size
from tvmsr.hardware.peaks.table import Loop, Read, loops_of, read_of
from tvmsr.hardware.peaks.values import Bandwidth, Origin, Peaks, Roof

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SOURCE = Path(__file__).with_name("loops.c")

_FLAGS = ("-std=c11", "-O2", "-g0", "-fPIC", "-shared", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror")

#: Rounds of a loop: some tenths of a millisecond, shorter than what a busy machine takes away at once.
ROUNDS = 200_000

#: Bytes that a thread reads in one measurement, by what it reads; of the memory, its block once.
_READ_BYTES = {"L1": 128 << 20, "L2": 64 << 20, "L3": 32 << 20, "L4": 32 << 20}


@cache
def loops_library() -> Any:
    """loops.c, loaded into this process. WorkError where it cannot be compiled."""
    library = ctypes.CDLL(str(_built()))
    library.tvmsr_peak_chains.restype, library.tvmsr_peak_meet.restype = ctypes.c_int32, None
    return library


def bare_loop(loop: Loop, rounds: int = ROUNDS) -> tuple[Callable[[], object], float]:
    """A call of a bare loop, and its multiply-adds. WorkError where it cannot be compiled."""
    library = loops_library()
    function = getattr(library, loop.symbol)
    function.argtypes, function.restype = (ctypes.c_int64, ctypes.c_void_p), ctypes.c_int32
    data = _aligned(64)
    return lambda: function(rounds, data.ctypes.data), float(rounds * library.tvmsr_peak_chains() * loop.macs)


class Meter:
    """Peaks of one level of this machine's CPU, for some numbers of threads, and the best of all rounds.

    A round takes some ten milliseconds: rounds in turn with what is compared meet the same clocks and neighbours.
    """

    def __init__(self, isa: str, threads: Sequence[int]) -> None:
        """isa: row of the isa table. threads: beside 1, as far as there are cores. WorkError where nothing compiles."""
        had = features()
        self._threads = tuple(sorted({1, *(min(count, usable_cpus()) for count in threads)}))
        self._loops = loops_of(isa, had, machine())
        self._calls = {loop: bare_loop(loop) for loop in self._loops.values()}
        self._read, self._blocks = read_of(had), blocks(cache_sizes(), memory_size(), self._threads)
        self._data = _aligned(max(block.bytes for block in self._blocks) * self._threads[-1])
        self._gmacs: dict[tuple[Loop, int], float] = {}
        self._gb_s: dict[tuple[Block, int], float] = {}

    @property
    def knows_primitives(self) -> bool:
        """False where no loop is for this level: other instruction sets than x86. Memory is measured anywhere."""
        return bool(self._loops)

    def round(self) -> None:
        """Measure everything once more."""
        for count in self._threads:
            for loop, (call, macs) in self._calls.items():
                speed = count * macs / _together([call] * count) / 1e9
                self._gmacs[loop, count] = max(self._gmacs.get((loop, count), 0.0), speed)
            for block in self._blocks:
                speed = self._read_once(block, count)
                self._gb_s[block, count] = max(self._gb_s.get((block, count), 0.0), speed)

    def peaks(self) -> Peaks:
        """The best of the rounds so far; UNKNOWN before the first."""
        if not self._gb_s:
            return Peaks(Origin.UNKNOWN, "nothing was measured")
        roofs = (
            Roof(primitive, count, self._gmacs[loop, count], loop.words)
            for count in self._threads
            for primitive, loop in self._loops.items()
        )
        reads = (
            Bandwidth(block.memory, count, self._gb_s[block, count], f"{block.bytes >> 10} KiB a thread")
            for count in self._threads
            for block in self._blocks
        )
        return Peaks(Origin.MEASURED, f"bare loops on this machine ({cpu_name()})", tuple(roofs), tuple(reads))

    def _read_once(self, block: Block, count: int) -> float:
        """Bytes a second, in 1e9, of `count` threads with a block each."""
        function = _reader(self._read)
        wanted = _READ_BYTES.get(block.memory, 0)
        passes = max(1, wanted // block.bytes)
        starts = [self._data.ctypes.data + block.bytes * i for i in range(count)]
        if wanted:
            _together([partial(function, at, block.bytes, 1) for at in starts])  # brings the block into its cache
        seconds = _together([partial(function, at, block.bytes, passes) for at in starts])
        return count * block.bytes * passes / seconds / 1e9


def _reader(read: Read) -> Callable[[int, int, int], object]:
    function = getattr(loops_library(), read.symbol)
    function.argtypes = (ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    function.restype = ctypes.c_int64
    return function


def _together(calls: Sequence[Callable[[], object]]) -> float:
    """Seconds from the first start to the last end of calls in threads of their own, this one among them."""
    spans: list[tuple[float, float]] = []
    meet, met = loops_library().tvmsr_peak_meet, ctypes.c_int32(0)

    def run(call: Callable[[], object]) -> None:
        meet(ctypes.byref(met), ctypes.c_int32(len(calls)))
        start = time.perf_counter()
        call()
        spans.append((start, time.perf_counter()))

    others = [threading.Thread(target=run, args=(call,)) for call in calls[1:]]
    for other in others:
        other.start()
    run(calls[0])
    for other in others:
        other.join()
    return max(end for _, end in spans) - min(start for start, _ in spans)


def _aligned(size: int) -> NDArray[np.uint8]:
    """Bytes on whole pages of their own; as float32, int16 and int8 they are numbers of ordinary size."""
    import numpy as np

    raw = np.full(size + 4096, 0x3F, np.uint8)
    start = -raw.ctypes.data % 4096
    return raw[start : start + size]


def _built() -> Path:
    """The library, from the cache where it was built before from the same source."""
    from tvmsr.artifact.link import move_into_place
    from tvmsr.artifact.toolchain import compiler_name
    from tvmsr.artifact.zig import cache_folder, run_tool, zig_command
    from tvmsr.hardware.registry import host_target

    triple = host_target().link_triple
    words = "\0".join((triple, *_FLAGS, compiler_name(None))).encode()
    key = hashlib.sha256(words + b"\0" + SOURCE.read_bytes()).hexdigest()[:32]
    path = cache_folder() / "peaks" / key / "loops.so"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="tvmsr-peaks-") as folder:
            made = Path(folder, path.name)
            command: list[str | Path] = [*zig_command("cc"), "-target", triple, *_FLAGS, SOURCE, "-o", made]
            run_tool(command, "compiling the loops that measure peaks", cwd=Path(folder))
            move_into_place(made, path)
    return path
