"""Every published network that we have a file of, on a crop: the .so and the reference executor agree to the byte."""

import numpy as np
import pytest
from PIL import Image

from tests.conftest import data_folder
from tests.integration.artifacts import CHEAP, TARGET, compare, make, one_level, two_levels
from tvmsr.frontend import load_model

#: All files of the folder, so that none is forgotten.
NAMES = [path.stem for path in sorted((data_folder() / "weights").glob("*.safetensors"))]
#: Of files that do not tell it, or hold several.
SCALES = {"carn_m_x2x3x4": 4, "srcnn_ycbcr_915": 3}
#: Compiled for every level of this CPU; of each other network one level, in turns.
EVERY_LEVEL = ("abpn_x3", "espcn_x3", "imdn_rtc_x2")


@pytest.fixture(scope="module")
def crop(shared_data):
    path = sorted((shared_data / "images" / "set5").glob("*.png"))[0]
    return np.ascontiguousarray(np.asarray(Image.open(path).convert("RGB"))[60:108, 80:112])


@pytest.mark.parametrize("name", NAMES)
def test_equals_the_reference(shared_data, crop, tmp_path, name):
    model = load_model(shared_data / "weights" / f"{name}.safetensors", scale=SCALES.get(name))
    target = TARGET if name in EVERY_LEVEL else one_level(NAMES.index(name))
    made = make(model, tmp_path, [crop[:32]], target=target, **CHEAP)
    compare(made, crop, threads=(1, 2), memory=(1.0, 0.6))
    for height, width in ((1, 1), (17, 23)):
        compare(made, crop[:height, :width], threads=(2,), memory=(1.0,))


@pytest.mark.parametrize(("bits", "levels"), [("a6w4", 0), ("a4w4", 1)])
def test_fewer_bits(shared_data, crop, tmp_path, bits, levels):
    model = load_model(shared_data / "weights" / "abpn_x3.safetensors")
    made = make(model, tmp_path, [crop], bits, target=two_levels(levels))
    compare(made, crop, threads=(2,), memory=(1.0,))


def test_a_wide_layer(shared_data, crop, tmp_path):
    model = load_model(shared_data / "weights" / "abpn_x3.safetensors")
    layer = [node.name for node in model.graph if node.op == "conv"][2]
    made = make(model, tmp_path, [crop], layer_bits={layer: 16}, target=two_levels(2))
    compare(made, crop, threads=(2,), memory=(1.0,))
