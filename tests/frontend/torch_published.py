"""Families whose published weights are at hand once more, straight from their papers, in torch.

Each takes the state dict, a picture (H, W, 3) 0..1, the scale and the options, and returns (H', W', C) 0..1. Any number
of blocks, so that they take published weights as well as small ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.frontend.torch_networks import conv, image, norm, prelu, tensor

State = dict[str, np.ndarray]
Options = dict[str, Any]


def layer(state: State, x: Tensor, key: str, stride: int = 1, padding: int | None = None) -> Tensor:
    """A convolution of any groups, or a linear layer over channels."""
    weight = torch.from_numpy(state[f"{key}.weight"]).double()
    weight = weight[:, :, None, None] if weight.ndim == 2 else weight
    bias = state.get(f"{key}.bias")
    around = weight.shape[2] // 2 if padding is None else padding
    groups = x.shape[1] // weight.shape[1]
    return F.conv2d(x, weight, None if bias is None else torch.from_numpy(bias).double(), stride, around, 1, groups)


def separable(state: State, x: Tensor, key: str, stride: int = 1, padding: int | None = None) -> Tensor:
    if f"{key}.pw.weight" not in state:
        return layer(state, x, key, stride, padding)
    return layer(state, layer(state, x, f"{key}.pw"), f"{key}.dw", stride, padding)


def count(state: State, pattern: str, first: int = 0) -> list[int]:
    return [n for n in range(first, 40) if pattern.format(n) in state]


def contrast_attention(state: State, x: Tensor, key: str) -> Tensor:
    mean = x.mean((2, 3), keepdim=True)
    contrast = ((x - mean) ** 2).mean((2, 3), keepdim=True).sqrt() + mean
    inner = F.relu(layer(state, contrast, f"{key}.conv_du.0"))
    return x * torch.sigmoid(layer(state, inner, f"{key}.conv_du.2"))


def spatial_attention(
    state: State, x: Tensor, key: str, stages: Sequence[str], activation: Callable[[Tensor], Tensor] = F.relu
) -> Tensor:
    small = layer(state, x, f"{key}.conv1")
    y = F.max_pool2d(separable(state, small, f"{key}.conv2", 2, 0), 7, 3)
    for stage in stages:
        y = separable(state, y, f"{key}.{stage}")
        y = activation(y) if stage != stages[-1] else y
    y = F.interpolate(y, x.shape[2:], mode="bilinear", align_corners=False) + layer(state, small, f"{key}.conv_f")
    return x * torch.sigmoid(layer(state, y, f"{key}.conv4"))


def leaky(options: Options, slope: float) -> Callable[[Tensor], Tensor]:
    return lambda x: F.leaky_relu(x, options.get("slope", slope))


def distilled(
    state: State, x: Tensor, keys: Sequence[str], act: Callable[[Tensor], Tensor], *, last: bool = False
) -> Tensor:
    kept, rest = [], x
    for n, key in enumerate(keys):
        made = layer(state, rest, key)
        if n == len(keys) - 1:
            kept.append(act(made) if last else made)
            break
        made = act(made)
        read = state[f"{keys[n + 1]}.weight"].shape[1]
        kept.append(made[:, : made.shape[1] - read])
        rest = made[:, made.shape[1] - read :]
    return torch.cat(kept, 1)


def imdn(state: State, picture: np.ndarray, scale: int, options: Options) -> np.ndarray:
    act = leaky(options, 0.05)
    first = y = layer(state, tensor(picture), "fea_conv")
    outs = []
    for n in count(state, "IMDB{}.c1.weight", 1):
        key = f"IMDB{n}"
        joined = distilled(state, y, [f"{key}.c{i}" for i in (1, 2, 3, 4)], act)
        y = layer(state, contrast_attention(state, joined, f"{key}.cca"), f"{key}.c5") + y
        outs.append(y)
    y = layer(state, act(layer(state, torch.cat(outs, 1), "c.0")), "LR_conv") + first
    return image(F.pixel_shuffle(layer(state, y, "upsampler.0"), scale))


def imdn_aim(state: State, picture: np.ndarray, scale: int, options: Options) -> np.ndarray:
    first = y = layer(state, tensor(picture), "model.0")
    blocks = count(state, "model.1.sub.{}.conv4.weight")
    for n in blocks:
        key = f"model.1.sub.{n}"
        stages = [f"{key}.{stage}" for stage in ("conv1.0", "conv2.0", "conv3.0", "conv4")]
        y = layer(state, distilled(state, y, stages, leaky(options, 0.05)), f"{key}.conv1x1") + y
    y = layer(state, y, f"model.1.sub.{len(blocks)}") + first
    return image(F.pixel_shuffle(layer(state, y, "model.2"), scale))


def imdn_plus(state: State, picture: np.ndarray, scale: int, options: Options) -> np.ndarray:
    first = y = layer(state, tensor(picture), "FEM.0")
    blocks = count(state, "FEM.1.sub.{}.c1.weight")
    for n in blocks:
        key = f"FEM.1.sub.{n}"
        stages = [f"{key}.c{stage}" for stage in range(1, 7)]
        y = layer(state, distilled(state, y, stages, F.silu, last=True), f"{key}.c7") + y
    y = layer(state, y, f"FEM.1.sub.{len(blocks)}") + first
    return image(F.pixel_shuffle(layer(state, y, "RM.0"), scale))


def _features(state: State, x: Tensor, key: str, act: Callable[[Tensor], Tensor]) -> Tensor:
    kept, y = [], x
    for n in (1, 2, 3):
        kept.append(act(layer(state, y, f"{key}.c{n}_d")))
        y = act(separable(state, y, f"{key}.c{n}_r") + y)
    kept.append(act(separable(state, y, f"{key}.c4")))
    return layer(state, torch.cat(kept, 1), f"{key}.c5")


def rfdn(state: State, picture: np.ndarray, scale: int, options: Options) -> np.ndarray:
    level, act = options.get("value_range", 255.0), leaky(options, 0.05)
    first = y = layer(state, tensor(picture) * level, "fea_conv")
    outs = []
    for n in count(state, "B{}.c4.weight", 1):
        y = spatial_attention(state, _features(state, y, f"B{n}", act), f"B{n}.esa", ("conv_max", "conv3", "conv3_"))
        outs.append(y)
    y = layer(state, act(layer(state, torch.cat(outs, 1), "c.0")), "LR_conv") + first
    return image(F.pixel_shuffle(layer(state, y, "upsampler.0"), scale) / level)


def rlfn(state: State, picture: np.ndarray, scale: int, options: Options) -> np.ndarray:
    level, act = options.get("value_range", 255.0), leaky(options, 0.05)
    first = y = layer(state, tensor(picture) * level, "conv_1")
    for n in count(state, "block_{}.c5.weight", 1):
        inner = y
        for stage in (1, 2, 3):
            inner = act(layer(state, inner, f"block_{n}.c{stage}_r"))
        y = spatial_attention(state, layer(state, inner + y, f"block_{n}.c5"), f"block_{n}.esa", ("conv3",))
    y = layer(state, y, "conv_2") + first
    return image(F.pixel_shuffle(layer(state, y, "upsampler.0"), scale) / level)


def fmen(state: State, picture: np.ndarray, scale: int, options: Options) -> np.ndarray:
    level, act = options.get("value_range", 255.0), leaky(options, 0.1)

    def pair(x: Tensor, key: str) -> Tensor:
        return layer(state, act(layer(state, x, f"{key}.conv1.rep_conv")), f"{key}.conv2.rep_conv")

    def attention(x: Tensor, key: str) -> Tensor:
        y = act(layer(state, x, f"{key}.squeeze"))
        for n in count(state, f"{key}.convs.{{}}.conv1.rep_conv.weight"):
            y = pair(y, f"{key}.convs.{n}")
        return x * torch.sigmoid(layer(state, act(y), f"{key}.excitate"))

    first = layer(state, tensor(picture) * level, "head")
    y = attention(layer(state, first, "warmup.0"), "warmup.1")
    for n in count(state, "HFABs.{}.squeeze.weight"):
        y = attention(pair(y, f"ERBs.{n}"), f"HFABs.{n}")
    y = layer(state, layer(state, y, "lr_conv") + first, "tail.0")
    return image(F.pixel_shuffle(y, scale) / level)


def bsrn(state: State, picture: np.ndarray, scale: int, options: Options) -> np.ndarray:
    first = y = separable(state, torch.cat([tensor(picture)] * 4, 1), "fea_conv")
    outs = []
    for n in count(state, "B{}.c4.pw.weight", 1):
        inner = _features(state, y, f"B{n}", F.gelu)
        inner = spatial_attention(state, inner, f"B{n}.esa", ("conv_max", "conv3", "conv3_"), F.gelu)
        if f"B{n}.cw" in state:
            factor = torch.from_numpy(state[f"B{n}.cw"]).double().reshape(1, -1, 1, 1)
            inner = layer(state, inner * factor, f"B{n}.conv_out")
        else:
            inner = contrast_attention(state, inner, f"B{n}.cca")
        y = inner + y
        outs.append(y)
    y = separable(state, F.gelu(layer(state, torch.cat(outs, 1), "c1")), "c2") + first
    return image(F.pixel_shuffle(layer(state, y, "upsampler.upsampleOneStep.0"), scale))


def carn(state: State, picture: np.ndarray, scale: int, options: Options) -> np.ndarray:
    def residual(x: Tensor, key: str) -> Tensor:
        key = key if f"{key}.body.0.weight" in state else key[:-1] + "1"
        y = layer(state, F.relu(layer(state, x, f"{key}.body.0")), f"{key}.body.2")
        y = layer(state, F.relu(y), f"{key}.body.4") if f"{key}.body.4.weight" in state else y
        return F.relu(y + x)

    def cascade(x: Tensor, prefix: str, block: Callable[[Tensor, str], Tensor]) -> Tensor:
        joined = y = x
        for n in (1, 2, 3):
            joined = torch.cat([joined, block(y, f"{prefix}b{n}")], 1)
            y = F.relu(layer(state, joined, f"{prefix}c{n}.body.0"))
        return y

    y = layer(state, layer(state, tensor(picture), "sub_mean.shifter"), "entry")
    y = cascade(y, "", lambda x, key: cascade(x, f"{key}.", residual))
    up = "upsample.up" if "upsample.up.body.0.weight" in state else f"upsample.up{scale}"
    for n in (0, 3) if scale == 4 else (0,):
        y = F.pixel_shuffle(F.relu(layer(state, y, f"{up}.body.{n}")), 2 if scale == 4 else scale)
    return image(layer(state, layer(state, y, "exit"), "add_mean.shifter"))


def xlsr(state: State, picture: np.ndarray, scale: int, options: Options) -> np.ndarray:
    x = tensor(picture)
    y = torch.cat([F.relu(layer(state, x, f"conv0_{n}.conv")) for n in range(4)], 1)
    y = layer(state, y, "conv2")
    for n in range(3):
        y = layer(state, F.relu(layer(state, y, f"Gblocks.{n}.conv0")), f"Gblocks.{n}.conv1")
    y = F.relu(layer(state, torch.cat([y, layer(state, x, "conv1")], 1), "conv3.conv"))
    return image(F.pixel_shuffle(layer(state, y, "conv4").clamp(0, 1), scale))


def ycbcr(x: Tensor) -> Tensor:
    """JPEG's full-range YCbCr of RGB 0..1, 1/2 for no colour."""
    r, g, b = x.unbind(1)
    y = 0.299 * r + 0.587 * g + 0.114 * b
    return torch.stack([y, (b - y) / 1.772 + 0.5, (r - y) / 1.402 + 0.5], 1)


