"""The table of benchmarks/peers.py, from results made by hand: ratios, means, what is bold, what low bits count."""

from __future__ import annotations

import math

import pytest
from peering import table
from peering.ours import MOST_LOST

from tests.benchmarks.rows import EDSR, ESPCN, LARGE, RFDN, SMALL, cells, key, measured, row, store

FEW, LOW = {"a8w8": 0.05, "a6w4": 0.4, "a4w4": 1.8}, ("a8w8", "a6w4", "a4w4")


def times(of, mode="native", size=SMALL, threads=1, network=ESPCN) -> dict[str, str]:
    return cells(table._times(of, mode, size, threads), network)


def summary(of, where: str, mode: str = "native") -> dict[str, str]:
    return cells(table._summary(of, mode), where)


def test_ratios_are_of_medians():
    found = times(store({key(): row(tvmsr_a8w8=4.0, ort_fp32=12.0, ncnn_int8=5.0)}))
    assert found["tvmsr a8w8"] == "3.6 / 4.0" and found["ONNX Runtime FP32"] == "10.8 / 12.0"
    assert found["best / a8w8"] == "1.25" and found["best / low bits"] == "-"
    assert found["network"] == "ESPCN x3 (1.5 GMAC)"


def test_a_peer_is_compared_with_ours_among_its_own_turns():
    """Two groups: in the second one ours was slower, too."""
    peers = {"ort_fp32": measured(12.0, against={"a8w8": 4.0}), "mnn_fp32": measured(11.0, against={"a8w8": 2.0})}
    found = table.best(row(tvmsr_a8w8=3.0, **peers), "a8w8")
    assert found == table.Best(3.0, "ONNX Runtime FP32")


def test_best_looks_at_the_precisions_asked_for():
    of = row(tvmsr_a8w8=2.0, ort_fp32=8.0, openvino_bf16=4.0, ort_int8=6.0)
    assert table.best(of, "a8w8") == table.Best(2.0, "OpenVINO BF16")
    assert table.best(of, "a8w8", ("FP32",)) == table.Best(4.0, "ONNX Runtime FP32")
    assert table.best(of, "a8w8", ("INT8",)) == table.Best(3.0, "ONNX Runtime INT8")
    assert table.best(of, "a4w4") is None
    assert table.best(row(tvmsr_a8w8=2.0, ort_fp32="not installed: onnxruntime"), "a8w8") is None


def test_the_better_range_of_onnx_runtime_is_shown():
    for full, reduced in ((5.0, 3.0), (3.0, 5.0)):
        found = times(store({key(): row(tvmsr_a8w8=1.0, ort_int8=full, ort_int8_reduced=reduced)}))
        assert found["ONNX Runtime INT8"] == "**2.7 / 3.0**" and found["best / a8w8"] == "3.00"
    found = times(store({key(): row(tvmsr_a8w8=1.0, ort_int8="it crashed", ort_int8_reduced=5.0)}))
    assert found["ONNX Runtime INT8"] == "**4.5 / 5.0**"


def test_the_fastest_peer_is_bold_and_nothing_else():
    found = times(store({key(): row(tvmsr_a8w8=1.0, ort_fp32=9.0, mnn_fp32=7.0, ncnn_int8=8.0)}))
    assert [title for title, cell in found.items() if "**" in cell] == ["MNN FP32"]
    assert found["MNN FP32"] == "**6.3 / 7.0**"
    alone = times(store({key(): row(tvmsr_a8w8=1.0, ort_fp32="it crashed")}))
    assert alone["ONNX Runtime FP32"] == alone["best / a8w8"] == "-" and not any(
        "**" in cell for cell in alone.values()
    )


@pytest.mark.parametrize(
    "lost, expected",
    [(0.0, True), (math.nextafter(MOST_LOST, 0), True), (MOST_LOST, False), (3.0, False), (None, False)],
)
def test_low_bits_count_under_one_decibel(lost, expected):
    assert MOST_LOST == 1.0
    of = store(
        {key(): row(tvmsr_a8w8=4.0, tvmsr_a4w4=2.0, ort_fp32=8.0)}, {ESPCN: {} if lost is None else {"a4w4": lost}}
    )
    found = times(of)
    assert table.counts(of, ESPCN, "a4w4") is expected
    assert found["tvmsr a4w4"] == ("1.8 / 2.0" if expected else "1.8 / 2.0 †")
    assert found["best / low bits"] == ("4.00" if expected else "-")
    assert summary(of, str(SMALL))["fastest peer / best low bits that count"] == ("4.00 (1)" if expected else "-")


