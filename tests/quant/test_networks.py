"""Published networks at 8 bits: what quantization costs on Set5."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tvmsr.frontend import load_model
from tvmsr.graph.execute import run_fp32
from tvmsr.graph.model import Colour
from tvmsr.imaging.augment import calibration_crops, default_calibration
from tvmsr.imaging.bicubic import crop_to_multiple, make_lr
from tvmsr.imaging.colour import luma
from tvmsr.imaging.files import read_picture
from tvmsr.quant.bind import bind
from tvmsr.quant.calibrate import calibrate
from tvmsr.quant.picture import fp32_picture, upscale_picture
from tvmsr.quant.ranges import as_float
from tvmsr.quant.reference import run

#: Loss in dB that the issue allows.
ALLOWED = 0.15


def psnr_y(out, hr, model):
    exact = luma(hr)
    got = out[:, :, 0].astype(np.float64) if model.colour is Colour.Y else luma(out)
    edge = model.scale
    error = (got - exact)[edge:-edge, edge:-edge]
    return 10 * np.log10(255**2 / np.mean(error**2))


@pytest.mark.parametrize("data", ["folder", "default"])
@pytest.mark.parametrize("name", ["abpn_x3", "espcn_x3"])
def test_loss_on_set5(shared_data: Path, name: str, data: str):
    model = load_model(shared_data / "weights" / f"{name}.safetensors")
    folder = shared_data / "images" / "train"
    crops = calibration_crops(folder, 16, 96, hr_scale=model.scale) if data == "folder" else default_calibration(16, 96)
    graph = bind(model, calibrate(model, crops))
    exact, integer = [], []
    for file in sorted((shared_data / "images" / "set5").glob("*.png")):
        hr = crop_to_multiple(read_picture(file).pixels, model.scale)
        lr = make_lr(hr, model.scale)
        rounded = np.clip(np.rint(run_fp32(model, as_float(lr)) * 255), 0, 255).astype(np.uint8)
        exact.append(psnr_y(rounded, hr, model))
        integer.append(psnr_y(run(graph, lr), hr, model))
    assert np.mean(exact) - np.mean(integer) < ALLOWED


@pytest.mark.parametrize(("name", "allowed"), [("imdn_x4", 0.25), ("rfdn_x4", 0.3), ("bsrn_s_x4", 0.45)])
def test_loss_of_attention_on_a_crop(shared_data: Path, name: str, allowed: float):
    """Statistics, gates, pools and resizes at 8 bits, before any layer is widened: a crop, calibrated with a few."""
    model = load_model(shared_data / "weights" / f"{name}.safetensors")
    crops = calibration_crops(shared_data / "images" / "train", 4, 48, hr_scale=model.scale)
    graph = bind(model, calibrate(model, crops, max_drop=None))
    hr = read_picture(shared_data / "images" / "set5" / "butterfly.png").pixels[:192, :192]
    lr = make_lr(np.ascontiguousarray(hr), model.scale)
    rounded = np.clip(np.rint(fp32_picture(model, as_float(lr)) * 255), 0, 255).astype(np.uint8)
    loss = psnr_y(rounded, hr, model) - psnr_y(upscale_picture(graph, lr), hr, model)
    assert loss < allowed, f"{name} loses {loss:.3f} dB"