def rgb(x: Tensor) -> Tensor:
    y, cb, cr = x[:, 0], x[:, 1] - 0.5, x[:, 2] - 0.5
    r, b = y + 1.402 * cr, y + 1.772 * cb
    return torch.stack([r, (y - 0.299 * r - 0.114 * b) / 0.587, b], 1)


def studio(x: Tensor) -> Tensor:
    factors = torch.tensor([65.481, 128.553, 24.966]).double().reshape(1, 3, 1, 1)
    return ((x * factors).sum(1, keepdim=True) + 16) / 255


def in_its_colours(
    picture: np.ndarray, channels: int, network: Callable[[Tensor], Tensor], *, clip: bool = True
) -> np.ndarray:
    """A network on Y, or on YCbCr and then clipped."""
    x = tensor(picture)
    if channels == 1:
        return image(network(studio(x)))
    y = network(ycbcr(x))
    return image(rgb(y.clamp(0, 1) if clip else y))


def fsrcnn(state: State, picture: np.ndarray, scale: int, options: Options) -> np.ndarray:
    def plain(x: Tensor) -> Tensor:
        keys = ["first_part.0", *(f"mid_part.{n}" for n in range(0, 30, 2))]
        for key in [key for key in keys if f"{key}.weight" in state]:
            prefix, n = key.rsplit(".", 1)
            x = prelu(state, layer(state, x, key), f"{prefix}.{int(n) + 1}.weight")
        return deconv(x, "last_part")

    def named(x: Tensor) -> Tensor:
        x = prelu(state, layer(state, x, "feature_extract"), "activation_1.weight")
        x = prelu(state, layer(state, x, "shrink"), "activation_2.weight")
        for n in count(state, "map_{}.weight", 1):
            x = layer(state, x, f"map_{n}")
        x = prelu(state, layer(state, prelu(state, x, "activation_3.weight"), "expand"), "activation_4.weight")
        return deconv(x, "deconv")

    def deconv(x: Tensor, key: str) -> Tensor:
        weight, bias = (torch.from_numpy(state[f"{key}.{part}"]).double() for part in ("weight", "bias"))
        return F.conv_transpose2d(x, weight, bias, scale, 4, scale - 1)

    return in_its_colours(picture, *((3, named) if "deconv.weight" in state else (1, plain)))


