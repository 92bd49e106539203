"""Peaks: loops compute what they say, every primitive of x86 has one, figures of targets follow from their files."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import pytest

from tvmsr.artifact.zig import run_tool, zig_command
from tvmsr.errors import WorkError
from tvmsr.hardware import load_target
from tvmsr.hardware.cpuinfo import features, machine
from tvmsr.hardware.peaks import FLOAT, Bandwidth, Meter, Origin, Peaks, Roof, computed_peaks, measured
from tvmsr.hardware.peaks.caches import Block, blocks, cache_sizes
from tvmsr.hardware.peaks.measured import SOURCE, bare_loop, loops_library
from tvmsr.hardware.peaks.table import BY_PRIMITIVE, LOOPS, READS, loops_of, read_of
from tvmsr.hardware.rules import KNOWN_NEEDS
from tvmsr.kernels.isa import ISAS

#: What the operands of loops hold, as a byte and as a number of 16 bits.
BYTE, WORD = 0x3F, 0x3F3F

#: What one issue adds to the first lane of a sum: by the beginning of a loop's name.
ADDED = {
    "vpdpbusd": 4 * BYTE * BYTE,
    "maddubs": 4 * BYTE * BYTE,
    "vpdpwssd": 2 * WORD * WORD,
    "maddwd": 2 * WORD * WORD,
}

ALL_FEATURES = frozenset(KNOWN_NEEDS["x86_64"])


def test_every_primitive_of_x86_has_a_loop_that_does_its_multiplies() -> None:
    for isa in ISAS.values():
        if isa.machine != "x86_64":
            continue
        for primitive in isa.primitives:
            if primitive.name == "lanewise":
                continue
            loop = LOOPS[BY_PRIMITIVE[isa.name][primitive.name]]
            assert loop.macs == isa.lanes * primitive.depth, (isa.name, primitive.name)


def test_loops_are_of_what_the_cpu_has() -> None:
    assert set(loops_of("avx2", ALL_FEATURES, "x86_64")) == {"dot4", "window", "wide4", "pair16", FLOAT}
    assert loops_of("avx2", frozenset(), "x86_64") == {} == loops_of("avx2", ALL_FEATURES, "aarch64")
    assert set(loops_of("portable", frozenset(), "x86_64")) == {"mac", FLOAT}
    assert [read_of(had).bits for had in (ALL_FEATURES, frozenset({"avx2"}), frozenset())] == [512, 256, 128]
    for loop in LOOPS.values():
        assert set(loop.needs) <= ALL_FEATURES


def _runnable() -> list[str]:
    if machine() != "x86_64":
        return []
    return [loop.name for loop in LOOPS.values() if features().issuperset(loop.needs)]


@pytest.mark.parametrize("name", _runnable())
def test_what_loops_compute(name: str) -> None:
    loop, rounds = LOOPS[name], 5
    call, macs = bare_loop(loop, rounds)
    chains = loops_library().tvmsr_peak_chains()
    assert macs == rounds * chains * loop.macs
    expected = sum(_first_lane(name.partition("_")[0], k, rounds) for k in range(chains))
    assert call() % 2**32 == expected % 2**32 != 0


def _first_lane(kind: str, start: int, rounds: int) -> int:
    """32 bits of chain number `start` after so many rounds."""
    if kind in ("fma", "mulps"):
        value, total = np.frombuffer(bytes([BYTE] * 4), np.float32)[0], np.float32(0)
        product = value * value if kind == "mulps" else np.float64(value) * np.float64(value)
        for _ in range(rounds):
            total = np.float32(total + product)
        return int(total.view(np.uint32))
    if kind == "window":
        pair = rounds * 2 * BYTE * BYTE
        return (start + pair) % 2**16 + (pair % 2**16 << 16)
    return start + rounds * ADDED[kind]


@pytest.mark.parametrize("bits", [128, 256, 512])
def test_reads_read_everything(bits: int) -> None:
    read = next(read for read in READS if read.bits == bits)
    if not features().issuperset(read.needs):
        pytest.skip(f"this CPU has no vectors of {bits} bits")
    words = np.random.default_rng(0).integers(0, 2**63, 1024 + 64, np.uint64)
    start = -words.ctypes.data % 64 // 8
    words = words[start : start + 1024]
    function = getattr(loops_library(), read.symbol)
    function.restype = ctypes.c_int64
    lanes = words.reshape(-1, bits // 64)[:, :2]
    once, twice = (
        function(ctypes.c_void_p(words.ctypes.data), ctypes.c_int64(words.nbytes), ctypes.c_int64(n)) for n in (1, 2)
    )
    assert once % 2**64 == int(np.bitwise_xor.reduce(lanes.ravel())) and twice == 0


@pytest.mark.parametrize("triple", ["x86_64-linux-gnu.2.17", "aarch64-linux-gnu.2.17"])
def test_the_source_has_no_warnings(triple: str, tmp_path: Path) -> None:
    flags = ["-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror", "-c"]
    run_tool([*zig_command("cc"), "-target", triple, *flags, SOURCE, "-o", tmp_path / "loops.o"], "a trial")
    assert (tmp_path / "loops.o").stat().st_size > 0


def test_a_meter_knows_all_after_a_round() -> None:
    isa = "avx2" if "avx2" in features() else "portable"
    meter = Meter(isa, (1, 2, 4000))
    assert meter.peaks().origin is Origin.UNKNOWN
    meter.round()
    first = meter.peaks()
    meter.round()
    last = meter.peaks()
    assert first.origin is Origin.MEASURED and len(last.roofs) == len(first.roofs)
    counts = {roof.threads for roof in last.roofs}
    assert 1 in counts and max(counts) < 4000  # as many as there are cores
    for before, after in zip((*first.roofs, *first.bandwidths), (*last.roofs, *last.bandwidths), strict=True):
        one, two = (peak.gmacs if isinstance(peak, Roof) else peak.gb_s for peak in (before, after))
        assert 0 < one <= two
    if machine() == "x86_64":
        assert {roof.primitive for roof in last.roofs} == set(BY_PRIMITIVE[isa])
    if isa == "avx2":  # of the same instructions
        assert last.roof("wide4", 1).gmacs == last.roof("pair16", 1).gmacs  # type: ignore[union-attr]


def test_a_compiler_that_fails_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "loops.c"
    broken.write_text("no C\n")
    monkeypatch.setattr(measured, "SOURCE", broken)
    with pytest.raises(WorkError, match="compiling the loops that measure peaks failed"):
        measured._built()


def test_cache_sizes(tmp_path: Path) -> None:
    for number, (level, kind, size) in enumerate(
        [("1", "Data", "48K"), ("1", "Instruction", "32K"), ("2", "Unified", "1M"), ("3", "Unified", "32768K")]
    ):
        folder = tmp_path / f"index{number}"
        folder.mkdir()
        for name, text in (("level", level), ("type", kind), ("size", size)):
            (folder / name).write_text(f"{text}\n")
    (tmp_path / "index9").mkdir()
    assert cache_sizes(tmp_path) == {1: 48 << 10, 2: 1 << 20, 3: 32 << 20}
    assert cache_sizes(tmp_path / "nowhere") == {1: 32 << 10, 2: 256 << 10}


def test_blocks_lie_in_their_cache() -> None:
    sizes = {1: 48 << 10, 2: 1 << 20, 3: 32 << 20}
    found = blocks(sizes, 64 << 30, (1, 2))
    assert [block.memory for block in found] == ["L1", "L2", "L3", "RAM"]
    assert [block.bytes for block in found] == [24 << 10, 512 << 10, 4 << 20, 64 << 20]
    assert [block.shared for block in found] == [False, False, True, True]
    assert all(block.bytes % 4096 == 0 for block in found)
    # a board with 1 GiB of memory and no third cache; one whose caches hold whatever is decent to read
    board = blocks({1: 32 << 10, 2: 512 << 10}, 1 << 30, (1, 4))
    assert board[2:] == (Block("RAM", 16 << 20, shared=True),)
    assert [block.memory for block in blocks({**sizes, 3: 256 << 20}, 64 << 30, (1,))] == ["L1", "L2", "L3"]
    assert [block.memory for block in blocks({1: 32 << 10}, 128 << 20, (1,))] == ["L1"]


def test_computed_peaks_follow_from_the_file() -> None:
    pi5 = computed_peaks(load_target("rpi5"), "dotprod", (4,))
    assert pi5.origin is Origin.COMPUTED and pi5.source == "target rpi5"
    dot = pi5.roof("dot4", 4)
    assert dot == Roof("dot4", 4, pytest.approx(4 * 32 * 2.4), "4x cortex-a76, 32 multiplies a cycle at 2.4 GHz")
    assert pi5.roof("pair16", 1).gmacs == pytest.approx(4 * 2.4)  # type: ignore[union-attr]
    assert pi5.roof(FLOAT, 1).gmacs == pytest.approx(8 * 2.4)  # type: ignore[union-attr]
    assert {(read.memory, read.threads, read.gb_s) for read in pi5.bandwidths} == {("RAM", 1, 17.1), ("RAM", 4, 17.1)}
    # a level that does not use what the core has
    assert computed_peaks(load_target("rpi5"), "neon", (1,)).roof("chain", 1).gmacs == pytest.approx(8 * 2.4)  # type: ignore[union-attr]
    assert "Raspberry Pi 5" in computed_peaks(load_target("arm"), "dotprod", (1,)).source


def test_threads_beyond_the_fast_cores_get_slow_ones() -> None:
    target = load_target("rk3588")
    fast, slow = target.clusters[:2]
    found = computed_peaks(target, "dotprod", (fast.cores + 1, 1000))
    six = found.roof("dot4", fast.cores + 1)
    assert six is not None and six.gmacs == pytest.approx(
        fast.cores * min(32, fast.macs.s8) * fast.clock_ghz + min(32, slow.macs.s8) * slow.clock_ghz
    )
    assert slow.core in six.words
    everything = sum(c.cores * min(32, c.macs.s8) * c.clock_ghz for c in target.clusters)
    assert found.roof("dot4", 1000).gmacs == pytest.approx(everything)  # type: ignore[union-attr]


def test_a_target_without_cores_has_no_peaks() -> None:
    found = computed_peaks(load_target("host"), "portable", (1,))
    assert found.origin is Origin.UNKNOWN and not found.roofs and found.roof("mac", 1) is None


def test_of_more_threads_than_are_known() -> None:
    peaks = Peaks(Origin.MEASURED, "", (Roof("a", 1, 1.0, ""), Roof("a", 2, 2.0, "")), (Bandwidth("RAM", 2, 3.0, ""),))
    assert [peaks.roof("a", n).gmacs for n in (1, 2, 3, 64)] == [1.0, 2.0, 2.0, 2.0]  # type: ignore[union-attr]
    assert peaks.roof("a", 0) is None and peaks.roof("b", 1) is None
    assert peaks.of(1) == (peaks.roofs[:1], ()) and peaks.of(8) == (peaks.roofs[1:], peaks.bandwidths)
