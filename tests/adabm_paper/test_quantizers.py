import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.needs import installed
from tvmsr.adabm_paper.protocol import Observer, Shrink, Sides, WeightStart

torch = installed("torch", "pip install tvmsr[torch]")

from tvmsr.adabm_paper import quantizers as q  # noqa: E402

numbers = st.floats(-50, 50, width=32)
values = st.lists(numbers, min_size=1, max_size=40)


def grid(x: float, lower: float, upper: float, bits: float) -> float:
    """The published formula, in float64."""
    steps = 2**bits - 1
    place = (min(max(x, lower), upper) - lower) / (upper - lower) * steps
    return round(place) / steps * (upper - lower) + lower


@settings(deadline=None)
@given(values, st.floats(-40, 0, width=32), st.floats(0.125, 40, width=32), st.integers(1, 8))
def test_quantize_is_the_formula(xs, lower, width, bits):
    upper = lower + width
    found = q.quantize(
        torch.tensor(xs, dtype=torch.float64),
        torch.tensor(lower, dtype=torch.float64),
        torch.tensor(upper, dtype=torch.float64),
        bits,
    )
    want = [grid(x, lower, upper, bits) for x in xs]
    # Values half way between two levels may fall to either.
    step = width / (2**bits - 1)
    close = [min(abs(f - w), abs(abs(f - w) - step)) for f, w in zip(found.tolist(), want, strict=True)]
    assert max(close) < 1e-9 * max(1, abs(lower), abs(upper))
    assert len(set(np.round(np.array(found.tolist()), 9))) <= 2**bits
    assert all(abs(f - min(max(x, lower), upper)) <= step / 2 + 1e-9 for f, x in zip(found.tolist(), xs, strict=True))


def test_bits_may_differ_between_pictures():
    x = torch.rand(2, 3, 5, 5)
    lower, upper = torch.tensor(0.1), torch.tensor(0.8)
    found = q.quantize(x, lower, upper, torch.tensor([2.0, 5.0]).reshape(2, 1, 1, 1))
    for number, bits in enumerate((2, 5)):
        assert torch.equal(found[number], q.quantize(x[number], lower, upper, bits))


@settings(deadline=None)
@given(values, st.floats(0.25, 40, width=32), st.integers(2, 8))
def test_weights_have_no_zero(ws, bound, bits):
    found = q.quantize_weight(torch.tensor(ws, dtype=torch.float64), torch.tensor(bound, dtype=torch.float64), bits)
    want = [grid(w, -bound, bound, bits) for w in ws]
    step = 2 * bound / (2**bits - 1)
    assert (found.abs() >= step / 2 - 1e-9).all()
    assert (
        max(min(abs(f - w), abs(abs(f - w) - step)) for f, w in zip(found.tolist(), want, strict=True)) < 1e-9 * bound
    )


def test_rounding_passes_gradients_on():
    x = torch.tensor([0.2, 0.5, 1.5, -2.7], requires_grad=True)
    found = q.rounded(x)
    assert found.tolist() == [0, 0, 2, -3]
    found.sum().backward()
    assert x.grad.tolist() == [1, 1, 1, 1]


def test_gradient_of_the_bits_is_in_proportion_to_the_rounding_error():
    x, lower, upper = (
        torch.tensor([0.3, 0.77], dtype=torch.float64),
        torch.tensor(0.0).double(),
        torch.tensor(1.0).double(),
    )
    bits = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    found = q.quantize(x, lower, upper, bits)
    found.sum().backward()
    want = 2**3 * math.log(2) / (2**3 - 1) * (x - found.detach()).sum()
    assert bits.grad.item() == pytest.approx(want.item(), rel=1e-12)


def test_gradients_of_the_bounds_and_of_values():
    x = torch.tensor([-1.0, 0.4, 2.0], dtype=torch.float64, requires_grad=True)
    lower = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
    upper = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    q.quantize(x, lower, upper, 2).sum().backward()
    assert x.grad.tolist() == [0, 1, 0]
    # A clipped value moves with its bound; one inside by its rounding error: (q - x) up, (x - q) down.
    inside = 1 / 3 - 0.4
    assert upper.grad.item() == pytest.approx(1 + inside)
    assert lower.grad.item() == pytest.approx(1 - inside)


