"""Every known target can be built for here; the same input gives the same file; files stay small."""

import struct

import pytest

from tests.integration.artifacts import make
from tests.lower.networks import ALL
from tests.quant.networks import picture
from tvmsr.frontend import load_model
from tvmsr.hardware import list_targets, load_target

#: Of ELF's header.
MACHINES = {"x86_64": 62, "aarch64": 183, "arm": 40}
PT_LOAD = 1
#: Of Mach-O's.
MACHO_64, CPU_ARM64, DYLIB = 0xFEEDFACF, 0x0100000C, 6

#: Of an artifact with one level, without its weights; one with three: test_emulated.py, which has one.
LARGEST = 200_000


def alignments(data):
    """Of an ELF file's segments in memory, 32 or 64 bits wide."""
    wide = data[4] == 2
    (table,) = struct.unpack_from("<Q" if wide else "<I", data, 32 if wide else 28)
    size, count = struct.unpack_from("<2H", data, 54 if wide else 42)
    for at in range(table, table + size * count, size):
        if struct.unpack_from("<I", data, at) == (PT_LOAD,):
            yield struct.unpack_from("<Q" if wide else "<I", data, at + (48 if wide else 28))[0]


@pytest.mark.parametrize("name", list_targets())
def test_builds(tmp_path, name):
    target = load_target(name)
    made = make(ALL["srvgg"](), tmp_path, [picture()], target=target, bias_correction=False)
    data = made.path.read_bytes()
    if target.object == "macho":
        magic, cpu, _, kind = struct.unpack_from("<4I", data)
        assert (magic, cpu, kind) == (MACHO_64, CPU_ARM64, DYLIB)
        return
    assert data[:4] == b"\x7fELF"
    assert struct.unpack_from("<H", data, 18) == (MACHINES[target.architecture],)
    assert all(alignment >= target.page_size for alignment in alignments(data))


def test_reproducible(tmp_path):
    files = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        made = make(ALL["imdn"](), tmp_path / folder, [picture()], target=load_target("x86-64-v3"))
        files.append(made.path.read_bytes())
    assert files[0] == files[1]


@pytest.mark.parametrize(
    ("name", "target"),
    [("imdn_rtc_x2", "x86-64-v4-vnni"), ("abpn_x3", "x86-64-v3"), ("abpn_x3", "rpi4"), ("imdn_rtc_x2", "rpi5")],
)
def test_size(shared_data, tmp_path, name, target):
    model = load_model(shared_data / "weights" / f"{name}.safetensors")
    made = make(model, tmp_path, [picture()], target=load_target(target), bias_correction=False)
    assert made.size_without_weights <= LARGEST
