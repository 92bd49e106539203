from __future__ import annotations

import json
import os
import pickle
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tests.frontend import states, torch_files
from tvmsr.errors import InputFileError
from tvmsr.frontend import load_model
from tvmsr.frontend.readers import exported_file, whole_file
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
            {"dtype": "F32", "shape": [2.0], "data_offsets": [0, 8]},
            {"dtype": "F32", "shape": ["2"], "data_offsets": [0, 8]},
            {"dtype": "F32", "shape": [True, 2], "data_offsets": [0, 8]},
            {"dtype": "F32", "shape": [2], "data_offsets": [0, 1e999]},
            {"dtype": "F32", "shape": [2], "data_offsets": [0, 8, 8]},
            {"dtype": "F32", "shape": [0, 2**63], "data_offsets": [0, 0]},
            {"dtype": "F32", "shape": [1] * 100, "data_offsets": [0, 4]},
            {"dtype": ["F32"], "shape": [2], "data_offsets": [0, 8]},
            7,
        ],
    )
    def test_impossible_header(self, tmp_path: Path, entry: object):
        text = json.dumps({"a": entry}).encode()
        path = tmp_path / "a.safetensors"
        path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(8))
        with pytest.raises(InputFileError):
            read_safetensors(path)

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ('{"a": {"dtype": "U8", "shape": [8], "data_offsets": [0, 8]}, '
             '"b": {"dtype": "U8", "shape": [4], "data_offsets": [4, 8]}}', "those of another tensor"),
            ('{"a": 1, "a": 2}', "twice"),
            ("[" * 200_000, "nested"),
            ("[]", "no object"),
            ('{"__metadata__": {"a": {}}}', "metadata"),
            ('{"a\\nb": {"dtype": "U8", "shape": [8], "data_offsets": [0, 8]}}', "not printable"),
            ('{"\\ud800": {"dtype": "U8", "shape": [8], "data_offsets": [0, 8]}}', "not printable"),
        ],
        ids=lambda value: value[:20],
    )  # fmt: skip
    def test_header_of_something_else(self, tmp_path: Path, text: str, words: str):
        path = tmp_path / "a.safetensors"
        path.write_bytes(len(text).to_bytes(8, "little") + text.encode() + bytes(8))
        with pytest.raises(InputFileError, match=words) as caught:
            read_safetensors(path)
        assert "\n" not in str(caught.value)


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


def bytes_of(state: dict[str, np.ndarray]) -> list[np.ndarray]:
    return list(state.values())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"conv.0.weight": np.zeros((0, 3, 3, 3), np.float32)},
            r"'conv\.0\.weight' is empty: its shape is \[0, 3, 3, 3\]",
        ),
        ({"conv.0.bias": np.full(8, 1e300)}, r"'conv\.0\.bias' has values that are not finite"),
        ({"conv.0.bias": np.full(8, np.inf, np.float16)}, r"'conv\.0\.bias' has values that are not finite"),
        ({"conv.0.bias": np.full(8, 1e30, np.float32)}, "beyond"),
        ({"conv\x1b.weight": np.ones(3, np.float32)}, r"'conv\\x1b\.weight'.* is too long or not printable"),
        ({"conv.1.bias": np.ones(7, np.float32)}, "do not fit together as those of plain_anchor"),
    ],
    ids=lambda value: str(value)[:20],
)
@pytest.mark.parametrize("source", ["mapping", "safetensors", "pth"])
def test_values_that_are_no_weights(tmp_path: Path, source: str, change: dict[str, np.ndarray], words: str, capfd):
    from safetensors.numpy import save_file

    state = {**STATE, **change}
    if source == "safetensors":
        save_file(state, tmp_path / "net.safetensors")
    if source == "pth" and any(str(value.dtype) not in torch_files.KINDS for value in state.values()):
        source = "mapping"
    if source == "pth":
        torch_files.write_zip(tmp_path / "net.pth", torch_files.dictionary(torch_files.tensors(state)), bytes_of(state))
    with pytest.raises(InputFileError, match=words) as caught:
        load_model(state if source == "mapping" else tmp_path / f"net.{source}")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


class TestExported:
    @pytest.mark.parametrize(
        ("size", "fine"),
        [
            ("Mul(Integer(2), Symbol('s0', integer=True))", True),
            ("Pow(Symbol('s0'), Integer(2))", True),
            ("Pow(Integer(9), Pow(Integer(9), Integer(9)))", False),
            ("Integer(99999999999999999999)", False),
            ("-" * 100_000 + "1", False),
            ("(" * 900, False),
            ("Symbol('os')", False),
            ("__import__('os')", False),
            (7, False),
        ],
        ids=lambda value: str(value)[:30],
    )
    def test_symbolic_sizes(self, size: object, fine: bool):
        assert exported_file._is_size(size) is fine

    @pytest.mark.parametrize(
        ("compression", "words"), [(zipfile.ZIP_DEFLATED, "compressed"), (zipfile.ZIP_STORED, "no exported")]
    )
    def test_archives_that_unpack_to_more(self, tmp_path: Path, compression: int, words: str):
        path = tmp_path / "net.pt2"
        with zipfile.ZipFile(path, "w", compression) as archive:
            archive.writestr("model/data/weights/weight_0", bytes(1 << 20))
        with pytest.raises(InputFileError, match=words):
            exported_file.safe_archive(path)


class TestWholeFile:
    def test_a_file_that_grows_while_it_is_read(self, tmp_path: Path, monkeypatch):
        path = tmp_path / "a.safetensors"
        path.write_bytes(bytes(100))
        seen: list[int] = []
        real = os.fstat

        def grown(number: int) -> os.stat_result:
            seen.append(number)
            if len(seen) == 2:
                path.write_bytes(bytes(101))
            return real(number)

        monkeypatch.setattr(whole_file.os, "fstat", grown)
        with pytest.raises(InputFileError, match="changed while it was read"):
            whole_file.read_whole(path)

    def test_a_file_that_is_replaced_is_read_as_it_was(self, tmp_path: Path, monkeypatch):
        """Nothing is opened twice."""
        path = safetensors(tmp_path / "net.safetensors", STATE, {"license": "MIT"})
        opened = []
        real = Path.open
        monkeypatch.setattr(Path, "open", lambda self, *args, **more: opened.append(self) or real(self, *args, **more))
        load_model(path)
        assert opened == [path]

    def test_limit_and_kinds(self, tmp_path: Path):
        path = tmp_path / "a"
        path.write_bytes(bytes(10))
        assert whole_file.read_whole(path, 10) == bytes(10)
        with pytest.raises(InputFileError, match="is too large: 10 bytes, up to 9 bytes are read"):
            whole_file.read_whole(path, 9)
        os.mkfifo(tmp_path / "pipe")
        for wrong in (tmp_path, tmp_path / "pipe", tmp_path / "missing", Path("/dev/zero")):
            with pytest.raises(InputFileError):
                whole_file.read_whole(wrong)


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
