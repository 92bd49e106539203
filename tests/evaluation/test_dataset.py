"""Test sets: what is paired with what."""

from __future__ import annotations

import numpy as np
import pytest

from tvmsr.errors import InputFileError
from tvmsr.evaluation.dataset import load_pairs
from tvmsr.imaging.bicubic import make_lr
from tvmsr.imaging.files import write_picture


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def hr_folder(tmp_path):
    folder = tmp_path / "HR"
    folder.mkdir()
    write_picture(folder / "0801.png", picture(26, 23))
    write_picture(folder / "b.png", picture(24, 24)[..., 0])
    return folder


def test_lr_is_made(hr_folder) -> None:
    pairs = load_pairs(hr_folder, 4)
    first, second = pairs
    assert len(pairs) == 2 and [first.name, second.name] == ["0801", "b"]
    assert first.hr.shape == (24, 20, 3) and np.array_equal(first.lr, make_lr(picture(26, 23), 4))
    assert second.hr.shape == (24, 24, 3)
    assert [pair.name for pair in pairs] == ["0801", "b"], "a set can be read again"


@pytest.mark.parametrize("names", [("0801", "b"), ("0801x2", "b_LR"), ("0801_x2", "b_LRBI_x2")])
def test_lr_folder(hr_folder, tmp_path, names) -> None:
    lr = tmp_path / "LR"
    lr.mkdir()
    write_picture(lr / f"{names[0]}.png", picture(13, 11, 1))
    write_picture(lr / f"{names[1]}.png", picture(12, 12, 2))
    first, second = load_pairs(hr_folder, 2, lr=lr)
    assert np.array_equal(first.lr, picture(13, 11, 1)) and first.hr.shape == (26, 22, 3)
    assert np.array_equal(second.lr, picture(12, 12, 2))


def test_missing_partner(hr_folder, tmp_path) -> None:
    lr = tmp_path / "LR"
    lr.mkdir()
    write_picture(lr / "b.png", picture(12, 12))
    with pytest.raises(InputFileError, match=r"no LR picture for 0801\.png"):
        load_pairs(hr_folder, 2, lr=lr)


def test_wrong_size_names_both(hr_folder) -> None:
    with pytest.raises(InputFileError, match=r"0801\.png: 23 x 26 is not 1/2 of 22 x 26"):
        list(load_pairs(hr_folder, 2, lr=hr_folder))


def test_too_small(hr_folder) -> None:
    write_picture(hr_folder / "a.png", picture(3, 30))
    with pytest.raises(InputFileError, match=r"a\.png"):
        list(load_pairs(hr_folder, 4))


def test_empty_folder(tmp_path) -> None:
    with pytest.raises(InputFileError, match="no PNG, JPEG, WebP or TIFF"):
        load_pairs(tmp_path, 2)
