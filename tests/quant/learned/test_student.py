"""The simulation has the reference executor's codes, at the start and after it was changed and written back."""

import numpy as np
import pytest

from tests.needs import installed
from tests.quant import networks
from tests.quant.spatial_networks import SPATIAL

torch = installed("torch", "pip install 'tvmsr[torch]'")

from tvmsr.graph.model import Activation, PadMode, Statistic  # noqa: E402
from tvmsr.quant.bind import bind  # noqa: E402
from tvmsr.quant.calibrate import calibrate  # noqa: E402
from tvmsr.quant.integer import Code  # noqa: E402
from tvmsr.quant.learned import operations  # noqa: E402
from tvmsr.quant.learned.student import Student, unsupported  # noqa: E402
from tvmsr.quant.learned.written import written  # noqa: E402
from tvmsr.quant.reference import run_tensors  # noqa: E402

CROPS = [networks.picture(s) for s in range(4)]
#: Codes that may be one off, of all: products of more than 24 bits (16-bit streams) and functions of the C library.
FEW = 0.002


def pools():
    """Statistics, gates, a pool, borders that repeat pixels."""
    b = networks.Builder(5)
    x = b.conv("c0", "input", 8, activation=Activation.LEAKY, mode=PadMode.REFLECT)
    gate = b.conv("gate", b.statistic("mean", x, Statistic.MEAN), 8, 1, activation=Activation.SIGMOID)
    pooled = b.max_pool("pooled", b.mul("gated", x, gate), 3, 1, (1, 1, 1, 1))
    last = b.conv("last", pooled, 12, groups=2, gain=0.3, mode=PadMode.REPLICATE)
    return b.model(b.shuffle("out", last, 2))


MODELS = {**networks.ALL, **SPATIAL, "pools": lambda seed: pools()}


def distances(model, plan, student, picture):
    """By tensor: how far each code of the simulation is from the executor's."""
    exact = run_tensors(bind(model, plan), picture)
    with torch.no_grad():
        flows = student.tensors(torch.tensor(picture.astype(np.float32)).permute(2, 0, 1)[None], keep=True)
    found = {}
    for node in bind(model, plan):
        values = flows[node.name].values[0].permute(1, 2, 0).numpy().astype(np.int64)
        zero = node.output.zero if isinstance(node.output, Code) else 0
        found[node.name] = np.abs(values + zero - exact[node.name].astype(np.int64))
    return found


def check(found):
    assert max(int(d.max()) for d in found.values()) <= 1
    assert sum(int((d > 0).sum()) for d in found.values()) <= FEW * sum(d.size for d in found.values())


@pytest.mark.parametrize("bits", ["8", "a4w4"])
@pytest.mark.parametrize("name", MODELS)
def test_codes_are_the_executors(name, bits):
    model = MODELS[name](1)
    plan = calibrate(model, CROPS, bits=bits, max_drop=None)
    check(distances(model, plan, Student(model, plan), networks.picture(9)))


@pytest.mark.parametrize("bits", ["8", "a4w4"])
@pytest.mark.parametrize("name", MODELS)
def test_what_is_written_is_what_was_simulated(name, bits):
    model = MODELS[name](2)
    plan = calibrate(model, CROPS, bits=bits, max_drop=None)
    student, noise = Student(model, plan), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in student.parameters():
            if value.requires_grad:
                value.add_(0.02 * torch.randn(value.shape, generator=noise, dtype=value.dtype))
        for layer in student.layers.values():
            layer.latent += torch.randn(layer.latent.shape, generator=noise)
    made = written([student], plan)
    assert made.layers != plan.layers
    assert made.tensors[student.structure.output] == plan.tensors[student.structure.output]
    check(distances(model, made, student, networks.picture(9)))


@pytest.mark.parametrize("name", MODELS)
def test_everything_that_is_learned_has_a_gradient(name):
    model = MODELS[name](3)
    plan = calibrate(model, CROPS, bits="a4w4", max_drop=None)
    student = Student(model, plan)
    picture = torch.tensor(networks.picture(9).astype(np.float32)).permute(2, 0, 1)[None]
    (student(picture, rounds_output=False) ** 2).mean().backward()
    for name_, value in student.named_parameters():
        if value.requires_grad:
            assert value.grad is not None and torch.isfinite(value.grad).all(), name_
    seen = [name for name in student.layers if student.structure.weighs_pixels(student.structure.nodes[name])]
    assert all(student.layers[name].latent.grad.abs().max() > 0 for name in seen)


def test_tensors_that_share_a_scale_go_on_sharing_it():
    model = networks.residual(0)
    plan = calibrate(model, CROPS, bits="a4w4", max_drop=None)
    student = Student(model, plan)
    assert student.grids["b0"] is student.grids["b1"]
    assert not student.grids["b0"].learns  # 16 bits
    assert student.grids["b0.read"].learns


def test_values_inside_are_in_the_networks_units():
    model = networks.residual(0)
    plan = calibrate(model, CROPS, bits="a4w4", max_drop=None)
    picture = networks.picture(9)
    student = Student(model, plan)
    with torch.no_grad():
        student.factors["b0.read"] += 0.3
        _, values = student.seen(torch.tensor(picture.astype(np.float32)).permute(2, 0, 1)[None], ("b0", "b0.read"))
    graph = bind(model, written([student], plan))
    codes = run_tensors(graph, picture)
    for node in graph:
        if node.name in values:
            exact = (codes[node.name].astype(np.float64) - node.output.zero) * node.output.scale * node.output.equal
            found = values[node.name][0].permute(1, 2, 0).numpy()
            assert np.allclose(found, exact, atol=1e-5 * np.abs(exact).max())


def test_operations_that_cannot_be_learned_through_are_named(monkeypatch):
    assert unsupported(SPATIAL["normed"]()) == ()
    monkeypatch.delitem(operations.OPERATIONS, "layer_norm")
    assert unsupported(SPATIAL["normed"]()) == ("layer_norm",)
