"""What benchmarks/peers.py says of a machine, and how many peers at a time fit into its memory."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import pytest
from peering import limits, measure
from peering.measure import RESIDENT, SHARE, TENSORS, Bench

from tests.benchmarks.rows import LARGE, SMALL

GIB = 1 << 30

CPUINFO = """processor : 0
vendor_id : SomeVendor
cpu family : 26
model : 2
model name : Some CPU: fast
stepping : 1
flags : fpu avx512f avx2 sse4_2 avx2_other

processor : 1
vendor_id : SomeVendor
flags : fpu avx512f avx2 sse4_2 avx2_other
"""
MEMINFO = "MemTotal:       8000000 kB\nMemFree:          10 kB\nMemAvailable:    4096000 kB\nBuffers: 5 kB\n"


@pytest.fixture
def files(monkeypatch):
    """What /proc says."""
    said = {"/proc/cpuinfo": CPUINFO, "/proc/meminfo": MEMINFO}
    monkeypatch.setattr(limits, "Path", lambda path: SimpleNamespace(read_text=lambda: said[path]))
    return said


def test_memory_that_can_be_had(files):
    assert limits.memory_available() == 4096000 * 1024


def test_the_machine(files, monkeypatch):
    monkeypatch.setattr(limits.os, "sched_getaffinity", lambda _: {0, 3, 5})
    found = limits.machine()
    assert found["cpu"] == "vendor_id SomeVendor, cpu family 26, model 2, model name Some CPU: fast, stepping 1"
    assert found["flags"] == ["sse4_2", "avx2", "avx512f"] and found["cores"] == 3 and found["memory_gib"] > 0
    assert json.loads(json.dumps(found)) == found, "the results file is compared with it"


def test_a_machine_without_flags(files, monkeypatch):
    files["/proc/cpuinfo"] = "processor : 0\nCPU part : 0xd0c\n"
    monkeypatch.setattr(limits, "features", lambda: {"neon", "dotprod"})
    assert limits.machine()["flags"] == ["dotprod", "neon"] and limits.machine()["cpu"] == ""


@pytest.mark.parametrize(
    "have, expected",
    [
        ((), False),
        (("avx2",), False),
        (("avx2", "avxvnni"), True),
        (("avx2", "avx512vnni"), True),
        (("avx512vnni",), False),
    ],
)
def test_more_than_avx2(monkeypatch, have, expected):
    monkeypatch.setattr(limits, "missing_features", lambda isa: [] if isa in have else ["something"])
    assert limits.has_more_than_avx2() is expected


def test_versions_of_what_is_not_installed():
    found = limits.versions(sys.executable, ["nobody"])
    assert list(found) == ["tvmsr", "nobody"] and found["nobody"] == "not installed" and "TVM" in found["tvmsr"]


class Meter:
    """Two primitives, of which both levels have one; the first measured are the faster ones."""

    rounds: list[str]

    def __init__(self, isa: str, threads: list[int]) -> None:
        self.isa, self.threads = isa, threads

    def round(self) -> None:
        Meter.rounds.append(self.isa)

    def peaks(self) -> SimpleNamespace:
        part = 1.0 if self.isa == "new" else 0.5
        words = {"new": ["shared", "own"], "older": ["shared"]}[self.isa]
        roofs = [SimpleNamespace(words=w, threads=t, gmacs=100 * t * part) for w in words for t in self.threads]
        return SimpleNamespace(roofs=roofs, bandwidths=[SimpleNamespace(memory="L1", threads=1, gb_s=7 * part)])


def test_the_best_of_all_levels_counts(monkeypatch):
    Meter.rounds = []
    levels = [SimpleNamespace(isa=isa) for isa in ("new", "new", "older", "sse41", "portable")]
    monkeypatch.setattr(limits, "host_levels", lambda: levels)
    monkeypatch.setattr(limits, "Meter", Meter)
    assert limits.peaks([1, 2]) == {
        "GMAC/s, shared": {"1": 100.0, "2": 200.0},
        "GMAC/s, own": {"1": 100.0, "2": 200.0},
        "GB/s, reads of L1": {"1": 7.0},
    }
    assert Meter.rounds == ["new"] * limits.ROUNDS + ["older"] * limits.ROUNDS


def tensor(channels: int, times: int = 1) -> SimpleNamespace:
    return SimpleNamespace(channels=channels, rows=lambda height: times * height, columns=lambda width: times * width)


@pytest.fixture
def groups(monkeypatch):
    """How `free` bytes are shared by peers. The largest tensor has as many values as 48 channels of the picture."""
    types = {"input": tensor(3), "wide": tensor(47), "output": tensor(3, 4)}
    monkeypatch.setattr(measure, "tensor_types", lambda _graph: types)
    bench = object.__new__(Bench)
    bench.prepared = SimpleNamespace(model=SimpleNamespace(graph=None))

    def share(free: float, peers: list[str], size=SMALL) -> list[list[str]]:
        monkeypatch.setattr(measure, "memory_available", lambda: int(free))
        return [list(some) for some in bench._groups(peers, size)]

    return share


def need(size) -> int:
    return RESIDENT + TENSORS * 4 * 48 * size.width * size.height


def test_as_many_at_a_time_as_fit(groups):
    peers = list("abcde")
    for size in (SMALL, LARGE):
        for count, expected in (
            (1, ["a", "b", "c", "d", "e"]),
            (2, ["ab", "cd", "e"]),
            (3, ["abc", "de"]),
            (5, ["abcde"]),
        ):
            enough = need(size) * count / SHARE + 2
            assert ["".join(some) for some in groups(enough, peers, size)] == expected
            less = need(size) * count / SHARE - 2
            assert len(groups(less, peers, size)[0]) == max(1, count - 1)
    assert groups(1000 * GIB, peers) == [peers]


def test_one_at_a_time_where_none_fits(groups):
    assert groups(0, list("abc")) == [["a"], ["b"], ["c"]]


def test_ours_alone_are_one_group(groups):
    assert groups(GIB, []) == [[]] and groups(0, []) == [[]]
