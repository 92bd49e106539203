"""What an import computes is compared with torch, where both can compute it; networks' own padding is told."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.frontend import ways
from tests.frontend.operation_rows import rows
from tvmsr.errors import InputFileError
from tvmsr.frontend import load_model, torch_check, torch_elements, torch_relax

_PADDING = "its own padding to multiples is replaced by repeating the last row and column"


def _without(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """TVM's own converters for some operators, which misread them."""
    kept = {name: converter for name, converter in torch_relax.CONVERTERS.items() if name not in names}
    monkeypatch.setattr(torch_relax, "CONVERTERS", kept)


@pytest.mark.parametrize(("row", "converter"), [("narrow", "narrow.default"), ("clamp max", "clamp_max.default")])
def test_what_tvm_misreads_is_refused(torch: ModuleType, monkeypatch: pytest.MonkeyPatch, row: str, converter: str):
    net = ways.network(torch, rows()[row])
    _without(monkeypatch, converter)
    with pytest.raises(InputFileError) as caught, ways.quiet():
        load_model(net, name="mine")
    said = str(caught.value)
    assert said.startswith("mine: ")
    assert "something else than torch" in said or "unsupported" in said, said


def test_files_are_compared(torch: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    net = ways.network(torch, rows()["clamp max"])
    _without(monkeypatch, "clamp_max.default")
    for dynamic in (False, True):
        with pytest.raises(InputFileError, match=r"net\.pt2: .*something else than torch \(largest difference 0\."):
            ways.by_pt2(torch, net, tmp_path, dynamic=dynamic)


def test_other_operators_of_files_are_not_run(torch: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Whatever is not in the list of operators that check what they are given."""
    net = ways.network(torch, rows()["clamp max"])
    _without(monkeypatch, "clamp_max.default")
    monkeypatch.setattr(torch_check, "HARMLESS", torch_check.HARMLESS - {"conv2d"})
    ways.by_pt2(torch, net, tmp_path)


def test_huge_tensors_of_files_are_not_made(torch: ModuleType, monkeypatch: pytest.MonkeyPatch):
    program = torch.export.export(ways.network(torch, rows()["clamp"]), (torch.zeros(1, 3, 24, 32),))
    run = torch_check.runnable(program)
    assert run is not None
    run(torch.zeros(1, 3, 24, 32))
    monkeypatch.setattr(torch_check, "_MOST_VALUES", 1000)
    with pytest.raises(ValueError, match="makes 2304 values"):
        run(torch.zeros(1, 3, 24, 32))


def test_what_cannot_be_run_is_imported(torch: ModuleType):
    """A network that torch itself cannot run now is imported as before."""

    class Net(torch.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 3, 3, 1, 1)

        def forward(self, x: Any) -> Any:
            if not torch.compiler.is_exporting():
                raise RuntimeError("only for exports")
            return self.conv(x)

    assert load_model(Net()).scale == 1


def test_training_mode_is_kept(torch: ModuleType):
    net = ways.network(torch, rows()["dropouts"]).train()
    load_model(net)
    assert net.training and all(module.training for module in net.modules())


@pytest.mark.parametrize("dynamic", [False, True])
def test_own_padding_is_told(torch: ModuleType, tmp_path: Path, dynamic: bool):
    net = ways.network(torch, rows()["pad to multiples"])
    models = [load_model(net), ways.by_pt2(torch, net, tmp_path, dynamic=dynamic)]
    models += [ways.by_onnx(torch, net, tmp_path, dynamo=dynamo, dynamic=dynamic) for dynamo in (False, True)]
    for model in models:
        assert any(_PADDING in said for said in model.assumed), model.assumed


def test_other_padding_is_not_told(torch: ModuleType):
    for row in ("pad reflect", "pad value", "conv padded same"):
        assert not any("padding" in said for said in load_model(ways.network(torch, rows()[row])).assumed)


def test_dropout_that_trains_is_refused(torch: ModuleType):
    class Net(torch.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 3, 3, 1, 1)

        def forward(self, x: Any) -> Any:
            return torch.nn.functional.dropout2d(self.conv(x), 0.5, training=True)

    with pytest.raises(InputFileError, match="in training mode"), ways.quiet():
        load_model(Net())


def test_every_clamp_is_ours():
    assert {
        "clamp.default",
        "clamp_max.Tensor",
        "clip.default",
        "clamp_min_.default",
    } <= torch_elements.CONVERTERS.keys()
