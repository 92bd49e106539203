"""The last of the published networks, written anew in torch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.frontend.published_gated import Norm
from tests.frontend.published_networks import Relu, Tree, clipped, conv, edge_branches, edge_sum, leaky, row


def man(scale: int = 2, groups: int = 1, blocks: int = 1, width: int = 12) -> nn.Module:
    def large(channels: int, first: int, second: int, dilation: int) -> nn.Module:
        plan = [(first, channels, 1), (second, channels, dilation), (1, 1, 1)]
        return row(*(conv(channels, channels, size, groups=g, dilation=d) for size, g, d in plan))

    def scaled() -> nn.Parameter:
        return nn.Parameter(torch.randn(1, width, 1, 1))

    def attention() -> nn.Module:
        third = width // 3

        def compute(m: nn.Module, x: Tensor) -> Tensor:
            gate, value = m.proj_first(m.norm(x)).chunk(2, 1)
            parts = zip((3, 5, 7), gate.chunk(3, 1), strict=True)
            gates = [getattr(m, f"LKA{n}")(part) * getattr(m, f"X{n}")(part) for n, part in parts]
            return m.proj_last(value * torch.cat(gates, 1)) * m.scale + x

        kernels = {"LKA7": large(third, 7, 9, 4), "LKA5": large(third, 5, 7, 3), "LKA3": large(third, 3, 5, 2)}
        sides = {f"X{n}": conv(third, third, n, groups=third) for n in (3, 5, 7)}
        return Tree(
            compute,
            norm=Norm(width, 1e-6),
            scale=scaled(),
            proj_first=row(conv(width, 2 * width, 1)),
            proj_last=row(conv(width, width, 1)),
            **kernels,
            **sides,
        )

    def gated() -> nn.Module:
        def compute(m: nn.Module, x: Tensor) -> Tensor:
            gate, value = m.Conv1(m.norm(x)).chunk(2, 1)
            return m.Conv2(value * m.DWConv1(gate)) * m.scale + x

        return Tree(
            compute,
            norm=Norm(width, 1e-6),
            scale=scaled(),
            Conv1=conv(width, 2 * width, 1),
            Conv2=conv(width, width, 1),
            DWConv1=conv(width, width, 7, groups=width),
        )

    def group() -> nn.Module:
        def end(m: nn.Module, x: Tensor) -> Tensor:
            x = m.conv0(x)
            return m.conv1(x * m.att(x))

        block = [Tree(lambda m, x: m.LFE(m.LKA(x)), LKA=attention(), LFE=gated()) for _ in range(blocks)]
        tail = Tree(
            end, conv0=row(conv(width, width, 1), nn.GELU()), att=large(width, 7, 9, 3), conv1=conv(width, width, 1)
        )
        return Tree(lambda m, x: m.body_t(m.body(x)) + x, body=row(*block), body_t=tail)

    def compute(m: nn.Module, x: Tensor) -> Tensor:
        first = m.head(x)
        y = m.body(first)
        return m.tail(m.body_t(y) + first if groups > 1 else y)

    extra = {"body_t": conv(width, width)} if groups > 1 else {}
    return Tree(
        compute,
        head=conv(3, width),
        body=row(*(group() for _ in range(groups))),
        tail=row(conv(width, 3 * scale**2), nn.PixelShuffle(scale)),
        **extra,
    )


def efdn(scale: int = 4, width: int = 8, *, train: bool = True) -> nn.Module:
    def edges() -> nn.Module:
        def compute(m: nn.Module, x: Tensor) -> Tensor:
            return m.act(m.rep_conv(x) + (m.conv1x1(x) + edge_sum(m, x) if train else 0))

        extra = {"conv1x1": conv(width, width, 1), **edge_branches(width, width)} if train else {}
        return Tree(compute, rep_conv=conv(width, width), act=nn.PReLU(width), **extra)

    def attention() -> nn.Module:
        f = width // 4

        def compute(m: nn.Module, x: Tensor) -> Tensor:
            inner = m.conv1(x)
            y = F.max_pool2d(m.conv2(inner), 7, 3)
            y = m.conv3_(F.relu(m.conv3(F.relu(m.conv_max(y)))))
            y = F.interpolate(y, x.shape[2:], mode="bilinear", align_corners=False)
            return x * torch.sigmoid(m.conv4(y + m.conv_f(inner)))

        middle = {name: conv(f, f) for name in ("conv_max", "conv3", "conv3_")}
        return Tree(
            compute,
            conv1=conv(width, f, 1),
            conv_f=conv(f, f, 1),
            conv2=nn.Conv2d(f, f, 3, 2),
            conv4=conv(f, width, 1),
            **middle,
        )

    def cell() -> nn.Module:
        def compute(m: nn.Module, x: Tensor) -> Tensor:
            first = m.conv1(x)
            second = m.conv2(first)
            made = (x, first, second, m.conv3(second))
            y = m.fuse(torch.cat([layer(part) for layer, part in zip(m.branch, made, strict=True)], 1))
            return m.att(y) + x

        first = Tree(lambda m, x: m.act(m.conv1x1(x)), conv1x1=conv(width, width, 1), act=nn.PReLU(width))
        branches = nn.ModuleList([conv(width, width // 2, 1) for _ in range(4)])
        return Tree(
            compute,
            conv1=first,
            conv2=edges(),
            conv3=edges(),
            fuse=conv(2 * width, width, 1),
            att=attention(),
            branch=branches,
        )

    def compute(m: nn.Module, x: Tensor) -> Tensor:
        def fused(n: int, a: Tensor, b: Tensor) -> Tensor:
            return m.local_fuse[n](torch.cat([a, b], 1))

        head = m.head(x)
        first = m.cells[0](head)
        second = m.cells[1](first)
        third = m.cells[2](fused(0, first, second))
        fourth = m.cells[3](fused(1, second, third))
        return clipped(m.tail(fused(2, second, fourth) + head))

    return Tree(
        compute,
        head=conv(3, width),
        cells=nn.ModuleList([cell() for _ in range(4)]),
        local_fuse=nn.ModuleList([conv(2 * width, width, 1) for _ in range(3)]),
        tail=row(conv(width, 3 * scale**2), nn.PixelShuffle(scale)),
    )


def plainusr(scale: int = 2, width: int = 8, part: int = 4, *, train: bool = True) -> nn.Module:
    def mobile(n: int) -> nn.Module:
        if not train:
            return conv(n, n)

        def weighed(m: nn.Module, x: Tensor) -> Tensor:
            hidden = F.silu(m.se[1](m.tensor.reshape(1, -1)))
            return x * torch.sigmoid(m.se[3](hidden)).reshape(1, -1, 1, 1)

        def compute(m: nn.Module, x: Tensor) -> Tensor:
            wide = m.expand_conv(x)
            border = m.expand_conv.bias.reshape(1, -1, 1, 1)
            y = m.fea_conv(F.pad(wide - border, (1, 1, 1, 1)) + border)
            return m.reduce_conv(m.se(y) + wide) + x

        two = 2 * n
        layers = nn.ModuleList(
            [nn.Identity(), nn.Linear(two, two // 4, bias=False), nn.SiLU(), nn.Linear(two // 4, two, bias=False)]
        )
        gate = Tree(weighed, tensor=nn.Parameter(torch.randn(1, two, 1, 1)), se=layers)
        return Tree(
            compute, expand_conv=conv(n, two, 1), fea_conv=nn.Conv2d(two, two, 3), reduce_conv=conv(two, n, 1), se=gate
        )

    def attention(n: int) -> nn.Module:
        return Tree(lambda m, x: x * torch.sigmoid(x[:, :1]) * m.body(x), body=row(conv(n, n), nn.Sigmoid()))

    def first_mixed(n: int) -> nn.Module:
        return Tree(lambda m, x: torch.cat([m.conv(x), x[:, 1:]], 1), conv=conv(n, 1, 1))

    def block(n: int, *, middle: bool = False) -> nn.Module:
        extra = ([first_mixed(n)] if train else []) + [attention(n)] if middle else []
        inner = row(mobile(n), nn.LeakyReLU(0.05), mobile(n), *extra)
        return Tree(lambda m, x: torch.cat([m.body(x[:, :n]), x[:, n:]], 1), body=inner)

    outs = 3 * scale**2
    return Tree(
        lambda m, x: m.tail(m.block2(m.blockm(m.block1(m.head(x))))),
        head=conv(3, width + 3),
        block1=block(width),
        blockm=block(part, middle=True),
        block2=block(width),
        tail=row(conv(width + 3, outs), nn.PixelShuffle(scale)),
    )


def lapsrn(levels: int = 2, convs: int = 2, width: int = 6) -> nn.Module:
    def up(n: int) -> nn.Module:
        return nn.ConvTranspose2d(n, n, 4, stride=2, padding=1, bias=False)

    def features() -> nn.Module:
        layers = [layer for _ in range(convs) for layer in (conv(width, width, bias=False), nn.LeakyReLU(0.2))]
        block = row(*layers, up(width), nn.LeakyReLU(0.2))
        return row(Tree(lambda m, x: m.cov_block(x), cov_block=block))

    def compute(m: nn.Module, x: Tensor) -> Tensor:
        y = leaky(m.conv_input(x))
        for n in range(1, levels + 1):
            y = getattr(m, f"convt_F{n}")(y)
            x = getattr(m, f"convt_I{n}")(x) + getattr(m, f"convt_R{n}")(y)
        return x

    children: dict[str, nn.Module] = {}
    for n in range(1, levels + 1):
        children |= {f"convt_F{n}": features(), f"convt_I{n}": up(1), f"convt_R{n}": conv(width, 1, bias=False)}
    return Tree(compute, conv_input=conv(1, width, bias=False), **children)


def srdensenet(blocks: int = 2, layers: int = 3, growth: int = 4) -> nn.Module:
    base = growth * layers

    def block(ins: int) -> nn.Module:
        parts = [Relu(ins, growth), *(Relu(growth * n, growth) for n in range(1, layers))]

        def compute(m: nn.Module, x: Tensor) -> Tensor:
            y = m.block[0](x)
            for layer in m.block[1:]:
                y = torch.cat([y, layer(y)], 1)
            return torch.cat([x, y], 1)

        return Tree(compute, block=row(*parts))

    def up() -> nn.Module:
        return nn.ConvTranspose2d(8, 8, 3, stride=2, padding=1, output_padding=1)

    return Tree(
        lambda m, x: m.reconstruction(m.deconv(m.bottleneck(m.dense_blocks(m.conv(x))))),
        conv=Relu(1, base),
        dense_blocks=row(*(block(base * (n + 1)) for n in range(blocks))),
        reconstruction=conv(8, 1),
        bottleneck=row(conv(base * (blocks + 1), 8, 1), nn.ReLU()),
        deconv=row(up(), nn.ReLU(), up(), nn.ReLU()),
    )


def swiftsrgan(scale: int = 4, blocks: int = 2, width: int = 8) -> nn.Module:
    def separable(ins: int, outs: int, size: int = 3, *, bias: bool = True) -> nn.Module:
        wide = conv(ins, ins, size, groups=ins, bias=bias)
        return Tree(lambda m, x: m.pointwise(m.depthwise(x)), depthwise=wide, pointwise=conv(ins, outs, 1, bias=bias))

    def unit(ins: int, size: int = 3, *, norm: bool = True, active: bool = True) -> nn.Module:
        bn = nn.BatchNorm2d(width) if norm else nn.Identity()
        return Tree(
            lambda m, x: m.act(m.bn(m.cnn(x))) if active else m.bn(m.cnn(x)),
            bn=bn,
            act=nn.PReLU(width),
            cnn=separable(ins, width, size, bias=not norm),
        )

    def block() -> nn.Module:
        return Tree(lambda m, x: m.block2(m.block1(x)) + x, block1=unit(width), block2=unit(width, active=False))

    def up() -> nn.Module:
        wide = separable(width, 4 * width)
        return Tree(lambda m, x: m.act(F.pixel_shuffle(m.conv(x), 2)), conv=wide, act=nn.PReLU(width))

    def compute(m: nn.Module, x: Tensor) -> Tensor:
        first = m.initial(x)
        y = m.convblock(m.residual(first)) + first
        return (torch.tanh(m.final_conv(m.upsampler(y))) + 1) / 2

    return Tree(
        compute,
        initial=unit(3, 9, norm=False),
        residual=row(*(block() for _ in range(blocks))),
        convblock=unit(width, active=False),
        upsampler=row(*(up() for _ in range(scale.bit_length() - 1))),
        final_conv=separable(width, 3, 9),
    )


def mosr(scale: int = 2, blocks: int = 2, width: int = 8, part: int = 8, *, geometric: bool = False) -> nn.Module:
    hidden = 12

    def block() -> nn.Module:
        def compute(m: nn.Module, x: Tensor) -> Tensor:
            gate, kept, rest = m.fc1(m.norm(x)).split([hidden, hidden - part, part], 1)
            return F.mish(m.fc2(F.mish(gate) * torch.cat([kept, m.conv(rest)], 1))) + x - 0.5

        return Tree(
            compute,
            norm=Norm(width, 1e-6),
            fc1=conv(width, 2 * hidden),
            fc2=conv(hidden, width),
            conv=conv(part, part, 7, groups=part),
        )

    closing = [conv(width, 2 * width), nn.Mish(), conv(2 * width, width), nn.Mish(), conv(width, width, 1)]
    side = Tree(
        lambda m, x: m.block(x) + m.conv11(x),
        conv11=conv(3, width, 1),
        block=row(conv(3, width), nn.Mish(), conv(width, width), nn.Mish()),
    )

    def ensemble(m: nn.Module, x: Tensor) -> Tensor:
        y = m.in_to_k(x)
        return F.pixel_shuffle(y.reshape(1, 8, -1, *y.shape[2:]).mean(1), scale)

    outs = 3 * scale**2
    tail = row(conv(width, outs), nn.PixelShuffle(scale))
    return Tree(
        lambda m, x: m.upsampler(m.gblocks(x) + m.shortcut(x) - 0.5),
        shortcut=side,
        gblocks=row(conv(3, width), *(block() for _ in range(blocks)), *closing),
        upsampler=Tree(ensemble, in_to_k=conv(width, 8 * outs)) if geometric else tail,
    )


def xlsr(scale: int = 3, width: int = 8) -> nn.Module:
    def grouped() -> nn.Module:
        inner = nn.Sequential(conv(width, width, groups=4), nn.ReLU(), conv(width, width, 1))
        return Tree(lambda m, x: m.net(x), net=inner)

    tail = row(conv(width + 4, width, 1), nn.ReLU(), conv(width, 3 * scale**2))
    return Tree(
        lambda m, x: clipped(F.pixel_shuffle(m.tail(torch.cat([m.cnn(x), m.residual(x)], 1)), scale)),
        residual=conv(3, 4),
        tail=tail,
        cnn=row(conv(3, width), nn.ReLU(), conv(width, width, 1), grouped(), grouped(), grouped()),
    )


def safmn(scale: int = 2, blocks: int = 2, width: int = 8) -> nn.Module:
    def modulation() -> nn.Module:
        def compute(m: nn.Module, x: Tensor) -> Tensor:
            parts, made = x.chunk(4, 1), []
            for n, (layer, part) in enumerate(zip(m.mfr, parts, strict=True)):
                size = tuple(side // 2**n for side in x.shape[2:])
                y = layer(F.adaptive_max_pool2d(part, size) if n else part)
                made.append(F.interpolate(y, size=x.shape[2:], mode="nearest"))
            return F.gelu(m.aggr(torch.cat(made, 1))) * x

        fourth = width // 4
        layers = [conv(fourth, fourth, groups=fourth) for _ in range(4)]
        return Tree(compute, mfr=nn.ModuleList(layers), aggr=conv(width, width, 1))

    def block() -> nn.Module:
        def compute(m: nn.Module, x: Tensor) -> Tensor:
            x = m.safm(m.norm1(x)) + x
            return m.ccm(m.norm2(x)) + x

        mixer = Tree(lambda m, x: m.ccm(x), ccm=row(conv(width, 2 * width), nn.GELU(), conv(2 * width, width, 1)))
        return Tree(compute, norm1=Norm(width, 1e-6), norm2=Norm(width, 1e-6), safm=modulation(), ccm=mixer)

    def compute(m: nn.Module, x: Tensor) -> Tensor:
        y = m.to_feat(x)
        return m.to_img(m.feats(y) + y)

    return Tree(
        compute,
        to_feat=conv(3, width),
        feats=row(*(block() for _ in range(blocks))),
        to_img=row(conv(width, 3 * scale**2), nn.PixelShuffle(scale)),
    )
