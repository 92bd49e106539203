"""Noise of all sites at once, from gradients of the output: what bits of each change there. Needs torch.

With b bits a site's step is s = R / (2^b - 1), and the errors e of its codes go with it:

    de/db = -c e,   c = ln 2 * 2^b / (2^b - 1),

which is also what straight-through rounding makes of the derivative of codes by b. At the output they make J e, and
the noise n = |J e|^2 / P over P values there. So dn/db = -2 c n: the gradient with respect to bits is the noise, but
for a factor that sites with as many bits share. A plain gradient of the output's error tells less of it: at the FP32
network it is 0, and where all else is quantized, too, it has what those errors happen to add (docs/adaptive.md).

n is of second order, but a vector-Jacobian product gives it for all sites: with signs r drawn for each value of the
output, g = J^T r has squares whose mean is that of the columns of J (Hutchinson's estimator), and as errors of values
are nearly independent,

    n = sum of g_i^2 e_i^2 / P, in the mean over r.

Weights likewise, their inputs without means, as biases take back what these add. That squares are weighed with the
errors that codes really make, value by value, is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, cast

import numpy as np
import torch
from numpy.typing import NDArray

from tvmsr.graph.model import F32, INPUT, Activation, Colour, ConvAttrs, Model, Node
from tvmsr.operations.graph_in_torch import FORWARD, constants_of
from tvmsr.quant.adabm.alone import Change
from tvmsr.quant.judge import BORDER, LUMA
from tvmsr.quant.plan import TensorPlan
from tvmsr.quant.ranges import as_float

Tensor: TypeAlias = Any  # torch.Tensor: mypy does not follow torch
Constants = Mapping[str, Tensor]
U8 = NDArray[np.uint8]


def gradient_noise(
    model: Model, changes: Mapping[str, Change], crops: Sequence[U8], seed: int, done: Callable[[], None]
) -> dict[str, float]:
    """Noise of each change, by its name, as Exact.noise measures it: squared gray levels of luma.

    crops: uint8 (H, W, 3), of a size that the network runs on; signs are drawn anew for each. `done` is called after
    each crop, unless there are no changes.
    """
    rng, constants, found = np.random.default_rng(seed), constants_of(model.graph), dict.fromkeys(changes, 0.0)
    for crop in crops if changes else ():
        probed = _Probed(model, changes)
        luma = _luma(probed.output(constants, torch.tensor(as_float(crop)).permute(2, 0, 1)[None]), model)
        signs = torch.tensor(rng.choice([-1, 1], tuple(luma.shape)).astype(np.float32))
        total = (luma * signs).sum() / luma.numel() ** 0.5
        gradients = torch.autograd.grad(total, [one.probe for one in probed.errors])
        for one, gradient in zip(probed.errors, gradients, strict=True):
            found[one.owner] += float((gradient * one.error).double().square().sum()) / len(crops)
        done()
    return found


@dataclass(frozen=True, eq=False)
class _Error:
    """What a change would add to a tensor; probe: zeros of its shape that are added, whose gradient is the tensor's."""

    owner: str
    error: Tensor
    probe: Tensor


@dataclass(frozen=True, eq=False)
class _Probed:
    """The FP32 network with a probe where each change is. errors: what the changes would be, after a run."""

    model: Model
    changes: Mapping[str, Change]
    errors: list[_Error] = field(default_factory=list)

    def output(self, constants: Mapping[str, Constants], picture: Tensor) -> Tensor:
        """Of (1, 3, H, W), RGB 0..1."""
        changes, values = self.changes.items(), {INPUT: picture}
        tensors = {name: (owner, code) for owner, change in changes for name, code in change.tensors.items()}
        read = {name: (owner, code) for owner, change in changes for name, code in change.read.items()}
        weights = {name: (owner, some) for owner, change in changes for name, some in change.weights.items()}
        for node in self.model.graph:
            operands, own = [values[name] for name in node.inputs], constants[node.name]
            if node.name in read:
                operands[0] = self._coded(operands[0], *read[node.name])
            if node.name in weights:
                own = self._weighed(operands[0], node, own, *weights[node.name])
            value = FORWARD[node.op](tuple(operands), node, own)
            values[node.name] = self._coded(value, *tensors[node.name]) if node.name in tensors else value
        return values[self.model.graph.output]

    def _coded(self, value: Tensor, owner: str, code: TensorPlan) -> Tensor:
        return value + self._probe(owner, coding_error(value.detach(), code))

    def _weighed(self, x: Tensor, node: Node, own: Constants, owner: str, weights: F32) -> Constants:
        """Constants with a probe on the weights, and on the bias what takes the mean back that it adds to sums."""
        probe = self._probe(owner, torch.tensor(weights).permute(3, 2, 0, 1) - own["weight"])
        bare = replace(node, attrs=replace(cast(ConvAttrs, node.attrs), activation=Activation.NONE))
        alone = {**own, "weight": probe, "bias": torch.zeros_like(own["bias"])}
        added = FORWARD["conv"]((x.detach(),), bare, alone)
        return {**own, "weight": own["weight"] + probe, "bias": own["bias"] - added.mean((2, 3), keepdim=True)}

    def _probe(self, owner: str, error: Tensor) -> Tensor:
        probe = torch.zeros_like(error, requires_grad=True)
        self.errors.append(_Error(owner, error, probe))
        return probe


def coding_error(value: Tensor, code: TensorPlan) -> Tensor:
    """Of values (1, C, H, W), as tvmsr.quant.adabm.alone.coded has it: without the mean error of each channel."""
    equal = np.ones(value.shape[1]) if code.equal is None else np.asarray(code.equal)
    step = torch.tensor((code.scale * equal).astype(np.float32)).view(1, -1, 1, 1)
    codes = torch.clamp(torch.round(value / step), -code.zero, (1 << code.bits) - 1 - code.zero)
    error = codes * step - value
    return error - error.double().mean((2, 3), keepdim=True).float()


def _luma(output: Tensor, model: Model) -> Tensor:
    """Of (1, C, H, W), in gray levels: (1, H, W), borders left out."""
    weights = torch.tensor(LUMA if model.colour is Colour.RGB else np.eye(output.shape[1])[0], dtype=output.dtype)
    luma = (255 * output * weights.view(1, -1, 1, 1)).sum(1)
    edge = BORDER * model.scale
    return luma[:, edge:-edge, edge:-edge] if min(luma.shape[1:]) > 4 * edge else luma