def espcn(state: State, picture: np.ndarray, scale: int, options: Options) -> np.ndarray:
    def network(x: Tensor) -> Tensor:
        for key in ("conv_1", "conv_2"):
            x = torch.tanh(conv(state, x, key))
        return F.pixel_shuffle(conv(state, x, "conv_3"), scale)

    return in_its_colours(picture, 3, network, clip=options.get("clip", True))


def enlarged(x: Tensor, scale: int) -> Tensor:
    """Keys' bicubic with a = -1/2, centres of pixels aligned, continued with the outermost pixels."""
    for axis in (2, 3):
        size = x.shape[axis]
        place = (torch.arange(size * scale, dtype=torch.float64) + 0.5) / scale - 0.5
        base = place.floor()
        total = torch.zeros_like(x.index_select(axis, base.long().clamp(0, size - 1)))
        for tap in (-1, 0, 1, 2):
            far = (place - base - tap).abs()
            near = 1.5 * far**3 - 2.5 * far**2 + 1
            weight = torch.where(far <= 1, near, -0.5 * far**3 + 2.5 * far**2 - 4 * far + 2)
            shape = (1, 1, -1, 1) if axis == 2 else (1, 1, 1, -1)
            taken = x.index_select(axis, (base.long() + tap).clamp(0, size - 1))
            total = total + taken * weight.reshape(shape)
        x = total
    return x


