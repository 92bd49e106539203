from dataclasses import replace

import numpy as np
import pytest

from tests.needs import installed
from tests.quant import networks
from tvmsr.adabm_paper.layers import Role
from tvmsr.adabm_paper.protocol import Adapt, Observer, Protocol, Quirks, Scope, SearchBits
from tvmsr.errors import UsageError
from tvmsr.graph.execute import run_fp32_tensors

torch = installed("torch", "pip install tvmsr[torch]")

from tvmsr.adabm_paper.calibrate import calibrate, clip, moved  # noqa: E402
from tvmsr.adabm_paper.data import as_tensor  # noqa: E402
from tvmsr.adabm_paper.maps import complexity, ranked  # noqa: E402
from tvmsr.adabm_paper.quantizers import clipped, weight_bound  # noqa: E402
from tvmsr.adabm_paper.student import Student, student_of  # noqa: E402

MODEL = networks.residual()
PICTURES = [networks.picture(seed, 16, 16) for seed in range(6)]
BATCHES = [as_tensor(PICTURES[:2]), as_tensor(PICTURES[2:4]), as_tensor(PICTURES[4:])]
READS = {"head": "input", "b0a": "head", "b0b": "b0a", "b1a": "b0", "b1b": "b1a", "b2a": "b1", "b2b": "b2a"}


def made(**changes) -> Student:
    return student_of(MODEL, Protocol(**{"bits": 4, "weight_bits": 4, **changes}), BATCHES[0])


def calibrated(**changes) -> Student:
    student = made(**changes)
    calibrate(student, BATCHES)
    return student


def test_exponential_mean():
    assert moved(torch.tensor(2.0), torch.tensor(12.0), 0.9).item() == pytest.approx(3.0)


def test_bounds_are_exponential_means_of_least_and_largest_values():
    student = calibrated()
    reads = [[run_fp32_tensors(MODEL, p.astype(np.float32) / 255) for p in PICTURES[k : k + 2]] for k in (0, 2, 4)]
    for name, layer in student.layers.items():
        found = [[t[READS[name]] for t in batch] for batch in reads]
        low = high = None
        for batch in found:
            least, most = min(x.min() for x in batch), max(x.max() for x in batch)
            low = least if low is None else 0.9 * low + 0.1 * least
            high = most if high is None else 0.9 * high + 0.1 * most
        assert float(layer.lower) * layer.unit == pytest.approx(low, rel=1e-4, abs=1e-5)
        assert float(layer.upper) * layer.unit == pytest.approx(high, rel=1e-4, abs=1e-5)


def test_layer_factors_rank_the_deviation_of_what_is_read():
    student = calibrated()
    spread = {}
    for name in student.layout.named(Role.ADAPTIVE):
        tensors = [run_fp32_tensors(MODEL, p.astype(np.float32) / 255)[READS[name]] for p in PICTURES]
        spread[name] = np.mean([x.std(ddof=1) for x in tensors])
    want = dict(zip(spread, ranked(list(spread.values()), 30), strict=True))
    assert {name: float(student.layers[name].measure) for name in spread} == want
    assert set(want.values()) == {-1, 0, 1}


def test_thresholds_are_exponential_means_of_percentiles():
    student = calibrated(image_percentile=25.0)
    lower = upper = None
    for batch in BATCHES:
        low, high = np.quantile(complexity(batch).numpy(), [0.25, 0.75])
        lower = low if lower is None else 0.9 * lower + 0.1 * low
        upper = high if upper is None else 0.9 * upper + 0.1 * high
    assert [float(t) for t in student.thresholds] == pytest.approx([lower, upper], rel=1e-5)


def test_units_are_published_ones():
    """A network of 0..1 is treated as one of 0..255: as its learning rates want it; ends have the picture's range."""
    student = made(quirks=Quirks(scope=Scope.FULL))
    assert {layer.unit for layer in student.layers.values()} == {1 / 255}
    assert {layer.weight_unit for layer in student.layers.values()} == {1.0}
    large = made(quirks=Quirks(scope=Scope.FULL), inside=1.0)
    units = {name: (layer.unit, layer.weight_unit) for name, layer in large.layers.items()}
    assert units["head"] == (1 / 255, 255)
    assert units["b0a"] == units["close"] == units["up"] == (1, 1)
    assert units["last"] == (1, 1 / 255)


def test_networks_of_0_to_255_are_found_out():
    """The same network with all inside of it 255 times as large."""
    nodes = []
    for node in MODEL.graph:
        weights = dict(node.weights)
        if node.op == "conv":
            scale = 255 if node.name == "head" else 1 / 255 if node.name == "last" else 1
            weights["weight"] = weights["weight"] * np.float32(scale)
            weights["bias"] = weights["bias"] * np.float32(1 if node.name == "last" else 255)
        nodes.append(replace(node, weights=weights))
    large = replace(MODEL, graph=MODEL.graph.with_nodes(tuple(nodes)))
    settings = {"quirks": Quirks(scope=Scope.FULL), "weight_observer": Observer.MINMAX}
    student = student_of(large, Protocol(**settings), BATCHES[0])
    assert {student.layers[name].unit for name in ("b0a", "close", "last")} == {1.0}
    assert student.layers["head"].unit == 1 / 255
    other = made(**settings)
    for one in (student, other):
        calibrate(one, BATCHES)
    for name, layer in other.layers.items():
        assert float(student.layers[name].upper) == pytest.approx(float(layer.upper), rel=1e-4)
        assert float(student.layers[name].bound) == pytest.approx(float(layer.bound), rel=1e-4)


