"""The table of quality: pure W8A8 is told where it differs, drops and shares are summed over all networks."""

from __future__ import annotations

import json

import pytest
import quality
from judging.measure import Folders, wide_layers
from judging.networks import ROWS, Row
from judging.tables import drop, quality_table, summary, windows_table

ROW, OTHER = Row("espcn_x3.safetensors", (31.97, None)), Row("carn.safetensors", (1.0, 2.0), scale=2)


def figures(name: str, int8: float, strict: float | None = None, wide_macs: float = 0.0) -> dict:
    mean = {"fp32_psnr_y": 32.0, "int8_psnr_y": int8, "ordinary_psnr_y": 31.0, "int8_from_fp32_y": 50.0}
    mean |= {"fp32_ssim_y": 0.9, "int8_ssim_y": 0.89, "bicubic_psnr_y": 30.0}
    mean |= {} if strict is None else {"strict_psnr_y": strict}
    place = {"picture": "set5/baby", "row": 8, "column": 16, "error": 1.0, "psnr": {"ordinary": 40.0, "int8": 45.0}}
    return {
        "name": name, "wide": int(wide_macs > 0), "wide_macs": wide_macs, "macs": 100.0, "size": 2048, "level": "avx2",
        "weights_size": 1024, "seconds": 3.0, "means": {"set5": mean, "set14": mean}, "windows": {"ordinary": place},
    }  # fmt: skip


def test_pure_w8a8_is_the_same_where_nothing_is_wider():
    mean = figures("a", 31.9)["means"]["set5"]
    assert drop(mean, "strict") == drop(mean, "int8") == pytest.approx(0.1)
    assert drop(figures("a", 31.9, 31.5)["means"]["set5"], "strict") == pytest.approx(0.5)


def test_rows_and_summary():
    results = [(ROW, figures(ROW.name, 31.9)), (OTHER, figures(OTHER.name, 31.8, 31.2, wide_macs=50.0))]
    lines = quality_table(results)
    assert len({line.count("|") for line in lines}) == 1
    assert "| espcn_x3 | 31.97 / - |" in lines[2]
    assert "| 0.200 / 0.200 | 0.800 / 0.800 | 1.000 / 1.000 |" in lines[3]
    assert "| 1 (50%) |" in lines[3]
    said = summary(results)
    assert "Drop, set5: mean 0.150 dB, worst 0.200 (carn (--scale 2))" in said
    assert "Above 8 bits: 25.0% of all multiplications" in said
    assert windows_table(results)[2] == "| espcn_x3 | ordinary INT8 | set5/baby | 8, 16 | 40.0 | 45.0 |"


def test_layers_that_read_more_than_8_bits():
    layers = [{"bits": "a8w8", "macs_per_pixel": 10}, {"bits": "a12w8", "macs_per_pixel": 5}, {"macs_per_pixel": 0}]
    assert wide_layers({"levels": [{"layers": layers}]}) == {"wide": 1, "wide_macs": 5.0, "macs": 15.0}


def test_what_is_in_a_file_is_not_measured_again(tmp_path, monkeypatch):
    one, two = tmp_path / "a.json", tmp_path / "b.json"
    two.write_text(json.dumps([figures(ROWS[0].name, 31.9)]))
    monkeypatch.setattr(quality, "measure", lambda row, folders, scratch: figures(row.name, 31.5))
    known = quality._measured(ROWS[:2], Folders(tmp_path, tmp_path, None), [one, two])
    assert known[ROWS[0].name]["means"]["set5"]["int8_psnr_y"] == 31.9
    assert [row["name"] for row in json.loads(one.read_text())] == [ROWS[1].name]
