"""What is learned of a convolution: its weights in units of codes, their scales, its bias."""

# mypy: allow-subclassing-any
# (torch is not followed, so its classes are Any here)

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from tvmsr.graph.model import ConvAttrs, Node
from tvmsr.quant.integer import Code, IntegerNode
from tvmsr.quant.learned.gradients import Tensor, rounded
from tvmsr.quant.plan import LayerPlan
from tvmsr.quant.weights import BIAS_LIMIT, folded_weight, weight_limit

#: A weight begins where the network has it, but no further from its code than this: that it is rounded to.
_WITHIN = 0.45


class Layer(torch.nn.Module):
    """A convolution's numbers.

    latent: float32 (OC, IC/groups, KH, KW), rounded to codes; change: float64 (OC,), of the logarithm of the weight
    scales; shift: float64 (OC,), of the bias, in steps of `bias_unit`. shared: the same convolution in another choice
    of the plan, whose weights and scales these are.
    """

    latent: Tensor
    change: Tensor
    first_scales: Tensor

    def __init__(
        self,
        node: IntegerNode,
        exact: Node,
        plan: LayerPlan,
        x: Code,
        bias_unit: NDArray[np.float64],
        shared: Layer | None = None,
    ) -> None:
        super().__init__()
        self.bits, self.limit = node.weight_bits, weight_limit(node.weight_bits)
        if shared is not None:
            self.latent, self.change, self.first_scales = shared.latent, shared.change, shared.first_scales
        else:
            scales = cast("NDArray[np.float64]", node.step) / float(x.scale)
            latent = _latent(node, exact, x, scales)
            self.latent = torch.nn.Parameter(torch.tensor(latent, dtype=torch.float32).contiguous())
            self.change = torch.nn.Parameter(torch.zeros(len(scales), dtype=torch.float64))
            self.first_scales = torch.tensor(scales.astype(np.float32).astype(np.float64))
        bias = exact.weights["bias"].astype(np.float64)
        self.exact_bias = torch.tensor(bias)
        if plan.bias_correction is not None:
            bias = bias + np.asarray(plan.bias_correction)
        self.shift = torch.nn.Parameter(torch.zeros(len(bias), dtype=torch.float64))
        self.first_bias, self.bias_unit = torch.tensor(bias), torch.tensor(bias_unit)

    def codes(self) -> Tensor:
        """Weight codes, integers in float32."""
        return rounded(torch.clamp(self.latent, -self.limit, self.limit))

    def scales(self) -> Tensor:
        """(OC,), float32 numbers in float64."""
        return (self.first_scales * torch.exp(self.change)).float().double()

    def bias(self) -> Tensor:
        """(OC,), in the network's units."""
        return self.first_bias + self.shift * self.bias_unit

    def bias_codes(self, unit_of_sum: Tensor) -> Tensor:
        return rounded(torch.clamp(self.bias() / unit_of_sum, -BIAS_LIMIT, BIAS_LIMIT))


def _latent(node: IntegerNode, exact: Node, x: Code, scales: NDArray[np.float64]) -> NDArray[np.float64]:
    """The network's weights in units of codes (OC, IC/groups, KH, KW), as far as they round to the plan's codes."""
    codes = node.params["weight"].astype(np.float64)
    wanted = folded_weight(exact.weights["weight"], x.equal, cast(ConvAttrs, exact.attrs).groups) / scales
    return (codes + np.clip(wanted - codes, -_WITHIN, _WITHIN)).transpose(3, 2, 0, 1)


class Moving(torch.nn.Module):
    """The same of a convolution that stays as it is: it only moves codes."""

    def __init__(self, node: IntegerNode, x: Code) -> None:
        super().__init__()
        self.weight = torch.tensor(node.params["weight"].transpose(3, 2, 0, 1).astype(np.float32)).contiguous()
        self.fixed = torch.tensor(cast("NDArray[np.float64]", node.step) / float(x.scale))

    def codes(self) -> Tensor:
        return self.weight

    def scales(self) -> Tensor:
        return self.fixed

    def bias_codes(self, unit_of_sum: Tensor) -> Tensor:
        return torch.zeros_like(unit_of_sum)
