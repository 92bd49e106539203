from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tests.frontend import states, torch_files
from tvmsr.errors import InputFileError
from tvmsr.frontend import load_model
from tvmsr.frontend.readers.safetensors_file import read_safetensors
from tvmsr.frontend.readers.torch_file import read_torch

STATE = states.plain_anchor()
WANTED = load_model(STATE).checksum


def safetensors(path: Path, state: dict[str, np.ndarray], metadata: dict[str, str] | None = None) -> Path:
    header: dict[str, object] = {"__metadata__": metadata or {}}
    raw = b""
    for key, value in state.items():
        header[key] = {"dtype": "F32", "shape": value.shape, "data_offsets": [len(raw), len(raw) + value.nbytes]}
        raw += value.astype("<f4").tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + raw)
    return path


class TestSafetensors:
    def test_model_and_licence(self, tmp_path: Path):
        model = load_model(safetensors(tmp_path / "net.safetensors", STATE, {"License": "MIT"}))
        assert (model.checksum, model.name, model.licence) == (WANTED, "net", "MIT")
        assert load_model(safetensors(tmp_path / "net.safetensors", STATE)).licence == "unknown"

    def test_as_the_library_writes_it(self, tmp_path: Path):
        from safetensors.numpy import save_file

        half = {key: value.astype(np.float16) for key, value in STATE.items()}
        save_file(half, tmp_path / "net.safetensors")
        read, _ = read_safetensors(tmp_path / "net.safetensors")
        assert all(np.array_equal(read[key], half[key]) for key in half)

    def test_bfloat16(self, tmp_path: Path):
        header = json.dumps({"a": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
        path = tmp_path / "b.safetensors"
        path.write_bytes(len(header).to_bytes(8, "little") + header + b"\x80\x3f\x20\xc0")
        assert read_safetensors(path)[0]["a"].tolist() == [1.0, -2.5]

    @pytest.mark.parametrize("keep", [0, 4, 8, 40, 0.5, 0.99])
    def test_truncated(self, tmp_path: Path, keep: float):
        path = safetensors(tmp_path / "net.safetensors", STATE)
        whole = path.read_bytes()
        path.write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
        with pytest.raises(InputFileError, match=r"net\.safetensors"):
            load_model(path)

    @pytest.mark.parametrize(
        "entry",
        [
            {"dtype": "F32", "shape": [9, 9], "data_offsets": [0, 8]},
            {"dtype": "F32", "shape": [-1], "data_offsets": [0, 8]},
            {"dtype": "Q4", "shape": [2], "data_offsets": [0, 8]},
            {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]},
            {"dtype": "F32"},
            7,
        ],
    )
    def test_impossible_header(self, tmp_path: Path, entry: object):
        text = json.dumps({"a": entry}).encode()
        path = tmp_path / "a.safetensors"
        path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(8))
        with pytest.raises(InputFileError):
            read_safetensors(path)


