"""Objects: plain functions, no undefined symbol, the same bytes every time, for CPUs that are not here too."""

from __future__ import annotations

import pytest

from tests.kernels import test_conv, test_pointwise
from tests.kernels.elf import symbols
from tvmsr.hardware.target import Level
from tvmsr.kernels.host import host_triple, level_of
from tvmsr.kernels.pipeline import compile_object

#: One of each kind: shuffle, stream, slices, groups, table, leaky, terms, product.
NAMES = ("3x3_32x27_shuffle3", "3x3_stream", "1x1_48x12_leaky", "3x3_table", "3x3_anchor", "3x3_a12_u16")
POINTWISE = ("add_three", "gather_far", "table_u16_out", "times_15_bits_shuffled")


def some_specs(isa):
    cases = [c for c in test_conv.CASES if c.name in NAMES] + [c for c in test_pointwise.CASES if c.name in POINTWISE]
    assert len(cases) == len(NAMES) + len(POINTWISE)
    return {f"tvmsr_{c.name}": c.spec_for(isa) for c in cases}


@pytest.mark.parametrize(
    ("isa", "triple", "cpu", "features"),
    [
        ("avx512vnni", "x86_64-unknown-linux-gnu", "cascadelake", ("-prefer-256-bit", "+fast-dpwssd")),
        ("avxvnni", "x86_64-unknown-linux-gnu", "haswell", ("+avxvnni",)),
        ("avx2", "x86_64-unknown-linux-gnu", "haswell", ()),
        ("portable", "x86_64-unknown-linux-gnu", "x86-64", ()),
        ("portable", "aarch64-unknown-linux-gnu", "cortex-a72", ("+neon",)),
        ("portable", "armv7-unknown-linux-gnueabihf", "cortex-a7", ("+neon",)),
        ("portable", "riscv64-unknown-linux-gnu", "generic-rv64", ("+m", "+f", "+d")),
    ],
)
def test_no_undefined_symbols(isa, triple, cpu, features):
    specs = some_specs(isa)
    defined, undefined = symbols(compile_object(specs, Level("here", isa, cpu, features), triple))
    assert undefined == set()
    assert {f"{name}_here" for name in specs} <= defined


def test_same_bytes():
    specs = some_specs("avx2")
    first = compile_object(specs, level_of("avx2"), host_triple())
    assert first == compile_object(dict(reversed(specs.items())), level_of("avx2"), host_triple())


def test_wrong_level():
    with pytest.raises(ValueError, match="compiles for portable"):
        compile_object(some_specs("avx2"), level_of("portable"), host_triple())
