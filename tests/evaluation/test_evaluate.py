"""The evaluation of an upscaler, and the bicubic baseline that every paper prints."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tvmsr.errors import UsageError
from tvmsr.evaluation.dataset import Pair, load_pairs
from tvmsr.evaluation.evaluate import evaluate, to_bytes
from tvmsr.imaging.bicubic import imresize, make_lr
from tvmsr.imaging.colour import luma

SETS = Path(__file__).parents[3] / "shared" / "data" / "images"


@pytest.fixture
def pairs():
    rng = np.random.default_rng(0)
    coarse = [rng.integers(0, 256, (8, 9, 3), dtype=np.uint8) for _ in range(2)]
    hrs = [imresize(c, 4) for c in coarse]
    return [Pair(name, make_lr(hr, 2), hr) for name, hr in zip("ab", hrs, strict=True)]


def bicubic(lr):
    return imresize(lr, 2)


def test_rows_means_and_json(pairs) -> None:
    seen = []
    result = evaluate(bicubic, pairs, 2, fp32=lambda lr: bicubic(lr) / 255, progress=lambda *p: seen.append(p))
    data = json.loads(json.dumps(result.as_json(), allow_nan=False))
    assert seen == [(0, 2), (1, 2), (2, 2)]
    assert [image["name"] for image in data["images"]] == ["a", "b"]
    keys = {f"{who}{what}_y" for who in ("", "bicubic_", "fp32_") for what in ("psnr", "ssim")}
    assert set(data["mean"]) == keys and set(data["images"][0]) == keys | {"name"}
    for key in keys:
        assert data["mean"][key] == pytest.approx(np.mean([image[key] for image in data["images"]]))
    assert data["mean"]["psnr_y"] == data["mean"]["bicubic_psnr_y"] == data["mean"]["fp32_psnr_y"]


def test_rgb_protocol(pairs) -> None:
    assert set(evaluate(bicubic, pairs, 2, "rgb").mean) == {
        "psnr_rgb",
        "ssim_rgb",
        "bicubic_psnr_rgb",
        "bicubic_ssim_rgb",
    }


def test_y_output(pairs) -> None:
    """Y floats 0..1 are rounded to bytes and compared with the Y of the original."""
    result = evaluate(lambda lr: luma(bicubic(lr)) / 255, pairs, 2)
    pair = pairs[0]
    rounded = np.rint(luma(bicubic(pair.lr)))
    error = np.mean((rounded - luma(pair.hr))[2:-2, 2:-2] ** 2)
    assert result.rows[0].figures["psnr_y"] == pytest.approx(10 * np.log10(255**2 / error))
    with pytest.raises(UsageError, match="--protocol y"):
        evaluate(lambda lr: luma(bicubic(lr)) / 255, pairs, 2, "rgb")


def test_a_perfect_result_is_null_in_json(pairs) -> None:
    answers = iter(pairs)
    data = evaluate(lambda lr: next(answers).hr, pairs, 2).as_json()
    assert data["mean"]["psnr_y"] is None and data["mean"]["ssim_y"] == pytest.approx(1)


def test_to_bytes() -> None:
    assert to_bytes(np.array([-0.1, 0.5, 0.25, 1.7])).tolist() == [0, 128, 64, 255]
    with pytest.raises(UsageError, match="not finite"):
        to_bytes(np.array([np.nan]))


def test_mistakes(pairs) -> None:
    with pytest.raises(UsageError, match="a: the output is 18 x 16"):
        evaluate(lambda lr: lr, pairs, 2)
    with pytest.raises(UsageError, match="no protocol"):
        evaluate(bicubic, pairs, 2, "z")
    with pytest.raises(UsageError, match="empty"):
        evaluate(bicubic, [], 2)


@pytest.mark.skipif(not SETS.is_dir(), reason="the test sets are not at hand")
@pytest.mark.parametrize(("name", "scale", "want"), [("set5", 2, 33.673), ("set5", 4, 28.429), ("set5", 3, 30.403)])
def test_published_bicubic_baseline(name, scale, want) -> None:
    result = evaluate(lambda lr: imresize(lr, scale), load_pairs(SETS / name, scale), scale)
    assert result.mean["psnr_y"] == pytest.approx(want, abs=0.0006)
