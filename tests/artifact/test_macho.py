"""Artifacts for macOS, linked here and read byte by byte: nothing of them was run."""

from __future__ import annotations

import dataclasses
import hashlib
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.artifact import fake_reference, test_cross
from tests.artifact.test_manifest import MANIFEST
from tvmsr.artifact import link
from tvmsr.artifact.formats import FFI_SYMBOL, MACHO
from tvmsr.artifact.link import Parts, link_shared
from tvmsr.artifact.macho_objects import hide_all
from tvmsr.artifact.manifest import read_manifest, read_plan_text
from tvmsr.artifact.plan_text import pack_plan
from tvmsr.artifact.static import link_static
from tvmsr.artifact.zig import run_tool, zig_command
from tvmsr.commands.files import is_artifact
from tvmsr.errors import InputFileError, UsageError
from tvmsr.runtime import load
from tvmsr.runtime.sections import read_library

TRIPLE = "aarch64-macos.11.0"
SEGMENT, SYMTAB, DYSYMTAB, LOAD_DYLIB, ID_DYLIB, SIGNATURE, VERSION = 0x19, 0x2, 0xB, 0xC, 0xD, 0x1D, 0x32

#: Made by ziglang's linker in every library; an app does not see them, since macOS looks names up by library.
LINKERS_OWN = {"___dso_handle", "__mh_dylib_header"}

#: What the driver may ask of macOS: what it may ask of any system, and what the compiler makes of that.
FUNCTIONS = {f"_{name}" for name in test_cross.FUNCTIONS} | {
    "___cxa_atexit", "___memcpy_chk", "___memset_chk", "___snprintf_chk", "___vsnprintf_chk", "_bzero", "_dlsym",
    "_memset_pattern16", "_sysctlbyname", "dyld_stub_binder",
}  # fmt: skip


def parts() -> Parts:
    fake = fake_reference.parts()
    return Parts(fake.tables, fake.data, MANIFEST.to_bytes(), pack_plan('{"plan": "ü"}'))


