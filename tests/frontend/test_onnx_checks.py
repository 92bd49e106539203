"""ONNX files that TVM and onnx must never see: each is refused in one line that names what is wrong."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.frontend import states
from tests.frontend.test_onnx import anchor_net, save
from tvmsr.errors import InputFileError
from tvmsr.frontend import load_model, onnx_checks
from tvmsr.frontend.onnx_budget import check_cost
from tvmsr.frontend.onnx_checks import read_onnx
from tvmsr.frontend.readers import external_data

STATE = states.plain_anchor(2)
Change = Callable[[onnx.ModelProto], object]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return save(tmp_path / "net.onnx", *anchor_net(STATE))


def changed(path: Path, change: Change) -> Path:
    model = onnx.load(path)
    change(model)
    path.write_bytes(model.SerializeToString())
    return path


def refused(path: Path, words: str) -> None:
    with pytest.raises(InputFileError, match=words) as caught:
        load_model(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def _cycle(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[0] = model.graph.node[2].output[0]


def _reversed(model: onnx.ModelProto) -> None:
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes[::-1])


def _twice(model: onnx.ModelProto) -> None:
    model.graph.node[1].output[0] = model.graph.node[0].output[0]


def _from_nowhere(model: onnx.ModelProto) -> None:
    model.graph.node[1].input[0] = "elsewhere"


def _infinite(value: float, size: int) -> Change:
    def change(model: onnx.ModelProto) -> None:
        model.graph.initializer[1].raw_data = np.full(size, value, np.float32).tobytes()

    return change


def _dims(*dims: int) -> Change:
    def change(model: onnx.ModelProto) -> None:
        model.graph.initializer[0].dims[:] = dims

    return change


def _constant_attribute(model: onnx.ModelProto) -> None:
    bad = numpy_helper.from_array(np.full((1, 3, 1, 1), np.nan, np.float32))
    model.graph.node.insert(0, helper.make_node("Constant", [], ["nan"], value=bad))


def _branch(model: onnx.ModelProto) -> None:
    inner = helper.make_graph([], "inner", [], [])
    node = helper.make_node("If", ["x"], ["z"], name="choice", then_branch=inner, else_branch=inner)
    model.graph.node.append(node)


def _function(model: onnx.ModelProto) -> None:
    model.functions.append(helper.make_function("own", "Twice", ["a"], ["b"], [], [helper.make_opsetid("", 17)]))


def _sparse(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.add().values.CopyFrom(model.graph.initializer[0])


def _text(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(helper.make_tensor("words", TensorProto.STRING, [1], [b"a"]))


def _short(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].raw_data = model.graph.initializer[0].raw_data[:-4]


def _both(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].float_data.append(1.0)


def _segment(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].segment.begin = 1


def _no_channels(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 0


def _escape(model: onnx.ModelProto) -> None:
    model.graph.node[0].name = "a\x1b[31m\nb"


def _slope(model: onnx.ModelProto) -> None:
    model.graph.node[1].CopyFrom(helper.make_node("LeakyRelu", ["a"], ["b"], alpha=float("nan")))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_cycle, "cycle: 'Conv' .*makes 'a'"),
        (_twice, "'a' is made twice"),
        (_from_nowhere, "reads 'elsewhere', which nothing makes"),
        (_infinite(np.nan, 8), r"'conv\.0\.bias' has values that are not finite"),
        (_infinite(np.inf, 8), r"'conv\.0\.bias' has values that are not finite"),
        (_constant_attribute, "'nan' has values that are not finite"),
        (_slope, "'alpha' is not finite"),
        (_dims(0, 3, 3, 3), r"'conv\.0\.weight' is empty"),
        (_dims(-8, 3, 3, 3), r"'conv\.0\.weight' has the impossible shape \[-8, 3, 3, 3\]"),
        (_dims(8, 3, 3, 4), r"'conv\.0\.weight' of shape \[8, 3, 3, 4\] has 216 values, not 288"),
        (_dims(1 << 20, 1 << 20, 3, 3), r"more than 2\.0 GB"),
        (_short, "has 215 values, not 216"),
        (_both, r"values of the tensor 'conv\.0\.weight' are not where"),
        (_segment, "are not where"),
        (_branch, "'If' .node 'choice'. holds a graph of its own"),
        (_function, "functions of its own .'Twice'.*inline_local_functions"),
        (_sparse, r"'conv\.0\.weight' is sparse"),
        (_text, "'words' has the type STRING"),
        (_no_channels, r"'x' has the impossible shape \[1, 0,"),
        (_escape, "not printable"),
        (lambda model: model.ClearField("graph"), "holds no graph"),
        (lambda model: model.graph.ClearField("node"), "holds no graph"),
        (lambda model: model.graph.output.pop(), "0 outputs"),
    ],
    ids=lambda value: getattr(value, "__name__", None) or str(value)[:30],
)
def test_is_refused_by_name(path: Path, change: Change, words: str) -> None:
    refused(changed(path, change), words)


def test_nodes_are_sorted(path: Path) -> None:
    wanted = load_model(path).checksum
    assert load_model(changed(path, _reversed)).checksum == wanted


def test_single_infinite_numbers_are_bounds(tmp_path: Path) -> None:
    nodes = [helper.make_node("Conv", ["x", "w"], ["a"]), helper.make_node("Clip", ["a", "low", "high"], ["y"])]
    weights = {"w": np.ones((3, 3, 1, 1), np.float32), "low": np.float32(0), "high": np.float32(np.inf)}
    read_onnx(save(tmp_path / "net.onnx", nodes, weights))


@pytest.mark.parametrize(("limit", "words"), [("MAX_NODES", "9 nodes"), ("MAX_TENSORS", "6 tensors")])
def test_limits(path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, words: str) -> None:
    monkeypatch.setattr(onnx_checks, limit, 3)
    refused(path, words)


def test_large_files(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither read nor mapped: its size alone says it."""
    with path.open("r+b") as file:
        file.truncate(3_000_000_000)  # sparse
    refused(path, r"is too large: 3\.0 GB, up to 2\.0 GB are read")