def srcnn(state: State, picture: np.ndarray, scale: int, options: Options) -> np.ndarray:
    padded = "conv1.weight" in state
    keys = ("conv1", "conv2", "conv3") if padded else ("patch_extraction", "nonlinear_map", "recon")
    around = sum(state[f"{key}.weight"].shape[2] // 2 for key in keys)

    def network(x: Tensor) -> Tensor:
        y = enlarged(x, scale)
        y = y if padded else F.pad(y, (around,) * 4, mode="replicate")
        for key in keys:
            y = layer(state, y, key, padding=None if padded else 0)
            y = F.relu(y) if key != keys[-1] else y
        return y

    return in_its_colours(picture, state[f"{keys[0]}.weight"].shape[1], network)


def edsr_basicsr(state: State, picture: np.ndarray, scale: int, options: Options) -> np.ndarray:
    mean = torch.tensor([0.4488, 0.4371, 0.4040]).reshape(1, 3, 1, 1).float().double()
    level = options.get("value_range", 255.0)
    first = y = layer(state, (tensor(picture) - mean) * level, "conv_first")
    for n in count(state, "body.{}.conv1.weight"):
        inner = layer(state, F.relu(layer(state, y, f"body.{n}.conv1")), f"body.{n}.conv2")
        y = inner * options.get("residual_scale", 1.0) + y
    y = layer(state, y, "conv_after_body") + first
    for n in count(state, "upsample.{}.weight"):
        y = F.pixel_shuffle(layer(state, y, f"upsample.{n}"), 2 if scale == 4 else scale)
    return image(layer(state, y, "conv_last") / level + mean)


def msrresnet(state: State, picture: np.ndarray, scale: int, options: Options) -> np.ndarray:
    act = leaky(options, 0.1)
    body, before_last = ("body", "conv_hr") if "conv_hr.weight" in state else ("recon_trunk", "HRconv")
    x = tensor(picture)
    y = act(layer(state, x, "conv_first"))
    for n in count(state, f"{body}.{{}}.conv1.weight"):
        y = layer(state, F.relu(layer(state, y, f"{body}.{n}.conv1")), f"{body}.{n}.conv2") + y
    for n in count(state, "upconv{}.weight", 1):
        y = act(F.pixel_shuffle(layer(state, y, f"upconv{n}"), 2 if scale == 4 else scale))
    y = layer(state, act(layer(state, y, before_last)), "conv_last")
    return image(y + F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False))


