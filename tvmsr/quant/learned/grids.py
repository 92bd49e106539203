"""How a simulated tensor is held: grids that can be learned, and the values on them."""

# mypy: allow-subclassing-any
# (torch is not followed, so its classes are Any here)

from __future__ import annotations

from dataclasses import dataclass

import torch

from tvmsr.quant.integer import TERM_LIMIT
from tvmsr.quant.learned.gradients import Tensor, rounded

#: Wider codes have range to spare: their grids stay as they are.
MOST_LEARNED_BITS = 8


class Grid(torch.nn.Module):
    """Codes of so many bits with one scale and zero point, which every tensor on it shares.

    change: of the logarithm of the scale; moved: of the zero point, in codes. Both begin at 0 and are float64.
    """

    def __init__(self, bits: int, scale: float, zero: int, learns: bool) -> None:
        super().__init__()
        self.bits, self.first_scale, self.first_zero = bits, float(scale), zero
        self.learns = learns and bits <= MOST_LEARNED_BITS
        self.change = torch.nn.Parameter(torch.zeros((), dtype=torch.float64), requires_grad=self.learns)
        self.moved = torch.nn.Parameter(torch.zeros((), dtype=torch.float64), requires_grad=self.learns and zero > 0)

    @property
    def top(self) -> int:
        """The largest code."""
        return (1 << self.bits) - 1

    def scale(self) -> Tensor:
        """A float32 number in float64, as a plan has it."""
        return (self.first_scale * torch.exp(self.change)).float().double()

    def zero(self) -> Tensor:
        return torch.clamp(rounded(self.first_zero + self.moved), 0, self.top)


@dataclass(frozen=True, eq=False)
class Coded:
    """Codes on a grid. equal: float64 (C,), factors per channel; change: of their logarithms, None for none."""

    grid: Grid
    equal: Tensor
    change: Tensor = None

    def factors(self) -> Tensor:
        """(C,), float32 numbers in float64."""
        return self.equal if self.change is None else (self.equal * torch.exp(self.change)).float().double()

    def unit(self) -> Tensor:
        """The value of one step (C,), float64."""
        return self.grid.scale() * self.factors()

    def bounds(self) -> tuple[Tensor, Tensor]:
        """Of centred codes."""
        zero = self.grid.zero()
        return -zero, self.grid.top - zero

    def at(self, channels: Tensor) -> Coded:
        """The same codes, of other channels."""
        return Coded(self.grid, self.equal[channels], None if self.change is None else self.change[channels])


@dataclass(frozen=True, eq=False)
class Summand:
    """A term: on the scale of the sum that it goes into, with fractional bits."""

    total: Coded
    fraction: int

    def unit(self) -> Tensor:
        return self.total.unit() / (1 << self.fraction)

    def bounds(self) -> tuple[Tensor, Tensor]:
        limit = torch.tensor(float(TERM_LIMIT), dtype=torch.float64)
        return -limit, limit


@dataclass(frozen=True, eq=False)
class Flow:
    """A tensor: centred codes or terms (N, C, H, W), integers in float32."""

    values: Tensor
    form: Coded | Summand

    @property
    def code(self) -> Coded:
        if not isinstance(self.form, Coded):
            raise TypeError("a term is read by an add only")
        return self.form


def per_channel(x: Tensor) -> Tensor:
    """(C,) as what multiplies (N, C, H, W) in float32; a number stays one."""
    x = x.float()
    return x.view(1, -1, 1, 1) if x.ndim else x
