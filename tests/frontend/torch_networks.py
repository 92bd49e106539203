"""The families once more, straight from their papers, in torch: what the import is compared with.

Each takes the state dict, a picture (H, W, 3) 0..1, the scale and the options, and returns (H', W', C) 0..1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

State = dict[str, np.ndarray]


def tensor(x: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(x.transpose(2, 0, 1))[None]).double()


def image(y: Tensor) -> np.ndarray:
    return y[0].numpy().transpose(1, 2, 0)


def conv(state: State, x: Tensor, key: str, sep: str = ".") -> Tensor:
    weight = torch.from_numpy(state[f"{key}{sep}weight"]).double()
    bias = state.get(f"{key}{sep}bias")
    return F.conv2d(x, weight, None if bias is None else torch.from_numpy(bias).double(), padding=weight.shape[2] // 2)


def prelu(state: State, x: Tensor, key: str) -> Tensor:
    return F.prelu(x, torch.from_numpy(state[key]).double())


def norm(x: Tensor, *parts: np.ndarray) -> Tensor:
    gamma, beta, mean, variance = (torch.from_numpy(p).double() for p in parts)
    return F.batch_norm(x, mean, variance, gamma, beta, eps=1e-5)


def abpn(state: State, picture: np.ndarray, scale: int, options: dict[str, Any]) -> np.ndarray:
    level = options.get("value_range", 255.0)
    x = y = tensor(picture) * level
    for n in range(4):
        weight = torch.from_numpy(state[f"layer_with_weights-{n}/kernel"].transpose(3, 2, 0, 1).copy()).double()
        y = F.conv2d(y, weight, torch.from_numpy(state[f"layer_with_weights-{n}/bias"]).double(), padding=1)
        y = F.relu(y) if n < 3 else y
    y = y + torch.cat([x] * scale**2, 1)
    n, _, h, w = y.shape
    y = y.reshape(n, scale, scale, 3, h, w).permute(0, 3, 4, 1, 5, 2).reshape(n, 3, h * scale, w * scale)
    return image(y.clamp(0, level) / level)


def espcn(state: State, picture: np.ndarray, scale: int, options: dict[str, Any]) -> np.ndarray:
    x = tensor(picture)
    if state["first_part.0.weight"].shape[1] == 1:
        factors = torch.tensor([65.481, 128.553, 24.966]).double().reshape(1, 3, 1, 1)
        x = ((x * factors).sum(1, keepdim=True) + 16) / 255
    activate = F.relu if options.get("activation") == "relu" else torch.tanh
    for key in ("first_part.0", "first_part.2"):
        x = activate(conv(state, x, key))
    return image(F.pixel_shuffle(conv(state, x, "last_part.0"), scale))


def srvgg(state: State, picture: np.ndarray, scale: int, options: dict[str, Any]) -> np.ndarray:
    x = y = tensor(picture)
    for n in (0, 2):
        y = conv(state, y, f"body.{n}")
        slopes = f"body.{n + 1}.weight"
        y = prelu(state, y, slopes) if slopes in state else F.leaky_relu(y, options["slope"])
    y = F.pixel_shuffle(conv(state, y, "body.4"), scale)
    return image(y + F.interpolate(x, scale_factor=scale, mode="nearest"))


def imdn_rtc(state: State, picture: np.ndarray, scale: int, options: dict[str, Any]) -> np.ndarray:
    slope = options.get("slope", 0.05)
    first = y = conv(state, tensor(picture), "model.0")
    block = 0
    while (key := f"model.1.sub.{block}") and f"{key}.c1.weight" in state:
        kept, rest = [], y
        for stage in ("c1", "c2", "c3"):
            made = F.leaky_relu(conv(state, rest, f"{key}.{stage}"), slope)
            count = made.shape[1] - state[f"{key}.c4.weight"].shape[1]
            part, rest = torch.split(made, [count, made.shape[1] - count], 1)
            kept.append(part)
        kept.append(conv(state, rest, f"{key}.c4"))
        y = conv(state, torch.cat(kept, 1), f"{key}.c5") + y
        block += 1
    y = conv(state, y, key) + first
    return image(F.pixel_shuffle(conv(state, y, "model.2"), scale))


def edsr(state: State, picture: np.ndarray, scale: int, options: dict[str, Any]) -> np.ndarray:
    level = options.get("value_range", 255.0)
    x = tensor(picture) * level
    x = conv(state, x, "sub_mean") if "sub_mean.weight" in state else x
    first = y = conv(state, x, "head.0")
    block = 0
    while f"body.{block}.body.0.weight" in state:
        inner = F.relu(conv(state, y, f"body.{block}.body.0"))
        y = conv(state, inner, f"body.{block}.body.2") * options.get("residual_scale", 1.0) + y
        block += 1
    y = conv(state, y, f"body.{block}") + first
    for key in ("tail.0.0", "tail.0.2"):
        if f"{key}.weight" in state:
            y = F.pixel_shuffle(conv(state, y, key), 2 if scale == 4 else scale)
    y = conv(state, y, "tail.1")
    y = conv(state, y, "add_mean") if "add_mean.weight" in state else y
    return image(y / level)


def edsr_mxnet(state: State, picture: np.ndarray, scale: int, options: dict[str, Any]) -> np.ndarray:
    mean = torch.from_numpy(state["arg:DIV2K_mean"]).double()

    def layer(x: Tensor, n: int) -> Tensor:
        return conv(state, x, f"arg:convolution{n}", "_")

    first = y = layer((tensor(picture) - mean) * 2, 0)
    for n in (1, 3):
        y = layer(F.relu(layer(y, n)), n + 1) + y
    y = layer(layer(y, 5) + first, 6)
    n, c, h, w = y.shape
    y = y.reshape(n, 2, 2, c // 4, h, w).permute(0, 3, 4, 1, 5, 2).reshape(n, c // 4, 2 * h, 2 * w)
    return image(layer(y, 7) * 0.5 + mean)


def srresnet(state: State, picture: np.ndarray, scale: int, options: dict[str, Any]) -> np.ndarray:
    def normed(x: Tensor, key: str) -> Tensor:
        return norm(x, *(state[f"{key}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")))

    first = y = prelu(state, conv(state, tensor(picture), "block1.0"), "block1.1.weight")
    for key in ("block2", "block3"):
        inner = prelu(state, normed(conv(state, y, f"{key}.conv1"), f"{key}.bn1"), f"{key}.prelu.weight")
        y = normed(conv(state, inner, f"{key}.conv2"), f"{key}.bn2") + y
    y = normed(conv(state, y, "block4.0"), "block4.1") + first
    for n in range(2):
        y = prelu(state, F.pixel_shuffle(conv(state, y, f"block5.{n}.conv"), 2), f"block5.{n}.prelu.weight")
    return image((torch.tanh(conv(state, y, "block5.2")) + 1) / 2)


def srresnet_mxnet(state: State, picture: np.ndarray, scale: int, options: dict[str, Any]) -> np.ndarray:
    def layer(x: Tensor, n: int) -> Tensor:
        return conv(state, x, f"arg:convolution{n}", "_")

    def normed(x: Tensor, n: int) -> Tensor:
        keys = ("arg:{}gamma", "arg:{}beta", "aux:{}moving_mean", "aux:{}moving_var")
        return norm(x, *(state[key.format(f"batchnorm{n}_")] for key in keys))

    def sloped(x: Tensor, n: int) -> Tensor:
        return prelu(state, x, f"arg:leakyrelu{n}_weight")

    first = y = sloped(layer(tensor(picture), 0), 0)
    for b in range(2):
        y = normed(layer(sloped(normed(layer(y, 2 * b + 1), 2 * b), b + 1), 2 * b + 2), 2 * b + 1) + y
    y = normed(layer(y, 5), 4) + first
    y = sloped(F.pixel_shuffle(layer(y, 6), 2), 3)
    return image((layer(y, 7) + 1) / 2)


def plain_anchor(state: State, picture: np.ndarray, scale: int, options: dict[str, Any]) -> np.ndarray:
    x = tensor(picture)
    y = F.relu(conv(state, F.relu(conv(state, x, "conv.0")), "conv.1"))
    y = conv(state, y, "conv.2") + x.repeat_interleave(scale**2, dim=1)
    return image(F.pixel_shuffle(y, scale))
