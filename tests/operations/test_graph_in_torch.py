import numpy as np
import pytest

from tests.needs import installed
from tests.quant import networks, spatial_networks
from tvmsr.graph.execute import run_fp32_tensors
from tvmsr.graph.model import Activation, Grid, Model, PadMode, Resampling, Statistic

torch = installed("torch", "pip install tvmsr[torch]")

from tvmsr.operations.graph_in_torch import FORWARD, constants_of, run  # noqa: E402
from tvmsr.operations.table import OPERATIONS  # noqa: E402

SPATIAL = ("esa", "cca", "squeeze", "bicubic_skip", "normed", "span", "padded", "halved")
MODELS = {**networks.ALL, **{name: getattr(spatial_networks, name) for name in SPATIAL}}


def equal_to_the_reference(model: Model, size: tuple[int, int] = (16, 24)) -> None:
    """Every tensor of two pictures at once is that of each alone."""
    pictures = [networks.picture(seed, *size).astype(np.float32) / 255 for seed in (0, 1)]
    batch = torch.tensor(np.stack(pictures).transpose(0, 3, 1, 2))
    names = [node.name for node in model.graph]
    output, kept = run(model.graph, constants_of(model.graph), batch, keep=names)
    for number, image in enumerate(pictures):
        for name, want in run_fp32_tensors(model, image).items():
            if name != "input":
                found = kept[name][number].permute(1, 2, 0).numpy()
                np.testing.assert_allclose(found, want, rtol=1e-4, atol=2e-5, err_msg=name)
    assert torch.equal(output, kept[model.graph.output])


@pytest.mark.parametrize("name", MODELS)
def test_networks(name: str):
    equal_to_the_reference(MODELS[name](3))


@pytest.mark.parametrize("kind", list(Activation))
def test_activations(kind: Activation):
    b = networks.Builder(1)
    x = b.activate("alone", b.conv("linear", "input", 6), kind, **({"low": -0.2, "high": 0.3}))
    if kind not in (Activation.NONE, Activation.RELU, Activation.LEAKY, Activation.CLIP):
        x = b.activate("gained", x, kind, gain=2.0, offset=-0.5)
    equal_to_the_reference(b.model(b.conv("fused", x, 3, activation=kind)))


@pytest.mark.parametrize("mode", list(PadMode))
@pytest.mark.parametrize("padding", [(1, 1, 1, 1), (2, 0, 1, 3), (-1, 1, 0, -2), (0, 0, 0, 0)])
def test_padding(mode: PadMode, padding: tuple[int, int, int, int]):
    b = networks.Builder(2)
    x = b.conv("first", "input", 4, padding=padding, pad=0.3, mode=mode, dilation=2)
    equal_to_the_reference(b.model(b.conv("second", x, 4, stride=2, groups=2, pad=-0.1)))


@pytest.mark.parametrize("method", list(Resampling))
@pytest.mark.parametrize("grid", list(Grid))
def test_resizes(method: Resampling, grid: Grid):
    b = networks.Builder(3)
    x = b.resize("up", "input", method, factor=2, grid=grid)
    equal_to_the_reference(b.model(b.resize("back", x, method, like="input", grid=grid)))


@pytest.mark.parametrize("kind", list(Statistic))
def test_statistics(kind: Statistic):
    b = networks.Builder(4)
    x = b.conv("c", "input", 4)
    maps = [b.statistic(f"s{int(unbiased)}", x, kind, 0.01, unbiased) for unbiased in (False, True)]
    equal_to_the_reference(b.model(b.mul("m", b.mul("n", x, maps[0]), maps[1])))


def test_every_operation_of_a_canonical_graph_is_there():
    assert set(FORWARD) == set(OPERATIONS) - {"affine"}


def test_gradients_reach_what_a_read_returns():
    model = networks.residual()
    factor = torch.ones((), requires_grad=True)

    def read(name, x, weight):
        return (x * factor if name == "b1a" else x), weight

    output, _ = run(model.graph, constants_of(model.graph), torch.rand(1, 3, 8, 8), read=read)
    output.sum().backward()
    assert factor.grad.abs() > 0
