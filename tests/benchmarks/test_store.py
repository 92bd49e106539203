"""The results file of benchmarks/peers.py: a run that was cut off goes on, nothing is lost or measured twice."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import peers
import pytest
from peering.measure import Choice
from peering.networks import NETWORKS, Sources
from peering.runtimes import Size
from peering.store import Key, Store

from tests.benchmarks.rows import ESPCN, LARGE, MACHINE, RFDN, SMALL, key, row

VERSIONS = {"tvmsr": "1, TVM 2", "ort": "3"}


def choice(bits: tuple[str, ...] = ("a8w8",), peers: tuple[str, ...] = ("ort",), **more) -> Choice:
    networks = (NETWORKS[ESPCN], NETWORKS[RFDN])
    values = {
        "sizes": (SMALL, LARGE),
        "threads": (1, 2),
        "modes": ("native",),
        "rounds": 3,
        "seconds": 1.0,
        "python": "",
    }
    return Choice(**{"networks": networks, "bits": bits, "peers": peers, **values, **more})


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "peers.json"


@pytest.mark.parametrize("one", [key(), key(RFDN, Size(1920, 1080), 16, "avx2")])
def test_keys_as_text(one):
    assert Key.parse(str(one)) == one


def test_kept_from_run_to_run(path):
    first = Store(path, MACHINE)
    first.began("python benchmarks/peers.py", VERSIONS)
    first.add_peaks({"GMAC/s": {"1": 5.0}})
    first.put(key(), row(tvmsr_a8w8=1.0, ort_fp32=2.0))
    again = Store(path, copy.deepcopy(MACHINE))
    again.began("python benchmarks/peers.py", dict(VERSIONS))
    assert again.data == first.data and again.rows == {key(): row(tvmsr_a8w8=1.0, ort_fp32=2.0)}
    again.began("python benchmarks/peers.py --threads 4", VERSIONS)
    assert again.data["commands"] == ["python benchmarks/peers.py", "python benchmarks/peers.py --threads 4"]


def test_what_was_put_is_on_disk_at_once(path):
    store = Store(path, MACHINE)
    for number, one in enumerate((key(), key(RFDN), key(threads=2)), 1):
        store.put(one, row(tvmsr_a8w8=float(number)))
        assert len(json.loads(path.read_text())["rows"]) == number
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_without_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = Store(None, MACHINE)
    store.put(key(), row(tvmsr_a8w8=1.0))
    assert store.has(key(), ["tvmsr a8w8"]) and not list(tmp_path.iterdir())


def test_has_all_columns_or_reasons():
    store = Store(None, MACHINE)
    store.put(key(), row(tvmsr_a8w8=1.0, ort_fp32="not installed: onnxruntime"))
    assert store.has(key(), ["tvmsr a8w8"]) and store.has(key(), ["ort fp32", "tvmsr a8w8"]) and store.has(key(), [])
    assert not store.has(key(), ["tvmsr a8w8", "ort int8"])
    assert not any(store.has(other, []) for other in (key(RFDN), key(size=LARGE), key(threads=2), key(mode="avx2")))


def test_columns_of_another_run_stay():
    """Measured with other peers: those of before are kept, what was measured again is the new one."""
    store = Store(None, MACHINE)
    store.put(key(), row(tvmsr_a8w8=1.0, ort_fp32=2.0, mnn_fp32="it crashed"))
    store.put(key(), row(tvmsr_a8w8=3.0, ncnn_fp32=4.0, mnn_fp32=5.0))
    columns = store.rows[key()]["columns"]
    assert {name: column["median"] for name, column in columns.items()} == {
        "tvmsr a8w8": 3.0, "ort fp32": 2.0, "mnn fp32": 5.0, "ncnn fp32": 4.0,
    }  # fmt: skip
    assert columns["ort fp32"]["against"] == {"a8w8": 1.0} and columns["ncnn fp32"]["against"] == {"a8w8": 3.0}


def whole(path: Path) -> str:
    Store(path, MACHINE).put(key(), row(tvmsr_a8w8=1.0))
    return path.read_text()


def test_half_a_file(path):
    """Cut anywhere: it is refused with words, and left as it is."""
    text = whole(path)
    for length in (0, 1, len(text) // 2, len(text) - 1):
        path.write_text(text[:length])
        with pytest.raises(SystemExit, match=r"peers\.json: is no whole JSON .*; give another file, or delete it"):
            Store(path, MACHINE)
        assert path.read_text() == text[:length]


@pytest.mark.parametrize("text", ["[]", "7", "{}", '{"machine": {}}', '{"rows": []}', "null"])
def test_another_programs_file(path, text):
    path.write_text(text)
    with pytest.raises(SystemExit, match="has no results of this program"):
        Store(path, MACHINE)


@pytest.mark.parametrize("name", ["machine", "versions", "commands", "peaks", "losses", "rows"])
def test_a_file_that_lacks_something(path, name):
    values = json.loads(whole(path))
    del values[name]
    path.write_text(json.dumps(values))
    with pytest.raises(SystemExit, match="has no results of this program"):
        Store(path, MACHINE)


def test_bytes_that_are_no_text(path):
    path.write_bytes(b"\xff\xfe{")
    with pytest.raises(SystemExit, match="is no whole JSON"):
        Store(path, MACHINE)


def test_a_save_that_was_cut_off(path, monkeypatch):
    """The file is whole, the one before or the new one, and what was half written beside it is in nobody's way."""
    text = whole(path)
    store = Store(path, MACHINE)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", _cut_off)
        with pytest.raises(KeyboardInterrupt):
            store.put(key(RFDN), row(tvmsr_a8w8=2.0))
    assert path.read_text() == text
    path.with_name("peers.json.part").write_text(text[:99])
    again = Store(path, MACHINE)
    assert list(again.rows) == [key()]
    again.put(key(RFDN), row(tvmsr_a8w8=2.0))
    assert list(Store(path, MACHINE).rows) == [key(), key(RFDN)]


