"""More published networks, written anew in torch: those with gates, statistics, norms, or transposed convolutions."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.frontend.published_networks import Mean, Tree, conv, leaky, nearest, row


def bilinear(x: Tensor, factor: int) -> Tensor:
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


def mean(x: Tensor) -> Tensor:
    return x.mean((2, 3), keepdim=True)


def shuffles(width: int, scale: int, size: int = 3, places: int = 1) -> nn.Sequential:
    """Convolutions that are shuffled by 2 or 3, each followed by as many places without weights."""
    factors = [3] if scale == 3 else [2] * (scale.bit_length() - 1)
    layers: list[nn.Module | int] = []
    for factor in factors:
        layers += [conv(width, factor**2 * width, size), nn.PixelShuffle(factor)]
        layers += [places - 1] if places > 1 else []
    return row(*layers)


def carn(scale: int = 2, width: int = 8, scales: tuple[int, ...] = ()) -> nn.Module:
    """scales: a tail for each of them."""

    def unit() -> nn.Module:
        inner = row(conv(width, width), nn.ReLU(), conv(width, width))
        return Tree(lambda m, x: F.relu(m.body(x) + x), body=inner)

    def cascade(m: nn.Module, x: Tensor) -> Tensor:
        joined, y = x, x
        for n in (1, 2, 3):
            joined = torch.cat([joined, getattr(m, f"b{n}")(y)], 1)
            y = F.relu(getattr(m, f"c{n}").body(joined))
        return y

    def fusions() -> dict[str, nn.Module]:
        return {f"c{n}": Tree(lambda m, x: x, body=row(conv((n + 1) * width, width, 1), nn.ReLU())) for n in (1, 2, 3)}

    def tail(scale: int) -> nn.Module:
        layers: list[nn.Module] = []
        for factor in [3] if scale == 3 else [2] * (scale.bit_length() - 1):
            layers += [conv(width, factor**2 * width), nn.ReLU(), nn.PixelShuffle(factor)]
        return Tree(lambda m, x: m.body(x), body=nn.Sequential(*layers))

    tails = {f"up{s}": tail(s) for s in scales} if scales else {"up": tail(scale)}
    shift = {
        name: Tree(lambda m, x: m.shifter(x), shifter=Mean(sign, 1))
        for name, sign in (("sub_mean", -1), ("add_mean", 1))
    }

    def compute(m: nn.Module, x: Tensor) -> Tensor:
        y = cascade(m, m.entry(m.sub_mean(x)))
        return m.add_mean(m.exit(getattr(m.upsample, f"up{scale if scales else ''}")(y)))

    blocks = {f"b{n}": Tree(cascade, **{f"b{k}": unit() for k in (1, 2, 3)}, **fusions()) for n in (1, 2, 3)}
    return Tree(
        compute,
        entry=conv(3, width),
        exit=conv(width, 3),
        upsample=Tree(lambda m, x: x, **tails),
        **blocks,
        **fusions(),
        **shift,
    )


def latticenet(scale: int = 2, width: int = 32, narrow: int = 8, level: float = 255.0, blocks: int = 4) -> nn.Module:
    def gates() -> nn.Module:
        def made() -> nn.Module:
            return row(conv(width, width // 16, 1), nn.ReLU(), conv(width // 16, width, 1), nn.Sigmoid())

        def compute(m: nn.Module, x: Tensor) -> Tensor:
            return (m.conv_mean(mean(x)) + m.conv_std(x.std((2, 3), keepdim=True))) / 2

        return Tree(compute, conv_mean=made(), conv_std=made())

    def branch() -> nn.Module:
        plan = [(width, width - narrow), (width - narrow, width - narrow), (width - narrow, width)]
        return row(*(layer for ins, outs in plan for layer in (conv(ins, outs), nn.LeakyReLU(0.05))))

    def block() -> nn.Module:
        def compute(m: nn.Module, x: Tensor) -> Tensor:
            made = m.conv_block0(x)
            p1, q1 = x + m.fea_ca1(made) * made, made + m.x_ca1(x) * x
            long = m.conv_block1(p1)
            p3, q3 = long + m.fea_ca2(q1) * q1, q1 + m.x_ca2(long) * long
            return m.compress(torch.cat([p3, q3], 1))

        mixing = {name: gates() for name in ("fea_ca1", "x_ca1", "fea_ca2", "x_ca2")}
        return Tree(compute, conv_block0=branch(), conv_block1=branch(), compress=conv(2 * width, width, 1), **mixing)

    half = {f"{side}_tdm{n}": row(conv(width, width // 2, 1), nn.ReLU()) for side in "TL" for n in range(1, blocks)}

    def compute(m: nn.Module, x: Tensor) -> Tensor:
        first = y = m.conv2(m.conv1(m.sub_mean(x * level)))
        made = []
        for n in range(1, blocks + 1):
            y = getattr(m, f"body_unit{n}")(y)
            made.append(y)
        joined = made[-1]
        for n in range(1, blocks):
            joined = torch.cat([getattr(m, f"T_tdm{n}")(joined), getattr(m, f"L_tdm{n}")(made[-1 - n])], 1)
        return m.add_mean(m.tail(joined + first)) / level

    return Tree(
        compute,
        sub_mean=Mean(-1, level),
        add_mean=Mean(1, level),
        conv1=conv(3, width),
        conv2=conv(width, width),
        tail=row(conv(width, width), conv(width, 3 * scale**2), nn.PixelShuffle(scale)),
        **half,
        **{f"body_unit{n}": block() for n in range(1, blocks + 1)},
    )


def _attention(width: int) -> nn.Module:
    return Tree(lambda m, x: x * torch.sigmoid(m.conv(x)), conv=conv(width, width, 1))


def _pan_tail(block: nn.Module, name: str, scale: int, width: int, narrow: int) -> nn.Module:
    factors = [2, 2] if scale == 4 else [scale]

    def compute(m: nn.Module, x: Tensor) -> Tensor:
        first = m.conv_first(x)
        y = first + m.trunk_conv(getattr(m, name)(first))
        for n, factor in enumerate(factors, 1):
            y = leaky(getattr(m, f"att{n}")(getattr(m, f"upconv{n}")(nearest(y, factor))))
            y = leaky(getattr(m, f"HRconv{n}")(y))
        return m.conv_last(y) + bilinear(x, scale)

    children: dict[str, nn.Module] = {name: block}
    for n in range(1, len(factors) + 1):
        children |= {f"upconv{n}": conv(width if n == 1 else narrow, narrow), f"att{n}": _attention(narrow)}
        children[f"HRconv{n}"] = conv(narrow, narrow)
    return Tree(
        compute, conv_first=conv(3, width), trunk_conv=conv(width, width), conv_last=conv(narrow, 3), **children
    )


def pan(scale: int = 4, blocks: int = 2, width: int = 8, narrow: int = 6) -> nn.Module:
    def block() -> nn.Module:
        half = width // 2

        def calibrated(m: nn.Module, x: Tensor) -> Tensor:
            return m.k4(m.k3(x) * torch.sigmoid(m.k2(x)))

        def compute(m: nn.Module, x: Tensor) -> Tensor:
            a, b = m.k1(leaky(m.conv1_a(x))), m.PAConv(leaky(m.conv1_b(x)))
            return m.conv3(torch.cat([leaky(a), leaky(b)], 1)) + x

        inner = Tree(
            calibrated, k2=conv(half, half, 1), k3=conv(half, half, bias=False), k4=conv(half, half, bias=False)
        )
        ends = {name: conv(width, half, 1, bias=False) for name in ("conv1_a", "conv1_b")}
        return Tree(
            compute, k1=row(conv(half, half, bias=False)), PAConv=inner, conv3=conv(width, width, 1, bias=False), **ends
        )

    return _pan_tail(row(*(block() for _ in range(blocks))), "SCPA_trunk", scale, width, narrow)


def a2n(scale: int = 4, blocks: int = 2, width: int = 8, narrow: int = 6) -> nn.Module:
    def block() -> nn.Module:
        def attended(m: nn.Module, x: Tensor) -> Tensor:
            return m.k4(m.k3(x) * torch.sigmoid(m.k2(leaky(m.k1(x)))))

        def compute(m: nn.Module, x: Tensor) -> Tensor:
            y = leaky(m.conv_first(x))
            a = torch.softmax(m.ADM(y.mean((2, 3))) / 30, 1)[:, :, None, None, None]
            return m.conv_last(leaky(m.attention(y) * a[:, 0] + m.non_attention(y) * a[:, 1])) + x

        plain = {f"k{n}": conv(width, width, bias=False) for n in (1, 3, 4)}
        decide = nn.Sequential(
            nn.Linear(width, width // 4, bias=False), nn.ReLU(), nn.Linear(width // 4, 2, bias=False)
        )
        ends = {name: conv(width, width, 1, bias=False) for name in ("conv_first", "conv_last")}
        return Tree(
            compute,
            ADM=decide,
            attention=Tree(attended, k2=conv(width, width, 1), **plain),
            non_attention=conv(width, width, bias=False),
            **ends,
        )

    return _pan_tail(row(*(block() for _ in range(blocks))), "AAB_trunk", scale, width, narrow)


def rcan(
    scale: int = 4, groups: int = 2, blocks: int = 2, width: int = 8, style: str = "authors", level: float = 255.0
) -> nn.Module:
    def gate() -> nn.Module:
        layers = [conv(width, width // 4, 1), nn.ReLU(), conv(width // 4, width, 1), nn.Sigmoid()]
        if style == "authors":
            return Tree(lambda m, x: x * m.conv_du(mean(x)), conv_du=row(*layers))
        return Tree(lambda m, x: x * m.attention(x), attention=row(nn.AdaptiveAvgPool2d(1), *layers))

    def block() -> nn.Module:
        inner = row(conv(width, width), nn.ReLU(), conv(width, width), gate())
        name = "body" if style == "authors" else "rcab"
        return Tree(lambda m, x: getattr(m, name)(x) + x, **{name: inner})

    def group() -> nn.Module:
        inner = [block() for _ in range(blocks)]
        if style == "authors":
            return Tree(lambda m, x: m.body(x) + x, body=row(*inner, conv(width, width)))
        return Tree(lambda m, x: m.conv(m.residual_group(x)) + x, residual_group=row(*inner), conv=conv(width, width))

    shift, back = Mean(-1, level), Mean(1, level)

    def compute(m: nn.Module, x: Tensor) -> Tensor:
        if style == "authors":
            first = m.head(m.sub_mean(x * level))
            return m.add_mean(m.tail(m.body(first) + first)) / level
        first = m.conv_first(shift(x * level))
        return back(m.conv_last(m.upsample(m.conv_after_body(m.body(first)) + first))) / level

    body = [group() for _ in range(groups)]
    if style == "authors":
        return Tree(
            compute,
            sub_mean=shift,
            add_mean=back,
            head=row(conv(3, width)),
            body=row(*body, conv(width, width)),
            tail=row(shuffles(width, scale), conv(width, 3)),
        )
    return Tree(
        compute,
        conv_first=conv(3, width),
        body=row(*body),
        conv_after_body=conv(width, width),
        upsample=shuffles(width, scale),
        conv_last=conv(width, 3),
    )


def wdsr(scale: int = 2, blocks: int = 2, width: int = 8, *, linear: bool = True, modern: bool = False) -> nn.Module:
    """linear: WDSR-B, with a low-rank convolution; modern: weight norm as torch saves it today."""

    def wn(layer: nn.Module) -> nn.Module:
        if modern:
            return nn.utils.parametrizations.weight_norm(layer)
        return nn.utils.weight_norm(layer)

    def block() -> nn.Module:
        plan = (
            [(width, 3 * width, 1), (3 * width, 6, 1), (6, width, 3)]
            if linear
            else [(width, 3 * width, 3), (3 * width, width, 3)]
        )
        first, *others = [wn(conv(*shape)) for shape in plan]
        return Tree(lambda m, x: m.body(x) + x, body=row(first, nn.ReLU(), *others))

    centre = Mean(-1, 255)

    def compute(m: nn.Module, x: Tensor) -> Tensor:
        x = centre(x * 255) / 127.5
        y = m.tail(m.body(m.head(x))) + m.skip(x)
        return (y * 127.5 - centre.bias.reshape(1, 3, 1, 1)) / 255

    outs = 3 * scale**2
    return Tree(
        compute,
        head=row(wn(conv(3, width))),
        body=row(*(block() for _ in range(blocks))),
        tail=row(wn(conv(width, outs)), nn.PixelShuffle(scale)),
        skip=row(wn(conv(3, outs, 5)), nn.PixelShuffle(scale)),
    )


class Norm(nn.Module):
    """Over the channels of each pixel."""

    def __init__(self, width: int, epsilon: float, *, bias: bool = True) -> None:
        super().__init__()
        self.epsilon, self.weight = epsilon, nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x.movedim(1, 3), self.weight.shape, self.weight, self.bias, self.epsilon).movedim(3, 1)


def shufflemixer(scale: int = 4, blocks: int = 1, width: int = 16, kernel: int = 7, *, bias: bool = False) -> nn.Module:
    half = width // 2

    def mlp() -> nn.Module:
        def compute(m: nn.Module, x: Tensor) -> Tensor:
            a, b = x.chunk(2, 1)
            y = torch.cat([m.fc(a), b], 1)
            n, c, h, w = y.shape
            return y.reshape(n, 8, c // 8, h, w).transpose(1, 2).reshape(n, c, h, w)

        return Tree(compute, fc=row(conv(half, 2 * half, 1), nn.SiLU(), conv(2 * half, half, 1)))

    def layer() -> nn.Module:
        def compute(m: nn.Module, x: Tensor) -> Tensor:
            x = m.spatial(m.mlp1(m.norm1(x)) + x)
            return m.mlp2(m.norm2(x)) + x

        norms = {f"norm{n}": Tree(lambda m, x: m.body(x), body=Norm(width, 1e-5, bias=bias)) for n in (1, 2)}
        return Tree(compute, mlp1=mlp(), mlp2=mlp(), spatial=conv(width, width, kernel, groups=width), **norms)

    def block() -> nn.Module:
        def compute(m: nn.Module, x: Tensor) -> Tensor:
            x = m.net(x) + x
            return m.conv(x) + x

        return Tree(
            compute, net=row(layer(), layer()), conv=row(conv(width, width + 16), nn.SiLU(), conv(width + 16, width, 1))
        )

    layers: list[nn.Module] = []
    for factor in [2, 2] if scale == 4 else [scale]:
        layers += [conv(width, width * factor**2, 1), nn.PixelShuffle(factor), nn.SiLU()]
    return Tree(
        lambda m, x: m.tail(m.upsapling(m.blocks(m.to_feat(x)))) + bilinear(x, scale),
        to_feat=conv(3, width, bias=False),
        blocks=row(*(block() for _ in range(blocks))),
        upsapling=nn.Sequential(*layers),
        tail=conv(width, 3),
    )


def plksr(
    scale: int = 2,
    blocks: int = 2,
    width: int = 8,
    kernel: int = 9,
    mixer: tuple[int, int] = (3, 1),
    *,
    real: bool = False,
    attention: bool = True,
    norm: bool = True,
) -> nn.Module:
    part = width // 4

    def block() -> nn.Module:
        name = "channel_mixer" if real else "channe_mixer"

        def compute(m: nn.Module, x: Tensor) -> Tensor:
            y = getattr(m, name)(m.layer_norm(x) if real and norm else x)
            y = torch.cat([m.lk.conv(y[:, :part]), y[:, part:]], 1)
            return m.refine(y * m.attn.f(y) if attention else y) + x

        inner = row(
            conv(width, 2 * width, mixer[0]), nn.Mish() if real else nn.GELU(), conv(2 * width, width, mixer[1])
        )
        children: dict[str, nn.Module] = {name: inner, "refine": conv(width, width, 1)}
        children["lk"] = Tree(lambda m, x: x, conv=conv(part, part, kernel))
        if attention:
            children["attn"] = Tree(lambda m, x: x, f=row(conv(width, width), nn.Sigmoid()))
        if real and norm:
            children["layer_norm"] = Norm(width, 1e-6)
        return Tree(compute, **children)

    last = [nn.Dropout2d(0)] if real else []
    feats = row(conv(3, width), *(block() for _ in range(blocks)), *last, conv(width, 3 * scale**2))
    return Tree(lambda m, x: F.pixel_shuffle(m.feats(x) + x.repeat_interleave(scale**2, 1), scale), feats=feats)