def srresnet(state: State, picture: np.ndarray, scale: int, options: Options) -> np.ndarray:
    """The one with residual_blocks.N.conv_block1 and so on, on pictures normalised as for ImageNet."""

    def normed(x: Tensor, key: str) -> Tensor:
        return norm(x, *(state[f"{key}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")))

    def half(x: Tensor, key: str) -> Tensor:
        return normed(layer(state, x, f"{key}.conv_block.0"), f"{key}.conv_block.1")

    mean, deviation = torch.tensor([0.485, 0.456, 0.406]).double(), torch.tensor([0.229, 0.224, 0.225]).double()
    x = (tensor(picture) - mean.reshape(1, 3, 1, 1)) / deviation.reshape(1, 3, 1, 1)
    first = y = prelu(state, layer(state, x, "conv_block1.conv_block.0"), "conv_block1.conv_block.1.weight")
    for n in count(state, "residual_blocks.{}.conv_block1.conv_block.0.weight"):
        key = f"residual_blocks.{n}"
        y = (
            half(
                prelu(state, half(y, f"{key}.conv_block1"), f"{key}.conv_block1.conv_block.2.weight"),
                f"{key}.conv_block2",
            )
            + y
        )
    y = half(y, "conv_block2") + first
    for n in count(state, "subpixel_convolutional_blocks.{}.conv.weight"):
        key = f"subpixel_convolutional_blocks.{n}"
        y = prelu(state, F.pixel_shuffle(layer(state, y, f"{key}.conv"), 2), f"{key}.prelu.weight")
    return image((torch.tanh(layer(state, y, "conv_block3.conv_block.0")) + 1) / 2)
