"""Whole networks on emulated ARM CPUs: at every level that each CPU has, the reference executor's bytes."""

import numpy as np
import pytest
from PIL import Image

from tests.devices.conftest import need_emulator
from tests.integration.artifacts import make
from tests.lower.networks import ALL
from tests.quant.networks import picture
from tvmsr.devices import find_device
from tvmsr.devices.runner import Opening
from tvmsr.frontend import load_model
from tvmsr.hardware import load_target
from tvmsr.quant.picture import upscale_picture

#: CPU models of the emulator, and the levels that each of them has.
CPUS = {
    "aarch64:cortex-a53": ("neon",),
    "aarch64:cortex-a72": ("neon",),
    "aarch64:cortex-a76": ("dotprod", "neon"),
    "aarch64:max": ("i8mm", "dotprod", "neon"),
    "arm:cortex-a7": ("neon32",),
    "arm:cortex-a15": ("neon32",),
}
TARGETS = {"aarch64": "arm", "arm": "linux-armv7"}
FEWER_AND_MORE = (("imdn", "a6w4"), ("residual", "a4w4"), ("srvgg", "a12w8"), ("gated", "16"))
NETWORKS = ("abpn_x3", "srvggnetcompact_x4", "imdn_rtc_x2", "edsr8_x2")


@pytest.fixture(scope="module")
def crop(shared_data):
    path = sorted((shared_data / "images" / "set5").glob("*.png"))[0]
    return np.ascontiguousarray(np.asarray(Image.open(path).convert("RGB"))[60:83, 80:113])


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    """Made once for each target: the networks are compiled, never run, on this side."""
    made = {}

    def get(architecture, name, model, crops, **options):
        need_emulator(architecture)
        if (architecture, name) not in made:
            target = load_target(TARGETS[architecture])
            made[architecture, name] = make(model(), tmp_path_factory.mktemp(name), crops, target=target, **options)
        return made[architecture, name]

    return get


def compare(made, cpu, image, threads=(1, 3)):
    """Every level, both thread counts, whole and in strips."""
    expected = upscale_picture(made.graph, image)
    with find_device(f"qemu:{cpu}") as device:
        assert device.levels(made.path) == CPUS[cpu]
        for level in CPUS[cpu]:
            for count in threads:
                with device.open(made.path, Opening(threads=count, level=level)) as runner:
                    assert runner.level == level
                    got = runner.upscale(image)
                np.testing.assert_array_equal(got, expected, f"{cpu}, level {level}, {count} threads")


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("name", NETWORKS)
def test_published_network(shared_data, artifact, crop, name, cpu):
    def model():
        return load_model(shared_data / "weights" / f"{name}.safetensors")

    compare(artifact(cpu.partition(":")[0], name, model, [crop]), cpu, crop)


@pytest.mark.parametrize("cpu", ["aarch64:max", "arm:cortex-a15"])
@pytest.mark.parametrize(("name", "bits"), [*((name, "8") for name in ALL), *FEWER_AND_MORE])
def test_small_network(artifact, name, bits, cpu):
    made = artifact(cpu.partition(":")[0], f"{name}-{bits}", ALL[name], [picture()], bits=bits)
    compare(made, cpu, picture(1, 13, 17), threads=(2,))
