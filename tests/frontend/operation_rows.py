"""Small networks, one for each operation and set of attributes, and for each disguise that exporters have for one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

try:
    import torch
    import torch.nn.functional as F
    from torch import nn
except ImportError:  # the tests that use these rows skip
    torch = nn = F = None  # type: ignore[assignment]

#: Makes a row's network.
Make = Callable[[], Any]


def _module(function: Callable[..., Any], *parts: Any) -> Any:
    """A module that calls `function(x, *parts)`."""

    class Function(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = nn.ModuleList(parts)

        def forward(self, x: Any) -> Any:
            return function(x, *self.parts)

    return Function()


def _net(*middle: Any, ins: int = 8, outs: int = 8, padding: int = 1) -> Any:
    return nn.Sequential(nn.Conv2d(3, ins, 3, 1, padding), *middle, nn.Conv2d(outs, 3, 3, 1, 1))


def _op(function: Callable[..., Any], *parts: Any, ins: int = 8, outs: int = 8, padding: int = 1) -> Make:
    return lambda: _net(_module(function, *(part() for part in parts)), ins=ins, outs=outs, padding=padding)


def _layer(make: Callable[[], Any], ins: int = 8, outs: int = 8, padding: int = 1) -> Make:
    return lambda: _net(make(), ins=ins, outs=outs, padding=padding)


def _conv(*args: Any, **kwargs: Any) -> Callable[[], Any]:
    return lambda: nn.Conv2d(*args, **kwargs)


def _norm_first(x: Any, *_: Any) -> Any:
    mean = x.mean(1, keepdim=True)
    variance = (x - mean).pow(2).mean(1, keepdim=True)
    return (x - mean) / torch.sqrt(variance + 1e-6)


def _cca(x: Any, *_: Any) -> Any:
    """Contrast: deviation spelled out, plus mean."""
    mean = x.mean((2, 3), keepdim=True)
    return x * torch.sigmoid(((x - mean).pow(2).mean((2, 3), keepdim=True)).sqrt() + mean)


def _squeeze_excite(x: Any, down: Any, up: Any) -> Any:
    gate = x.mean((2, 3))
    return x * torch.sigmoid(up(torch.relu(down(gate)))).view(1, -1, 1, 1)


def _last(x: Any, *layers: Any) -> Any:
    """Layers that keep channels last."""
    y = x.permute(0, 2, 3, 1)
    for layer in layers:
        y = layer(y)
    return y.permute(0, 3, 1, 2)


def _tokens(x: Any, norm: Any, wide: Any, narrow: Any) -> Any:
    """A transformer's feed-forward part over pixels in a row, with a residual."""
    n, c, h, w = x.shape
    y = x.flatten(2).transpose(1, 2)
    y = y + narrow(F.gelu(wide(norm(y))))
    return y.transpose(1, 2).view(n, c, h, w)


def _channel_shuffle(x: Any, *_: Any) -> Any:
    n, c, h, w = x.shape
    return x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


