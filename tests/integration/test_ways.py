"""One network by every way: nn.Module, .pt2, ONNX of both exporters. The artifacts give the same bytes.

Exporters to ONNX fold batch norm for themselves, in float32: weights then differ from ours in their last bit, a code of
one here and there by 1, and the picture by one code: one of the 256 levels of a byte.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.frontend import ways
from tests.integration.artifacts import CHEAP, compare, make, one_level
from tests.quant.networks import picture
from tvmsr.runtime import load

SIZES = ((37, 30), (16, 21), (1, 1))


def network(torch: ModuleType, compute: Any, **parts: Any) -> Any:
    """A module with these parts, which `compute` gets before the picture."""

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, part in parts.items():
                self.add_module(name, part)

        def forward(self, x: Any) -> Any:
            return compute(self, x)

    return Network()


def residual(torch: ModuleType) -> Any:
    """Residual blocks with a scale and PReLU, a slice and a concat, a long skip, pixel shuffle."""
    nn = torch.nn

    def compute(net: Any, x: Any) -> Any:
        first = y = net.slopes(net.head(x))
        for layer in (net.a, net.b):
            y = y + 0.5 * layer(torch.relu(y))
        y = torch.cat([y[:, 3:], first[:, :3]], 1)
        return net.shuffle(net.tail(y + first))

    convs = {"a": nn.Conv2d(10, 10, 3, 1, 1), "b": nn.Conv2d(10, 10, 3, 1, 1), "tail": nn.Conv2d(10, 12, 3, 1, 1)}
    return network(
        torch, compute, head=nn.Conv2d(3, 10, 5, 1, 2), slopes=nn.PReLU(10, 0.2), shuffle=nn.PixelShuffle(2), **convs
    )


def spatial_attention(torch: ModuleType) -> Any:
    """ESA: a strided convolution, a pool, and a bilinear resize to the size of another tensor; a mask."""
    nn, functional = torch.nn, torch.nn.functional

    def compute(net: Any, x: Any) -> Any:
        y = functional.leaky_relu(net.head(x), 0.05)
        low = net.low(y)
        small = net.small(functional.max_pool2d(net.stride(low), 7, 3))
        wide = functional.interpolate(small, size=x.shape[2:], mode="bilinear", align_corners=False)
        return functional.pixel_shuffle(net.tail(y * torch.sigmoid(net.mask(wide + net.skip(low)))), 2)

    return network(
        torch, compute,
        head=nn.Conv2d(3, 8, 3, 1, 1), low=nn.Conv2d(8, 4, 1), stride=nn.Conv2d(4, 4, 3, 2),
        small=nn.Conv2d(4, 4, 3, 1, 1), skip=nn.Conv2d(4, 4, 1), mask=nn.Conv2d(4, 8, 1),
        tail=nn.Conv2d(8, 12, 3, 1, 1),
    )  # fmt: skip


def contrast_attention(torch: ModuleType) -> Any:
    """CCA: deviation, spelled out, plus mean; two convolutions of that; a gate for each channel."""
    nn = torch.nn

    def compute(net: Any, x: Any) -> Any:
        y = torch.relu(net.head(x))
        mean = y.mean((2, 3), keepdim=True)
        contrast = (y - mean).pow(2).mean((2, 3), keepdim=True).sqrt() + mean
        return net.shuffle(net.tail(y * torch.sigmoid(net.up(torch.relu(net.down(contrast))))))

    return network(
        torch, compute, head=nn.Conv2d(3, 8, 3, 1, 1), down=nn.Conv2d(8, 4, 1), up=nn.Conv2d(4, 8, 1),
        tail=nn.Conv2d(8, 27, 3, 1, 1), shuffle=nn.PixelShuffle(3),
    )  # fmt: skip


def transposed(torch: ModuleType) -> Any:
    """FSRCNN: the picture is enlarged by a transposed convolution at the end."""
    nn = torch.nn
    last = nn.ConvTranspose2d(8, 3, 9, 3, 4, output_padding=2)
    return nn.Sequential(
        nn.Conv2d(3, 8, 5, 1, 2), nn.PReLU(8), nn.Conv2d(8, 8, 3, 1, 1, padding_mode="replicate"), nn.Tanh(), last
    )


def bicubic_skip(torch: ModuleType) -> Any:
    """A depthwise convolution, GELU, and the bicubically enlarged picture, to which the network adds details."""
    nn, functional = torch.nn, torch.nn.functional

    def compute(net: Any, x: Any) -> Any:
        y = net.point(functional.gelu(net.depth(net.head(x))))
        large = functional.interpolate(x, scale_factor=2, mode="bicubic", align_corners=False)
        return 0.3 * functional.pixel_shuffle(y, 2) + large

    return network(
        torch, compute, head=nn.Conv2d(3, 12, 3, 1, 1), depth=nn.Conv2d(12, 12, 5, 1, 2, groups=12),
        point=nn.Conv2d(12, 12, 1),
    )  # fmt: skip


def normed(torch: ModuleType) -> Any:
    """Batch norms behind and before convolutions."""
    nn = torch.nn
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 1, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, 1, 1, bias=False),
        nn.BatchNorm2d(8), nn.PReLU(), nn.Conv2d(8, 12, 3, 1, 1), nn.PixelShuffle(2),
    )  # fmt: skip


def by_every_way(torch: ModuleType, net: Any, folder: Path) -> dict[str, Any]:
    with ways.quiet():
        module = ways.load_model(net)
    return {
        "module": module,
        "pt2": ways.by_pt2(torch, net, folder),
        "onnx": ways.by_onnx(torch, net, folder, dynamo=False),
        "onnx of dynamo": ways.by_onnx(torch, net, folder, dynamo=True, opset=18),
    }


def pictures_of(torch: ModuleType, build: Any, folder: Path) -> dict[str, list[np.ndarray]]:
    """What the artifact of each way makes of a few pictures; each equals its reference."""
    with torch.random.fork_rng():
        net, made = ways.network(torch, lambda: build(torch)), {}
        models = by_every_way(torch, net, folder)
    images = [picture(seed, *size) for seed, size in enumerate(SIZES)]
    for way, model in models.items():
        (folder / way).mkdir()
        artifact = make(model, folder / way, [picture(9, 32, 32)], target=one_level(0), **CHEAP)
        compare(artifact, images[0], threads=(2,), memory=(1.0,))
        with load(artifact.path, threads=1) as session:
            made[way] = [session.upscale(image) for image in images]
    return made


@pytest.mark.parametrize("build", [residual, spatial_attention, contrast_attention, transposed, bicubic_skip])
def test_the_same_bytes_by_every_way(torch: ModuleType, tmp_path: Path, build: Any):
    made = pictures_of(torch, build, tmp_path)
    wanted = made["module"]
    assert wanted[0].std() > 5, "a picture of one colour says nothing"
    for way, images in made.items():
        for image, want in zip(images, wanted, strict=True):
            np.testing.assert_array_equal(image, want, way)


def test_batch_norm_is_within_one_code(torch: ModuleType, tmp_path: Path):
    made = pictures_of(torch, normed, tmp_path)
    wanted = made["module"]
    assert wanted[0].std() > 5, "a picture of one colour says nothing"
    for way, images in made.items():
        for image, want in zip(images, wanted, strict=True):
            assert way != "pt2" or np.array_equal(image, want), "nobody folded it before us"
            assert np.abs(image.astype(int) - want).max() <= 1, way