@pytest.mark.parametrize("write", [torch_files.write_zip, torch_files.write_legacy])
class TestTorch:
    def test_state_dict(self, tmp_path: Path, write):
        body = torch_files.dictionary(torch_files.tensors(STATE))
        assert load_model(write(tmp_path / "net.pth", body, list(STATE.values()))).checksum == WANTED

    def test_wrapped_with_prefix(self, tmp_path: Path, write):
        inner = torch_files.tensors({f"module.{key}": value for key, value in STATE.items()})
        body = torch_files.dictionary(
            {"epoch": torch_files.integer(3), "params": b"}", "params_ema": torch_files.dictionary(inner)}
        )
        assert load_model(write(tmp_path / "net.pth", body, list(STATE.values()))).checksum == WANTED

    def test_transposed_storage(self, tmp_path: Path, write):
        array = np.arange(6, dtype=np.float32)
        body = torch_files.dictionary({"a": torch_files.tensor(array, "0", (3, 2), (1, 3))})
        read = read_torch(write(tmp_path / "a.pth", body, [array]))
        assert np.array_equal(read["a"], array.reshape(2, 3).T)

    @pytest.mark.parametrize(("size", "stride"), [((10**6, 10**6), (0, 0)), ((7,), (1,)), ((2,), (9,)), ((-1,), (1,))])
    def test_tensor_beyond_its_data(self, tmp_path: Path, write, size, stride):
        array = np.arange(6, dtype=np.float32)
        body = torch_files.dictionary({"a": torch_files.tensor(array, "0", size, stride)})
        with pytest.raises(InputFileError, match="damaged"):
            read_torch(write(tmp_path / "a.pth", body, [array]))

    @pytest.mark.parametrize(
        ("module", "attribute"),
        [("os", "system"), ("builtins", "eval"), ("builtins", "exec"), ("subprocess", "Popen"), ("torch", "load"),
         ("torch.serialization", "load"), ("numpy", "load"), ("builtins", "getattr"), ("shutil", "rmtree")],
    )  # fmt: skip
    def test_bomb_is_refused_by_name(self, tmp_path: Path, write, module: str, attribute: str):
        proof = tmp_path / "it_ran"
        call = torch_files.name(module, attribute) + b"(" + torch_files.text(f"touch {proof}") + b"tR"
        path = write(tmp_path / "bomb.pth", torch_files.dictionary({"a": call}), [])
        with pytest.raises(InputFileError, match=f"{module}.{attribute}.*refused.*state_dict"):
            load_model(path)
        assert not proof.exists()

    @pytest.mark.parametrize("keep", [0.02, 0.3, 0.7, 0.98])
    def test_truncated(self, tmp_path: Path, write, keep: float):
        path = write(tmp_path / "net.pth", torch_files.dictionary(torch_files.tensors(STATE)), list(STATE.values()))
        whole = path.read_bytes()
        path.write_bytes(whole[: int(keep * len(whole))])
        with pytest.raises(InputFileError, match=r"net\.pth"):
            load_model(path)


def test_real_bomb_does_not_run(tmp_path: Path):
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            import os

            return os.system, (f"touch {tmp_path / 'it_ran'}",)

    path = tmp_path / "bomb.pth"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(InputFileError, match="refused"):
        load_model(path)
    assert not (tmp_path / "it_ran").exists()


@pytest.mark.parametrize("content", [b"", b"hello", bytes(1000), b"PK\x03\x04" + bytes(100)])
def test_garbage(tmp_path: Path, content: bytes):
    path = tmp_path / "garbage.pth"
    path.write_bytes(content)
    with pytest.raises(InputFileError, match=r"garbage\.pth"):
        load_model(path)


def test_compressed_archive_is_refused(tmp_path: Path):
    path = torch_files.write_zip(tmp_path / "a.pth", b"}", [], zipfile.ZIP_DEFLATED)
    with pytest.raises(InputFileError, match="compressed"):
        read_torch(path)


def test_not_a_dictionary(tmp_path: Path):
    with pytest.raises(InputFileError, match="holds a"):
        read_torch(torch_files.write_zip(tmp_path / "a.pth", b"]", []))


def test_no_tensors_and_bad_values(tmp_path: Path):
    with pytest.raises(InputFileError, match="no tensors"):
        load_model(torch_files.write_zip(tmp_path / "a.pth", b"}", []))
    bad = {**STATE, "conv.0.bias": np.full(8, np.nan, np.float32)}
    with pytest.raises(InputFileError, match=r"conv\.0\.bias.*not finite"):
        load_model(bad)


@pytest.mark.parametrize("legacy", [False, True])
def test_files_of_pytorch(torch: ModuleType, tmp_path: Path, legacy: bool):
    state = {key: torch.from_numpy(value) for key, value in STATE.items()}
    first, *others = state
    weights = {first: torch.nn.Parameter(state[first]), **{key: state[key] for key in others}}
    checkpoint = {"state_dict": weights, "step": 3, "lr": [0.1, None]}
    torch.save(checkpoint, tmp_path / "net.pth", _use_new_zipfile_serialization=not legacy)
    assert load_model(tmp_path / "net.pth").checksum == WANTED
    assert load_model(state).checksum == WANTED


@pytest.mark.parametrize(
    ("name", "says"), [("a.txt", "models end in"), ("a.pth", "no such file"), ("folder.pth", "a folder")]
)
def test_wrong_paths(tmp_path: Path, name: str, says: str):
    (tmp_path / "a.txt").write_text("")
    (tmp_path / "folder.pth").mkdir()
    with pytest.raises(InputFileError, match=says):
        load_model(tmp_path / name)
