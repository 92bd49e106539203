"""Mach-O files, made by hand: sections are found, wrong offsets are errors. ELF: tests/artifact/test_manifest.py."""

from __future__ import annotations

import contextlib
import json
import platform
import struct

import pytest

from tvmsr.errors import InputFileError
from tvmsr.runtime.library import MANIFEST_SECTION, PLAN_SECTION, Library
from tvmsr.runtime.sections import manifest_of, manifest_values, read_library, read_section

MANIFEST, PLAN = b'{"model": "x"}\0', b"a plan"


def command(sections, offset, size):
    """A segment's load command; sections: (segment, section, file offset, bytes)."""
    body = struct.pack("<16s4Q4I", b"__TEXT", 0, size, offset, size, 5, 5, len(sections), 0)
    for segment, name, start, length in sections:
        body += struct.pack("<16s16s2Q8I", name, segment, start, length, start, 0, 0, 0, 0, 0, 0, 0)
    return struct.pack("<2I", 0x19, 8 + len(body)) + body


def library(cpu=0x0100000C):
    """A Mach-O file with one segment, another load command in front of it, and both of our sections."""
    start = 32 + 24 + 72 + 3 * 80
    sections = [
        (b"__TEXT", b"__text", start, 0),
        (b"__TEXT", b"__tvmsr_manifest", start, len(MANIFEST)),
        (b"__TEXT", b"__tvmsr_plan", start + len(MANIFEST), len(PLAN)),
    ]
    commands = struct.pack("<2I16s", 0x1B, 24, bytes(16)) + command(sections, 0, start + len(MANIFEST + PLAN))
    header = struct.pack("<4s7I", b"\xcf\xfa\xed\xfe", cpu, 0, 6, 2, len(commands), 0, 0)
    return header + commands + MANIFEST + PLAN


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "a.dylib"
    path.write_bytes(library())
    return path


def test_sections(path):
    assert read_library(path).sections == {MANIFEST_SECTION: MANIFEST, PLAN_SECTION: PLAN}
    assert manifest_of(path) == {"model": "x"}
    assert read_section(path, PLAN_SECTION, "plan") == PLAN
    assert read_library(path).made_for == "AArch64 (64 bits, macOS)"


def test_cut_anywhere(path):
    data = path.read_bytes()
    for size in range(len(data)):
        path.write_bytes(data[:size])
        with pytest.raises(InputFileError) as caught:
            read_library(path)
        assert "\n" not in str(caught.value)


def test_any_byte_of_the_commands_changed(path):
    data = library()
    for at in range(4, len(data) - len(MANIFEST + PLAN)):
        for value in (0, 1, 0x7F, 0xFF):
            path.write_bytes(data[:at] + bytes([value]) + data[at + 1 :])
            with contextlib.suppress(InputFileError):
                read_library(path)


@pytest.mark.parametrize(
    ("at", "value", "words"),
    [
        (32 + 4, 0, "load command"),  # no progress
        (32 + 24 + 4, 1 << 30, "load command"),
        (32 + 24 + 64, 4, "more sections"),
        (32 + 24 + 72 + 80 + 40, 1 << 30, "truncated"),
    ],
)
def test_forged_numbers(path, at, value, words):
    data = bytearray(library())
    struct.pack_into("<I", data, at, value)
    path.write_bytes(data)
    with pytest.raises(InputFileError, match=words):
        read_library(path)


def test_several_cpus_in_one_file(path):
    path.write_bytes(b"\xca\xfe\xba\xbe" + bytes(100))
    with pytest.raises(InputFileError, match="lipo"):
        read_library(path)


@pytest.mark.parametrize(
    ("format", "cpu", "system", "machine", "runs"),
    [
        ("ELF", "x86-64", "Linux", "x86_64", True),
        ("ELF", "AArch64", "Linux", "aarch64", True),
        ("ELF", "AArch64", "Linux", "x86_64", False),
        ("ELF", "AArch64", "Darwin", "arm64", False),
        ("Mach-O", "AArch64", "Darwin", "arm64", True),
        ("Mach-O", "AArch64", "Linux", "aarch64", False),
        ("Mach-O", "x86-64", "Darwin", "arm64", False),
        ("ELF", "CPU family 9", "Linux", "x86_64", False),
    ],
)
def test_runs_here(monkeypatch, path, format, cpu, system, machine, runs):
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    bits = struct.calcsize("P") * 8
    assert Library(path, format, cpu, bits, {}).runs_here() is runs
    assert not Library(path, format, cpu, 96 - bits, {}).runs_here()


WRONG_PREFIXES = [None, 5, "", "5", "a b", "a\0b", "ä", "\ud800", "x" * 65, ["tvmsr"]]


@pytest.mark.parametrize("text", ["", "[]", "7", '"prefix"', "{", "[" * 100_000, "\xff"])
def test_a_manifest_that_is_none(text, tmp_path):
    with pytest.raises(InputFileError, match="its manifest is damaged"):
        manifest_values(Library(tmp_path, "ELF", "ARM", 32, {MANIFEST_SECTION: text.encode("latin-1")}))


@pytest.mark.parametrize("prefix", WRONG_PREFIXES)
def test_a_prefix_that_begins_no_name(prefix, tmp_path):
    raw = json.dumps({"prefix": prefix}).encode()
    with pytest.raises(InputFileError, match="its manifest is damaged"):
        manifest_values(Library(tmp_path, "ELF", "ARM", 32, {MANIFEST_SECTION: raw}))


def test_prefixes(tmp_path):
    for text, prefix in ((b'{"x": 1}\0', "tvmsr"), (b'{"prefix": "_a1"}', "_a1")):
        assert manifest_values(Library(tmp_path, "ELF", "ARM", 32, {MANIFEST_SECTION: text}))["prefix"] == prefix
    with pytest.raises(InputFileError, match="no manifest"):
        manifest_values(Library(tmp_path, "ELF", "ARM", 32, {}))
