"""Manifests and plans are read from files for any CPU, and damaged files say so."""

from __future__ import annotations

import contextlib

import pytest

from tests.artifact import fake_reference
from tvmsr.artifact.link import Parts, link_shared
from tvmsr.artifact.manifest import Manifest, read_manifest, read_plan_text
from tvmsr.artifact.plan_text import pack_plan
from tvmsr.errors import InputFileError
from tvmsr.runtime import load
from tvmsr.runtime.sections import read_library

MANIFEST = Manifest(
    abi=1, tvmsr="0.1.0", model="größe", family="fake", model_checksum="00", weights_licence="MIT", assumed=[], scale=2,
    colour="rgb", receptive_radius=4, minimum_width=1, minimum_height=1, macs_per_pixel=10.0, bits="8", method="minmax",
    plan_checksum="11", choices=["default"], target="host", triple="x", link_triple="y", prefix="tvmsr", levels=[],
    weights_size=0, data_size=8, data_checksum="22", linked_code=[], tools={},
)  # fmt: skip


@pytest.fixture(scope="module")
def artifact(tmp_path_factory, triple):
    path = tmp_path_factory.mktemp("manifest") / "a.so"
    parts = fake_reference.parts()
    link_shared(
        Parts(parts.tables, parts.data, MANIFEST.to_bytes(), pack_plan('{"plan": "ü"}')), path, link_triple=triple
    )
    return path


def test_round_trip(artifact):
    assert read_manifest(artifact) == MANIFEST
    assert read_plan_text(artifact) == '{"plan": "ü"}'
    with load(artifact) as session:
        assert session.manifest == MANIFEST.model_dump(mode="json")
        assert session.info.scale == 2 and session.info.choices == ("a8", "a6")


def test_of_another_cpu(tmp_path, triple):
    path = tmp_path / "arm.so"
    parts = fake_reference.parts()
    link_shared(Parts(parts.tables, parts.data, MANIFEST.to_bytes()), path, link_triple="arm-linux-gnueabihf.2.17")
    assert read_manifest(path).model == "größe"
    assert read_library(path).made_for == "ARM (32 bits)"
    with pytest.raises(InputFileError, match="is for ARM"):
        load(path)


def test_truncated_anywhere(artifact, tmp_path):
    data, path = artifact.read_bytes(), tmp_path / "cut.so"
    for size in (0, 3, 4, 17, 40, 63, 64, 1000, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:size])
        for read in (read_manifest, read_plan_text, load):
            with pytest.raises(InputFileError) as caught:
                read(path)
            assert "\n" not in str(caught.value)


def test_damaged_section_headers(artifact, tmp_path):
    data, path = bytearray(artifact.read_bytes()), tmp_path / "damaged.so"
    for at in range(40, 64):
        for value in (0, 1, 0x7F, 0xFF):
            changed = data[:]
            changed[at] = value
            path.write_bytes(changed)
            with contextlib.suppress(InputFileError):
                read_manifest(path)


def test_not_an_artifact(tmp_path):
    text = tmp_path / "text.so"
    text.write_text("hello")
    with pytest.raises(InputFileError, match="no ELF or Mach-O file"):
        read_manifest(text)
    with pytest.raises(InputFileError, match="cannot be read"):
        load(tmp_path / "missing.so")


def test_a_library_without_manifest_is_not_loaded(tmp_path, triple):
    from tvmsr.artifact.zig import run_tool, zig_command

    source, path = tmp_path / "evil.c", tmp_path / "evil.so"
    source.write_text("#include <stdlib.h>\n__attribute__((constructor)) static void boom(void) { abort(); }\n")
    run_tool([*zig_command("cc"), "-shared", "-O2", source, "-o", path], "test")
    with pytest.raises(InputFileError, match="no manifest"):
        load(path)


def test_manifest_of_another_version(tmp_path, triple):
    path = tmp_path / "a.so"
    link_shared(fake_reference.parts(manifest={"model": 3}), path, link_triple=triple)
    with pytest.raises(InputFileError, match="manifest is damaged or of another version"):
        read_manifest(path)
    with pytest.raises(InputFileError, match="plan is damaged"):
        read_plan_text(path)