def test_eight_bits_count_whatever_they_lose():
    of = store({key(): row(tvmsr_a8w8=4.0, ort_fp32=8.0)}, {ESPCN: {"a8w8": 5.0}})
    assert table.counts(of, ESPCN, "a8w8") and times(of)["tvmsr a8w8"] == "3.6 / 4.0"


def test_another_networks_weights_may_judge():
    """Nothing trained of EDSR-baseline's size: edsr8_x2 says what bits cost."""
    of = store({}, {EDSR: FEW})
    assert of.data["losses"] == {"edsr8_x2": FEW}
    assert [table.counts(of, EDSR, bits) for bits in LOW] == [True, True, False]
    assert not table.counts(of, RFDN, "a6w4")


def test_no_dagger_where_nothing_was_measured():
    of = store({key(): row(tvmsr_a8w8=4.0, tvmsr_a4w4="it does not fit", ort_fp32=8.0)}, {ESPCN: FEW})
    assert times(of)["tvmsr a4w4"] == "-"


def test_the_fastest_low_bits_that_count():
    made = row(tvmsr_a8w8=4.0, tvmsr_a6w4=3.0, tvmsr_a4w4=2.0, ort_fp32=6.0)
    for losses, expected in ((FEW, "2.00"), ({**FEW, "a4w4": 0.9}, "3.00"), ({"a6w4": 2.0, "a4w4": 2.0}, "-")):
        assert times(store({key(): made}, {ESPCN: losses}))["best / low bits"] == expected


def test_geometric_mean():
    assert table.geometric([4.0]) == pytest.approx(4.0)
    assert table.geometric([0.5, 2.0]) == pytest.approx(1.0)
    assert table.geometric([1.0, 2.0, 4.0, 8.0]) == pytest.approx(8**0.5)


def test_means_over_the_networks():
    of = store(
        {
            key(ESPCN): row(tvmsr_a8w8=4.0, tvmsr_a6w4=2.0, ort_fp32=16.0, ort_int8=2.0),
            key(RFDN): row(tvmsr_a8w8=1.0, tvmsr_a6w4=1.0, ort_fp32=1.0, ort_int8=8.0),
            key(EDSR): row(tvmsr_a8w8=1.0, tvmsr_a6w4=1.0, ort_fp32="it crashed", ort_int8="it crashed"),
        },
        {ESPCN: FEW, RFDN: FEW},
    )
    found = summary(of, f"{SMALL}, 1")
    assert found["fastest peer / a8w8"] == "0.71 (2)"
    assert found["fastest FP32 / a8w8"] == "2.00 (2)"
    assert found["fastest INT8 / a8w8"] == "2.00 (2)"
    assert found["fastest peer / best low bits that count"] == "1.00 (2)"
    assert found["a8w8 faster than every peer"] == "not on ESPCN x3 (ONNX Runtime INT8, 0.50)"


def test_a_line_for_each_place_and_one_for_all():
    rows = {
        key(size=SMALL, threads=1): row(tvmsr_a8w8=1.0, ort_fp32=2.0),
        key(size=SMALL, threads=2): row(tvmsr_a8w8=1.0, ort_fp32=4.0),
        key(size=LARGE, threads=1): row(tvmsr_a8w8=1.0, ort_fp32=8.0),
        key(size=SMALL, threads=1, mode="avx2"): row(tvmsr_a8w8=1.0, ort_fp32=100.0),
    }
    places = (f"{SMALL}, 1", f"{SMALL}, 2", f"{LARGE}, 1", "all")
    found = [summary(store(rows), where)["fastest peer / a8w8"] for where in places]
    assert found == ["2.00 (1)", "4.00 (1)", "8.00 (1)", "4.00 (3)"]
    assert all(summary(store(rows), where)["a8w8 faster than every peer"] == "on each" for where in places)
    assert not any(line.startswith("| all ") for line in table._summary(store(rows), "avx2"))


def test_nothing_compared_is_not_faster_on_each():
    found = summary(store({key(): row(tvmsr_a8w8=1.0)}), str(SMALL))
    assert set(list(found.values())[1:]) == {"-"}


