"""Published networks, written anew in torch from their papers' definitions: small, with random weights.

The modules have the names that their authors gave them, so that a state dict has the published keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MEAN = torch.tensor([0.4488, 0.4371, 0.4040]).reshape(1, 3, 1, 1)


def conv(ins: int, outs: int, size: int = 3, *, bias: bool = True, groups: int = 1, dilation: int = 1) -> nn.Conv2d:
    return nn.Conv2d(ins, outs, size, padding=size // 2 * dilation, bias=bias, groups=groups, dilation=dilation)


def row(*layers: nn.Module | int) -> nn.Sequential:
    """A sequence; a number stands for as many places without weights (activations)."""
    places: list[nn.Module] = []
    for layer in layers:
        places.extend([nn.Identity()] * layer if isinstance(layer, int) else [layer])
    return nn.Sequential(*places)


class Tree(nn.Module):
    """A module with the named children that it is given, and a function of them and the input."""

    def __init__(self, compute: Callable[..., Tensor], /, **children: nn.Module | nn.Parameter) -> None:
        super().__init__()
        self.compute = compute
        for name, child in children.items():
            setattr(self, name, child)

    def forward(self, x: Tensor) -> Tensor:
        return self.compute(self, x)


class Mean(nn.Conv2d):
    """A mean shift as a 1x1 convolution."""

    def __init__(self, sign: int, level: float) -> None:
        super().__init__(3, 3, 1)
        self.weight.data = torch.eye(3).reshape(3, 3, 1, 1)
        self.bias.data = sign * level * MEAN.reshape(-1)


def params(layer: nn.Conv2d) -> tuple[nn.Parameter, nn.Parameter]:
    assert layer.bias is not None
    return layer.weight, layer.bias


SOBEL_X = torch.tensor([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]])
LAPLACE = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])


def bordered(x: Tensor, value: Tensor) -> Tensor:
    """One more pixel on every side, a value per channel."""
    n, c, h, w = x.shape
    wide = value.reshape(1, c, 1, 1).expand(n, c, h + 2, w + 2).clone()
    wide[:, :, 1:-1, 1:-1] = x
    return wide


class Branch(nn.Module):
    """A 1x1 convolution, bordered with its bias, then a 3x3 one or a filter of every channel times a factor."""

    def __init__(self, ins: int, outs: int, mask: Tensor | None) -> None:
        super().__init__()
        middle = 2 * outs if mask is None else outs
        self.k0, self.b0 = params(nn.Conv2d(ins, middle, 1))
        if mask is None:
            self.k1, self.b1 = params(nn.Conv2d(middle, outs, 3))
        else:
            self.scale, self.bias = nn.Parameter(0.1 * torch.randn(outs, 1, 1, 1)), nn.Parameter(torch.randn(outs))
            self.mask = nn.Parameter(mask.expand(outs, 1, 3, 3).clone(), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        y = bordered(F.conv2d(x, self.k0, self.b0), self.b0)
        if hasattr(self, "k1"):
            return F.conv2d(y, self.k1, self.b1)
        return F.conv2d(y, self.scale * self.mask, self.bias, groups=len(self.bias))


def edge_branches(ins: int, outs: int) -> dict[str, nn.Module]:
    masks = {"conv1x1_3x3": None, "conv1x1_sbx": SOBEL_X, "conv1x1_sby": SOBEL_X.T, "conv1x1_lpl": LAPLACE}
    return {name: Branch(ins, outs, mask) for name, mask in masks.items()}


def edge_sum(block: nn.Module, x: Tensor) -> Tensor:
    return sum((getattr(block, name)(x) for name in ("conv1x1_3x3", "conv1x1_sbx", "conv1x1_sby", "conv1x1_lpl")), 0)


def ecbsr(
    scale: int = 2,
    blocks: int = 2,
    width: int = 8,
    colours: int = 3,
    act: str = "prelu",
    *,
    train: bool = True,
    identity: bool = False,
) -> nn.Module:
    def block(ins: int, outs: int, *, last: bool = False) -> nn.Module:
        def compute(m: nn.Module, x: Tensor) -> Tensor:
            y = m.conv3x3(x) + (edge_sum(m, x) if train else 0) + (x if train and identity and ins == outs else 0)
            return y if last else F.relu(y) if act == "relu" else m.act(y)

        children = edge_branches(ins, outs) if train else {}
        if not last and act == "prelu":
            children["act"] = nn.PReLU(outs)
        return Tree(compute, conv3x3=conv(ins, outs), **children)

    inner = [block(width, width) for _ in range(blocks)]
    body = row(block(colours, width), *inner, block(width, colours * scale**2, last=True))
    return Tree(lambda m, x: F.pixel_shuffle(m.backbone(x) + x.repeat_interleave(scale**2, 1), scale), backbone=body)


def clipped(x: Tensor) -> Tensor:
    return x.clamp(0, 1)


def quicksrnet(scale: int = 2, blocks: int = 2, width: int = 8, *, anchor: bool = False) -> nn.Module:
    layers: list[nn.Module] = [conv(3, width), nn.Hardtanh(0, 1)]
    for _ in range(blocks):
        layers += [conv(width, width), nn.Hardtanh(0, 1)]
    children: dict[str, nn.Module] = (
        {"anchor": Tree(lambda m, x: m.net(x), net=conv(3, 3 * scale**2, 1))} if anchor else {}
    )

    def compute(m: nn.Module, x: Tensor) -> Tensor:
        y = m.conv_last(m.cnn(x))
        return F.pixel_shuffle(clipped(y + m.anchor(x) if anchor else y), scale)

    return Tree(compute, cnn=nn.Sequential(*layers), conv_last=conv(width, 3 * scale**2), **children)


def abpn_torch(scale: int = 3, width: int = 8) -> nn.Module:
    layers = [conv(3, width), nn.ReLU(), conv(width, width), nn.ReLU(), conv(width, 3 * scale**2)]
    anchor = Tree(lambda m, x: m.net(x), net=conv(3, 3 * scale**2, 1))
    return Tree(lambda m, x: F.pixel_shuffle(m.cnn(x) + m.anchor(x), scale), cnn=nn.Sequential(*layers), anchor=anchor)


def sesr(scale: int = 2, blocks: int = 2, width: int = 8, act: str = "relu", *, expanded: bool = True) -> nn.Module:
    def block(ins: int, outs: int, size: int, *, residual: bool = False, last: bool = False) -> nn.Module:
        def compute(m: nn.Module, x: Tensor) -> Tensor:
            y = m.conv_squeeze(m.conv_expand(x)) + (x if residual else 0) if expanded else m.conv_expand(x)
            return y if last else m.activation(y)

        children = {"conv_squeeze": conv(32, outs, 1)} if expanded else {}
        activation = nn.Identity() if last else nn.PReLU() if act == "prelu" else nn.ReLU()
        expand = conv(ins, 32 if expanded else outs, size, bias=not expanded)
        return Tree(compute, conv_expand=expand, activation=activation, **children)

    def compute(m: nn.Module, x: Tensor) -> Tensor:
        first = m.conv_first(x)
        return F.pixel_shuffle(m.conv_last(m.residual_block(first) + first) + m.anchor(x), scale)

    return Tree(
        compute,
        anchor=Tree(lambda m, x: m.net(x), net=conv(3, 3 * scale**2, 1)),
        conv_first=block(3, width, 5),
        residual_block=row(*(block(width, width, 3, residual=True) for _ in range(blocks))),
        conv_last=block(width, 3 * scale**2, 5, last=True),
    )


def cubic(x: Tensor, scale: int) -> Tensor:
    """Keys' kernel with a = -0.5, pixel centres aligned, the edge continued: a phase of the result at a time."""

    def weight(d: float) -> float:
        d = abs(d)
        return 1.5 * d**3 - 2.5 * d**2 + 1 if d < 1 else -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2 if d < 2 else 0.0

    def along(x: Tensor) -> Tensor:
        size = x.shape[-1]
        out = torch.zeros(*x.shape[:-1], size * scale, dtype=x.dtype)
        for i in range(size * scale):
            position = (i + 0.5) / scale - 0.5
            base = int(position // 1)
            for tap in range(base - 1, base + 3):
                out[..., i] += weight(position - tap) * x[..., min(max(tap, 0), size - 1)]
        return out

    return along(along(x).transpose(2, 3)).transpose(2, 3)


class Relu(nn.Module):
    """A convolution called conv and ReLU."""

    def __init__(self, ins: int, outs: int, size: int = 3, *, bias: bool = True) -> None:
        super().__init__()
        self.conv = conv(ins, outs, size, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(x))


def vdsr(scale: int = 2, style: str = "input", blocks: int = 2, width: int = 8) -> nn.Module:
    if style == "rgb":
        layers = [conv(3, width), nn.ReLU(), conv(width, width), nn.ReLU(), conv(width, 3)]

        def on_rgb(m: nn.Module, x: Tensor) -> Tensor:
            x = m.sub_mean(cubic(x, scale))
            return m.add_mean(m.body(x) + x)

        return Tree(on_rgb, sub_mean=Mean(-1, 1), add_mean=Mean(1, 1), body=nn.Sequential(*layers))
    first, last = conv(1, width, bias=False), conv(width, 1, bias=False)
    middle = row(*(Relu(width, width, bias=False) for _ in range(blocks)))

    def compute(m: nn.Module, x: Tensor) -> Tensor:
        x = cubic(x, scale)
        if style == "input":
            return m.output(m.residual_layer(F.relu(m.input(x)))) + x
        return m.conv2(m.trunk(m.conv1(x))) + x

    if style == "input":
        return Tree(compute, input=first, residual_layer=middle, output=last)
    return Tree(compute, conv1=row(first, nn.ReLU()), trunk=middle, conv2=last)


def drrn(scale: int = 2, width: int = 4) -> nn.Module:
    def compute(m: nn.Module, x: Tensor) -> Tensor:
        x = cubic(x, scale)
        y = first = m.input(F.relu(x))
        for _ in range(25):
            y = m.conv2(F.relu(m.conv1(F.relu(y)))) + first
        return m.output(F.relu(y)) + x

    plan = {"input": (1, width), "conv1": (width, width), "conv2": (width, width), "output": (width, 1)}
    return Tree(compute, **{name: conv(*shape, bias=False) for name, shape in plan.items()})


def leaky(x: Tensor, slope: float = 0.2) -> Tensor:
    return F.leaky_relu(x, slope)


def nearest(x: Tensor, factor: int) -> Tensor:
    return F.interpolate(x, scale_factor=factor, mode="nearest")


def rrdb(
    style: str = "new",
    ups: Iterable[int] = (2, 2),
    unshuffle: int = 1,
    blocks: int = 2,
    width: int = 8,
    *,
    plus: bool = False,
) -> nn.Module:
    """style: old (numbered modules), trunk (the ESRGAN repository's keys), new (BasicSR's)."""
    growth, ups = 4, list(ups)

    def dense() -> nn.Module:
        def compute(m: nn.Module, x: Tensor) -> Tensor:
            made = [x]
            for n in range(1, 5):
                y = leaky(getattr(m, f"conv{n}")(torch.cat(made, 1)))
                if plus and n == 2:
                    y = y + m.conv1x1(x)
                if plus and n == 4:
                    y = y + made[2]
                made.append(y)
            return m.conv5(torch.cat(made, 1)) * 0.2 + x

        outs = [growth] * 4 + [width]
        layers = {f"conv{n + 1}": conv(width + n * growth, outs[n]) for n in range(5)}
        if style == "old":
            layers = {name: row(layer) for name, layer in layers.items()}
        extra = {"conv1x1": conv(width, growth, 1, bias=False)} if plus else {}
        return Tree(compute, **layers, **extra)

    def block() -> nn.Module:
        names = [f"{'rdb' if style == 'new' else 'RDB'}{n}" for n in (1, 2, 3)]

        def compute(m: nn.Module, x: Tensor) -> Tensor:
            y = x
            for name in names:
                y = getattr(m, name)(y)
            return y * 0.2 + x

        return Tree(compute, **{name: dense() for name in names})

    body = [block() for _ in range(blocks)]
    first, closing, last = conv(3 * unshuffle**2, width), conv(width, width), conv(width, 3)
    up, full = [conv(width, width) for _ in ups], conv(width, width)

    def tail(m: nn.Module, y: Tensor) -> Tensor:
        for factor, layer in zip(ups, up, strict=True):
            y = leaky(layer(nearest(y, factor)))
        return last(leaky(full(y)))

    def compute(m: nn.Module, x: Tensor) -> Tensor:
        x = first(F.pixel_unshuffle(x, unshuffle) if unshuffle > 1 else x)
        return tail(m, closing(nn.Sequential(*body)(x)) + x)

    if style == "old":
        steps = [part for layer in up for part in (nn.Identity(), layer, nn.Identity())]
        inner = Tree(lambda m, x: x, sub=row(*body, closing))
        return Tree(compute, model=row(first, inner, *steps, full, nn.Identity(), last))
    names = (
        ("RRDB_trunk", "trunk_conv", "upconv", "HRconv")
        if style == "trunk"
        else ("body", "conv_body", "conv_up", "conv_hr")
    )
    children = {names[0]: row(*body), names[1]: closing, names[3]: full, "conv_first": first, "conv_last": last}
    return Tree(compute, **children, **{f"{names[2]}{n}": layer for n, layer in enumerate(up, 1)})


class Conv3xc(nn.Module):
    """1x1-3x3-1x1 of the picture with zeros around it, plus a 1x1; or one 3x3."""

    def __init__(self, ins: int, outs: int, *, deployed: bool) -> None:
        super().__init__()
        self.eval_conv = conv(ins, outs)
        if not deployed:
            self.sk = conv(ins, outs, 1)
            self.conv = row(conv(ins, 2 * ins, 1), nn.Conv2d(2 * ins, 2 * outs, 3), conv(2 * outs, outs, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (1, 1, 1, 1))) + self.sk(x) if hasattr(self, "sk") else self.eval_conv(x)


class Spab(nn.Module):
    def __init__(self, width: int, act: Callable[[Tensor], Tensor], *, deployed: bool) -> None:
        super().__init__()
        self.act = act
        self.c1_r, self.c2_r, self.c3_r = (Conv3xc(width, width, deployed=deployed) for _ in range(3))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        first = self.act(self.c1_r(x))
        third = self.c3_r(self.act(self.c2_r(first)))
        return (third + x) * (torch.sigmoid(third) - 0.5), first


def span(scale: int = 4, blocks: int = 6, width: int = 8, *, deployed: bool = False, norm: bool = True) -> nn.Module:
    def compute(m: nn.Module, x: Tensor) -> Tensor:
        y = first = m.conv_1((x - MEAN) * 255 if norm else x)
        made = []
        for n in range(1, blocks + 1):
            y, inner = getattr(m, f"block_{n}")(y)
            made.append((y, inner))
        joined = torch.cat([first, m.conv_2(y), made[0][0], made[-1][1]], 1)
        return F.pixel_shuffle(m.upsampler(m.conv_cat(joined)), scale)

    made = {f"block_{n}": Spab(width, F.silu, deployed=deployed) for n in range(1, blocks + 1)}
    extra = {} if norm else {"no_norm": nn.Parameter(torch.zeros(1))}
    return Tree(
        compute,
        conv_1=Conv3xc(3, width, deployed=deployed),
        conv_2=Conv3xc(width, width, deployed=deployed),
        conv_cat=conv(4 * width, width, 1),
        upsampler=row(conv(width, 3 * scale**2)),
        **made,
        **extra,
    )


def spanplus(scale: int = 2, blocks: int = 2, width: int = 8, *, deployed: bool = False) -> nn.Module:
    def group() -> nn.Module:
        def compute(m: nn.Module, x: Tensor) -> Tensor:
            start, _ = m.block_1(x)
            y = start
            for block in m.block_n:
                y, _ = block(y)
            y, second = m.block_end(y)
            return m.conv_cat(torch.cat([x, m.conv_2(y), start, second], 1))

        one = [Spab(width, F.mish, deployed=deployed) for _ in range(blocks + 2)]
        return Tree(
            compute,
            block_1=one[0],
            block_n=row(*one[1:-1]),
            block_end=one[-1],
            conv_cat=conv(4 * width, width, 1),
            conv_2=Conv3xc(width, width, deployed=deployed),
        )

    body = row(Conv3xc(3, width, deployed=deployed), group())
    return Tree(
        lambda m, x: F.pixel_shuffle(m.upsampler(m.feats(x)), scale),
        feats=body,
        upsampler=row(conv(width, 3 * scale**2)),
    )
