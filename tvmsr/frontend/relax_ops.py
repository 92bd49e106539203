"""What each Relax operator becomes in the graph: one table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tvmsr.frontend import quantized
from tvmsr.frontend import relax_activations as activations
from tvmsr.frontend import relax_arithmetic as arithmetic
from tvmsr.frontend import relax_linear as linear
from tvmsr.frontend import relax_moves as moves
from tvmsr.frontend import relax_pools as pools
from tvmsr.frontend import relax_resize as resize
from tvmsr.frontend import relax_statistics as statistics
from tvmsr.frontend.importer import Importer, UnsupportedError, Value
from tvmsr.frontend.relax_activations import Handler
from tvmsr.graph.model import Activation, Statistic


def _named(net: Importer, args: list[Any], attrs: Any) -> Value:
    """What a converter of ours gave up on; the walk takes the words from its attributes."""
    raise UnsupportedError(attrs.reason)


def _no_minimum(net: Importer, args: list[Any], attrs: Any) -> Value:
    raise UnsupportedError("over a picture", "the maximum of the negative picture")


#: By activation: operators of Relax, and ours (tvmsr.) where Relax has none.
_ACTIVATIONS: Mapping[str, Activation] = {
    "relax.nn.relu": Activation.RELU,
    "relax.tanh": Activation.TANH,
    "relax.sigmoid": Activation.SIGMOID,
    "relax.nn.gelu": Activation.GELU,
    "relax.nn.gelu_tanh": Activation.GELU_TANH,
    "relax.nn.silu": Activation.SILU,
    "relax.exp": Activation.EXP,
    "relax.square": Activation.SQUARE,
    "tvmsr.hard_swish": Activation.HARD_SWISH,
    "tvmsr.mish": Activation.MISH,
}

HANDLERS: Mapping[str, Handler] = {
    **{name: activations.activate(kind) for name, kind in _ACTIVATIONS.items()},
    "relax.nn.relu6": lambda net, args, attrs: activations.clip_to(net, args[0], 0.0, 6.0),
    "relax.nn.leakyrelu": activations.leakyrelu,
    "relax.nn.prelu": activations.prelu,
    "relax.nn.softplus": activations.softplus,
    "relax.abs": activations.absolute,
    "tvmsr.hard_sigmoid": activations.hard_sigmoid,
    "tvmsr.elu": activations.elu,
    "relax.maximum": activations.maximum,
    "relax.minimum": activations.minimum,
    "relax.clip": activations.clip,
    "relax.stack": activations.stack,
    "relax.max": activations.reduced(activations.maximum, pools.reduced(Statistic.MAX)),
    "relax.min": activations.reduced(activations.minimum, _no_minimum),
    "relax.greater": activations.greater,
    "relax.greater_equal": activations.greater,
    "relax.where": activations.where,
    "relax.add": arithmetic.add,
    "relax.subtract": arithmetic.subtract,
    "relax.multiply": arithmetic.multiply,
    "relax.divide": arithmetic.divide,
    "relax.negative": arithmetic.negative,
    "relax.power": arithmetic.power,
    "relax.rsqrt": arithmetic.rsqrt,
    "relax.zeros_like": arithmetic.zeros_like,
    "relax.erf": arithmetic.erf,
    "relax.nn.conv2d": linear.conv2d,
    "relax.nn.conv2d_transpose": linear.conv2d_transpose,
    "relax.nn.pad": moves.pad,
    "relax.matmul": linear.matmul,
    "relax.nn.batch_norm": linear.batch_norm,
    "relax.nn.layer_norm": linear.layer_norm,
    "relax.nn.max_pool2d": pools.max_pool2d,
    "relax.nn.avg_pool2d": pools.avg_pool2d,
    "relax.nn.adaptive_avg_pool2d": pools.adaptive(Statistic.MEAN),
    "tvmsr.adaptive_max_pool2d": pools.adaptive(Statistic.MAX),
    "relax.sqrt": statistics.root,
    "relax.mean": pools.reduced(Statistic.MEAN),
    "relax.variance": pools.reduced(Statistic.VARIANCE),
    "relax.std": pools.reduced(Statistic.DEVIATION),
    "tvmsr.variance": pools.reduced(Statistic.VARIANCE),
    "tvmsr.deviation": pools.reduced(Statistic.DEVIATION),
    "relax.sum": pools.total,
    "relax.concat": moves.concat,
    "relax.split": moves.split,
    "relax.strided_slice": moves.strided_slice,
    "relax.take": moves.take,
    "relax.nn.pixel_shuffle": moves.pixel_shuffle,
    "tvmsr.pixel_unshuffle": moves.pixel_unshuffle,
    "relax.reshape": moves.reshape,
    "relax.nn.batch_flatten": moves.flatten,
    "relax.permute_dims": moves.permute_dims,
    "relax.expand_dims": moves.expand_dims,
    "relax.squeeze": moves.squeeze,
    "relax.broadcast_to": moves.broadcast_to,
    "relax.repeat": moves.repeat_channels,
    "relax.tile": moves.tile_channels,
    "relax.image.resize2d": resize.resize2d,
    "relax.wrap_param": moves.same,
    "relax.astype": moves.same,
    "tvmsr.mark": quantized.mark,
    "tvmsr.unsupported": _named,
}
