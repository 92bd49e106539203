"""The ways in which a torch network comes to us, and whether what came is the same network."""

from __future__ import annotations

import contextlib
import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from tvmsr.frontend import load_model
from tvmsr.graph.execute import run_fp32
from tvmsr.graph.model import Model

EXAMPLE = (48, 64)
TOLERANCE = 1e-4


def network(torch: Any, make: Any) -> Any:
    """A row's network with weights and statistics that matter."""
    torch.manual_seed(0)
    net = make()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                torch.nn.init.uniform_(tensor, 0.2, 0.9)
        if isinstance(module, torch.nn.LayerNorm) and module.elementwise_affine:
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)
    return net.eval()


def example(torch: Any) -> Any:
    return torch.rand(1, 3, *EXAMPLE)


def by_pt2(torch: Any, net: Any, folder: Path, *, dynamic: bool = True) -> Model:
    sizes = {2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}
    with quiet():
        program = torch.export.export(net, (example(torch),), dynamic_shapes=(sizes,) if dynamic else None)
        torch.export.save(program, folder / "net.pt2")
    return load_model(folder / "net.pt2")


def by_onnx(torch: Any, net: Any, folder: Path, *, dynamo: bool, opset: int = 17, dynamic: bool = True) -> Model:
    path = folder / f"net_{dynamo}_{opset}.onnx"
    names: dict[str, Any] = {"input_names": ["x"], "output_names": ["y"]}
    if dynamic and dynamo:
        names["dynamic_shapes"] = ({2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO},)
    elif dynamic:
        names["dynamic_axes"] = {"x": {2: "h", 3: "w"}, "y": {2: "H", 3: "W"}}
    with quiet(), torch.no_grad():
        torch.onnx.export(net, (example(torch),), str(path), dynamo=dynamo, opset_version=opset, **names)
    return load_model(path)


@contextlib.contextmanager
def quiet() -> Any:
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield


def check_values(torch: Any, net: Any, model: Model, sizes: tuple[tuple[int, int], ...]) -> None:
    """The model computes what torch does, at sizes that the export did not see."""
    for size in sizes:
        x = np.random.default_rng(0).random((*size, 3), np.float32)
        with torch.no_grad():
            wanted = net(torch.from_numpy(x.transpose(2, 0, 1)[None]))[0].numpy().transpose(1, 2, 0)
        got = run_fp32(model, x)
        got = np.clip(got, 0, 1) if model.clip else got
        assert got.shape == wanted.shape
        assert np.abs(got - wanted).max() < TOLERANCE, f"{size}: {np.abs(got - wanted).max()}"


def structure(model: Model) -> list[tuple[Any, ...]]:
    """Nodes without their names."""
    place = {"input": -1} | {node.name: i for i, node in enumerate(model.graph)}
    return [(node.op, tuple(place[i] for i in node.inputs), node.attrs) for node in model.graph]


def assert_same_graph(one: Model, other: Model) -> None:
    """Equal but for names: structure, and every weight to the bit."""
    assert structure(one) == structure(other)
    for a, b in zip(one.graph, other.graph, strict=True):
        assert a.weights.keys() == b.weights.keys()
        for key in a.weights:
            assert np.array_equal(a.weights[key], b.weights[key]), f"{a.name}.{key}"
