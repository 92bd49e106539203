import pytest

from tests.needs import installed
from tvmsr.adabm_paper.protocol import Norm, Protocol

torch = installed("torch", "pip install tvmsr[torch]")

from tvmsr.adabm_paper import losses  # noqa: E402
from tvmsr.adabm_paper.student import Pass  # noqa: E402


def made(output, features, bits=None):
    return Pass(output, tuple(features), torch.full((2, 3), 6.0) if bits is None else bits)


def test_pixels_are_gray_levels():
    zero = made(torch.zeros(2, 3, 4, 4), ())
    assert losses.pixel_loss(made(torch.full((2, 3, 4, 4), 0.1), ()), zero).item() == pytest.approx(25.5)


@pytest.mark.parametrize("norm", list(Norm))
def test_transfer(norm: Norm):
    torch.manual_seed(0)
    own, other = ([torch.randn(2, 4, 3, 3) for _ in range(3)] for _ in range(2))
    want = 0.0
    for a, b in zip(own, other, strict=True):
        for k in range(2):
            size_a, size_b = (a.norm(), b.norm()) if norm is Norm.BATCH else (a[k].norm(), b[k].norm())
            want += float((a[k] / size_a - b[k] / size_b).norm())
    assert float(losses.transfer_loss(own, other, 10, norm)) == pytest.approx(10 / (2 * 6) * want, rel=1e-5)


def test_features_of_zero_have_a_gradient():
    own = torch.zeros(1, 2, 2, 2, requires_grad=True)
    losses.transfer_loss([own * 1], [torch.ones(1, 2, 2, 2)], 10, Norm.BATCH).backward()
    assert torch.isfinite(own.grad).all()


def test_bits_cost_above_the_base_alone():
    assert float(losses.bit_loss(torch.tensor([[6.0, 7.0], [6.0, 7.0]]), 6, 50)) == 25
    assert float(losses.bit_loss(torch.tensor([[5.0, 6.0]]), 6, 50)) == 0


def test_bits_count_only_where_the_maps_are_trained():
    features = [torch.ones(2, 1, 2, 2)]
    bits = torch.full((2, 3), 7.0)
    student, teacher = made(torch.ones(2, 3, 4, 4), features, bits), made(torch.zeros(2, 3, 4, 4), features)
    assert float(losses.loss_of(student, teacher, Protocol(), with_bits=False)[0]) == pytest.approx(255)
    total, pixels = losses.loss_of(student, teacher, Protocol(), with_bits=True)
    assert (float(total), pixels) == (pytest.approx(305), pytest.approx(255))
