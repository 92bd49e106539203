"""Broken inputs: one line, the right exit code, nothing half-written."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from tvmsr.cli.main import main
from tvmsr.defaults import default_weights

from .conftest import Made


def _fails(arguments: list[str], code: int, words: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == code
    error = capfd.readouterr().err
    lines = [line for line in error.splitlines() if not line.startswith("note:")]
    assert len(lines) == 1, error
    assert words in error


def test_truncated_checkpoint(tmp_path: Path, capfd) -> None:
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(default_weights("x2").read_bytes()[:5000])
    _fails(["compile", str(bad), "-o", str(tmp_path / "sr.so")], 3, "bad.safetensors", capfd)
    assert not (tmp_path / "sr.so").exists()


def test_target_with_an_unknown_cpu(tmp_path: Path, capfd) -> None:
    file = tmp_path / "board.toml"
    level = '[[levels]]\nname = "neon"\nisa = "neon"\ncpu = "cortex-a99"\n'
    file.write_text(f'extends = "rpi4"\n{level}')
    arguments = ["compile", "default:x2", "--target", str(file), "-o", str(tmp_path / "sr.so")]
    _fails(arguments, 3, "board: levels.0.cpu: LLVM has no 'cortex-a99'", capfd)
    assert not (tmp_path / "sr.so").exists()


class _Bomb:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.mark}",)


def test_pickle_bomb(tmp_path: Path, capfd) -> None:
    bad, mark = tmp_path / "bomb.pth", tmp_path / "exploded"
    stream = io.BytesIO()
    pickle.dump({"weight": _Bomb(mark)}, stream)
    with zipfile.ZipFile(bad, "w") as archive:
        archive.writestr("archive/data.pkl", stream.getvalue())
        archive.writestr("archive/version", "3")
    _fails(["compile", str(bad), "-o", str(tmp_path / "sr.so")], 3, "system", capfd)
    assert not mark.exists()
    assert not (tmp_path / "sr.so").exists()


def test_onnx_with_an_unknown_operation(tmp_path: Path, capfd) -> None:
    onnx = pytest.importorskip("onnx")
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
    ends = [helper.make_tensor_value_info(n, float32, [1, 3, "h", "w"]) for n in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Det", ["x"], ["y"], name="odd")], "g", ends[:1], ends[1:])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), tmp_path / "odd.onnx"
    )
    _fails(["compile", str(tmp_path / "odd.onnx"), "-o", str(tmp_path / "sr.so")], 3, "Det", capfd)
    assert not (tmp_path / "sr.so").exists()


@pytest.mark.parametrize(
    ("field", "value"), [("bits", 40), ("scale", -1.0), ("scale", "NaN"), ("zero", 100000), ("low", None)]
)
def test_edited_plan_with_impossible_values(field: str, value: object, made: Made, tmp_path: Path, capfd) -> None:
    plan = json.loads(made.plan.read_text())
    next(iter(plan["tensors"].values()))[field] = value
    bad = tmp_path / "plan.json"
    bad.write_text(json.dumps(plan))
    _fails(["compile", "--plan", str(bad), "-o", str(tmp_path / "sr.so")], 3, field, capfd)
    assert not (tmp_path / "sr.so").exists()


def test_plan_of_another_network(made: Made, tmp_path: Path, capfd) -> None:
    _fails(["compile", "default:x4", "--plan", str(made.plan), "-o", str(tmp_path / "sr.so")], 3, "x4", capfd)


def test_artifact_for_another_cpu(made: Made, tmp_path: Path, capfd) -> None:
    other = bytearray(made.artifact.read_bytes())
    other[18:20] = (0xF3).to_bytes(2, "little")  # e_machine: RISC-V
    bad = tmp_path / "other.so"
    bad.write_bytes(other)
    Image.new("RGB", (8, 8)).save(tmp_path / "in.png")
    _fails(["upscale", str(bad), str(tmp_path / "in.png"), str(tmp_path / "out.png")], 3, "other.so", capfd)
    assert not (tmp_path / "out.png").exists()
    assert main(["inspect", str(bad)]) == 0


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_truncated_artifact(share: float, made: Made, tmp_path: Path, capfd) -> None:
    whole = made.artifact.read_bytes()
    bad = tmp_path / "cut.so"
    bad.write_bytes(whole[: int(len(whole) * share)])
    Image.new("RGB", (8, 8)).save(tmp_path / "in.png")
    _fails(["upscale", str(bad), str(tmp_path / "in.png"), str(tmp_path / "out.png")], 3, "cut.so", capfd)
    assert not (tmp_path / "out.png").exists()


def test_broken_picture(made: Made, tmp_path: Path, capfd) -> None:
    good = io.BytesIO()
    Image.effect_noise((64, 64), 50).convert("RGB").save(good, "PNG")
    bad = tmp_path / "bad.png"
    bad.write_bytes(good.getvalue()[: len(good.getvalue()) // 2])
    _fails(["upscale", str(made.artifact), str(bad), str(tmp_path / "out.png")], 3, "bad.png", capfd)
    assert not (tmp_path / "out.png").exists()


def test_forced_level_that_is_not_there(made: Made, tmp_path: Path, capfd) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "in.png")
    arguments = ["upscale", str(made.artifact), str(tmp_path / "in.png"), str(tmp_path / "o.png"), "--level", "no-such"]
    _fails(arguments, 2, "no-such", capfd)


@pytest.mark.parametrize("option", [["--bits", "6"], ["--method", "mse"], ["--layer-bits", "conv.1=16"], ["--hr"]])
def test_a_plan_and_options_of_another(option: list[str], made: Made, tmp_path: Path, capfd) -> None:
    _fails(["compile", "--plan", str(made.plan), *option, "-o", str(tmp_path / "sr.so")], 2, option[0], capfd)


def test_onnx_operator_of_nobody(tmp_path: Path, capfd) -> None:
    onnx = pytest.importorskip("onnx")
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
    ends = [helper.make_tensor_value_info(n, float32, [1, 3, "h", "w"]) for n in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Fancy", ["x"], ["y"], name="body/fancy")], "g", ends[:1], ends[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), tmp_path / "f.onnx")
    _fails(["compile", str(tmp_path / "f.onnx"), "-o", str(tmp_path / "sr.so")], 3, "body/fancy", capfd)


def test_a_static_library_is_no_artifact_to_run(tmp_path, capfd):
    archive = tmp_path / "sr.a"
    archive.write_bytes(b"!<arch>\n")
    for command in (["inspect"], ["bench"], ["evaluate", "--data", str(tmp_path)]):
        _fails([*command, str(archive)], 3, "a static library", capfd)