@pytest.fixture(scope="module")
def dylib(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("macho") / "sr.dylib"
    link_shared(parts(), path, link_triple=TRIPLE)
    return path


def commands(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and bytes of each load command."""
    (count,) = struct.unpack_from("<I", data, 16)
    at = 32
    for _ in range(count):
        kind, size = struct.unpack_from("<2I", data, at)
        yield kind & 0x7FFFFFFF, data[at : at + size]
        at += size


def the(data: bytes, kind: int) -> bytes:
    (found,) = [body for found, body in commands(data) if found == kind]
    return found


def symbols(data: bytes) -> dict[str, int]:
    """Names that are not local, with their type byte."""
    symbol_at, count, names_at, _ = struct.unpack_from("<4I", the(data, SYMTAB), 8)
    found = {}
    for i in range(count):
        name, info = struct.unpack_from("<IB", data, symbol_at + 16 * i)
        if info & 0x01:
            start = names_at + name
            found[data[start : data.index(0, start)].decode()] = info
    return found


def test_manifest_and_plan_are_read_anywhere(dylib):
    library = read_library(dylib)
    assert (library.format, library.cpu, library.bits) == ("Mach-O", "AArch64", 64)
    assert read_manifest(dylib) == MANIFEST
    assert read_plan_text(dylib) == '{"plan": "ü"}'
    assert is_artifact(dylib)


@pytest.mark.skipif("sys.platform == 'darwin'")
def test_is_refused_elsewhere(dylib):
    with pytest.raises(InputFileError, match="macOS"):
        load(dylib)


def test_only_the_abi_is_visible(dylib):
    found = symbols(dylib.read_bytes())
    defined = {name for name, info in found.items() if info & 0x0E}
    assert defined - LINKERS_OWN == {f"_tvmsr_{name}" for name in link.API} | {f"_{FFI_SYMBOL}"}
    undefined = set(found) - defined
    assert {"_malloc", "_pthread_create", "_sysctlbyname"} <= undefined <= FUNCTIONS


def test_what_the_loader_reads(dylib):
    data = dylib.read_bytes()
    libraries = [body for kind, body in commands(data) if kind == LOAD_DYLIB]
    assert [body[24:].rstrip(b"\0") for body in libraries] == [b"/usr/lib/libSystem.B.dylib"]
    assert the(data, ID_DYLIB)[24:].rstrip(b"\0") == b"@rpath/sr.dylib"
    platform, minimum = struct.unpack_from("<2I", the(data, VERSION), 8)
    assert (platform, minimum >> 16) == (1, 11)
    assert the(data, SIGNATURE)  # ARM Macs run nothing unsigned
    segments = [body for kind, body in commands(data) if kind == SEGMENT]
    for body in segments:
        address, _, offset, _, most, first = struct.unpack_from("<4Q2I", body, 24)
        assert address % 16384 == 0 and offset % 16384 == 0
        assert not most & first & 0x02 or not first & 0x04  # nothing is writable and executable
    used = sum(len(body) for _, body in commands(data))
    text = next(body for body in segments if body[8:14] == b"__TEXT")
    (first_section,) = struct.unpack_from("<I", text, 72 + 48)
    assert first_section - 32 - used >= 1024  # room for a longer install name


def test_signature_and_identity_are_of_the_bytes(dylib):
    """Hashes of all pages in the code directory; every entry of the indirect symbols names a symbol."""
    data = dylib.read_bytes()
    found = dict(commands(data))
    start, size = struct.unpack_from("<2I", found[SIGNATURE], 8)
    (offset,) = struct.unpack_from(">I", data, start + 16)
    hashes, _, _, slots, limit, length = struct.unpack_from(">5IB", data, start + offset + 16)
    assert limit == start and size >= offset + hashes + slots * length
    page = 1 << data[start + offset + 39]
    for slot in range(slots):
        digest = hashlib.sha256(data[slot * page : min(limit, (slot + 1) * page)]).digest()
        assert data[start + offset + hashes + slot * length :][:length] == digest
    (symbols,) = struct.unpack_from("<I", found[SYMTAB], 12)
    first, count = struct.unpack_from("<2I", found[DYSYMTAB], 56)
    assert max(struct.unpack_from(f"<{count - 1}I", data, first)) < symbols


def test_same_bytes_from_another_folder_and_cache(dylib, tmp_path, monkeypatch):
    monkeypatch.setenv("ZIG_GLOBAL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("ZIG_LOCAL_CACHE_DIR", str(tmp_path / "local"))
    again = tmp_path / "else where" / "sr.dylib"
    again.parent.mkdir()
    link_shared(parts(), again, link_triple=TRIPLE)
    assert again.read_bytes() == dylib.read_bytes()
    assert str(tmp_path).encode() not in again.read_bytes()


def test_names_of_objects_are_hidden(tmp_path):
    source, made = tmp_path / "a.c", tmp_path / "a.o"
    source.write_text("int seen(int); int other(int); int seen(int x) { return other(x); }\n")
    run_tool([*zig_command("cc"), "-target", TRIPLE, "-O2", "-c", source, "-o", made], "test")
    before, after = symbols(made.read_bytes()), symbols(hide_all(made.read_bytes()))
    assert set(before) == set(after) == {"_seen", "_other"}
    assert (before["_seen"] & 0x10, after["_seen"] & 0x10, after["_other"] & 0x10) == (0, 0x10, 0)


@pytest.mark.parametrize("hides", [True, False])
def test_kernels_objects_are_hidden_in_the_library(tmp_path, monkeypatch, hides):
    """With the step taken out, the name is seen: the test can fail."""
    monkeypatch.setattr(link, "format_of", lambda triple: dataclasses.replace(MACHO, hides_kernels=hides))
    source, made = tmp_path / "a.c", tmp_path / "a.o"
    source.write_text("int tvmsr_k_conv(void); int tvmsr_k_conv(void) { return 1; }\n")
    run_tool([*zig_command("cc"), "-target", TRIPLE, "-O2", "-c", source, "-o", made], "test")
    fake = parts()
    tables = (
        fake.tables
        + "\nint tvmsr_k_conv(void); int (*const sr_kept)(void); int (*const sr_kept)(void) = tvmsr_k_conv;\n"
    )
    path = tmp_path / "k.dylib"
    link_shared(Parts(tables, fake.data, fake.manifest, b"", (made,)), path, link_triple=TRIPLE)
    assert ("_tvmsr_k_conv" in symbols(path.read_bytes())) is not hides


def test_no_static_library(tmp_path):
    with pytest.raises(UsageError, match=r"static.*Mach-O"):
        link_static(parts(), tmp_path / "x.a", link_triple=TRIPLE)
    assert list(tmp_path.iterdir()) == []
