"""Random state dicts of families whose published weights are at hand, in the layout of each, small."""

from __future__ import annotations

import numpy as np

from tests.frontend.states import Filler, State


def imdn(scale: int = 4, blocks: int = 2, width: int = 16, kept: int = 4) -> State:
    f = Filler()
    f.conv("fea_conv", 3, width)
    for n in range(1, blocks + 1):
        f.distillation(f"IMDB{n}", ("c1", "c2", "c3", "c4"), width, kept)
        f.conv(f"IMDB{n}.c5", 4 * kept, width, 1)
        f.contrast(f"IMDB{n}.cca", width)
    f.conv("c.0", blocks * width, width, 1)
    f.conv("LR_conv", width, width)
    f.conv("upsampler.0", width, 3 * scale**2)
    return f.state


def imdn_aim(scale: int = 4, blocks: int = 2, width: int = 8, kept: int = 2) -> State:
    f = Filler()
    f.conv("model.0", 3, width)
    for n in range(blocks):
        f.distillation(f"model.1.sub.{n}", ("conv1.0", "conv2.0", "conv3.0", "conv4"), width, kept)
        f.conv(f"model.1.sub.{n}.conv1x1", 4 * kept, width, 1)
    f.conv(f"model.1.sub.{blocks}", width, width)
    f.conv("model.2", width, 3 * scale**2)
    return f.state


def imdn_plus(scale: int = 4, blocks: int = 2, kept: int = 2) -> State:
    f = Filler()
    f.conv("FEM.0", 3, 6 * kept)
    for n in range(blocks):
        for stage in range(1, 7):
            f.conv(f"FEM.1.sub.{n}.c{stage}", (7 - stage) * kept, (7 - stage) * kept)
        f.conv(f"FEM.1.sub.{n}.c7", 6 * kept, 6 * kept, 1)
    f.conv(f"FEM.1.sub.{blocks}", 6 * kept, 6 * kept)
    f.conv("RM.0", 6 * kept, 3 * scale**2)
    return f.state