def _cut_off(*_: object) -> None:
    raise KeyboardInterrupt


def test_another_machine(path):
    text = whole(path)
    with pytest.raises(SystemExit, match="another machine"):
        Store(path, {**MACHINE, "cores": 4})
    assert path.read_text() == text


def test_other_versions(path):
    store = Store(path, MACHINE)
    store.began("one", {"ort": "1"})
    store.began("one", VERSIONS)  # nothing was measured yet
    store.put(key(), row(tvmsr_a8w8=1.0))
    with pytest.raises(SystemExit, match=r"other versions .*'ort': '3'"):
        store.began("one", {**VERSIONS, "ort": "4"})
    assert store.data["versions"] == VERSIONS


def test_no_folder_is_said_before_anything_is_measured(tmp_path):
    with pytest.raises(SystemExit, match="no such folder"):
        Store(tmp_path / "nowhere" / "peers.json", MACHINE)


def test_the_best_peak_counts():
    store = Store(None, MACHINE)
    for found in ({"a": {"1": 5.0}}, {"a": {"1": 4.0, "2": 9.0}}, {"a": {"2": 9.5}, "b": {"1": 1.0}}):
        store.add_peaks(found)
    assert store.data["peaks"] == {"a": {"1": 5.0, "2": 9.5}, "b": {"1": 1.0}}


class Bench:
    """Measures nothing, and notes what it was asked for; breaks off in front of the row that is `last`."""

    made: list[str]
    asked: list[Key]
    last: Key | None

    def __init__(self, network, choice, sources, folder) -> None:
        self.choice = choice
        Bench.made.append(network.name)

    def row(self, one: Key) -> dict:
        if one == Bench.last:
            raise KeyboardInterrupt
        Bench.asked.append(one)
        return {"gmacs": 1.0, "columns": {name: {"reason": "not run"} for name in self.choice.columns(one.mode)}}


@pytest.fixture
def bench(monkeypatch, tmp_path):
    Bench.made, Bench.asked, Bench.last = [], [], None
    monkeypatch.setattr(peers, "Bench", Bench)
    sources = Sources(tmp_path, None, tmp_path)

    def run(store: Store, of: Choice) -> list[Key]:
        Bench.made, Bench.asked = [], []
        peers._measure(store, of, sources)
        return Bench.asked

    return run


def test_a_run_that_was_cut_off_goes_on(bench, path):
    every = [key(n, s, t) for n in (ESPCN, RFDN) for s in (SMALL, LARGE) for t in (1, 2)]
    for stop in (3, 6):
        Bench.last = every[stop]
        with pytest.raises(KeyboardInterrupt):
            bench(Store(path, MACHINE), choice())
    assert Bench.asked == every[3:6]
    Bench.last = None
    assert bench(Store(path, MACHINE), choice()) == every[6:]
    assert Bench.made == [RFDN], "nothing is prepared for a network whose rows are all there"
    assert bench(Store(path, MACHINE), choice()) == [] and Bench.made == []


def test_more_columns_are_measured_of_what_lacks_them(bench, path):
    one = choice(sizes=(SMALL,), threads=(1,), networks=(NETWORKS[ESPCN],))
    assert bench(Store(path, MACHINE), one) == [key()]
    more = choice(sizes=(SMALL,), threads=(1,), networks=(NETWORKS[ESPCN],), peers=("ncnn",))
    assert bench(Store(path, MACHINE), more) == [key()]
    both = choice(sizes=(SMALL,), threads=(1,), networks=(NETWORKS[ESPCN],), peers=("ort", "ncnn"))
    assert bench(Store(path, MACHINE), both) == []


def test_columns_of_a_mode():
    """Held to AVX2: those that can be, and no bfloat16, which AVX2 has not."""
    of = choice(("a8w8", "a4w4"), ("ort", "openvino"))
    ours, held = ["tvmsr a8w8", "tvmsr a4w4"], ["openvino fp32", "openvino int8"]
    ort = ["ort fp32", "ort int8", "ort int8-reduced"]
    assert of.columns("native") == [*ours, *ort, "openvino fp32", "openvino bf16", "openvino int8"]
    assert of.columns("avx2") == [*ours, *held]
