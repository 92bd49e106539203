"""What every step stores, against the reference executor; what an artifact finds when it checks itself."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.integration.artifacts import LEVELS, make, two_levels
from tests.lower.networks import ALL
from tests.lower.test_random import random_model
from tests.quant.networks import picture
from tvmsr.artifact.manifest import read_manifest
from tvmsr.errors import InputFileError, WorkError
from tvmsr.quant.checks import check_picture, code_checksum
from tvmsr.quant.picture import upscale_picture
from tvmsr.quant.reference import run_tensors
from tvmsr.runtime import load


def compare_trace(made, image) -> int:
    """Every sum at every level, number of threads and memory limit; returns the largest number of strips."""
    tensors, expected = run_tensors(made.graph, image), upscale_picture(made.graph, image)
    levels, most = {level.name: level for level in read_manifest(made.path).levels}, 0
    for level, entry in levels.items():
        with load(made.path, level=level, threads=3) as session:
            whole = session.workspace(image.shape[1], image.shape[0])
        for threads, part in ((1, 1.0), (3, 1.0), (3, 0.6)):
            with load(made.path, level=level, threads=threads, memory=whole * part / 2**20) as session:
                try:
                    got, sums = session.traced(image)
                except WorkError as error:
                    assert "the limit is" in str(error) and part < 1
                    continue
                most = max(most, session.last().strips)
            np.testing.assert_array_equal(got, expected)
            for found in sums:
                codes = tensors[found.tensor][:, :, found.first : found.first + found.channels]
                assert codes.shape[2] == found.channels
                assert found.sum == code_checksum(codes), f"{level}, {threads} threads: {found}"
            told = [(layer.name, s.tensor, s.first, s.channels) for layer in entry.layers for s in layer.stored]
            assert told == [(s.step, s.tensor, s.first, s.channels) for s in sums]
    return most


NETWORKS = (
    *((name, "8") for name in ("imdn", "dense", "moves", "pads", "tables", "simple_gates", "odd_channels")),
    *(("srvgg", "a12w8"), ("gated", "16"), ("residual", "16")),
)


@pytest.mark.parametrize(("name", "bits"), NETWORKS, ids=lambda value: value)
def test_every_store_holds_what_it_says(tmp_path, name, bits):
    """At two levels, others for every network; random ones have all."""
    target = two_levels(NETWORKS.index((name, bits)) + 1)
    made = make(ALL[name](), tmp_path, [picture()], bits, target=target, bias_correction=False)
    assert compare_trace(made, picture(5, 70, 33)) > 1, "the picture was not cut into strips"
    compare_trace(made, picture(6, 3, 5))


@pytest.mark.parametrize("seed", range(100, 102))
def test_random_networks(tmp_path, seed):
    compare_trace(make(random_model(seed), tmp_path, [picture()], bias_correction=False), picture(seed, 40, 26))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make(ALL["imdn"](), tmp_path_factory.mktemp("checks"), [picture()], bias_correction=False)


def test_trace_is_of_the_last_upscale(made):
    with load(made.path) as session:
        _, first = session.traced(picture(0, 9, 9))
        session.upscale(picture(1, 30, 30))
        _, again = session.traced(picture(0, 9, 9))
        _, other = session.traced(picture(1, 9, 9))
    assert first == again and [s.sum for s in first] != [s.sum for s in other]


def test_checks_are_in_the_manifest(made):
    checks = read_manifest(made.path).checks
    assert sorted(check.seed % 3 for check in checks) == [0, 1, 2]
    for check in checks:
        result = upscale_picture(made.graph, check_picture(check.seed, check.width, check.height))
        assert check.checksum == f"{code_checksum(result):016x}" and check.choice == 0


@pytest.mark.parametrize("threads", [1, 2])
def test_self_check(made, threads):
    for level in LEVELS:
        with load(made.path, level=level.name, threads=threads, self_check=True) as session:
            assert session.last().choice == -1, "nothing was upscaled yet"


def test_check_leaves_the_session_as_it_was(made):
    image = picture(3, 40, 50)
    with load(made.path, threads=2) as session:
        session.profiling(True)
        expected = session.upscale(image)
        last, times = session.last(), session.profile()
        session.check()
        assert (session.last(), session.profile()) == (last, times)
        np.testing.assert_array_equal(session.upscale(image), expected)


def _flipped(path: Path, to: Path, at: int) -> Path:
    shutil.copy(path, to)
    with to.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))
    return to


def test_a_changed_weight_is_refused(made, tmp_path):
    weight = next(node.params["weight"] for node in made.graph if node.op == "conv")
    at = made.path.read_bytes().index(weight.tobytes())
    for offset in (0, weight.size // 2, weight.size - 1):
        with pytest.raises(InputFileError, match="its data were changed"):
            load(_flipped(made.path, tmp_path / f"bad{offset}.so", at + offset))
