"""Random state dicts in the layout of each family: keys and shapes of real checkpoints, small."""

from __future__ import annotations

import numpy as np

State = dict[str, np.ndarray]


class Filler:
    """Adds tensors of random values to a state dict."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.state: State = {}

    def conv(self, key: str, ins: int, outs: int, size: int = 3, *, sep: str = ".", bias: bool = True) -> None:
        weight = self.rng.standard_normal((outs, ins, size, size)) / np.sqrt(ins * size * size)
        self.state[f"{key}{sep}weight"] = weight.astype(np.float32)
        if bias:
            self.vector(f"{key}{sep}bias", outs)

    def vector(self, key: str, count: int) -> None:
        self.state[key] = (0.1 + 0.3 * self.rng.random(count)).astype(np.float32)

    def norm(self, key: str, count: int) -> None:
        for part in ("weight", "bias", "running_mean", "running_var"):
            self.vector(f"{key}.{part}", count)

    def transposed(self, key: str, ins: int, outs: int, size: int) -> None:
        self.conv(key, outs, ins, size, bias=False)
        self.vector(f"{key}.bias", outs)

    def distillation(self, key: str, stages: tuple[str, ...], width: int, kept: int) -> None:
        """Of each stage's channels, `kept` are not read by the next."""
        self.conv(f"{key}.{stages[0]}", width, width)
        for stage in stages[1:-1]:
            self.conv(f"{key}.{stage}", width - kept, width)
        self.conv(f"{key}.{stages[-1]}", width - kept, kept)

    def contrast(self, key: str, width: int) -> None:
        self.conv(f"{key}.conv_du.0", width, 2, 1)
        self.conv(f"{key}.conv_du.2", 2, width, 1)

    def attention(self, key: str, width: int, mid: int, middle: tuple[str, ...]) -> None:
        self.conv(f"{key}.conv1", width, mid, 1)
        for stage in ("conv2", *middle):
            self.conv(f"{key}.{stage}", mid, mid)
        self.conv(f"{key}.conv_f", mid, mid, 1)
        self.conv(f"{key}.conv4", mid, width, 1)


def abpn(scale: int = 3, width: int = 8) -> State:
    f = Filler()
    last = 3 * scale**2
    for n, (a, b) in enumerate([(3, width), (width, width), (width, last), (last, last)]):
        f.state[f"layer_with_weights-{n}/kernel"] = (f.rng.standard_normal((3, 3, a, b)) / 9).astype(np.float32)
        f.vector(f"layer_with_weights-{n}/bias", b)
    return f.state


def espcn(scale: int = 3, channels: int = 1) -> State:
    f = Filler()
    f.conv("first_part.0", channels, 16, 5)
    f.conv("first_part.2", 16, 8)
    f.conv("last_part.0", 8, channels * scale**2)
    return f.state


def srvgg(scale: int = 4, *, prelu: bool = True) -> State:
    f = Filler()
    f.conv("body.0", 3, 8)
    f.conv("body.2", 8, 8)
    f.conv("body.4", 8, 3 * scale**2)
    if prelu:
        f.vector("body.1.weight", 8)
        f.vector("body.3.weight", 8)
    return f.state


def imdn_rtc(scale: int = 2, blocks: int = 2, width: int = 8, kept: int = 2) -> State:
    f = Filler()
    f.conv("model.0", 3, width)
    for n in range(blocks):
        key = f"model.1.sub.{n}"
        f.conv(f"{key}.c1", width, width)
        f.conv(f"{key}.c2", width - kept, width)
        f.conv(f"{key}.c3", width - kept, width)
        f.conv(f"{key}.c4", width - kept, kept)
        f.conv(f"{key}.c5", 4 * kept, width, 1)
    f.conv(f"model.1.sub.{blocks}", width, width, 1)
    f.conv("model.2", width, 3 * scale**2)
    return f.state


def edsr(scale: int = 4, blocks: int = 2, width: int = 8, *, mean: bool = True) -> State:
    f = Filler()
    if mean:
        for key, sign in (("sub_mean", -1), ("add_mean", 1)):
            f.state[f"{key}.weight"] = np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1)
            f.state[f"{key}.bias"] = sign * 255 * np.asarray([0.4488, 0.4371, 0.4040], np.float32)
    f.conv("head.0", 3, width)
    for n in range(blocks):
        f.conv(f"body.{n}.body.0", width, width)
        f.conv(f"body.{n}.body.2", width, width)
    f.conv(f"body.{blocks}", width, width)
    for n in range(2 if scale == 4 else 1):
        f.conv(f"tail.0.{2 * n}", width, width * (4 if scale == 4 else scale**2))
    f.conv("tail.1", width, 3)
    return f.state


def edsr_mxnet(blocks: int = 2, width: int = 8) -> State:
    f = Filler()
    plan = [(3, width), *[(width, width)] * (2 * blocks + 1), (width, 4 * width), (width, 3)]
    for n, (a, b) in enumerate(plan):
        f.conv(f"arg:convolution{n}", a, b, sep="_")
    f.state["arg:DIV2K_mean"] = np.asarray([0.4488, 0.4371, 0.4040], np.float32).reshape(1, 3, 1, 1)
    f.state["arg:neg_DIV2K_mean"] = -f.state["arg:DIV2K_mean"]
    return f.state


def srresnet(blocks: int = 2, width: int = 8, steps: int = 2) -> State:
    f = Filler()
    f.conv("block1.0", 3, width, 9)
    f.vector("block1.1.weight", 1)
    for n in range(2, blocks + 2):
        for half in "12":
            f.conv(f"block{n}.conv{half}", width, width)
            f.norm(f"block{n}.bn{half}", width)
        f.vector(f"block{n}.prelu.weight", 1)
    f.conv(f"block{blocks + 2}.0", width, width)
    f.norm(f"block{blocks + 2}.1", width)
    for n in range(steps):
        f.conv(f"block{blocks + 3}.{n}.conv", width, 4 * width)
        f.vector(f"block{blocks + 3}.{n}.prelu.weight", 1)
    f.conv(f"block{blocks + 3}.{steps}", width, 3, 9)
    return f.state


def srresnet_mxnet(blocks: int = 2, width: int = 8, steps: int = 2) -> State:
    f = Filler()
    count = 2 * blocks + 2
    f.conv("arg:convolution0", 3, width, 9, sep="_")
    for n in range(1, count):
        f.conv(f"arg:convolution{n}", width, width, sep="_", bias=False)
    for n in range(steps):
        f.conv(f"arg:convolution{count + n}", width, 4 * width, sep="_")
    f.conv(f"arg:convolution{count + steps}", width, 3, 9, sep="_")
    for n in range(2 * blocks + 1):
        for key in ("arg:{}gamma", "arg:{}beta", "aux:{}moving_mean", "aux:{}moving_var"):
            f.vector(key.format(f"batchnorm{n}_"), width)
    for n in range(1 + blocks + steps):
        f.vector(f"arg:leakyrelu{n}_weight", width)
    return f.state


def plain_anchor(scale: int = 2, width: int = 8) -> State:
    f = Filler()
    for n, (a, b) in enumerate([(3, width), (width, width), (width, 3 * scale**2)]):
        f.conv(f"conv.{n}", a, b)
    return f.state
