"""benchmarks/int8_or_fp32.py without its runs: which peer is the fastest, and where ours is better in both."""

from __future__ import annotations

import json
from pathlib import Path

import int8_or_fp32
import pytest
from claim import turns
from claim.tables import Standing, others_table, own_table, reasons, standing, summary
from judging.networks import Row
from peering.networks import Sources
from peering.runtimes import Size
from peering.store import Key

from tests.benchmarks.rows import SMALL, measured, store


def stands(name: str, ours: float, theirs: float | None, int8: float, fp32: float, scale: int = 3) -> Standing:
    quality = [{"set5": value, "set14": value - 3} for value in (int8, fp32)]
    return Standing(
        name, scale, (ours, ours), "LiteRT" if theirs else None, (theirs, theirs) if theirs else None, *quality
    )


def row(**columns) -> dict:
    named = {name.replace("_", " "): of for name, of in columns.items()}
    return {"scale": 3, "columns": {n: {"reason": of} if isinstance(of, str) else of for n, of in named.items()}}


def test_the_fastest_peer_is_that_with_the_least_median():
    found = row(tvmsr_int8=measured(2.0), ort_fp32=measured(9.0, minimum=1.0), litert_fp32=measured(7.0), mnn_fp32="no")
    means = {one: {"int8_psnr_y": 31.0, "fp32_psnr_y": 32.0, "fp32_ssim_y": 0.9} for one in ("set5", "set14")}
    one = standing("net", 3, found, means)
    assert one == Standing(
        "net", 3, (1.8, 2.0), "LiteRT", (6.3, 7.0), {"set5": 31.0, "set14": 31.0}, {"set5": 32.0, "set14": 32.0}
    )
    assert standing("net", 3, row(tvmsr_int8="it does not fit", ort_fp32=measured(1.0)), means) is None
    alone = standing("net", 3, row(tvmsr_int8=measured(2.0), ort_fp32="no"), {})
    assert alone.peer is None and not alone.faster_than(alone) and not alone.better_than(alone)


@pytest.mark.parametrize(
    "other, expected",
    [
        (stands("slower and worse", 9, 5.0, 0, 32.0), True),
        (stands("as fast", 9, 2.0, 0, 32.0), False),
        (stands("as good", 9, 5.0, 0, 33.0), False),
        (stands("another scale", 9, 5.0, 0, 32.0, scale=4), False),
        (stands("no peer", 9, None, 0, 32.0), False),
    ],
)
def test_better_in_both_at_the_same_scale(other, expected):
    assert stands("net", 2, 8.0, 33.0, 33.5).beats(other) is expected


def test_better_on_one_set_is_not_better():
    mixed = Standing("mixed", 3, (2, 2), "LiteRT", (5, 5), {}, {"set5": 30.0, "set14": 31.0})
    assert not stands("net", 2, 8.0, 33.0, 33.5).better_than(mixed)


def test_tables():
    found = [stands("a", 2, 8.0, 33.0, 33.5), stands("b", 1, 5.0, 32.5, 32.0), stands("c", 3, None, 30.0, 31.0)]
    own = own_table(found)
    assert own[2] == (
        "| a | LiteRT | 8.0 / 8.0 | 2.0 / 2.0 | 4.00 | 33.500 / 33.000 | 30.500 / 30.000 | yes | no | no |"
    )
    assert own[3].endswith("| yes | yes | yes |") and "| c | - | - | 3.0 / 3.0 | - |" in own[4]
    assert others_table(found)[2:5] == ["| a | x3 | 1 of 3 | b |", "| b | x3 | 1 of 3 | b |", "| c | x3 | 0 of 3 | - |"]
    said = summary(found)
    assert "on 2 (of 2 that a peer runs)" in said and "on both sets on 1 (b)" in said and said.endswith("scale on 2.")


def test_a_reason_once():
    rows = {"a": row(tvmsr_int8=measured(1.0), ncnn_fp32="no form"), "b": row(ncnn_fp32="no form")}
    assert reasons(rows) == ["- ncnn: no form (a, b)"]


def test_quality_of_several_files(tmp_path):
    files = [tmp_path / "a.json", tmp_path / "b.json"]
    for number, file in enumerate(files):
        file.write_text(json.dumps([{"name": f"net{number}", "means": {"set5": {"int8_psnr_y": number}}}]))
    assert int8_or_fp32.known_quality(files)["net1"] == {"set5": {"int8_psnr_y": 1}}


def test_the_page():
    found = {Key("espcn_x3", SMALL, 2, "native"): row(tvmsr_int8=measured(2.0), ort_fp32=measured(4.0), mnn_fp32="no")}
    means = {one: {"int8_psnr_y": 31.0, "fp32_psnr_y": 32.0} for one in ("set5", "set14")}
    page = int8_or_fp32.text(store({}), found, {"espcn_x3": means})
    assert "| espcn_x3 | ONNX Runtime | 3.6 / 4.0 | 1.8 / 2.0 | 2.00 |" in page and "ms at 320x180, 2 threads" in page
    assert "- mnn: no (espcn_x3)" in page


def test_artifacts_of_the_quality_run_are_used(tmp_path, monkeypatch):
    compiled: list[tuple] = []
    monkeypatch.setattr(turns.tvmsr, "compile", lambda model, **how: compiled.append((model, how["out"])))
    sources = Sources(tmp_path, None, tmp_path)
    kept = tmp_path / "carn(--scale2)-int8.so"
    kept.touch()
    assert turns.artifact(Row("carn.safetensors", (None, None), scale=2), sources, tmp_path) == kept and not compiled
    made = turns.artifact(Row("default:x2", (None, None)), sources, tmp_path)
    assert made.name == "default-x2-int8.so" and compiled == [("default:x2", made)]


def test_default_networks_need_no_file(tmp_path):
    assert Sources(tmp_path, None, tmp_path).checkpoint("default:x4") == Path("default:x4")


def test_columns():
    assert turns.Choice(Size(2, 2), 1, ("ort", "mnn"), "", 1, 1.0).columns == ["tvmsr int8", "ort fp32", "mnn fp32"]
