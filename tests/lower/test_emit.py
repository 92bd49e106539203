"""The generated tables: deterministic, accepted by a C compiler, pointing at the right bytes."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tvmsr
from tests.lower.networks import ALL, imdn, srvgg
from tests.lower.test_programs import integer_graph
from tvmsr.hardware import load_target
from tvmsr.kernels.algorithms import ALGORITHMS, weight_layout
from tvmsr.kernels.layout import plain_weights
from tvmsr.kernels.spec import Conv, Epilogue, Form, KernelSpec, Operand, Store, Tile
from tvmsr.lower.ctext import quoted
from tvmsr.lower.data import Blob
from tvmsr.lower.emit import _columns, emit
from tvmsr.lower.pipeline import lower

PACKAGE = Path(tvmsr.__file__).parent
LEVELS = load_target("x86-64-v3").levels


def emitted(model, bits="8"):
    graph = integer_graph(model, bits)
    programs = [lower(graph, level) for level in LEVELS]
    return programs, emit(programs, LEVELS, graph)


def test_same_input_same_text():
    _, one = emitted(imdn())
    _, two = emitted(imdn())
    assert (one.source, one.data, one.kernels) == (two.source, two.data, two.kernels)


@pytest.mark.parametrize("bits", ["8", "a6w4", "a8w3", "a4w2"])
def test_levels_share_weights(bits):
    """A layer's codes lie in the file once, two in a byte at 4 bits or fewer, whatever the levels make of them."""
    programs, result = emitted(srvgg(), bits)
    layers = {step.layer.name: step.layer for program in programs for step in program.steps}
    for layer in layers.values():
        codes = plain_weights(layer.weight, layer.bits)
        assert len(codes) == -(-layer.weight.size // (2 if layer.bits <= 4 else 1))
        assert result.data.count(codes) == 1
        assert result.data.index(codes) % 64 == 0
    assert set(result.kernels) == {"avx512vnni", "avxvnni", "avx2"}
    layouts = {
        name: {
            str(weight_layout(step.kernel))
            for program in programs
            for step in program.steps
            if step.layer is not None and step.layer.name == name
        }
        for name in layers
    }
    assert all(len(found) > 1 for found in layouts.values())


def test_layers_of_one_shape_share_a_kernel():
    _, result = emitted(ALL["residual"]())
    assert all(len(specs) < 10 for specs in result.kernels.values())


def test_pieces_fill_tiles():
    """Columns of a transform's piece: whole groups of tiles, m pixels across each; of a direct kernel, whole tiles."""
    source = Conv((3, 3), 64, 64, Operand(Form.U8, 64), 8, 8)
    spec = KernelSpec(source, Epilogue((Store(Form.U8, 64, 64),)), "avx512vnni", "winograd4", Tile(6, 4, strip=12))
    assert _columns(ALGORITHMS["winograd4"], spec) == 24
    assert _columns(ALGORITHMS["direct"], replace(spec, algorithm="direct", tile=Tile(6, 4))) == 6


@pytest.mark.parametrize("name", ["plain", "imdn", "dense"])
def test_a_compiler_takes_it(tmp_path, name):
    _, result = emitted(ALL[name]())
    source = tmp_path / "program.c"
    source.write_text(result.source)
    folders = [f"-I{PACKAGE / 'artifact' / 'driver'}", f"-I{PACKAGE / 'kernels'}"]
    command = [sys.executable, "-m", "ziglang", "cc", "-c", "-std=c11", "-Wall", "-Wextra", "-Werror"]
    done = subprocess.run(
        [*command, *folders, str(source), "-o", str(tmp_path / "program.o")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_strings_are_escaped():
    assert quoted('a"b\\c\n?') == r'"a\042b\134c\012\077"'
    assert quoted("é1") == r'"\303\2511"'


def test_blob():
    blob = Blob()
    assert blob.add(b"abc", 64) == 0
    assert blob.add(b"d", 4) == 4
    assert blob.add(b"abc", 64) == 0
    assert blob.add(b"e", 64) == 64
    assert len(bytes(blob)) == 65
    assert np.frombuffer(bytes(blob), np.uint8)[64] == ord("e")
