"""Residual dense and back-projection networks, and some of the challenge of 2024, written anew in torch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.frontend.published_gated import bilinear
from tests.frontend.published_networks import Relu, Tree, conv, leaky, row


def rdn(scale: int = 2, blocks: int = 2, layers: int = 2, style: str = "authors", colours: int = 3) -> nn.Module:
    width, growth = 8, 4
    authors = style == "authors"

    def layer(ins: int) -> nn.Module:
        inner = row(conv(ins, growth), nn.ReLU()) if authors else Relu(ins, growth).conv
        return Tree(lambda m, x: torch.cat([x, F.relu(m.conv(x))], 1), conv=inner)

    def block() -> nn.Module:
        dense, fusion = (
            row(*(layer(width + n * growth) for n in range(layers))),
            conv(width + layers * growth, width, 1),
        )
        names = ("convs", "LFF") if authors else ("layers", "lff")
        return Tree(lambda m, x: fusion(dense(x)) + x, **dict(zip(names, (dense, fusion), strict=True)))

    body = nn.ModuleList([block() for _ in range(blocks)])
    first, second = conv(colours, width), conv(width, width)
    joined = row(conv(blocks * width, width, 1), conv(width, width))
    up: list[nn.Module] = []
    for n, by in enumerate([2, 2] if scale == 4 else [scale]):
        up += [conv(growth if n else width, growth * by**2), nn.PixelShuffle(by)]
    last = conv(growth, colours)
    level = 255.0 if authors else 1.0

    def compute(m: nn.Module, x: Tensor) -> Tensor:
        start = first(x * level)
        y, made = second(start), []
        for one in body:
            y = one(y)
            made.append(y)
        return last(nn.Sequential(*up)(joined(torch.cat(made, 1)) + start)) / level

    if authors:
        return Tree(compute, SFENet1=first, SFENet2=second, RDBs=body, GFF=joined, UPNet=row(*up, last))
    return Tree(compute, sfe1=first, sfe2=second, rdbs=body, gff=joined, upscale=row(*up), output=last)


def dbpn(scale: int = 2, stages: int = 3, width: int = 4) -> nn.Module:
    taps = {2: 6, 4: 8, 8: 12}[scale]

    def active(layer: nn.Module, name: str = "conv") -> nn.Module:
        return Tree(lambda m, x: m.act(layer(x)), act=nn.PReLU(), **{name: layer})

    def projection(way: str, inputs: int) -> nn.Module:
        def one(up: bool) -> nn.Module:
            make = nn.ConvTranspose2d if up else nn.Conv2d
            return active(make(width, width, taps, scale, 2), "deconv" if up else "conv")

        def compute(m: nn.Module, x: Tensor) -> Tensor:
            x = m.conv(x) if inputs > 1 else x
            there, back, again = (getattr(m, f"{way}_conv{n}") for n in (1, 2, 3))
            made = there(x)
            return again(back(made) - x) + made

        extra = {"conv": active(conv(inputs * width, width, 1))} if inputs > 1 else {}
        return Tree(compute, **{f"{way}_conv{n}": one((way == "up") == (n != 2)) for n in (1, 2, 3)}, **extra)

    def compute(m: nn.Module, x: Tensor) -> Tensor:
        y = m.feat1(m.feat0(x))
        large: list[Tensor] = []
        small: list[Tensor] = []
        for n in range(1, stages + 1):
            large.insert(0, getattr(m, f"up{n}")(y))
            if n < stages:
                small.insert(0, getattr(m, f"down{n}")(torch.cat(large, 1)))
                y = torch.cat(small, 1)
        return m.output_conv.conv(torch.cat(large, 1))

    ups = {f"up{n}": projection("up", max(n - 1, 1)) for n in range(1, stages + 1)}
    downs = {f"down{n}": projection("down", n) for n in range(1, stages)}
    last = Tree(lambda m, x: m.conv(x), conv=conv(stages * width, 3))
    ends = {"feat0": active(conv(3, 12)), "feat1": active(conv(12, width, 1)), "output_conv": last}
    return Tree(compute, **ends, **ups, **downs)


def _challenge(scale: int, blocks: list[nn.Module], width: int, closing: int) -> nn.Module:
    def compute(m: nn.Module, x: Tensor) -> Tensor:
        first = y = m.conv_1(x)
        for n in range(1, len(blocks) + 1):
            y = getattr(m, f"block_{n}")(y)
        return m.upsampler(m.conv_2(y) + first)

    named = {f"block_{n}": block for n, block in enumerate(blocks, 1)}
    tail = row(conv(width, 3 * scale**2), nn.PixelShuffle(scale))
    return Tree(compute, conv_1=conv(3, width), conv_2=conv(width, width, closing), upsampler=tail, **named)


def r2net(scale: int = 4, blocks: int = 2, width: int = 8) -> nn.Module:
    def gate() -> nn.Module:
        def compute(m: nn.Module, x: Tensor) -> Tensor:
            inner = m.conv1(x)
            y = m.conv3(F.max_pool2d(m.conv2(inner), 7, 3))
            y = F.interpolate(y, x.shape[2:], mode="bilinear", align_corners=False)
            return x * torch.sigmoid(m.conv4(y + inner))

        return Tree(
            compute, conv1=conv(width, 4, 1), conv2=nn.Conv2d(4, 4, 3, 2), conv3=conv(4, 4), conv4=conv(4, width, 1)
        )

    def block() -> nn.Module:
        layers = {"c1_r": conv(width, width), "c3_r": conv(width, width), "esa": gate()}
        return Tree(lambda m, x: m.esa(m.c3_r(leaky(m.c1_r(x), 0.05))), **layers)

    return _challenge(scale, [block() for _ in range(blocks)], width, 1)


def errn(scale: int = 4, blocks: int = 2, width: int = 8) -> nn.Module:
    def layer(name: str) -> nn.Module:
        return Tree(lambda m, x: getattr(m, name)(x), **{name: conv(width, width)})

    def block() -> nn.Module:
        def compute(m: nn.Module, x: Tensor) -> Tensor:
            y = leaky(m.rep2_1(leaky(m.rep1_2(leaky(m.rep1_1(x), 0.1)), 0.1)), 0.1)
            return m.ssa(m.rep2_2(y) + x)

        pixel = Tree(lambda m, x: x * torch.sigmoid(m.sa_conv(x)), sa_conv=conv(width, 1, 1))
        layers = {f"rep{a}_{b}": layer("rep_conv" if a == 1 else "rep_conv2") for a in (1, 2) for b in (1, 2)}
        return Tree(compute, ssa=pixel, **layers)

    return _challenge(scale, [block() for _ in range(blocks)], width, 3)


def safmnpp(scale: int = 2, blocks: int = 2, width: int = 12) -> nn.Module:
    part = width // 3

    def modulation() -> nn.Module:
        def compute(m: nn.Module, x: Tensor) -> Tensor:
            first, rest = m.proj(x).split([part, width - part], 1)
            size = tuple(side // 8 for side in x.shape[2:])
            small = m.dwconv(F.adaptive_max_pool2d(first, size))
            gate = F.gelu(F.interpolate(small, size=x.shape[2:], mode="bilinear"))
            return m.out(F.gelu(torch.cat([rest, gate * first], 1)))

        wide = conv(part, part, groups=part, bias=False)
        return Tree(compute, proj=conv(width, width, bias=False), dwconv=wide, out=conv(width, width, 1, bias=False))

    def block() -> nn.Module:
        mixing = {"conv1": conv(width, 2 * width, bias=False), "conv2": conv(2 * width, width, 1, bias=False)}
        mixer = Tree(lambda m, x: m.conv2(F.gelu(m.conv1(x))), **mixing)
        return Tree(lambda m, x: m.conv2(m.conv1(x)) + x, conv1=modulation(), conv2=mixer)

    return Tree(
        lambda m, x: m.to_img(m.feats(m.to_feat(x))) + bilinear(x, scale),
        to_feat=conv(3, width, bias=False),
        feats=row(*(block() for _ in range(blocks))),
        to_img=row(conv(width, 3 * scale**2, bias=False), nn.PixelShuffle(scale)),
    )
