"""Calibration crops: how many, how large, always the same."""

from __future__ import annotations

import numpy as np
import pytest

from tvmsr.errors import InputFileError, UsageError
from tvmsr.imaging.augment import calibration_crops, default_calibration
from tvmsr.imaging.bicubic import make_lr
from tvmsr.imaging.files import write_picture


def same(a, b) -> bool:
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.fixture
def folder(tmp_path):
    for place in range(3):
        pixels = np.full((40, 50, 3), 10 * place, np.uint8)
        pixels[:, :, 1] = np.arange(50)
        write_picture(tmp_path / f"{place}.png", pixels)
    return tmp_path


@pytest.mark.parametrize(("count", "size", "edge"), [(1, 8, 8), (16, 64, 64), (9, 128, 128), (3, 999, 324)])
def test_default_set(count, size, edge) -> None:
    crops = default_calibration(count, size, 5)
    assert len(crops) == count
    assert all(crop.shape == (edge, edge, 3) and crop.dtype == np.uint8 and crop.flags.c_contiguous for crop in crops)
    assert same(crops, default_calibration(count, size, 5))
    assert not same(crops, default_calibration(count, size, 6))


def test_default_set_is_varied() -> None:
    crops = default_calibration(14, 64)
    assert min(crop.min() for crop in crops) == 0 and max(crop.max() for crop in crops) == 255
    assert np.std([crop.mean() for crop in crops]) > 15


@pytest.mark.parametrize(("count", "sources"), [(1, 1), (2, 2), (3, 3), (7, 3)])
def test_crops_are_spread_over_the_pictures(folder, count, sources) -> None:
    crops = calibration_crops(folder, count, 16, seed=3)
    assert len(crops) == count and all(crop.shape == (16, 16, 3) for crop in crops)
    seen = [int(crop[0, 0, 0]) for crop in crops]
    assert len(set(seen)) == sources
    assert max(map(seen.count, seen)) - min(map(seen.count, seen)) <= 1
    assert same(crops, calibration_crops(folder, count, 16, seed=3))


def test_small_pictures_are_taken_whole(folder) -> None:
    assert calibration_crops(folder, 1, 45)[0].shape == (40, 45, 3)
    assert calibration_crops(folder, 1, 45, hr_scale=4)[0].shape == (10, 12, 3)


def test_hr_is_downsized(folder) -> None:
    crop = calibration_crops(folder, 1, 10, hr_scale=2)[0]
    assert crop.shape == (10, 10, 3)
    whole = calibration_crops(folder, 1, 99)[0]
    assert np.array_equal(calibration_crops(folder, 1, 99, hr_scale=2)[0], make_lr(whole, 2))


def test_mistakes(folder, tmp_path_factory) -> None:
    with pytest.raises(UsageError, match="at least one"):
        default_calibration(0, 8)
    with pytest.raises(InputFileError, match="holds no PNG"):
        calibration_crops(tmp_path_factory.mktemp("empty"), 2, 8)
    tiny = tmp_path_factory.mktemp("tiny")
    write_picture(tiny / "a.png", np.zeros((3, 9, 3), np.uint8))
    with pytest.raises(InputFileError, match="too small"):
        calibration_crops(tiny, 1, 8, hr_scale=4)
