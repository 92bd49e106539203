"""build(): real kernels around the driver; what the file shows, says and weighs. Bytes are tests/integration's."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from tests.artifact.test_link import TWO_PREFIXES, dynamic_symbols, needs_binutils
from tests.integration.artifacts import TARGET
from tests.quant.networks import picture, plain
from tvmsr.artifact.build import build
from tvmsr.artifact.formats import FFI_SYMBOL
from tvmsr.artifact.link import API, INCLUDE
from tvmsr.artifact.manifest import read_manifest, read_plan_text
from tvmsr.errors import UsageError
from tvmsr.lower.pipeline import lower
from tvmsr.quant.bind import bind
from tvmsr.quant.calibrate import calibrate
from tvmsr.quant.plan import Plan
from tvmsr.runtime import load


@pytest.fixture(scope="module")
def network():
    model = plain()
    plan = calibrate(model, [picture(0, 32, 32)], bits="8")
    graph = bind(model, plan)
    return [lower(graph, level) for level in TARGET.levels], graph, model, plan, TARGET


@pytest.fixture(scope="module")
def built(network, tmp_path_factory):
    return build(*network, tmp_path_factory.mktemp("build") / "sr.so")


@needs_binutils
def test_kernels_are_not_visible(built):
    assert dynamic_symbols(built.path)["T"] == {f"tvmsr_{name}" for name in API} | {FFI_SYMBOL}


def test_sizes(built):
    assert built.size == built.path.stat().st_size
    assert 0 < built.weights_size == built.manifest.weights_size < built.manifest.data_size
    assert built.size - built.weights_size <= 200_000


def test_manifest_and_plan(built, network):
    programs, _, model, plan, _ = network
    manifest = read_manifest(built.path)
    assert manifest == built.manifest
    assert (manifest.model_checksum, manifest.weights_licence) == (model.checksum, model.licence)
    assert [level.name for level in manifest.levels] == [level.name for level in TARGET.levels]
    assert Plan.from_json(json.loads(read_plan_text(built.path))) == plan
    with load(built.path, threads=1) as session:
        session.profiling(True)
        session.upscale(np.zeros((8, 8, 3), np.uint8))
        rows = session.profile()
        assert [row.name for row in rows[1:-1]] == [step.name for step in programs[0].steps]
        assert all(row.kernel for row in rows[1:-1])
        assert session.macs_per_pixel == sum(row.macs_per_pixel for row in rows)


def test_same_bytes_again(built, network, tmp_path):
    again = build(*network, tmp_path / "other.so")
    assert again.path.read_bytes() == built.path.read_bytes()


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_two_static_libraries(network, tmp_path):
    for prefix in ("one", "two"):
        build(*network, tmp_path / f"{prefix}.a", emit="static", prefix=prefix)
    source, program = tmp_path / "main.c", tmp_path / "main"
    source.write_text(
        TWO_PREFIXES
        + "int main(void) { tvmsr_session *a = 0, *b = 0; unsigned char in[48] = {1, 2, 3}, out[192];"
        + " tvmsr_picture x = {TVMSR_RGB, 4, 4, 0, {in}, {0}}, y = {TVMSR_RGB, 8, 8, 0, {out}, {0}};"
        + " int r = one_open(0, &a) + two_open(0, &b);"
        + " r += one_upscale(a, &x, &y, 0, 0) + two_upscale(b, &x, &y, 0, 0); one_close(a); two_close(b); return r; }\n"
    )
    archives = [tmp_path / "one.a", tmp_path / "two.a"]
    subprocess.run(["gcc", f"-I{INCLUDE}", source, *archives, "-pthread", "-o", program], check=True)
    subprocess.run([program], check=True)


def test_shared_and_static_at_once(built, network, tmp_path):
    made = build(*network, tmp_path / "sr.so", emit=("so", "static"))
    assert made.files == tuple(tmp_path / name for name in ("sr.so", "sr.a", "sr.h"))
    assert sorted(tmp_path.iterdir()) == sorted(made.files)
    assert made.path.read_bytes() == built.path.read_bytes()  # what else is made does not show in it
    alone = tmp_path / "alone"
    alone.mkdir()
    build(*network, alone / "sr.a", emit="static")
    assert sorted(path.name for path in alone.iterdir()) == ["sr.a", "sr.h"]
    assert (alone / "sr.a").read_bytes() == (tmp_path / "sr.a").read_bytes()


def test_manifest_names_the_compiler_and_what_it_links_in(built, network, tmp_path):
    assert re.fullmatch(r"ziglang \d+\.\d+\.\d+", built.manifest.compiler)
    assert {code.licence for code in built.manifest.linked_code} == {"Apache-2.0"}
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc: apt install gcc")
    other = build(*network, tmp_path / "gcc.so", cc="gcc").manifest
    assert other.compiler.startswith("gcc ")
    assert other.linked_code[-1].licence == "NOASSERTION"


def test_wrong_requests(network, tmp_path):
    with pytest.raises(UsageError, match="so and static"):
        build(*network, tmp_path / "x", emit="dll")
    with pytest.raises(UsageError, match="prefix"):
        build(*network, tmp_path / "x", prefix="a b")
    assert list(tmp_path.iterdir()) == []