def rfdn(scale: int = 4, blocks: int = 2, width: int = 10) -> State:
    f = Filler()
    f.conv("fea_conv", 3, width)
    for n in range(1, blocks + 1):
        for stage in (1, 2, 3):
            f.conv(f"B{n}.c{stage}_d", width, width // 2, 1)
            f.conv(f"B{n}.c{stage}_r", width, width)
        f.conv(f"B{n}.c4", width, width // 2)
        f.conv(f"B{n}.c5", 2 * width, width, 1)
        f.attention(f"B{n}.esa", width, 4, ("conv_max", "conv3", "conv3_"))
    f.conv("c.0", blocks * width, width, 1)
    f.conv("LR_conv", width, width)
    f.conv("upsampler.0", width, 3 * scale**2)
    return f.state


def rlfn(scale: int = 2, blocks: int = 2, width: int = 10, wide: int = 12) -> State:
    f = Filler()
    f.conv("conv_1", 3, width)
    for n in range(1, blocks + 1):
        for stage, ins, outs in ((1, width, wide), (2, wide, wide), (3, wide, width)):
            f.conv(f"block_{n}.c{stage}_r", ins, outs)
        f.conv(f"block_{n}.c5", width, width, 1)
        f.attention(f"block_{n}.esa", width, 4, ("conv3",))
    f.conv("conv_2", width, width)
    f.conv("upsampler.0", width, 3 * scale**2)
    return f.state


def fmen(scale: int = 4, pairs: int = 2, width: int = 8, narrow: int = 4) -> State:
    f = Filler()

    def attention(key: str, count: int, mid: int) -> None:
        f.conv(f"{key}.squeeze", width, mid)
        for n in range(count):
            f.conv(f"{key}.convs.{n}.conv1.rep_conv", mid, mid)
            f.conv(f"{key}.convs.{n}.conv2.rep_conv", mid, mid)
        f.conv(f"{key}.excitate", mid, width)

    f.conv("head", 3, width)
    f.conv("warmup.0", width, width)
    attention("warmup.1", 2, narrow - 1)
    for n in range(pairs):
        f.conv(f"ERBs.{n}.conv1.rep_conv", width, width)
        f.conv(f"ERBs.{n}.conv2.rep_conv", width, width)
        attention(f"HFABs.{n}", 1, narrow)
    f.conv("lr_conv", width, width)
    f.conv("tail.0", width, 3 * scale**2)
    return f.state


def bsrn(scale: int = 4, blocks: int = 2, width: int = 16, *, small: bool = True) -> State:
    """small: BSRN-S of NTIRE 2022, linear layers in place of 1x1 convolutions; else BSRN."""
    f = Filler()

    def pointwise(key: str, ins: int, outs: int, *, bias: bool = True) -> None:
        f.conv(key, ins, outs, 1, bias=bias)
        if small:
            f.state[f"{key}.weight"] = f.state[f"{key}.weight"][:, :, 0, 0]

    def separable(key: str, ins: int, outs: int) -> None:
        pointwise(f"{key}.pw", ins, outs, bias=small)
        f.conv(f"{key}.dw", 1, outs)

    def attention(key: str, mid: int) -> None:
        pointwise(f"{key}.conv1", width, mid)
        f.conv(f"{key}.conv2", mid, mid) if small else separable(f"{key}.conv2", mid, mid)
        for stage in ("conv_max", "conv3", "conv3_"):
            separable(f"{key}.{stage}", mid, mid)
        pointwise(f"{key}.conv_f", mid, mid)
        pointwise(f"{key}.conv4", mid, width)

    separable("fea_conv", 12, width)
    for n in range(1, blocks + 1):
        for stage in (1, 2, 3):
            pointwise(f"B{n}.c{stage}_d", width, width // 2)
            separable(f"B{n}.c{stage}_r", width, width)
        separable(f"B{n}.c4", width, width // 2)
        pointwise(f"B{n}.c5", 2 * width, width)
        attention(f"B{n}.esa", 4)
        if small:
            f.state[f"B{n}.cw"] = f.rng.random((1, width)).astype(np.float32)
            pointwise(f"B{n}.conv_out", width, width)
        else:
            f.contrast(f"B{n}.cca", width)
    pointwise("c1", blocks * width, width)
    separable("c2", width, width)
    f.conv("upsampler.upsampleOneStep.0", width, 3 * scale**2)
    return f.state


def carn(scales: tuple[int, ...] = (2, 3, 4), width: int = 8, *, mobile: bool = True, single: bool = False) -> State:
    """mobile: CARN-M, grouped and with one residual block in each cascade; single: upsampler of one scale."""
    f, groups = Filler(), 4 if mobile else 1
    for key, sign in (("sub_mean", -1), ("add_mean", 1)):
        f.state[f"{key}.shifter.weight"] = np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1)
        f.state[f"{key}.shifter.bias"] = sign * np.asarray([0.4488, 0.4371, 0.4040], np.float32)
    f.conv("entry", 3, width)
    for prefix in ("b1.", "b2.", "b3.", ""):
        for n in (1, 2, 3):
            f.conv(f"{prefix}c{n}.body.0", (n + 1) * width, width, 1)
            if prefix and (n == 1 or not mobile):
                for layer in (0, 2):
                    f.conv(f"{prefix}b{n}.body.{layer}", width // groups, width)
                if mobile:
                    f.conv(f"{prefix}b{n}.body.4", width, width, 1)
    for scale in scales:
        for layer in (0, 3) if scale == 4 else (0,):
            key = f"upsample.up{'' if single else scale}.body.{layer}"
            f.conv(key, width // groups, width * (4 if scale == 4 else scale**2))
    f.conv("exit", width, 3)
    return f.state


def xlsr(scale: int = 3, width: int = 8) -> State:
    f = Filler()
    for n in range(4):
        f.conv(f"conv0_{n}.conv", 3, width // 4)
    f.conv("conv1", 3, width // 2)
    f.conv("conv2", width, width, 1)
    for n in range(3):
        f.conv(f"Gblocks.{n}.conv0", width // 4, width)
        f.conv(f"Gblocks.{n}.conv1", width, width, 1)
    f.conv("conv3.conv", width + width // 2, width, 1)
    f.conv("conv4", width, 3 * scale**2)
    return f.state


def fsrcnn(channels: int = 1, maps: int = 2) -> State:
    f, layers = Filler(), [(channels, 10, 5), (10, 4, 1), *[(4, 4, 3)] * maps, (4, 10, 1)]
    keys = [("first_part", 0), *(("mid_part", 2 * n) for n in range(maps + 2))]
    for (key, n), (ins, outs, size) in zip(keys, layers, strict=True):
        f.conv(f"{key}.{n}", ins, outs, size)
        f.vector(f"{key}.{n + 1}.weight", outs)
    f.transposed("last_part", 10, channels, 9)
    return f.state


def fsrcnn_ycbcr(maps: int = 2) -> State:
    f = Filler()
    f.conv("feature_extract", 3, 10, 5)
    f.conv("shrink", 10, 4, 1)
    for n in range(maps):
        f.conv(f"map_{n + 1}", 4, 4)
    f.conv("expand", 4, 10, 1)
    for n, width in enumerate((10, 4, 4, 10)):
        f.vector(f"activation_{n + 1}.weight", width)
    f.transposed("deconv", 10, 3, 9)
    return f.state


def espcn_ycbcr(scale: int = 2) -> State:
    f = Filler()
    for n, (a, b, size) in enumerate([(3, 8, 5), (8, 6, 3), (6, 3 * scale**2, 3)]):
        f.conv(f"conv_{n + 1}", a, b, size)
    return f.state


def srcnn(channels: int = 1, keys: tuple[str, ...] = ("conv1", "conv2", "conv3"), middle: int = 5) -> State:
    f = Filler()
    for key, (a, b, size) in zip(keys, [(channels, 8, 9), (8, 4, middle), (4, channels, 5)], strict=True):
        f.conv(key, a, b, size)
    return f.state


def edsr_basicsr(scale: int = 4, blocks: int = 2, width: int = 8) -> State:
    f = Filler()
    f.conv("conv_first", 3, width)
    for n in range(blocks):
        f.conv(f"body.{n}.conv1", width, width)
        f.conv(f"body.{n}.conv2", width, width)
    f.conv("conv_after_body", width, width)
    for n in range(2 if scale == 4 else 1):
        f.conv(f"upsample.{2 * n}", width, width * (4 if scale == 4 else scale**2))
    f.conv("conv_last", width, 3)
    return f.state


def msrresnet(scale: int = 4, blocks: int = 2, width: int = 8, *, old: bool = False) -> State:
    """old: the keys of MMSR, before BasicSR."""
    f, body, before_last = Filler(), "recon_trunk" if old else "body", "HRconv" if old else "conv_hr"
    f.conv("conv_first", 3, width)
    for n in range(blocks):
        f.conv(f"{body}.{n}.conv1", width, width)
        f.conv(f"{body}.{n}.conv2", width, width)
    for n in range(2 if scale == 4 else 1):
        f.conv(f"upconv{n + 1}", width, width * (4 if scale == 4 else scale**2))
    f.conv(before_last, width, width)
    f.conv("conv_last", width, 3)
    return f.state


def srresnet_tutorial(blocks: int = 2, width: int = 8, steps: int = 2) -> State:
    """SRResNet whose layers are called conv_block1, residual_blocks and so on."""
    f = Filler()
    f.conv("conv_block1.conv_block.0", 3, width, 9)
    f.vector("conv_block1.conv_block.1.weight", 1)
    for n in range(blocks):
        for half in (1, 2):
            f.conv(f"residual_blocks.{n}.conv_block{half}.conv_block.0", width, width)
            f.norm(f"residual_blocks.{n}.conv_block{half}.conv_block.1", width)
        f.vector(f"residual_blocks.{n}.conv_block1.conv_block.2.weight", 1)
    f.conv("conv_block2.conv_block.0", width, width)
    f.norm("conv_block2.conv_block.1", width)
    for n in range(steps):
        f.conv(f"subpixel_convolutional_blocks.{n}.conv", width, 4 * width)
        f.vector(f"subpixel_convolutional_blocks.{n}.prelu.weight", 1)
    f.conv("conv_block3.conv_block.0", width, 3, 9)
    return f.state
