"""Value range and colour of networks that come as graphs (ONNX, torch.export), which say neither."""

from __future__ import annotations

from tvmsr.frontend.choices import Choices
from tvmsr.frontend.convention import Colours
from tvmsr.frontend.relax_import import RawGraph
from tvmsr.graph.model import ActivateAttrs, Activation
from tvmsr.graph.workspace import Workspace


def conventions(raw: RawGraph, choices: Choices) -> tuple[float, Colours]:
    """The value of white, and what the channels are: given, or assumed and recorded."""
    if raw.assumed:
        choices.assumed.append(raw.assumed)
    if _clips_to_byte(raw):
        level = choices.take("value_range", 255.0, "it ends in a clip to 0..255")
    else:
        level = choices.take("value_range", 1.0, "the file does not say")
    if raw.input_channels == 1:
        colours = Colours(choices.take("colour", Colours.Y, "one channel: BT.601 studio-range Y"))
    else:
        colours = Colours(choices.take("colour", Colours.RGB, "three channels"))
    return level, colours


def _clips_to_byte(raw: RawGraph) -> bool:
    net = Workspace(raw.graph, raw.input_channels)
    name = raw.graph.output
    while (node := net.get(name)) is not None and node.op in ("depth_to_space", "gather", "activate"):
        attrs = node.attrs
        if isinstance(attrs, ActivateAttrs) and attrs.activation is Activation.CLIP and attrs.high == 255:
            return True
        name = node.inputs[0]
    return False
