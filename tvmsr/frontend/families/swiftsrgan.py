"""Swift-SRGAN: SRResNet of depthwise separable convolutions with batch norm and PReLU (Krishnan and Krishnan, 2021)."""

from __future__ import annotations

from typing import Any

from tvmsr.frontend.builder import NetBuilder
from tvmsr.frontend.choices import Choices
from tvmsr.frontend.families.family import Family, Recipe
from tvmsr.frontend.state import State, numbered

_BLOCK, _STEP = "residual.{}.block1.cnn.depthwise.weight", "upsampler.{}.conv.depthwise.weight"


def _recognise(state: State) -> bool:
    ends = ("initial.cnn.depthwise.weight", "convblock.cnn.pointwise.weight", "final_conv.pointwise.weight")
    return bool(numbered(state, _BLOCK) and numbered(state, _STEP)) and all(key in state for key in ends)


def _separable(net: NetBuilder, x: Any, key: str) -> Any:
    return net.conv(net.conv(x, f"{key}.depthwise"), f"{key}.pointwise")


def _block(net: NetBuilder, x: Any, key: str, *, active: bool = True) -> Any:
    y = _separable(net, x, f"{key}.cnn")
    if f"{key}.bn.weight" in net.state:
        norm = f"{key}.bn"
        y = net.batch_norm(y, f"{norm}.weight", f"{norm}.bias", f"{norm}.running_mean", f"{norm}.running_var")
    return net.prelu(y, f"{key}.act.weight") if active else y


def _recipe(state: State, choose: Choices) -> Recipe:
    steps = numbered(state, _STEP)

    def write(net: NetBuilder, x: Any) -> Any:
        first = y = _block(net, x, "initial")
        for n in numbered(state, _BLOCK):
            inner = _block(net, _block(net, y, f"residual.{n}.block1"), f"residual.{n}.block2", active=False)
            y = net.add(inner, y, f"residual.{n}.add")
        y = net.add(_block(net, y, "convblock", active=False), first, "body.add")
        for n in steps:
            y = net.pixel_shuffle(_separable(net, y, f"upsampler.{n}.conv"), 2)
            y = net.prelu(y, f"upsampler.{n}.act.weight")
        return net.affine(net.activate(_separable(net, y, "final_conv"), "tanh"), 0.5, 0.5)

    return Recipe(write, 2 ** len(steps), value_range=choose.take("value_range", 1.0, "as published"))


FAMILY = Family(
    "swiftsrgan",
    "Swift-SRGAN: depthwise separable SRResNet",
    _recognise,
    _recipe,
    ignored=(r"(residual\.\d+\.block2|convblock)\.act\.weight",),  # its code makes a PReLU that it does not use
)