def test_the_file_is_opened_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Licence and graph are of one file, although another may take its place meanwhile."""
    opened = []
    real = Path.open
    monkeypatch.setattr(Path, "open", lambda self, *args, **more: opened.append(self) or real(self, *args, **more))
    monkeypatch.setattr(onnx, "load", None)
    load_model(path)
    assert opened == [path]


class TestExternalData:
    """Weights in files beside the model."""

    @staticmethod
    def save(folder: Path, **fields: str) -> Path:
        """The network with the first bias in `net.data`, or where `fields` say."""
        folder.mkdir(exist_ok=True)
        path = save(folder / "net.onnx", *anchor_net(STATE))
        (folder / "net.data").write_bytes(bytes(16) + STATE["conv.0.bias"].tobytes())
        model = onnx.load(path)
        tensor = model.graph.initializer[1]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in {"location": "net.data", "offset": "16", **fields}.items():
            tensor.external_data.add(key=key, value=value)
        path.write_bytes(model.SerializeToString())
        return path

    def test_beside_the_model(self, path: Path, tmp_path: Path) -> None:
        wanted = load_model(path).checksum
        assert load_model(self.save(tmp_path / "a")).checksum == wanted
        assert load_model(self.save(tmp_path / "b", length="32")).checksum == wanted

    @pytest.mark.parametrize("location", ["../net.data", "sub/../../net.data", "/etc/passwd", "", ".", "..\\net.data",
                                          "C:\\net.data", "\\\\host\\share", "a\0b"])  # fmt: skip
    def test_outside_of_the_folder(self, tmp_path: Path, location: str) -> None:
        (tmp_path / "net.data").write_bytes(bytes(48))
        refused(
            self.save(tmp_path / "a", location=location), r"'conv\.0\.bias' lies in .*outside of the model's folder"
        )

    def test_a_link_that_leads_out(self, tmp_path: Path) -> None:
        (tmp_path / "secret").write_bytes(bytes(48))
        path = self.save(tmp_path / "a", location="link")
        (path.parent / "link").symlink_to(tmp_path / "secret")
        refused(path, "outside of the model's folder")

    def test_a_link_inside(self, path: Path, tmp_path: Path) -> None:
        linked = self.save(tmp_path / "a", location="link")
        (linked.parent / "link").symlink_to("net.data")
        assert load_model(linked).checksum == load_model(path).checksum

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"offset": "20"}, "has 7 values, not 8"),
            ({"offset": "49"}, "lies at bytes 49 to"),
            ({"length": "33"}, "bytes 16 to 49 of 'net.data', which has 48"),
            ({"offset": "-1"}, "no number"),
            ({"offset": "1e1"}, "no number"),
            ({"length": "9" * 30}, "no number"),
            ({"location": "missing"}, r"a/net\.onnx: .* 'missing', and there is no such file beside it"),
        ],
    )
    def test_wrong_places(self, tmp_path: Path, fields: dict[str, str], words: str) -> None:
        path = self.save(tmp_path / "a", **fields)
        with pytest.raises(InputFileError, match=words):
            load_model(path)

    def test_all_files_together_are_limited(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = self.save(tmp_path / "a")
        monkeypatch.setattr(onnx_checks, "MAX_BYTES", path.stat().st_size + 40)
        with pytest.raises(InputFileError, match=r"net\.data: is too large"):
            load_model(path)

    def test_a_pipe_is_not_waited_for(self, tmp_path: Path) -> None:
        path = self.save(tmp_path / "a", location="pipe")
        os.mkfifo(path.parent / "pipe")
        with pytest.raises(InputFileError, match="no such file"):
            load_model(path)

    def test_names_that_windows_reads_as_paths(self) -> None:
        assert not external_data._is_inside("D:net.data")
        assert external_data._is_inside("folder/net.data")


@pytest.mark.parametrize(
    ("op", "inputs"),
    [
        ("ConstantOfShape", [np.asarray([10**6, 10**6])]),
        ("ConstantOfShape", [np.asarray([2**62] * 8)]),
        ("Expand", [np.ones(1), np.asarray([10**5, 10**5])]),
        ("Tile", [np.ones(100), np.asarray([10**8])]),
        ("Range", [np.asarray(0), np.asarray(10**12), np.asarray(1)]),
        ("Range", [np.asarray(0.0), np.asarray(1.0), np.asarray(1e-30)]),
        ("Range", [np.asarray(0), np.asarray(1), np.asarray(0)]),
        ("Pad", [np.ones((2, 2)), np.asarray([10**5, 10**5, 0, 0])]),
        ("Resize", [np.ones((1, 1, 8, 8)), np.zeros(0), np.asarray([1, 1, 1e6, 1e6])]),
        ("OneHot", [np.zeros(10**4), np.asarray(10**6), np.zeros(2)]),
        ("Add", [np.zeros((10**5, 1)), np.zeros((1, 10**5))]),
        ("MatMul", [np.zeros((10**5, 1)), np.zeros((1, 10**5))]),
    ],
    ids=str,
)
def test_constants_that_grow(op: str, inputs: list[np.ndarray]) -> None:
    names = [f"i{n}" for n in range(len(inputs))]
    with pytest.raises(ValueError, match=f"'{op}' that makes 'y' would compute"):
        check_cost(helper.make_node(op, names, ["y"]), dict(zip(names, inputs, strict=True)))


def test_a_constant_that_doubles_with_each_node(tmp_path: Path) -> None:
    nodes = [helper.make_node("Concat", [f"c{n}"] * 2, [f"c{n + 1}"], axis=0) for n in range(60)]
    nodes += [helper.make_node("ReduceMax", ["c60"], ["one"]), helper.make_node("Mul", ["x", "one"], ["y"])]
    path = save(tmp_path / "net.onnx", nodes, {"c0": np.ones(1, np.float32)})
    refused(path, "'Concat' that makes 'c23' makes too many values")


def test_shapes_that_double_with_each_node(tmp_path: Path) -> None:
    nodes = [helper.make_node("Shape", ["x"], ["c0"])]
    nodes += [helper.make_node("Concat", [f"c{n}"] * 2, [f"c{n + 1}"], axis=0) for n in range(60)]
    nodes += [helper.make_node("Reshape", ["x", "c60"], ["y"])]
    refused(save(tmp_path / "net.onnx", nodes, {}), "'Concat' that makes 'c20' makes too many values")
