"""Phases, 1x1 maps, the driver's own steps and pictures of any size, compiled: the reference executor's bytes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.devices.conftest import need_emulator
from tests.lower.integer_nets import Net, extremes
from tests.lower.made import Made, compare
from tests.lower.made import make as make_artifact
from tests.lower.spatial_nets import ALL, cca, se_chain, statistics
from tvmsr.devices import find_device
from tvmsr.devices.runner import Opening
from tvmsr.errors import WorkError
from tvmsr.graph.model import Colour
from tvmsr.hardware import host_levels, host_target, load_target
from tvmsr.imaging.colour import gray_of_rgb, resize_bytes
from tvmsr.quant.picture import upscale_picture
from tvmsr.runtime import load

LEVELS = host_levels()[:1]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Callable[[str], Made]:
    """Each network once, at the best level."""
    folder, known = tmp_path_factory.mktemp("spatial"), {}

    def get(name: str) -> Made:
        if name not in known:
            known[name] = make_artifact(ALL[name](), folder / f"{name}.so", host_target(), LEVELS)
        return known[name]

    return get


@pytest.mark.parametrize("name", ALL)
def test_equals_the_reference(made, name):
    """All that is stored, at any number of threads, in any strips."""
    most = max(compare(made(name), extremes(1, *size)) for size in ((1, 1), (1, 9), (13, 17), (60, 33)))
    assert compare(made(name), extremes(2, 90, 420), threads=(2,), memory=(1.0, 0.97)) > 1 or most > 1


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(sorted(ALL)), height=st.integers(1, 40), width=st.integers(1, 40), threads=st.integers(1, 3)
)
def test_every_size(made, name, height, width, threads):
    image = extremes(height * 41 + width, height, width)
    with load(made(name).path, threads=threads) as session:
        np.testing.assert_array_equal(session.upscale(image), upscale_picture(made(name).graph, image))


def test_other_bits(tmp_path):
    """Codes of 16 bits in every form that they have."""
    one = make_artifact(statistics(5, 16), tmp_path / "s.so", host_target(), LEVELS)
    two = make_artifact(ALL["pools"](5, 16), tmp_path / "p.so", host_target(), LEVELS)
    for image in (extremes(0, 3, 4), extremes(0, 30, 50)):
        compare(one, image, memory=(1.0,))
        compare(two, image, memory=(1.0,))


def test_phases_share_memory(made, tmp_path):
    """Whole maps of one phase lie where those of another one lay."""
    chain, longer = made("se_chain"), make_artifact(se_chain(count=15), tmp_path / "l.so", host_target(), LEVELS)
    with load(chain.path, threads=1) as one, load(longer.path, threads=1) as two:
        sizes = one.workspace(200, 300), two.workspace(200, 300)
        image = extremes(3, 70, 60)
        np.testing.assert_array_equal(two.upscale(image), upscale_picture(longer.graph, image))
    whole = 200 * 300 * 6  # of one map
    assert sizes[1] < 1.02 * sizes[0] and sizes[0] < 5 * whole


def test_progress_never_goes_back(made):
    image, seen = extremes(0, 90, 420), []
    with load(made("se_chain").path, threads=1) as session:
        session.upscale(image, progress=lambda done, total: seen.append((done, total)))
        strips = session.last().strips
        with pytest.raises(WorkError, match=r"cancelled after .* of 180 rows"):
            session.upscale(image, progress=lambda done, total: done > total / 2)
        np.testing.assert_array_equal(session.upscale(image), upscale_picture(made("se_chain").graph, image))
    assert seen == sorted(seen) and seen[-1] == (180, 180) and len(seen) == 6 * strips and strips > 1


def test_profile_of_every_kind(made):
    with load(made("pools").path, threads=1) as session:
        session.profiling(True)
        session.upscale(extremes(0, 20, 20))
        names = [row.name for row in session.profile()]
    assert {"square", "norm", "up", "again"} <= set(names)


def test_info(made):
    with load(made("unshuffled").path) as session:
        assert session.info.size_multiple == 4 and session.info.minimum_size == (4, 4)
        assert session._abi.info().size_multiple == 4


def test_small_pictures_of_every_format(made):
    """What continues a picture is in no result: alpha is that of the picture itself."""
    got = made("esa_block")
    with load(got.path, threads=2) as session:
        for height, width in ((1, 1), (3, 20), (20, 2), (15, 15)):
            image = extremes(7, height, width)
            alpha = np.dstack([image, image[:, :, 1]])
            want, result = upscale_picture(got.graph, image), session.upscale(alpha)
            np.testing.assert_array_equal(result[:, :, :3], want)
            np.testing.assert_array_equal(result[:, :, 3], resize_bytes(image[:, :, 1], 2))
            gray = np.ascontiguousarray(np.repeat(image[:, :, :1], 3, axis=2))
            want = gray_of_rgb(upscale_picture(got.graph, gray))
            np.testing.assert_array_equal(session.upscale(np.ascontiguousarray(gray[:, :, 0])), want)


def test_luma_of_small_pictures(tmp_path):
    """Chroma is that of the picture, not of what continues it."""
    net = Net(multiple=4)
    x = net.conv("head", "input", 8, (4, 4), stride=4, padding=(0, 0, 0, 0))
    graph = net.graph(net.shuffle("out", net.conv("last", cca(net, "a", x), 64, bits=8), 8), 2, Colour.Y)
    got = make_artifact(graph, tmp_path / "y.so", host_target(), LEVELS)
    for height, width in ((1, 1), (3, 6), (8, 8), (9, 13)):
        image = extremes(1, height, width)
        with load(got.path, threads=1) as session:
            np.testing.assert_array_equal(session.upscale(image), upscale_picture(graph, image))


@pytest.mark.parametrize(
    ("target", "cpu", "level"), [("arm", "cortex-a53", "neon"), ("linux-armv7", "cortex-a7", "neon32")]
)
def test_emulated(tmp_path, target, cpu, level):
    """One network of each kind on each of the architectures."""
    row = load_target(target)
    architecture = row.architecture
    need_emulator(architecture)
    levels = [one for one in row.levels if one.name == level]
    for name in ("cca_twice", "esa_block", "resizes", "pools", "crops", "modes"):
        got = make_artifact(ALL[name](), tmp_path / f"{name}.so", row, levels)
        with find_device(f"qemu:{architecture}:{cpu}") as device, device.open(got.path, Opening(threads=2)) as runner:
            assert runner.info.size_multiple == 1
            for size in ((2, 3), (31, 40)):
                image = extremes(1, *size)
                np.testing.assert_array_equal(runner.upscale(image), upscale_picture(got.graph, image), name)
