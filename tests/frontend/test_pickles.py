"""Pickles and archives that were made to harm: refused before they run, take all memory, or never end."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.frontend import states, torch_files
from tvmsr.errors import InputFileError
from tvmsr.frontend import load_model
from tvmsr.frontend.readers import torch_file
from tvmsr.frontend.readers.torch_file import read_torch

STATE = states.plain_anchor()
WANTED = load_model(STATE).checksum

GET, TWICE = b"h\0", b"h\0h\0\x86q\0"
#: Programs of a pickle that would take all memory, end the process or never end; what is said of each.
BOMBS = {
    "a memo of 16 GB": (b"}" + b"r" + b"\xff\xff\xff\x7f", "memo"),
    "a memo of 16 GB, in text": (b"}p2000000000\n", "memo"),
    "tuples that nobody can hash": (b"}" + b")" + b"\x85" * 100_000 + b"K\x01s", "tuple of more than"),
    "tuples whose hash takes for ever": (b"})q\0" + TWICE * 60 + b"K\x01s", "tuple of more than"),
    "lists that are endless when written down": (b"]q\0" + b"](" + b"h\0" * 2 + b"eq\0" * 1, "holds a list"),
    "a tensor's size of a long text": (
        b"ctorch\nSize\n" + torch_files.text("1" * 100) + b"\x85R",
        "a shape that is none",
    ),
    "a class of its own": (b"ccollections\nOrderedDict\n)\x81", "NEWOBJ"),
}


@pytest.mark.parametrize(("body", "words"), BOMBS.values(), ids=BOMBS)
@pytest.mark.parametrize("write", [torch_files.write_zip, torch_files.write_legacy])
def test_pickles_that_ask_for_too_much(tmp_path: Path, write, body: bytes, words: str):
    with pytest.raises(InputFileError, match=words) as caught:
        read_torch(write(tmp_path / "a.pth", body, []))
    assert "\n" not in str(caught.value)


def test_lists_shared_in_lists(tmp_path: Path, monkeypatch):
    """40 lists of two stand for 2^40 values."""
    monkeypatch.setattr(torch_file, "_MOST_VALUES", 10_000)
    body = b"}" + torch_files.text("a") + b"]q\0" + b"0](h\0h\0eq\0" * 40 + b"s"
    with pytest.raises(InputFileError, match="more than 10000 values"):
        read_torch(torch_files.write_zip(tmp_path / "a.pth", body, []))


def test_tensors_that_share_a_storage(tmp_path: Path):
    array = np.zeros(1 << 20, np.float32)
    tied = {"a": torch_files.tensor(array, "0"), "b": torch_files.tensor(array, "0")}
    read = read_torch(torch_files.write_zip(tmp_path / "a.pth", torch_files.dictionary(tied), [array]))
    assert read["a"] is read["b"]
    slices = {str(n): torch_files.tensor(array, "0", (len(array) - n,)) for n in range(40)}
    with pytest.raises(InputFileError, match="many times as large as the file"):
        read_torch(torch_files.write_zip(tmp_path / "a.pth", torch_files.dictionary(slices), [array]))


@pytest.mark.parametrize("state", [b"}" + torch_files.text("code") + torch_files.text("f8") + b"sb",
                                   b"N}" + torch_files.text("code") + torch_files.text("f8") + b"s\x86b"])  # fmt: skip
@pytest.mark.parametrize("name", ["torch FloatStorage", "torch._utils _rebuild_tensor_v2"])
def test_a_pickle_changes_nothing_of_the_reader(tmp_path: Path, name: str, state: bytes):
    body = torch_files.name(*name.split()) + state
    with pytest.raises(InputFileError):
        read_torch(torch_files.write_zip(tmp_path / "evil.pth", body, []))
    body = torch_files.dictionary(torch_files.tensors(STATE))
    assert load_model(torch_files.write_zip(tmp_path / "net.pth", body, list(STATE.values()))).checksum == WANTED


def test_members_that_share_bytes(tmp_path: Path):
    """An archive of 40 entries for the same megabyte."""
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", torch_files.program(b"}"))
        archive.writestr("archive/data/0", bytes(1 << 20))
        for number in range(1, 40):
            entry = zipfile.ZipInfo(f"archive/data/{number}")
            whole = archive.getinfo("archive/data/0")
            entry.header_offset, entry.CRC = whole.header_offset, whole.CRC
            entry.file_size = entry.compress_size = whole.file_size
            archive.filelist.append(entry)
    with pytest.raises(InputFileError, match="share a name or bytes"):
        read_torch(path)


@pytest.mark.parametrize("name", ["../../evil", "/evil", "archive/data/../../../evil"])
def test_names_in_archives_are_no_paths(tmp_path: Path, name: str):
    body = torch_files.dictionary(torch_files.tensors(STATE))
    path = torch_files.write_zip(tmp_path / "net.pth", body, list(STATE.values()))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, "x")
    assert load_model(path).checksum == WANTED
    assert [p.name for p in tmp_path.iterdir()] == ["net.pth"]