def test_memory_is_of_the_run_with_most_threads():
    def made(mine: int, *peers: int):
        names = ("ort_fp32", "mnn_fp32")
        return row(
            tvmsr_a8w8=measured(1.0, peak=mine << 20),
            **{n: measured(1.0, peak=p << 20, before=30 << 20) for n, p in zip(names, peers, strict=True)},
        )

    of = store({key(threads=1): made(9, 90, 900), key(threads=2): made(10, 150, 70), key(mode="avx2"): made(1, 1, 1)})
    lines = table._memory(of, SMALL)
    found = cells(lines, ESPCN)
    assert (found["tvmsr a8w8"], found["ONNX Runtime FP32"], found["MNN FP32"]) == ("10", "150", "70")
    assert found["leanest / first"] == "7.00" and "30 to 30 MiB" in "\n".join(lines)
    assert table._memory(of, LARGE) == []


def test_opening_is_of_the_smallest_size():
    of = store({
        key(size=LARGE): row(tvmsr_a8w8=measured(1.0, opened=99.0)),
        key(size=SMALL): row(tvmsr_a8w8=measured(1.0, opened=3.25), ort_fp32=measured(1.0, opened=8.0)),
    })  # fmt: skip
    found = cells(table._opening(of), ESPCN)
    assert (found["tvmsr a8w8"], found["ONNX Runtime FP32"]) == ("3.2", "8.0")


def test_psnr_and_the_same_bytes():
    of = store({key(): row(tvmsr_a8w8=measured(1.0, psnr=48.76), ort_fp32=measured(1.0, psnr=None), mnn_fp32=1.0)})
    found = cells(table._psnr(of), ESPCN)
    assert list(found.values())[1:] == ["48.8", "*same*", "-"]
    assert table._psnr(store({key(): row(tvmsr_a8w8=1.0)})) == []


def test_losses_have_daggers_too():
    found = cells(table._losses(store({}, {ESPCN: {"a8w8": 1.5, "a6w4": 0.99, "a4w4": 1.0}})), ESPCN)
    assert list(found.values())[1:] == ["1.50", "0.99", "1.00 †"]
    assert "was not measured" in table._losses(store({}, {ESPCN: {}}))[0]


def test_a_reason_once():
    rows = {
        key(ESPCN): row(mnn_fp32="not installed: MNN", mnn_int8="not installed: MNN", ort_int8="no int8"),
        key(RFDN): row(mnn_fp32="not installed: MNN", mnn_int8="not installed: MNN", ort_int8=1.0),
    }
    assert table._reasons(store(rows))[2:-1] == [
        "- mnn fp32, mnn int8: not installed: MNN (ESPCN x3, RFDN x4)",
        "- ort int8: no int8 (ESPCN x3)",
    ]


def test_the_whole_page():
    """Every part of it, in its order; nothing about a mode or a size that nobody ran."""
    of = store({key(): row(tvmsr_a8w8=1.0, ort_fp32=2.0), key(mode="avx2"): row(tvmsr_a8w8=2.0)}, {ESPCN: FEW})
    of.add_peaks({"GMAC/s, bare": {"1": 500.4, "2": 900.0}})
    page = table.markdown(of)
    titles = [line for line in page.splitlines() if line.startswith("###")]
    assert titles == [
        f"### Times, {table.MODES['native']}", "### 320x180, 1 thread", f"### Times, {table.MODES['avx2']}",
        "### 320x180, 1 thread", "### Peak memory, 320x180", "### Opening", "### What bits cost",
    ]  # fmt: skip
    assert "| GMAC/s, bare | 500 | 900 |" in page and "Held: ONNX Runtime: its kernels have no switch" in page
    held = table.markdown(store({key(mode="avx2"): row(tvmsr_a8w8=2.0)}))
    assert "### Peak memory" not in held and "### Opening" not in held and "### Times, held" in held
    assert "###" not in table.markdown(store({}))


def test_every_line_of_a_table_is_as_wide_as_its_head():
    made = row(tvmsr_a8w8=1.0, tvmsr_a4w4="it does not fit", ort_fp32=2.0, openvino_bf16="no bf16", litert_int8=3.0)
    rows = {key(n, s, t, m): made for n in (ESPCN, RFDN) for s in (SMALL, LARGE) for t in (1, 2) for m in table.MODES}
    width = None
    for line in table.markdown(store(rows, {ESPCN: FEW})).splitlines():
        bars = line.count("|") if line.startswith("|") else None
        assert width is None or bars in (width, None), line
        width = bars
