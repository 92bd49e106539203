import math

import numpy as np
import pytest

from tests.needs import installed

torch = installed("torch", "pip install tvmsr[torch]")

from tvmsr.adabm_paper import maps  # noqa: E402


def plainly(picture: np.ndarray) -> float:
    """Sobel of the gray picture (H, W, 3), pixel by pixel."""
    gray = picture @ np.array([0.299, 0.587, 0.114])
    height, width = gray.shape
    total = 0.0
    for y in range(height):
        for x in range(width):
            near = [
                [gray[min(max(y + i, 0), height - 1), min(max(x + j, 0), width - 1)] for j in (-1, 0, 1)]
                for i in (-1, 0, 1)
            ]
            across = sum(w * (near[i][2] - near[i][0]) for i, w in enumerate((1, 2, 1))) / 8
            down = sum(w * (near[2][j] - near[0][j]) for j, w in enumerate((1, 2, 1))) / 8
            total += abs(across) + abs(down)
    return 1000 * total / (2 * height * width)


def test_complexity_is_sobel():
    pictures = np.random.default_rng(0).random((2, 6, 5, 3))
    found = maps.complexity(torch.tensor(pictures.transpose(0, 3, 1, 2), dtype=torch.float32))
    np.testing.assert_allclose(found.numpy(), [plainly(picture) for picture in pictures], rtol=1e-5)


def test_flat_pictures_have_none_and_a_ramp_its_slope():
    assert float(maps.complexity(torch.full((1, 3, 8, 8), 0.4))) < 1e-3
    ramp = torch.arange(64.0).expand(1, 3, 4, 64) / 100
    # 0.01 a pixel across, half of that at both ends, nothing down.
    assert float(maps.complexity(ramp)) == pytest.approx(1000 * 0.01 * (63 / 64) / 2, rel=1e-4)


def test_image_factor():
    measures = torch.tensor([1.0, 2.0, 3.0, 5.0, 5.5])
    found = maps.image_factor(measures, torch.tensor(2.0), torch.tensor(5.0))
    assert found.tolist() == [-1, 0, 0, 0, 1]


def test_gradients_of_the_thresholds_are_those_of_tanh():
    lower = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    upper = torch.tensor(5.0, dtype=torch.float64, requires_grad=True)
    measure = torch.tensor([2.9], dtype=torch.float64)
    maps.image_factor(measure, lower, upper).sum().backward()

    def soft(a: float, b: float) -> float:
        return math.tanh((2.9 - (a + b) / 2) * 2 / (b - a))

    step = 1e-6
    assert lower.grad.item() == pytest.approx((soft(2 + step, 5) - soft(2 - step, 5)) / (2 * step), rel=1e-6)
    assert upper.grad.item() == pytest.approx((soft(2, 5 + step) - soft(2, 5 - step)) / (2 * step), rel=1e-6)
    assert lower.grad < 0
    assert upper.grad < 0


def test_thresholds_that_are_equal_or_reversed_give_a_factor():
    measures = torch.tensor([1.0, 3.0, 4.0])
    assert maps.image_factor(measures, torch.tensor(3.0), torch.tensor(3.0)).tolist() == [-1, 0, 1]
    assert maps.image_factor(measures, torch.tensor(3.5), torch.tensor(2.0)).tolist() == [-1, 0, 1]
    equal = torch.tensor(3.0, requires_grad=True)
    maps.image_factor(measures, equal, equal + 0).sum().backward()
    assert torch.isfinite(equal.grad)


@pytest.mark.parametrize(
    ("value", "factor"), [(-3.0, -1), (-0.51, -1), (-0.4, 0), (0.0, 0), (0.49, 0), (0.6, 1), (2.0, 1)]
)
def test_layer_factor(value: float, factor: int):
    measure = torch.tensor(value, dtype=torch.float64, requires_grad=True)
    found = maps.layer_factor(measure)
    found.backward()
    assert found.item() == factor
    assert measure.grad.item() == pytest.approx(1 - math.tanh(value) ** 2)


def test_thresholds_of_a_batch():
    lower, upper = maps.percentiles(torch.arange(11.0), 10)
    assert (float(lower), float(upper)) == (1, 9)


def test_layers_are_ranked():
    assert maps.ranked([5, 1, 2, 3, 4, 6, 7, 8, 9, 10], 30) == [0, -1, -1, -1, 0, 0, 0, 1, 1, 1]
    assert maps.ranked([2, 2, 2], 30) == [0, 0, 0]