def _shuffled(x: Any, *_: Any) -> Any:
    n, c, h, w = x.shape
    return x.view(n, c // 4, 2, 2, h, w).permute(0, 1, 4, 2, 5, 3).reshape(n, c // 4, h * 2, w * 2)


def _shuffled_dcr(x: Any, *_: Any) -> Any:
    n, c, h, w = x.shape
    return x.view(n, 2, 2, c // 4, h, w).permute(0, 3, 4, 1, 5, 2).reshape(n, c // 4, h * 2, w * 2)


def _unshuffled(x: Any, *_: Any) -> Any:
    n, c, h, w = x.shape
    return x.view(n, c, h // 2, 2, w // 2, 2).permute(0, 1, 3, 5, 2, 4).reshape(n, c * 4, h // 2, w // 2)


def _unet(x: Any, down: Any, *_: Any) -> Any:
    return x + F.interpolate(torch.relu(down(x)), size=x.shape[2:], mode="bilinear", align_corners=False)


def _safm(x: Any, conv: Any) -> Any:
    h, w = x.shape[2:]
    y = conv(F.adaptive_max_pool2d(x, (h // 8, w // 8)))
    return x * F.gelu(F.interpolate(y, size=(h, w), mode="nearest"))


def _grown_twice(x: Any, conv: Any) -> Any:
    return F.pixel_shuffle(conv(F.interpolate(x, scale_factor=1.5, mode="bilinear")), 2)


def _squeeze_excite_convs(x: Any, down: Any, up: Any) -> Any:
    return x * torch.sigmoid(up(torch.relu(down(F.adaptive_avg_pool2d(x, 1)))))


def _deviation(x: Any) -> Any:
    return x * torch.sigmoid(torch.sqrt(x.var((2, 3), unbiased=False, keepdim=True) + 1e-3))


def _pooled_and_back(x: Any) -> Any:
    return x + F.interpolate(F.max_pool2d(x, 3, 2, ceil_mode=True), size=x.shape[2:], mode="bilinear")


def _beside_its_mean(x: Any) -> Any:
    mean = F.interpolate(F.adaptive_avg_pool2d(x, 1), size=x.shape[2:], mode="bilinear")
    return torch.cat([x, mean], 1)


def _gate_channels_last(x: Any, wide: Any) -> Any:
    """Half of the channels gates the other, a residual, and a map: all channels last."""
    y = x.permute(0, 2, 3, 1)
    a, b = wide(y).chunk(2, -1)
    y = y + a * torch.sigmoid(b)
    return (y * torch.sigmoid(y.mean((1, 2), keepdim=True))).permute(0, 3, 1, 2)


def _every_second(x: Any, conv: Any) -> Any:
    """A space to depth made of slices, as in Focus."""
    parts = [x[:, :, dy::2, dx::2] for dy in (0, 1) for dx in (0, 1)]
    return F.pixel_shuffle(conv(torch.cat(parts, 1)), 2)


def _imdn(x: Any) -> Any:
    """IMDN's contrast: sums over one side and the other, divided by the number of pixels."""
    pixels = x.size(2) * x.size(3)
    mean = x.sum(3, keepdim=True).sum(2, keepdim=True) / pixels
    variance = (x - mean).pow(2).sum(3, keepdim=True).sum(2, keepdim=True) / pixels
    return x * torch.sigmoid(variance.pow(0.5) + mean)


def _three_gates(x: Any, conv: Any) -> Any:
    a, b, c = conv(x).reshape(x.size(0), 3, 8, x.size(2), x.size(3)).unbind(1)
    return a * torch.sigmoid(b) + c


def _padded_to_multiples(x: Any, down: Any, up: Any) -> Any:
    """As NAFNet: what it pads itself it cuts off again."""
    h, w = x.shape[2:]
    y = F.pad(x, (0, (8 - w % 8) % 8, 0, (8 - h % 8) % 8))
    return (up(torch.relu(down(y))) + y)[:, :, :h, :w]


def _weight_norms(*_: Any) -> Any:
    old, new = torch.nn.utils.weight_norm, torch.nn.utils.parametrizations.weight_norm
    return nn.Sequential(old(nn.Conv2d(8, 8, 3, 1, 1)), nn.ReLU(), new(nn.Conv2d(8, 8, 1)))


def _resized(size: Any = None, **kwargs: Any) -> Make:
    return _op(lambda x, *_: F.interpolate(x, **kwargs))


def _by_size(**kwargs: Any) -> Make:
    return _op(lambda x, *_: F.interpolate(x, size=(x.shape[2] * 2, x.shape[3] * 2), **kwargs))


def _halved(**kwargs: Any) -> Make:
    """Half as large, and back."""
    return _op(
        lambda x, *_: F.interpolate(F.interpolate(x, scale_factor=0.5, **kwargs), scale_factor=2, mode="nearest")
    )


def rows() -> dict[str, Make]:
    """Every operation: name -> network."""
    layers: dict[str, Make] = {
        "conv 1x1": _layer(_conv(8, 8, 1)),
        "conv 5x5": _layer(_conv(8, 8, 5, 1, 2)),
        "conv 7x7": _layer(_conv(8, 8, 7, 1, 3)),
        "conv 3x5": _layer(_conv(8, 8, (3, 5), 1, (1, 2))),
        "conv without bias": _layer(_conv(8, 8, 3, 1, 1, bias=False)),
        "conv 2x2": _op(lambda x, c, *_: c(F.pad(x, (1, 0, 0, 1))), _conv(8, 8, 2)),
        "conv 4x4 stride 2": _op(lambda x, c, *_: F.pixel_shuffle(c(x), 2), _conv(8, 32, 4, 2, 1)),
        "conv dilated": _layer(_conv(8, 8, 3, 1, 2, 2)),
        "conv grouped": _layer(_conv(8, 8, 3, 1, 1, groups=2)),
        "conv depthwise": _layer(_conv(8, 8, 5, 1, 2, groups=8)),
        "conv depthwise wider": _layer(_conv(8, 16, 3, 1, 1, groups=8), outs=16),
        "conv padded same": _layer(_conv(8, 8, 3, 1, "same")),
        "conv padded reflect": _layer(_conv(8, 8, 3, 1, 1, padding_mode="reflect")),
        "conv padded replicate": _layer(_conv(8, 8, 3, 1, 1, padding_mode="replicate")),
        "deconv 2": _layer(lambda: nn.ConvTranspose2d(8, 8, 2, 2)),
        "deconv 4": _layer(lambda: nn.ConvTranspose2d(8, 8, 4, 2, 1)),
        "deconv 3 output padding": _layer(lambda: nn.ConvTranspose2d(8, 8, 3, 2, 1, output_padding=1)),
        "deconv 9 stride 3": _layer(lambda: nn.ConvTranspose2d(8, 8, 9, 3, 4, output_padding=2, bias=False)),
        "deconv 8 stride 4": _layer(lambda: nn.ConvTranspose2d(8, 8, 8, 4, 2)),
        "deconv grouped": _layer(lambda: nn.ConvTranspose2d(8, 8, 4, 2, 1, groups=4)),
        "deconv stride 1": _layer(lambda: nn.ConvTranspose2d(8, 8, 3, 1, 1)),
        "deconv and crop": _op(lambda x, d, *_: d(x)[:, :, 1:-2, 1:-2], lambda: nn.ConvTranspose2d(8, 8, 5, 2, 0)),
        "deconv 3 odd": _op(lambda x, d, *_: F.pad(d(x), (0, 1, 0, 1)), lambda: nn.ConvTranspose2d(8, 8, 3, 2, 1)),
        "batch norm": _layer(lambda: nn.BatchNorm2d(8)),
        "layer norm": _op(_last, lambda: nn.LayerNorm(8)),
        "layer norm plain": _op(_last, lambda: nn.LayerNorm(8, elementwise_affine=False)),
        "layer norm spelled": _op(_norm_first),
        "weight norm": _layer(_weight_norms),
        "spectral norm": _layer(lambda: torch.nn.utils.spectral_norm(nn.Conv2d(8, 8, 3, 1, 1))),
        "dropouts": _layer(lambda: nn.Sequential(nn.Dropout(), nn.Dropout2d(), nn.AlphaDropout())),
        "linear channels last": _op(_last, lambda: nn.Linear(8, 8)),
        "mlp channels last": _op(_last, lambda: nn.Linear(8, 12), nn.GELU, lambda: nn.Linear(12, 8)),
        "mlp of tokens": _op(_tokens, lambda: nn.LayerNorm(8), lambda: nn.Linear(8, 12), lambda: nn.Linear(12, 8)),
    }
    activations = {
        "relu": nn.ReLU, "relu6": nn.ReLU6, "leaky": lambda: nn.LeakyReLU(0.1),
        "prelu": lambda: nn.PReLU(8, 0.2), "prelu one": lambda: nn.PReLU(1, 0.2), "tanh": nn.Tanh,
        "sigmoid": nn.Sigmoid, "gelu": nn.GELU, "gelu tanh": lambda: nn.GELU("tanh"),
        "silu": nn.SiLU, "hardtanh": lambda: nn.Hardtanh(-0.5, 0.7), "hardswish": nn.Hardswish,
        "hardsigmoid": nn.Hardsigmoid, "mish": nn.Mish, "softplus": nn.Softplus,
        "softplus beta": lambda: nn.Softplus(2.0), "elu": nn.ELU, "rrelu": nn.RReLU,
    }  # fmt: skip
    functions: dict[str, Make] = {
        "clamp": _op(lambda x, *_: x.clamp(-0.3, 0.4)),
        "clamp min": _op(lambda x, *_: x.clamp(min=-0.1)),
        "clamp max": _op(lambda x, *_: x.clamp_max(0.1)),
        "clamp both": _op(lambda x, *_: x.clamp_min(-0.1).clamp_max(0.15)),
        "clamp tensors": _op(lambda x, *_: x.clamp(torch.tensor(-0.1), torch.tensor(0.15))),
        "clamp max tensor": _op(lambda x, *_: torch.clamp_max(x, torch.tensor(0.1))),
        "clip": _op(lambda x, *_: torch.clip(x, -0.1, 0.2)),
        "softplus threshold": _op(lambda x, *_: F.softplus(x, 1, 25)),
        "addcmul": _op(lambda x, *_: torch.addcmul(x, x, x.tanh(), value=0.3)),
        "exp": _op(lambda x, *_: torch.exp(x * 0.5)),
        "sqrt": _op(lambda x, *_: torch.sqrt(torch.relu(x) + 0.1)),
        "square": _op(lambda x, *_: x.pow(2)),
        "abs": _op(lambda x, *_: x.abs()),
        "times itself": _op(lambda x, *_: x * x),
        "x sigmoid x": _op(lambda x, *_: x * torch.sigmoid(x)),
        "x tanh softplus x": _op(lambda x, *_: x * torch.tanh(F.softplus(x))),
        "hardswish spelled": _op(lambda x, *_: x * F.relu6(x + 3) / 6),
        "gelu spelled": _op(lambda x, *_: 0.5 * x * (1 + torch.erf(x / 2**0.5))),
        "gelu tanh spelled": _op(lambda x, *_: 0.5 * x * (1 + torch.tanh(0.7978845608 * (x + 0.044715 * x**3)))),
        "add": _op(lambda x, c, *_: c(x) + x, _conv(8, 8, 3, 1, 1)),
        "add scaled": _op(lambda x, c, *_: c(x).relu() * 0.2 + x, _conv(8, 8, 3, 1, 1)),
        "add alpha": _op(lambda x, c, *_: torch.add(x, c(x).relu(), alpha=0.5), _conv(8, 8, 3, 1, 1)),
        "subtract": _op(lambda x, c, *_: c(x) - x, _conv(8, 8, 3, 1, 1)),
        "multiply": _op(lambda x, c, *_: c(x) * x, _conv(8, 8, 3, 1, 1)),
        "divide by number": _op(lambda x, *_: torch.relu(x) / 3),
        "one minus": _op(lambda x, *_: 1 - torch.sigmoid(x)),
        "gate per pixel": _op(lambda x, c, *_: x * torch.sigmoid(c(x)), _conv(8, 1, 3, 1, 1)),
        "gain and offset": _op(lambda x, c, *_: c(x).relu() * (torch.sigmoid(x) * 2 - 1), _conv(8, 8, 3, 1, 1)),
        "concat": _op(lambda x, c, *_: torch.cat([x, c(x)], 1), _conv(8, 4, 1), outs=12),
        "split": _op(lambda x, *_: torch.cat(torch.split(x, [2, 6], 1)[::-1], 1)),
        "chunk gate": _op(lambda x, *_: torch.mul(*x.chunk(2, 1)), outs=4),
        "narrow": _op(lambda x, *_: torch.cat([x.narrow(1, 3, 4), x.narrow(1, 6, 2), x.narrow(1, 0, 2)], 1)),
        "narrow from end": _op(lambda x, *_: torch.cat([x.narrow(1, -3, 2), x[:, :6]], 1)),
        "narrow crop": _op(lambda x, *_: F.pad(x, (2, 2, 1, 1)).narrow(2, 2, x.size(2)).narrow(3, 3, x.size(3))),
        "chunk uneven": _op(lambda x, *_: torch.cat(x.chunk(3, 1)[::-1], 1)),
        "tensor split": _op(lambda x, *_: torch.cat(torch.tensor_split(x, 3, 1)[::-1], 1)),
        "tensor split at": _op(lambda x, *_: torch.cat(torch.tensor_split(x, [2, 5], 1)[::-1], 1)),
        "index select": _op(lambda x, *_: torch.index_select(x, 1, torch.arange(7, -1, -1))),
        "three gates": _op(_three_gates, _conv(8, 24, 1)),
        "constants of forward": _op(
            lambda x, *_: x * torch.linspace(0, 1, 8).view(1, 8, 1, 1) + torch.ones(1) * torch.full((8, 1, 1), 0.3)
        ),
        "slice channels": _op(lambda x, *_: x[:, 1:7:2], outs=3),
        "index channels": _op(lambda x, *_: x[:, [3, 1, 0]], outs=3),
        "crop": _op(lambda x, *_: F.pad(x, (2, 2, 1, 1))[:, :, 1:-1, 2:-2]),
        "pixel shuffle": _op(lambda x, *_: F.pixel_shuffle(x, 2), outs=2),
        "pixel shuffle spelled": _op(_shuffled, outs=2),
        "pixel shuffle of tensorflow": _op(_shuffled_dcr, outs=2),
        "channel shuffle": _op(_channel_shuffle),
        "channel shuffle layer": _layer(lambda: nn.ChannelShuffle(4)),
        "pixel unshuffle": _op(lambda x, c, *_: F.pixel_shuffle(c(F.pixel_unshuffle(x, 2)), 2), _conv(32, 32, 3, 1, 1)),
        "pixel unshuffle spelled": _op(lambda x, c, *_: _shuffled(c(_unshuffled(x))), _conv(32, 32, 3, 1, 1)),
        "repeat interleave": _op(lambda x, *_: x.repeat_interleave(2, 1), outs=16),
        "repeat": _op(lambda x, *_: x.repeat(1, 2, 1, 1), outs=16),
        "nearest 2": _resized(scale_factor=2, mode="nearest"),
        "nearest exact 3": _resized(scale_factor=3, mode="nearest-exact"),
        "nearest by size": _by_size(mode="nearest"),
        "bilinear 2": _resized(scale_factor=2, mode="bilinear"),
        "bilinear corners": _resized(scale_factor=2, mode="bilinear", align_corners=True),
        "bilinear by size": _by_size(mode="bilinear", align_corners=False),
        "bicubic 3": _resized(scale_factor=3, mode="bicubic"),
        "bicubic corners": _resized(scale_factor=2, mode="bicubic", align_corners=True),
        "bilinear 1.5 and shuffle": _op(_grown_twice, _conv(8, 8, 3, 1, 1), outs=2),
        "bilinear half": _halved(mode="bilinear"),
        "nearest half": _halved(mode="nearest"),
        "to another's size": _op(_unet, _conv(8, 8, 3, 2, 1)),
        "modulation": _op(_safm, _conv(8, 8, 3, 1, 1)),
        "mean": _op(lambda x, *_: x * torch.sigmoid(x.mean((2, 3), keepdim=True))),
        "adaptive average": _op(lambda x, *_: x * torch.sigmoid(F.adaptive_avg_pool2d(x, 1))),
        "average of whole": _op(lambda x, *_: x * torch.sigmoid(F.avg_pool2d(x, x.shape[2:]))),
        "squeeze excite": _op(_squeeze_excite, lambda: nn.Linear(8, 4), lambda: nn.Linear(4, 8)),
        "squeeze excite convs": _op(_squeeze_excite_convs, _conv(8, 4, 1), _conv(4, 8, 1)),
        "std": _op(lambda x, *_: x * torch.sigmoid(x.std((2, 3), keepdim=True))),
        "std biased": _op(lambda x, *_: x * torch.sigmoid(x.std((2, 3), unbiased=False, keepdim=True))),
        "variance": _op(lambda x, *_: x * torch.sigmoid(x.var((2, 3), keepdim=True))),
        "std spelled": _op(_cca),
        "std with epsilon": _op(_deviation),
        "std of imdn": _op(_imdn),
        "mean of rows": _op(lambda x, *_: x * torch.sigmoid(x.mean(3, True).mean(2, True))),
        "maximum of rows": _op(lambda x, *_: x * torch.sigmoid(x.amax(3, True).amax(2, True))),
        "maximum of flat": _op(lambda x, *_: x * torch.sigmoid(x.flatten(2).max(2)[0])[:, :, None, None]),
        "sum over pixels": _op(lambda x, *_: x * torch.sigmoid(x.sum((2, 3), True) / (x.size(2) * x.size(3)))),
        "inplace": _op(lambda x, *_: F.relu(x, inplace=True) + x),
        "global max": _op(lambda x, *_: x * torch.sigmoid(F.adaptive_max_pool2d(x, 1))),
        "amax": _op(lambda x, *_: x * torch.sigmoid(x.amax((2, 3), keepdim=True))),
        "map added": _op(lambda x, *_: x + x.mean((2, 3), keepdim=True)),
        "mean over channels": _op(lambda x, *_: x * torch.sigmoid(x.mean(1, keepdim=True))),
        "max pool": _op(lambda x, *_: F.interpolate(F.max_pool2d(x, 2), scale_factor=2)),
        "max pool 3": _op(lambda x, *_: F.max_pool2d(x, 3, 1, 1)),
        "max pool ceil": _op(_pooled_and_back),
        "average pool": _op(lambda x, *_: F.interpolate(F.avg_pool2d(x, 2), scale_factor=2)),
        "average pool 3": _op(lambda x, *_: F.avg_pool2d(x, 3, 1, 1)),
        "map beside": _op(_beside_its_mean, outs=16),
        "gate channels last": _op(_gate_channels_last, lambda: nn.Linear(8, 16)),
        "every second pixel": _op(_every_second, _conv(32, 32, 1)),
        "roots and powers": _op(lambda x, *_: torch.cat([(x**2 + 1) ** 0.5, x * 0 + 1], 1), outs=16),
        "pad zero": _op(lambda x, c, *_: c(F.pad(x, (1, 1, 1, 1))), _conv(8, 8, 3)),
        "pad to multiples": _op(
            _padded_to_multiples, _conv(8, 8, 2, 2), lambda: nn.ConvTranspose2d(8, 8, 2, 2)
        ),
        "pad value": _op(lambda x, c, *_: c(F.pad(x, (1, 1, 1, 1), value=0.3)), _conv(8, 8, 3)),
        "pad reflect": _op(lambda x, c, *_: c(F.pad(x, (2, 2, 2, 2), mode="reflect")), _conv(8, 8, 5)),
        "pad replicate": _op(lambda x, c, *_: c(F.pad(x, (1, 1, 1, 1), mode="replicate")), _conv(8, 8, 3)),
        "large kernel attention": _op(
            lambda x, a, b, c, *_: x * c(b(a(x))),
            _conv(8, 8, 5, 1, 2, groups=8), _conv(8, 8, 7, 1, 9, 3, groups=8), _conv(8, 8, 1),
        ),
    }  # fmt: skip
    return layers | {name: _layer(make) for name, make in activations.items()} | functions


def names() -> list[str]:
    """The rows' names; one of no row where torch is missing, whose test says so."""
    return list(rows()) if torch is not None else ["needs torch"]