def test_values_that_are_all_alike_stay():
    x = torch.full((2, 3), 0.7)
    assert torch.equal(q.quantize(x, x.min(), x.max(), 4), x)


def test_observers():
    x = torch.linspace(-1, 3, 401)
    assert [float(v) for v in q.observed(x, Observer.MINMAX, 4)] == [-1, 3]
    low, high = q.observed(x, Observer.PERCENTILE, 4)
    np.testing.assert_allclose([low, high], np.quantile(x.numpy(), [0.01, 0.99]), rtol=1e-5)


@settings(deadline=None, max_examples=25)
@given(st.lists(numbers, min_size=3, max_size=60, unique=True), st.integers(2, 5))
def test_omse_takes_the_best_of_its_steps(xs, bits):
    x = torch.tensor(xs)
    low, high = q.observed(x, Observer.OMSE, bits)

    def error(a, b):
        return float((x - q.quantize(x, a, b, bits)).square().mean())

    assert error(low, high) == min(error(x.min() * (1 - 0.01 * k), x.max() * (1 - 0.01 * k)) for k in range(90))


@settings(deadline=None, max_examples=25)
@given(st.lists(numbers, min_size=2, max_size=60, unique=True), st.integers(2, 6))
def test_weight_search_starts_at_the_largest_weight(ws, bits):
    w = torch.tensor(ws)
    assume(w.max() > 0)
    found = q.weight_bound(w, Observer.OMSE, bits, WeightStart.LARGEST, Sides.ONE)
    tried = [w.max() * (1 - 0.01 * k) for k in range(50)]
    errors = [float((w - q.quantize_weight(w, bound, bits)).square().mean()) for bound in tried]
    assert float(found) == pytest.approx(float(tried[errors.index(min(errors))]), rel=1e-6)


def test_quirks_of_weight_bounds():
    w = torch.tensor([-4.0, 1.0, 0.5, 0.0])

    def bound(observer: Observer, start=WeightStart.LARGEST, sides=Sides.ONE) -> float:
        return float(q.weight_bound(w, observer, 4, start, sides))

    assert bound(Observer.MINMAX) == 1
    assert bound(Observer.MINMAX, WeightStart.ABSOLUTE) == 4
    assert bound(Observer.OMSE) <= 1
    assert 2 <= bound(Observer.OMSE, WeightStart.ABSOLUTE) <= 4
    assert bound(Observer.PERCENTILE) == pytest.approx(np.quantile(w.numpy(), 0.99), rel=1e-6)
    assert bound(Observer.PERCENTILE, sides=Sides.BOTH) == pytest.approx(np.quantile(w.abs().numpy(), 0.99), rel=1e-6)


def test_weights_below_zero_and_of_zero_have_a_bound():
    assert float(q.weight_bound(torch.tensor([-2.0, -1.0]), Observer.MINMAX, 4, WeightStart.LARGEST, Sides.ONE)) == 2
    assert q.weight_bound(torch.zeros(3), Observer.OMSE, 4, WeightStart.LARGEST, Sides.ONE) > 0


def test_clipping_shrinks_to_where_the_values_are():
    x = torch.cat([torch.linspace(-1, 1, 1000), torch.tensor([10.0])])
    lower, upper = torch.tensor(-10.0), torch.tensor(10.0)
    low, high = q.clipped(x, lower, upper, 3, Shrink.COMMON)
    assert float(low) == -float(high)
    assert 0 < high < 10

    def error(a, b):
        return float((x - q.quantize(x, a, b, 3)).square().mean())

    assert error(low, high) == min(error(lower * f, upper * f) for f in [1 - 0.01 * k for k in range(100)])
    own = q.clipped(x, lower, upper, 3, Shrink.EACH)
    assert error(*own) <= error(lower, upper)
    assert float(own[0]) != -float(own[1])
