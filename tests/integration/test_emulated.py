"""Whole networks on emulated ARM CPUs: at every level that each CPU has, the reference executor's bytes."""

from dataclasses import replace

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
SMALL = (*((name, "8") for name in ALL), *FEWER_AND_MORE)
NETWORKS = ("abpn_x3", "srvggnetcompact_x4", "imdn_rtc_x2", "edsr8_x2")

#: Of a file with three levels, without its weights.
LARGEST = 450_000


@pytest.fixture(scope="module")
def crop(shared_data):
    path = sorted((shared_data / "images" / "set5").glob("*.png"))[0]
    return np.ascontiguousarray(np.asarray(Image.open(path).convert("RGB"))[60:83, 80:113])


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    """Made once for each target: the networks are compiled, never run, on this side. levels: all of it by default."""
    made = {}

    def get(architecture, name, model, crops, levels=(), **options):
        need_emulator(architecture)
        if (architecture, name) not in made:
            target = load_target(TARGETS[architecture])
            target = replace(target, levels=levels or target.levels)
            made[architecture, name] = make(model(), tmp_path_factory.mktemp(name), crops, target=target, **options)
        return made[architecture, name]

    return get


def compare(made, cpu, image, threads=(1, 3)):
    """Every level in the file that the CPU has, both thread counts."""
    expected = upscale_picture(made.graph, image)
    usable = tuple(level for level in CPUS[cpu] if level in {level.name for level in made.levels})
    assert usable
    with find_device(f"qemu:{cpu}") as device:
        assert device.levels(made.path) == usable
        for level in usable:
            for count in threads:
                with device.open(made.path, Opening(threads=count, level=level)) as runner:
                    assert runner.level == level
                    got = runner.upscale(image)
                np.testing.assert_array_equal(got, expected, f"{cpu}, level {level}, {count} threads")


@pytest.fixture(scope="module")
def published(shared_data, artifact, crop):
    """published(architecture, name): its artifact."""

    def get(architecture, name):
        return artifact(architecture, name, lambda: load_model(shared_data / "weights" / f"{name}.safetensors"), [crop])

    return get


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("name", NETWORKS)
def test_published_network(published, crop, name, cpu):
    compare(published(cpu.partition(":")[0], name), cpu, crop)


def test_size_of_three_levels(published):
    made = published("aarch64", "imdn_rtc_x2")
    assert len(made.levels) == 3
    assert made.size_without_weights <= LARGEST


@pytest.mark.parametrize("cpu", ["aarch64:max", "arm:cortex-a15"])
@pytest.mark.parametrize(("name", "bits"), SMALL, ids=lambda value: value)
def test_small_network(artifact, name, bits, cpu):
    """At one level, another for every network, as to build all takes minutes; published ones have all."""
    architecture = cpu.partition(":")[0]
    levels = load_target(TARGETS[architecture]).levels
    level = levels[SMALL.index((name, bits)) % len(levels)]
    made = artifact(architecture, f"{name}-{bits}", ALL[name], [picture()], bits=bits, levels=(level,))
    compare(made, cpu, picture(1, 13, 17), threads=(2,))
