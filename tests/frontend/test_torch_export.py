from __future__ import annotations

import builtins
import importlib
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tvmsr.errors import InputFileError, UsageError
from tvmsr.frontend import load_model
from tvmsr.graph.execute import run_fp32
from tvmsr.graph.model import Activation, Model


def network(torch: ModuleType) -> Any:
    """Every spelling that torch.export has for what SR networks do."""
    nn, functional = torch.nn, torch.nn.functional

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wide, self.point, self.norm = nn.Conv2d(8, 8, 3, 1, 1), nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8)

        def forward(self, x: Any) -> Any:
            return functional.relu(self.wide(x) + self.point(x) + self.norm(x))

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", torch.tensor([0.4, 0.5, 0.6]).view(1, 3, 1, 1))
            self.head, self.slopes, self.block = nn.Conv2d(3, 8, 3, 1, 1), nn.PReLU(8), Block()
            self.tail, self.shuffle = nn.Conv2d(8, 12, 3, 1, 1), nn.PixelShuffle(2)

        def forward(self, x: Any) -> Any:
            y = self.slopes(self.head((x - self.mean) * 2))
            y = self.block(y)
            kept, rest = torch.split(y, [2, 6], 1)
            y = functional.leaky_relu(self.tail(torch.cat([rest, kept], 1)), 0.1) * 0.5
            y = self.shuffle(y + x.repeat_interleave(4, dim=1))
            return torch.clamp(y + functional.interpolate(x, scale_factor=2, mode="nearest"), 0, 1)

    torch.manual_seed(0)
    net = Net()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                nn.init.uniform_(tensor, 0.2, 0.9)
    return net


def check(torch: ModuleType, model: Model, net: Any) -> None:
    x = np.random.default_rng(0).random((13, 17, 3), np.float32)
    with torch.no_grad():
        wanted = net.eval()(torch.from_numpy(x.transpose(2, 0, 1)[None]))[0].numpy().transpose(1, 2, 0)
    assert model.clip and model.scale == 2
    assert np.abs(np.clip(run_fp32(model, x), 0, 1) - wanted).max() < 1e-5
    convs = {node.name: node.attrs.activation for node in model.graph if node.op == "conv"}
    assert convs == {"head": Activation.LEAKY, "block.wide": Activation.RELU, "tail": Activation.LEAKY}
    assert [node.op for node in model.graph].count("depth_to_space") == 1


def test_module(torch: ModuleType):
    net = network(torch).train()
    model = load_model(net)
    assert net.training, "the module is left as it was"
    check(torch, model, net)


@pytest.mark.parametrize("dynamic", [False, True])
def test_pt2(torch: ModuleType, tmp_path: Path, dynamic: bool):
    net = network(torch).eval()
    sizes = {2: torch.export.Dim("h", min=4, max=4096), 3: torch.export.Dim("w", min=4, max=4096)}
    program = torch.export.export(net, (torch.rand(1, 3, 24, 32),), dynamic_shapes=(sizes,) if dynamic else None)
    torch.export.save(program, tmp_path / "net.pt2")
    check(torch, load_model(tmp_path / "net.pt2"), net)


def test_damaged_pt2(torch: ModuleType, tmp_path: Path):
    (tmp_path / "net.pt2").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(InputFileError, match=r"net\.pt2.*torch\.export\.save"):
        load_model(tmp_path / "net.pt2")


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def poisoned(torch: ModuleType, folder: Path, record: str, change: Callable[[bytes], bytes]) -> Path:
    """A small network's .pt2 with one record changed."""
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 12, 3, 1, 1), torch.nn.PixelShuffle(2)).eval()
    sizes = {2: torch.export.Dim("h", min=4, max=4096), 3: torch.export.Dim("w", min=4, max=4096)}
    program = torch.export.export(net, (torch.rand(1, 3, 24, 32),), dynamic_shapes=(sizes,))
    torch.export.save(program, folder / "good.pt2")
    with zipfile.ZipFile(folder / "good.pt2") as good, zipfile.ZipFile(folder / "bad.pt2", "w") as bad:
        for name in good.namelist():
            data = good.read(name)
            bad.writestr(name, change(data) if name.endswith(record) else data)
    return folder / "bad.pt2"


def pickled(value: Any) -> bytes:
    """What torch.save would write."""
    buffer = BytesIO()
    importlib.import_module("torch").save(value, buffer)
    return buffer.getvalue()


def test_pickles_in_a_pt2_are_never_read(torch: ModuleType, tmp_path: Path):
    bomb = Bomb(tmp_path / "ran")
    path = poisoned(torch, tmp_path, "sample_inputs/model.pt", lambda _: pickled(bomb))
    assert load_model(path).scale == 2
    path = poisoned(torch, tmp_path, "weights/weight_0", lambda _: pickled(bomb))
    with pytest.raises(InputFileError):
        load_model(path)
    assert not bomb.path.exists()


@pytest.mark.parametrize(
    ("record", "old", "new", "words"),
    [
        ("model_weights_config.json", b'"use_pickle": false', b'"use_pickle": true', "pickle can run anything"),
        ("model_weights_config.json", b'"weight_0"', b'"../weight_0"', "pickle can run anything"),
        ("model.json", b"torch.ops.aten.pixel_shuffle.default", b"torch.hub.os.system", "no operator"),
        ("model.json", b"torch.ops.aten.pixel_shuffle.default", b"torch.ops.load_library", "no operator"),
        ("model.json", b"Integer(2)", b"__import__('os').getpid()", "plain arithmetic"),
        ("model.json", b"Symbol('s", b"Symbol.__class__('s", "plain arithmetic"),
        ("model.json", b'"graph_module"', b'"graph"', "damaged"),
    ],
)
def test_pt2_that_would_run_code_is_refused(
    torch: ModuleType, tmp_path: Path, record: str, old: bytes, new: bytes, words: str
):
    def change(data: bytes) -> bytes:
        assert old in data
        return data.replace(old, new)

    with pytest.raises(InputFileError, match=words):
        load_model(poisoned(torch, tmp_path, record, change))


def test_old_pt2_is_refused(torch: ModuleType, tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "old.pt2", "w") as archive:
        archive.writestr("serialized_state_dict.pt", pickled(Bomb(tmp_path / "ran")))
    with pytest.raises(InputFileError, match=r"torch 2\.8 or newer"):
        load_model(tmp_path / "old.pt2")
    assert not (tmp_path / "ran").exists()


def test_not_a_module(torch: ModuleType):
    with pytest.raises(UsageError, match="cannot import a int"):
        load_model(7)


def test_error_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    real = builtins.__import__

    def without_torch(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".", maxsplit=1)[0] == "torch":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    (tmp_path / "net.pt2").write_bytes(b"")
    monkeypatch.setattr(builtins, "__import__", without_torch)
    with pytest.raises(UsageError, match=r"pip install tvmsr\[torch\]"):
        load_model(tmp_path / "net.pt2")
