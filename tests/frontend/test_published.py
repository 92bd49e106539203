"""The published weights reach the PSNR that is stated for them, from file to picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tvmsr.frontend import load_model
from tvmsr.graph.analysis import parameter_count, receptive_radius
from tvmsr.graph.execute import run_fp32
from tvmsr.graph.model import Colour
from tvmsr.imaging.bicubic import crop_to_multiple, make_lr

#: file, family, Set5 PSNR as stated, parameters, receptive radius
PUBLISHED = [
    ("abpn_x3", "abpn", 33.53, 42539, 7),
    ("espcn_x3", "espcn", 31.97, 22729, 4),
    ("srvggnetcompact_x4", "srvgg", 28.25, 621424, 18),
    ("imdn_rtc_x2", "imdn_rtc", 37.31, 20190, 22),
    ("edsr8_x2", "edsr_mxnet", 37.80, 779017, 20),
    ("srresnet_x4", "srresnet_mxnet", 31.88, 958339, 24),
]


def luma(x: np.ndarray) -> np.ndarray:
    return 16 + x.astype(np.float64) @ np.asarray([65.481, 128.553, 24.966]) / 255


@pytest.mark.parametrize(("file", "family", "stated", "parameters", "radius"), PUBLISHED, ids=str)
def test_set5(shared_data: Path, file: str, family: str, stated: float, parameters: int, radius: int):
    model = load_model(shared_data / "weights" / f"{file}.safetensors")
    assert model.family == family and model.scale == int(file[-1]) and model.name == file
    assert receptive_radius(model.graph) == radius
    # Folding changes the count a little: batch norms go, one Y channel becomes three, slopes are one per channel.
    assert abs(parameter_count(model.graph) - parameters) < 3500
    values = []
    for path in sorted((shared_data / "images" / "set5").glob("*.png")):
        hr = crop_to_multiple(np.asarray(Image.open(path).convert("RGB")), model.scale)
        out = run_fp32(model, make_lr(hr, model.scale).astype(np.float32) / np.float32(255))
        assert isinstance(out, np.ndarray)
        pixels = np.clip(np.round(out.astype(np.float64) * 255), 0, 255)
        y = pixels[:, :, 0] if model.colour is Colour.Y else luma(pixels)
        border = slice(model.scale, -model.scale)
        values.append(10 * np.log10(255**2 / np.mean((y - luma(hr))[border, border] ** 2)))
    assert len(values) == 5
    assert abs(float(np.mean(values)) - stated) <= 0.02
