"""The six published networks of the first part, on a crop: the .so and the reference executor agree to the byte."""

import numpy as np
import pytest
from PIL import Image

from tests.integration.artifacts import compare, make
from tvmsr.frontend import load_model

NETWORKS = ("abpn_x3", "espcn_x3", "srvggnetcompact_x4", "imdn_rtc_x2", "edsr8_x2", "srresnet_x4")


@pytest.fixture(scope="module")
def crop(shared_data):
    path = sorted((shared_data / "images" / "set5").glob("*.png"))[0]
    return np.ascontiguousarray(np.asarray(Image.open(path).convert("RGB"))[60:119, 80:125])


@pytest.mark.parametrize("name", NETWORKS)
def test_equals_the_reference(shared_data, crop, tmp_path, name):
    made = make(load_model(shared_data / "weights" / f"{name}.safetensors"), tmp_path, [crop[:32, :32]])
    compare(made, crop, threads=(1, 2), memory=(1.0, 0.6))


@pytest.mark.parametrize("bits", ["a6w4", "a4w4"])
def test_fewer_bits(shared_data, crop, tmp_path, bits):
    made = make(load_model(shared_data / "weights" / "abpn_x3.safetensors"), tmp_path, [crop], bits)
    compare(made, crop, threads=(2,), memory=(1.0,))


def test_a_wide_layer(shared_data, crop, tmp_path):
    model = load_model(shared_data / "weights" / "abpn_x3.safetensors")
    layer = [node.name for node in model.graph if node.op == "conv"][2]
    made = make(model, tmp_path, [crop], layer_bits={layer: 16})
    compare(made, crop, threads=(2,), memory=(1.0,))
