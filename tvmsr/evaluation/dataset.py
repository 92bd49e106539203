"""Test sets: folders of HR pictures, with the LR pictures of a second folder or made from them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tvmsr.errors import InputFileError
from tvmsr.imaging.bicubic import crop_to_multiple, make_lr
from tvmsr.imaging.files import list_pictures, read_picture

U8Image = NDArray[np.uint8]

#: What may follow an HR picture's name (without "_HR") in its LR picture's name, in the order of preference.
LR_ENDINGS = ("", "x{scale}", "_x{scale}", "_LR", "_LRBI_x{scale}")


@dataclass(frozen=True, eq=False)
class Pair:
    """One test picture: hr (scale*H, scale*W, 3) and lr (H, W, 3), RGB bytes."""

    name: str
    lr: U8Image
    hr: U8Image


@dataclass(frozen=True)
class Pairs:
    """The pairs of a test set, by name. Pictures are read when a pair is asked for, one pair at a time."""

    scale: int
    files: tuple[tuple[Path, Path | None], ...]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, number: int) -> Pair:
        return _read_pair(*self.files[number], self.scale)

    def __iter__(self) -> Iterator[Pair]:
        return (self[number] for number in range(len(self)))


def _read_pair(hr_file: Path, lr_file: Path | None, scale: int) -> Pair:
    hr = crop_to_multiple(read_picture(hr_file).pixels, scale)
    if hr.size == 0:
        raise InputFileError(f"{hr_file}: smaller than {scale} x {scale} pixels, too small to measure scale {scale}")
    if lr_file is None:
        return Pair(hr_file.stem, make_lr(hr, scale), hr)
    lr = read_picture(lr_file).pixels
    if (lr.shape[0] * scale, lr.shape[1] * scale) != hr.shape[:2]:
        raise InputFileError(
            f"{lr_file}: {_size(lr)} is not 1/{scale} of {_size(hr)}, "
            f"the size of {hr_file.name} cut to multiples of {scale}"
        )
    return Pair(hr_file.stem, lr, hr)


def _size(image: U8Image) -> str:
    return f"{image.shape[1]} x {image.shape[0]}"


def _lr_of(hr_file: Path, by_stem: dict[str, Path], scale: int, folder: Path) -> Path:
    stem = hr_file.stem.removesuffix("_HR")
    names = [hr_file.stem, *(stem + ending.format(scale=scale) for ending in LR_ENDINGS)]
    found = next((by_stem[name] for name in names if name in by_stem), None)
    if found is None:
        raise InputFileError(f"{folder}: holds no LR picture for {hr_file.name}, named like it or {names[2]}")
    return found


def load_pairs(folder: str | Path, scale: int, lr: str | Path | None = None) -> Pairs:
    """The test set of the HR pictures in `folder`, cropped to multiples of `scale`.

    LR pictures are made by the field's bicubic, or taken by name from the folder `lr`. Raises InputFileError where a
    folder is empty or a picture has no partner; where sizes do not match, when the pair is read.
    """
    hr_files = list_pictures(folder)
    if lr is None:
        return Pairs(scale, tuple((file, None) for file in hr_files))
    by_stem = {file.stem: file for file in list_pictures(lr)}
    return Pairs(scale, tuple((file, _lr_of(file, by_stem, scale, Path(lr))) for file in hr_files))
