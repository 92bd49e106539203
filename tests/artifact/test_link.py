"""What comes out of the linker: bytes, symbols, libraries, prefixes; shared and static."""

from __future__ import annotations

import re
import shutil
import subprocess

import numpy as np
import pytest

from tests.artifact import fake_reference
from tests.artifact.test_driver import picture
from tvmsr.artifact import link
from tvmsr.artifact.link import Parts, link_shared
from tvmsr.artifact.static import link_static
from tvmsr.errors import UsageError, WorkError
from tvmsr.runtime import load

TWO_PREFIXES = """
#define TVMSR_PREFIX one
#include "tvmsr.h"
#undef TVMSR_PREFIX
#define TVMSR_PREFIX two
#include "tvmsr.h"
"""


def dynamic_symbols(path) -> dict[str, set[str]]:
    """Symbols by nm's letter."""
    found: dict[str, set[str]] = {}
    for line in subprocess.run(["nm", "-D", path], capture_output=True, text=True, check=True).stdout.splitlines():
        letter, name = line.split()[-2:]
        found.setdefault(letter, set()).add(name.split("@")[0])
    return found


needs_binutils = pytest.mark.skipif(shutil.which("nm") is None, reason="needs binutils")


@needs_binutils
def test_only_the_abi_is_visible(fake):
    symbols = dynamic_symbols(fake)
    assert symbols["T"] == {f"tvmsr_{name}" for name in link.API} | {link.FFI_SYMBOL}
    assert not {"errno", "__errno_location", "sysconf", "__tls_get_addr"} & symbols["U"]


def test_header_declares_what_is_exported():
    text = (link.INCLUDE / "tvmsr.h").read_text()
    assert set(re.findall(r"TVMSR_FN\((\w+)\)\(", text)) == set(link.API)


@pytest.mark.parametrize("compiler", ["cc", "c++"])
def test_header_compiles_alone_and_for_two_prefixes(tmp_path, compiler):
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler} here")
    source = tmp_path / f"two.{'c' if compiler == 'cc' else 'cpp'}"
    source.write_text(TWO_PREFIXES + "void f(void);\nvoid f(void) { one_close(0); two_close(0); }\n")
    standard = "-std=c99" if compiler == "cc" else "-std=c++11"
    flags = [standard, "-pedantic", "-Wall", "-Wextra", "-Werror", f"-I{link.INCLUDE}", "-fsyntax-only"]
    subprocess.run([compiler, *flags, source], check=True)


@pytest.mark.skipif(shutil.which("ldd") is None, reason="needs ldd")
def test_needs_the_c_library_only(fake):
    text = subprocess.run(["ldd", fake], capture_output=True, text=True, check=True).stdout
    names = {line.split()[0].split("/")[-1].split(".so")[0] for line in text.splitlines()}
    assert names <= {"linux-vdso", "libc", "libm", "libpthread", "ld-linux-x86-64", "ld-linux-aarch64"}


def test_size_without_weights(fake):
    """On x86-64, where colour is there twice: 84 KB are the driver's code, spatial steps of all kinds, 2 for choosing
    by the picture and 9 for tiles among it, and the packer's, 3 the fake's kernels, 22 tables of two choices, names and
    what the loader reads."""
    assert fake.stat().st_size <= 110_800


def test_same_bytes_from_two_folders(tmp_path, triple, fake):
    paths = [tmp_path / name for name in ("one/artifact.so", "some/where/else/other.so")]
    for path in paths:
        path.parent.mkdir(parents=True)
        link_shared(fake_reference.parts(), path, link_triple=triple)
    assert paths[0].read_bytes() == paths[1].read_bytes() == fake.read_bytes()


def test_prefix_and_two_artifacts_in_one_process(tmp_path, triple, fake):
    other = tmp_path / "other.so"
    parts = fake_reference.parts(manifest={"model": "fake", "prefix": "imdn"}, bias=(77, 0))
    link_shared(parts, other, link_triple=triple, prefix="imdn")
    image = picture(20, 30)
    with load(fake) as first, load(other) as second:
        one, two = first.upscale(image), second.upscale(image)
    np.testing.assert_array_equal(one, fake_reference.upscale(image))
    assert (one != two).any()


@pytest.mark.parametrize("prefix", ["", "1a", "a-b", "a b", "x" * 65])
def test_wrong_prefix(tmp_path, triple, prefix):
    with pytest.raises(UsageError, match="prefix"):
        link_shared(fake_reference.parts(), tmp_path / "x.so", link_triple=triple, prefix=prefix)


def test_errors_show_the_compilers_words_and_leave_nothing(tmp_path, triple):
    broken = Parts("#error this table is broken\n", b"", b"{}")
    with pytest.raises(WorkError, match="this table is broken"):
        link_shared(broken, tmp_path / "x.so", link_triple=triple)
    with pytest.raises(WorkError, match="cannot run no-such-compiler"):
        link_shared(fake_reference.parts(), tmp_path / "x.so", link_triple=triple, cc="no-such-compiler")
    with pytest.raises(WorkError, match="cannot write"):
        link_shared(fake_reference.parts(), tmp_path / "no" / "x.so", link_triple=triple)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_another_compiler(tmp_path, triple):
    path = tmp_path / "gcc.so"
    link_shared(fake_reference.parts(), path, link_triple=triple, cc="gcc")
    image = picture(30, 40)
    with load(path, threads=2) as session:
        np.testing.assert_array_equal(session.upscale(image), fake_reference.upscale(image))


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_two_static_artifacts_in_one_program(tmp_path, triple):
    for prefix in ("one", "two"):
        link_static(fake_reference.parts(), tmp_path / f"{prefix}.a", link_triple=triple, prefix=prefix)
    source = tmp_path / "main.c"
    source.write_text(
        TWO_PREFIXES + "int main(void) { tvmsr_session *a = 0, *b = 0; int r = one_open(0, &a) + two_open(0, &b);"
        " one_close(a); two_close(b); return r; }\n"
    )
    program = tmp_path / "main"
    archives = [tmp_path / "one.a", tmp_path / "two.a"]
    subprocess.run(["gcc", f"-I{link.INCLUDE}", source, *archives, "-pthread", "-o", program], check=True)
    subprocess.run([program], check=True)


def test_self_test(tmp_path, triple):
    assert link.link_self_test(tmp_path).startswith("ziglang 0.17")


def test_files_of_unused_kinds_are_left_out():
    parts = Parts("", b"", b"", without=("spatial_statistic", "spatial_norm", "complexity"))
    names = {path.name for path in parts.driver}
    assert {"spatial_pool.c", "spatial_resize.c", "steps.c"} < names
    left_out = {path.name for path in Parts("", b"", b"").driver} - names
    assert left_out == {"spatial_statistic.c", "spatial_norm.c", "complexity.c"}
    assert parts.flags == ["-DSR_WITHOUT_STATISTIC", "-DSR_WITHOUT_NORM", "-DSR_WITHOUT_COMPLEXITY"]
