"""Profiles: shares, bytes and totals from made-up times and peaks; what the command line and JSON say of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import tvmsr
from tests.commands.boards import Board
from tests.commands.conftest import Made, Small
from tests.devices import trees
from tvmsr.cli.main import main
from tvmsr.commands.bench import bench_devices
from tvmsr.commands.benchmark import layers
from tvmsr.commands.benchmark.profile import LayerTime, Profile, make_profile
from tvmsr.devices import Here
from tvmsr.errors import WorkError
from tvmsr.hardware.peaks import Bandwidth, Origin, Peaks, Roof
from tvmsr.runtime import StepTime

PEAKS = Peaks(
    Origin.MEASURED,
    "made up",
    (Roof("dot4", 1, 100.0, "vpmaddubsw"), Roof("pair16", 1, 50.0, "vpmaddwd"), Roof("dot4", 2, 190.0, "vpmaddubsw")),
    (Bandwidth("L1", 1, 200.0, "16 KiB"), Bandwidth("RAM", 1, 10.0, "64 MiB")),
)

#: 10 x 10 pixels: 1e7 multiply-adds a pixel are one GMAC.
SIZE, GMAC = (10, 10), 1e7


def entry(name: str, **more: Any) -> dict[str, Any]:
    plain = {"name": name, "kernel": f"k_{name}", "bits": "a8w8", "algorithm": "direct", "tile": [12, 1, 0, 0]}
    told = {"primitive": "dot4", "multiplies": 1.0, "useful": 0.5, "shape": "3x3 8 to 8", "reason": "so"}
    return {**plain, **told, "map_bytes_per_pixel": 1e5, "packed_bytes": 1000, **more}


LAYERS = (
    entry("first"),
    entry("fast", algorithm="winograd4", primitive="pair16", multiplies=0.25, useful=None, tile=[3, 4, 0, 15]),
    entry("wide", primitive="lanewise", algorithm="depthwise"),
    entry("move", primitive="", kernel="c", algorithm="max_pool", tile=[], shape="", packed_bytes=0, useful=None),
)

#: Seconds and GMAC of the steps between the conversions.
TIMES = (("first", 0.02, 1.0), ("fast", 0.01, 2.0), ("wide", 0.05, 0.5), ("move", 0.02, 0.0))


def manifest(entries: tuple[dict[str, Any], ...] = LAYERS) -> dict[str, Any]:
    return {"levels": [{"name": "other", "layers": []}, {"name": "avx2", "isa": "avx2", "layers": list(entries)}]}


def steps(entries: tuple[dict[str, Any], ...] = LAYERS, slower: float = 1.0) -> tuple[StepTime, ...]:
    kernels = {layer["name"]: layer["kernel"] for layer in entries}
    inner = (StepTime(name, kernels[name], slower * s, gmac * GMAC, 1) for name, s, gmac in TIMES)
    return (StepTime("input", "", 0.003, 0.0, 1), *inner, StepTime("output", "", 0.001, 0.0, 1))


def made_up(peaks: Peaks = PEAKS, entries: tuple[dict[str, Any], ...] = LAYERS, threads: int = 1) -> Profile:
    return make_profile([steps(entries)], manifest(entries), "avx2", SIZE, threads, peaks)


def test_shares_of_the_peak() -> None:
    found = made_up()
    first, fast, wide, move = found.layers[1:-1]
    assert found.direct == "dot4"
    # 1 GMAC in 20 ms is 50 GMAC/s
    assert (first.gmac, first.gmacs, first.peak) == pytest.approx((1.0, 50.0, 100.0))
    assert (first.of_peak, first.of_direct) == pytest.approx((0.5, 0.5))
    # a transform: 200 GMAC/s of the direct convolution's, a quarter of them really done, on 16-bit multipliers
    assert (fast.gmacs, fast.peak, fast.of_peak, fast.of_direct) == pytest.approx((200.0, 50.0, 1.0, 2.0))
    assert (wide.gmacs, wide.peak, wide.of_peak) == (pytest.approx(10.0), None, None)
    assert (move.gmacs, move.peak, move.of_peak, move.of_direct, move.intensity) == (0.0, None, None, None, None)
    assert [row.share for row in found.layers] == pytest.approx(
        [s / 0.104 for s in (3e-3, 0.02, 0.01, 0.05, 0.02, 1e-3)]
    )


def test_shares_are_of_the_threads_in_use() -> None:
    assert made_up(threads=2).layers[1].of_peak == pytest.approx(50 / 190)
    assert made_up(threads=16).layers[1].of_peak == pytest.approx(50 / 190)


def test_bytes_and_intensity() -> None:
    found = made_up()
    first, move = found.layers[1], found.layers[4]
    assert first.bytes == 10_001_000 and first.intensity == pytest.approx(1e9 / 10_001_000)
    assert move.bytes == 10_000_000
    assert found.layers[0].bytes is None and not found.layers[0].is_layer and first.is_layer


def test_totals() -> None:
    totals = made_up().totals
    assert (totals.layers_ms, totals.conversion_ms) == pytest.approx((100.0, 4.0))
    assert (totals.gmac, totals.gmacs, totals.bytes) == (pytest.approx(3.5), pytest.approx(35.0), 40_003_000)
    # 10 ms of each of the two convolutions, of all but the layer whose peak is not known
    assert totals.of_peak == pytest.approx((10 + 10) / 50)


def test_the_best_of_the_runs_counts() -> None:
    slow, fast = steps(slower=3.0), steps()
    mixed = (*slow[:2], *fast[2:])
    found = make_profile([slow, mixed], manifest(), "avx2", SIZE, 1, PEAKS)
    assert found.runs == 2
    assert [row.milliseconds for row in found.layers] == pytest.approx([3.0, 60.0, 10.0, 50.0, 20.0, 1.0])


def test_files_of_earlier_releases() -> None:
    """Their manifests have names, kernels, bits and algorithms only."""
    new = ("primitive", "multiplies", "useful", "map_bytes_per_pixel", "packed_bytes", "shape")
    old = tuple({key: value for key, value in layer.items() if key not in new} for layer in LAYERS)
    old[0]["tile"] = [12, 1]
    found = made_up(entries=old)
    first = found.layers[1]
    assert (first.tile, first.algorithm, first.gmacs) == ("12x1", "direct", pytest.approx(50.0))
    assert (first.bytes, first.intensity, first.peak, first.of_peak) == (None,) * 4
    assert first.of_direct == pytest.approx(0.5) and first.primitive == ""
    assert (found.totals.bytes, found.totals.of_peak) == (None, None)


def test_without_peaks_and_without_a_level() -> None:
    found = made_up(Peaks(Origin.UNKNOWN, "nobody knows"))
    assert {row.of_peak for row in found.layers} == {None} and found.totals.of_peak is None
    nowhere = make_profile([steps()], {}, "avx2", SIZE, 1, PEAKS)
    assert nowhere.direct == "" and nowhere.layers[1].gmacs == pytest.approx(50.0)


def test_tiles_are_written_as_kernels_write_them() -> None:
    assert [row.tile for row in made_up().layers] == ["", "12x1", "3x4s15", "12x1", "", ""]
    rows = made_up(entries=(LAYERS[0], {**LAYERS[1], "tile": [3, 2, 0, 6, 1, 4]}, *LAYERS[2:]))
    assert rows.layers[2].tile == "3x2x4s6"


def _told(artifact: Path) -> list[str]:
    from tvmsr.artifact.manifest import read_manifest

    return [layer.name for layer in read_manifest(artifact).levels[0].layers]


def test_of_this_machine(made: Made) -> None:
    found = tvmsr.bench(made.artifact, width=24, height=16, threads=(1, 2), runs=2, layers=True)
    profile = found.profile
    assert profile is not None and (profile.threads, profile.runs) == (1, 2)
    assert [row.name for row in profile.layers] == ["input", *_told(made.artifact), "output"]
    assert profile.peaks.origin is Origin.MEASURED and {r.threads for r in profile.peaks.bandwidths} <= {1, 2}
    assert all(row.bytes for row in profile.layers if row.is_layer)
    data = json.loads(json.dumps(found.as_json()))
    assert [row["name"] for row in data["layers"]] == [row.name for row in profile.layers]
    assert data["profile"]["peaks"]["origin"] == "measured" and "layers" not in data["profile"]
    assert data["profile"]["totals"]["gmac"] == pytest.approx(found.gmac)


def test_a_board_is_compared_with_its_target(made: Made) -> None:
    board = Board("pi5", [trees.pi5()], target="rpi5")
    found = tvmsr.bench(made.artifact, width=24, height=16, threads=(1,), runs=1, layers=True, device=board)
    assert found.profile is not None
    assert (found.profile.peaks.origin, found.profile.peaks.source) == (Origin.COMPUTED, "target rpi5")
    board = Board("pi5", [trees.pi5()], target="a-target-that-is-gone")
    found = tvmsr.bench(made.artifact, width=24, height=16, threads=(1,), runs=1, layers=True, device=board)
    assert found.profile is not None
    assert found.profile.peaks.origin is Origin.UNKNOWN and "a-target-that-is-gone" in found.profile.peaks.source


def test_an_emulator_is_compared_with_its_target(small: Small, capfd) -> None:
    arguments = ["bench", str(small.arm), "--size", "16x16", "--threads", "1", "--layers", "--device"]
    assert main([*arguments, "qemu:aarch64:cortex-a76"]) == 0
    said = capfd.readouterr().out
    assert "peaks computed: target arm, which stands for a Raspberry Pi 5" in said and "1 run on 1 thread" in said
    assert "77 GMAC/s" in said and all(name in said for name in _told(small.arm))


def test_where_nothing_can_be_compiled(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise WorkError("no compiler")

    monkeypatch.setattr(layers, "Meter", broken)
    found = tvmsr.bench(made.artifact, width=24, height=16, threads=(1,), runs=1, layers=True)
    assert found.profile is not None
    assert found.profile.peaks == Peaks(Origin.UNKNOWN, "they cannot be measured: no compiler")


def test_on_a_cpu_that_no_loop_is_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was compiled for a board, on that board."""
    monkeypatch.setattr("tvmsr.hardware.peaks.measured.machine", lambda: "aarch64")
    of_pi5 = layers._peaks(Here(), {"isa": "dotprod"}, {"target": "rpi5"}, (1,))
    assert of_pi5[0] is None and of_pi5[1].source == "target rpi5"
    meter, _ = layers._peaks(Here(), {"isa": "dotprod"}, {"target": "host"}, (1,))
    assert meter is not None
    meter.round()
    assert not meter.peaks().roofs and meter.peaks().bandwidths


