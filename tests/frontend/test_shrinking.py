"""Networks without padding: full-size results on a picture that is continued first."""

from __future__ import annotations

import numpy as np
import pytest

from tests.needs import installed
from tvmsr.errors import TvmsrError
from tvmsr.frontend import load_model
from tvmsr.frontend.shrinking import lost_pixels
from tvmsr.graph.analysis import scale_of
from tvmsr.graph.execute import run_fp32
from tvmsr.graph.extent import Extent

torch = installed("torch", "pip install tvmsr[torch]")


def upconv() -> torch.nn.Module:
    """As waifu2x's: valid convolutions, then a transposed one that doubles and crops."""
    torch.manual_seed(3)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3),
        torch.nn.LeakyReLU(0.1),
        torch.nn.Conv2d(8, 6, 3),
        torch.nn.LeakyReLU(0.1),
        torch.nn.ConvTranspose2d(6, 3, 4, 2, 3),
    ).eval()


def test_lost_pixels():
    assert lost_pixels(Extent().then(1, -12).then(2, -4)) == 7
    assert lost_pixels(Extent().then(2, 0)) == 0
    assert lost_pixels(Extent().then(1, -3)) is None and lost_pixels(Extent().then(1, 0, 2)) is None


def test_the_picture_is_continued():
    net = upconv()
    model = load_model(net)
    assert scale_of(model.graph) == 2 and any("3 pixels a side" in text for text in model.assumed)
    x = np.random.default_rng(0).random((13, 18, 3), np.float32)
    padded = torch.nn.functional.pad(torch.from_numpy(x.transpose(2, 0, 1)[None]), (3,) * 4, mode="replicate")
    wanted = net(padded)[0].detach().numpy().transpose(1, 2, 0)
    made = run_fp32(model, x)
    assert isinstance(made, np.ndarray) and made.shape == (26, 36, 3) and np.allclose(made, wanted, atol=1e-5)


def test_odd_losses_are_refused():
    with pytest.raises(TvmsrError, match="no multiple"):
        load_model(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Conv2d(4, 3, 2)).eval())
