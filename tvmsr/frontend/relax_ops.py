"""What each Relax operator becomes in the graph: one table."""

from __future__ import annotations

from collections.abc import Mapping

from tvmsr.frontend import relax_activations as activations
from tvmsr.frontend import relax_arithmetic as arithmetic
from tvmsr.frontend import relax_moves as moves
from tvmsr.frontend.relax_activations import Handler
from tvmsr.graph.model import Activation

HANDLERS: Mapping[str, Handler] = {
    "relax.nn.conv2d": arithmetic.conv2d,
    "relax.nn.batch_norm": arithmetic.batch_norm,
    "relax.add": arithmetic.add,
    "relax.subtract": arithmetic.subtract,
    "relax.multiply": arithmetic.multiply,
    "relax.divide": arithmetic.divide,
    "relax.negative": arithmetic.negative,
    "relax.zeros_like": arithmetic.zeros_like,
    "relax.maximum": activations.maximum,
    "relax.minimum": activations.minimum,
    "relax.clip": activations.clip,
    "relax.stack": activations.stack,
    "relax.max": activations.reduced(activations.maximum),
    "relax.min": activations.reduced(activations.minimum),
    "relax.erf": arithmetic.erf,
    "relax.nn.relu": activations.activate(Activation.RELU),
    "relax.tanh": activations.activate(Activation.TANH),
    "relax.sigmoid": activations.activate(Activation.SIGMOID),
    "relax.nn.gelu": activations.activate(Activation.GELU),
    "relax.nn.silu": activations.activate(Activation.SILU),
    "relax.nn.relu6": lambda net, args, attrs: activations.clip_to(net, args[0], 0.0, 6.0),
    "relax.nn.leakyrelu": activations.leakyrelu,
    "relax.nn.prelu": activations.prelu,
    "relax.greater": activations.greater,
    "relax.greater_equal": activations.greater,
    "relax.where": activations.where,
    "relax.concat": moves.concat,
    "relax.split": moves.split,
    "relax.strided_slice": moves.strided_slice,
    "relax.take": moves.take,
    "relax.nn.pixel_shuffle": moves.pixel_shuffle,
    "relax.reshape": moves.reshape,
    "relax.permute_dims": moves.permute_dims,
    "relax.expand_dims": moves.expand_dims,
    "relax.squeeze": moves.squeeze,
    "relax.broadcast_to": moves.broadcast_to,
    "relax.repeat": moves.repeat_channels,
    "relax.tile": moves.tile_channels,
    "relax.image.resize2d": moves.resize2d,
    "relax.wrap_param": moves.same,
    "relax.astype": moves.same,
}

#: What could stand in place of the operators that SR networks use and that are not supported (yet).
INSTEAD: Mapping[str, str] = {
    "relax.nn.conv2d_transpose": "a convolution and a pixel shuffle",
    "relax.nn.conv1d": "a 2-d convolution",
    "relax.mean": "a network without channel attention",
    "relax.nn.avg_pool2d": "a strided convolution",
    "relax.nn.max_pool2d": "a strided convolution",
    "relax.nn.adaptive_avg_pool2d": "a network without channel attention",
    "relax.nn.softmax": "a network without self-attention",
    "relax.matmul": "a 1x1 convolution",
    "relax.nn.instance_norm": "batch norm",
    "relax.nn.layer_norm": "batch norm",
    "relax.nn.group_norm": "batch norm",
    "relax.nn.pad": "the padding of a convolution",
}
