"""Which files `--emit` writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tvmsr.artifact.outputs import default_suffix, outputs, parse_emit
from tvmsr.errors import UsageError

LINUX, MACOS = "aarch64-linux-gnu.2.17", "aarch64-macos.11.0"


@pytest.mark.parametrize(
    ("emit", "want"),
    [("so", ("so",)), ("static", ("static",)), ("so,static", ("so", "static")), (" static , so", ("static", "so"))],
)
def test_parse(emit, want):
    assert parse_emit(emit) == parse_emit(want) == want


@pytest.mark.parametrize("emit", ["", "dll", "so,", "so;static", (), ("so", "a")])
def test_unknown(emit):
    with pytest.raises(UsageError, match="so and static are known"):
        parse_emit(emit)


@pytest.mark.parametrize(
    ("out", "emit", "want"),
    [
        ("sr.so", "so", ["sr.so"]),
        ("any.name", "so", ["any.name"]),
        ("sr.a", "static", ["sr.a", "sr.h"]),
        ("libsr.v2", "static", ["libsr.v2", "libsr.v2.h"]),
        ("sr.so", "so,static", ["sr.so", "sr.a", "sr.h"]),
        ("sr.a", "static,so", ["sr.so", "sr.a", "sr.h"]),
        ("sr", "so,static", ["sr.so", "sr.a", "sr.h"]),
        ("net.v2", "so,static", ["net.v2.so", "net.v2.a", "net.v2.h"]),
    ],
)
def test_names(out, emit, want):
    assert [str(path) for path in outputs(Path(out), emit, LINUX).files] == want


def test_the_header_is_not_written_over_the_library():
    with pytest.raises(UsageError, match="header"):
        outputs(Path("sr.h"), "static", LINUX)


def test_macos():
    assert outputs(Path("sr.dylib"), "so", MACOS).files == (Path("sr.dylib"),)
    assert default_suffix("so", MACOS) == ".dylib"
    with pytest.raises(UsageError, match=r"Mach-O.*dylib"):
        outputs(Path("sr.dylib"), "so,static", MACOS)


def test_default_suffix():
    assert [default_suffix(emit, LINUX) for emit in ("so", "static", "static,so")] == [".so", ".a", ".so"]
