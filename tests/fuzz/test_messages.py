"""What the command line says to broken files: one line, exit code 3, and nothing else on stderr."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.frontend import states, torch_files
from tests.fuzz import onnx_seeds, plan_cases
from tvmsr.cli.main import main

STATE = states.plain_anchor()
Maker = Callable[[], bytes]


def _network(change: Callable[[onnx.ModelProto], object]) -> Maker:
    def make() -> bytes:
        model = onnx_seeds._anchor()
        change(model)
        return model.SerializeToString()

    return make


def _cycle(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[0] = model.graph.node[1].output[0]


def _nan(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].raw_data = np.full(8 * 3 * 9, np.nan, np.float32).tobytes()


def _no_channels(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[0] = 0


def _huge(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[0] = 10**9


def _elsewhere(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].ClearField("raw_data")
    model.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
    model.graph.initializer[0].external_data.add(key="location", value="../../etc/passwd")


def _misfit(model: onnx.ModelProto) -> None:
    model.graph.node.insert(0, helper.make_node("Transpose", ["x"], ["turned"], perm=[0, 2, 1, 3]))
    model.graph.node[1].input[0] = "turned"


def _tensors(state: dict[str, np.ndarray], length: int = 0) -> Maker:
    def make() -> bytes:
        header, raw = {}, b""
        for key, value in state.items():
            end = len(raw) + value.nbytes
            header[key] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [len(raw), end]}
            raw += value.tobytes()
        text = json.dumps(header).encode()
        return (length or len(text)).to_bytes(8, "little") + text + raw

    return make


def _archive(body: bytes, compression: int = zipfile.ZIP_STORED) -> Maker:
    def make() -> bytes:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", compression) as archive:
            archive.writestr("archive/data.pkl", torch_files.program(body))
        return stream.getvalue()

    return make


def _plan(**changes: object) -> Maker:
    return lambda: json.dumps({**plan_cases._plan("plain"), **changes}).encode()


def _artifact(manifest: object) -> Maker:
    return lambda: plan_cases.elf({".tvmsr.manifest": json.dumps(manifest).encode()})


#: File name: (its bytes, what the line says).
FILES: dict[str, tuple[Maker, str]] = {
    "empty.onnx": (lambda: b"", "holds no graph"),
    "empty.safetensors": (lambda: b"", "cut off"),
    "empty.pth": (lambda: b"", "damaged"),
    "empty.so": (lambda: b"", "not a shared library"),
    "empty.json": (lambda: b"", "not JSON"),
    "noise.onnx": (lambda: b"\xff" * 100, "not a valid ONNX file"),
    "cut.onnx": (lambda: onnx_seeds._anchor().SerializeToString()[:700], "not a valid ONNX file"),
    "cycle.onnx": (_network(_cycle), "cycle"),
    "nan.onnx": (_network(_nan), "not finite"),
    "channels.onnx": (_network(_no_channels), "is empty"),
    "huge.onnx": (_network(_huge), "2.0 GB"),
    "elsewhere.onnx": (_network(_elsewhere), "outside of the model's folder"),
    "misfit.onnx": (_network(_misfit), "misfit.onnx"),
    "lying.safetensors": (_tensors(STATE, 2**63), "cut off"),
    "nan.safetensors": (_tensors({**STATE, "conv.0.bias": np.full(8, np.nan, np.float32)}), "not finite"),
    "channels.safetensors": (_tensors({**STATE, "conv.0.bias": np.zeros(0, np.float32)}), "is empty"),
    "misfit.safetensors": (_tensors({**STATE, "conv.1.bias": np.zeros(7, np.float32)}), "do not fit together"),
    "odd\nname.safetensors": (_tensors({"a\x1b[31m\nb": np.zeros(3, np.float32)}), "not printable"),
    "runs.pth": (_archive(torch_files.name("os", "system") + b"(" + torch_files.text("true") + b"tR"), "refused"),
    "packed.pth": (_archive(b"}", zipfile.ZIP_DEFLATED), "compressed"),
    "memo.pth": (_archive(b"}r\xff\xff\xff\x7f"), "memo"),
    "bits.json": (_plan(layers={"c0": {"weight_bits": 99}}), "weight_bits"),
    "odd.json": (_plan(**{"a\nb": 1}), "Extra inputs"),
    "deep.json": (lambda: b"[" * 100_000, "not JSON"),
    "manifest.so": (_artifact({"model": 3}), "manifest is damaged"),
    "list.so": (_artifact([[]] * 3), "manifest is damaged"),
    "double.so": (
        lambda: plan_cases.elf({".tvmsr.plan": b"1", ".tvmsr.plaN": b"2"}).replace(b".plaN", b".plan"),
        "two sections .tvmsr.plan",
    ),
    "none.so": (lambda: plan_cases.elf({}), "has no manifest"),
}


@pytest.mark.parametrize(("name", "made"), FILES.items(), ids=[name.replace("\n", "-") for name in FILES])
def test_one_line(tmp_path: Path, name: str, made: tuple[Maker, str], capfd: pytest.CaptureFixture[str]) -> None:
    make, words = made
    path = tmp_path / name
    path.write_bytes(make())
    assert main(["inspect", str(path)]) == 3
    out, error = capfd.readouterr()
    assert out == ""
    assert words in error and error.startswith("error: ")
    assert len(error.replace(str(path), "PATH").splitlines()) == 1, error
