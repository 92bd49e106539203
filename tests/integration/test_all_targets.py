"""Every known target can be built for here; the same input gives the same file; files stay small."""

import struct

import pytest

from tests.integration.artifacts import make
from tests.lower.networks import ALL
from tests.quant.networks import picture
from tvmsr.frontend import load_model
from tvmsr.hardware import list_targets, load_target

MACHINES = {"x86_64": 62, "aarch64": 183}

#: Of an artifact without its weights.
LARGEST = 200_000


@pytest.mark.parametrize("name", list_targets())
def test_builds(tmp_path, name):
    target = load_target(name)
    made = make(ALL["srvgg"](), tmp_path, [picture()], target=target, bias_correction=False)
    (machine,) = struct.unpack_from("<H", made.path.read_bytes(), 18)
    assert machine == MACHINES[target.triple.split("-")[0]]


def test_reproducible(tmp_path):
    files = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        made = make(ALL["imdn"](), tmp_path / folder, [picture()], target=load_target("x86-64-v3"))
        files.append(made.path.read_bytes())
    assert files[0] == files[1]


@pytest.mark.parametrize(("name", "target"), [("imdn_rtc_x2", "x86-64-v4-vnni"), ("abpn_x3", "x86-64-v3")])
def test_size(shared_data, tmp_path, name, target):
    model = load_model(shared_data / "weights" / f"{name}.safetensors")
    made = make(model, tmp_path, [picture()], target=load_target(target), bias_correction=False)
    weights = sum(node.params["weight"].size for node in made.graph if node.op == "conv")
    assert made.path.stat().st_size - weights <= LARGEST