def test_what_is_not_known_is_a_dash(capfd) -> None:
    from tvmsr.cli import profiles

    profiles.profile(made_up(Peaks(Origin.UNKNOWN, "nobody knows")))
    said = capfd.readouterr().out
    assert "peaks unknown: nobody knows" in said and "GB/s" not in said
    (row,) = [line.split() for line in said.splitlines() if line.startswith("first ")]
    assert row[-6:] == ["50.0", "-", "-", "50.0", "10.00", "100.0"]  # GMAC/s, % peak, % direct, % useful, MB, MAC/B


def test_the_table_has_every_layer(made: Made, capfd) -> None:
    assert main(["bench", str(made.artifact), "--size", "24x16", "--threads", "1", "--runs", "1", "--layers"]) == 0
    lines = capfd.readouterr().out.splitlines()
    header = next(i for i, line in enumerate(lines) if line.startswith("layer "))
    for title in ("shape", "bits", "algorithm", "ms", "% time", "GMAC", "GMAC/s", "% peak", "MB", "MAC/B"):
        assert f" {title} " in f"{lines[header]} "
    names = [line.split()[0] for line in lines[header + 1 :]]
    wanted = ["input", *_told(made.artifact), "output"]
    assert names[: len(wanted)] == wanted
    assert "conversion of pixels" in lines[header + len(wanted) + 1]
    assert any(line.startswith("RAM ") or line.startswith("L1 ") for line in lines)


def test_several_devices_have_a_profile_each(made: Made, capfd, monkeypatch: pytest.MonkeyPatch) -> None:
    from tvmsr.cli import benches

    boards = [Board("one", [trees.pi5()], target="rpi5"), Board("two", [trees.pi5()], target="rpi4")]
    found = bench_devices(made.artifact, devices=boards, width=24, height=16, threads=(1,), runs=1, layers=True)
    benches.several(found)
    said = capfd.readouterr().out
    assert "peaks computed: target rpi5" in said and "peaks computed: target rpi4" in said


def test_amounts() -> None:
    assert layers._amount(emulated=True, runs=None) == (1, 1) and layers._amount(emulated=True, runs=4) == (4, 4)
    least, most = layers._amount(emulated=False, runs=None)
    assert 1 < least <= most


def test_layers_are_plain_values() -> None:
    row = LayerTime("a", "k", 1.0, 2.0)
    with pytest.raises(AttributeError):
        row.name = "b"  # type: ignore[misc]