def test_units_change_nothing_but_learning_rates():
    found = []
    for inside in (1.0, 1 / 255):
        student = made(inside=inside, quirks=Quirks(scope=Scope.FULL))
        calibrate(student, BATCHES)
        found.append(student.quantized(BATCHES[0]).output)
    assert float((found[0] - found[1]).abs().mean()) < 2e-3


@pytest.mark.parametrize("search", list(SearchBits))
def test_weight_bounds(search: SearchBits):
    student = calibrated(quirks=Quirks(scope=Scope.FULL, eight_searched_at=search))
    own = search is SearchBits.OWN
    for name, layer in student.layers.items():
        bits = 8 if own and layer.role is Role.EIGHT else 4
        quirks = student.protocol.quirks
        weight = student.constants[name]["weight"]
        want = weight_bound(weight, Observer.OMSE, bits, quirks.weight_start, quirks.weight_percentile)
        assert float(layer.bound) == pytest.approx(float(want))


def test_clipping_goes_half_of_the_way_at_base_bits_and_layer_factor():
    student, before = calibrated(), calibrated()
    clip(student, BATCHES[0])
    first = before.layers["b0a"]
    seen = {}
    before.exact(BATCHES[0], lambda layer, value: seen.setdefault(layer.name, value))
    bits = 4 + float(first.measure)
    want = clipped(seen["b0a"], first.lower, first.upper, bits, before.protocol.quirks.shrink)
    after = student.layers["b0a"]
    assert float(after.upper) == pytest.approx(0.5 * float(first.upper) + 0.5 * float(want[1]))
    assert float(after.lower) == pytest.approx(0.5 * float(first.lower) + 0.5 * float(want[0]))


def test_clipping_leaves_layers_of_8_bits():
    student = calibrated(quirks=Quirks(scope=Scope.FULL))
    before = {name: float(layer.upper) for name, layer in student.layers.items()}
    clip(student, BATCHES[0])
    changed = {name for name, layer in student.layers.items() if float(layer.upper) != before[name]}
    assert changed
    assert not changed & set(student.layout.named(Role.EIGHT))


def test_bits_are_base_and_factors():
    student = calibrated(bits=6)
    with torch.no_grad():
        student.thresholds[0].fill_(20.0)
        student.thresholds[1].fill_(1e9)
    flat, busy = torch.full((1, 3, 16, 16), 0.5), BATCHES[0][:1]
    for layer in student.layers.values():
        layer.measure.fill_(1.0)
    found = student.quantized(torch.cat([flat, busy])).bits
    assert found.shape == (2, 6)
    assert found[0].tolist() == [6.0] * 6
    assert set(found[1].tolist()) == {7.0}
    only = calibrated(bits=6, adapt=Adapt.LAYER)
    assert sorted(set(only.quantized(busy).bits[0].tolist())) == [5, 6, 7]
    fixed = calibrated(bits=6, adapt=Adapt.NONE)
    assert fixed.quantized(busy).bits.tolist() == [[6.0] * 6]


def test_many_bits_are_the_network_itself():
    student = calibrated(bits=16, weight_bits=16, adapt=Adapt.NONE, weight_observer=Observer.MINMAX)
    for layer in student.layers.values():
        layer.bound.mul_(3)
    exact, close = student.exact(BATCHES[0]), student.quantized(BATCHES[0])
    assert float((exact.output - close.output).abs().mean()) < 2e-3


def test_factors_beside_weights_stand_outside_of_the_quantizer():
    """A network whose normalisation was folded in gives what it gives with the factors beside its quantized weights."""
    factors = np.linspace(0.5, 3, 8).astype(np.float32) * np.where(np.arange(8) % 2, 1, -1).astype(np.float32)
    student = student_of(MODEL, Protocol(bits=8, weight_bits=3), BATCHES[0], {"b0a": factors})
    calibrate(student, BATCHES)
    layer, weight = student.layers["b0a"], student.constants["b0a"]["weight"]
    inner = weight / torch.tensor(factors).reshape(-1, 1, 1, 1)
    want = weight_bound(
        inner, Observer.OMSE, 3, student.protocol.quirks.weight_start, student.protocol.quirks.weight_percentile
    )
    assert float(layer.bound) == pytest.approx(float(want))
    levels = student._weight(layer, weight) / torch.tensor(factors).reshape(-1, 1, 1, 1)
    assert len(np.unique(np.round(levels.numpy() / float(layer.bound), 4))) <= 8
    with pytest.raises(UsageError, match="not 0"):
        student_of(MODEL, Protocol(), BATCHES[0], {"b0a": np.zeros(8, np.float32)})
