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


class Lean(torch.nn.Module):
    """How many bits more or fewer than at the start a site has, in all choices alike: low to high, -1 to 1 at most.

    value: float64, begins at 0; rounded straight through.
    """

    def __init__(self, low: int = -1, high: int = 1) -> None:
        super().__init__()
        self.low, self.high = low, high
        self.value = torch.nn.Parameter(torch.zeros((), dtype=torch.float64))

    def whole(self) -> Tensor:
        return rounded(self.within(self.value))

    def within(self, value: Tensor) -> Tensor:
        return torch.clamp(value, self.low, self.high)


class Grid(torch.nn.Module):
    """Codes of so many bits with one scale and zero point, which every tensor on it shares.

    change: of the logarithm of the scale; moved: of the zero point, in codes. Both begin at 0 and are float64. lean: of
    its bits, where these are learned: the range stays what it was, in more or fewer steps.
    """

    def __init__(self, bits: int, scale: float, zero: int, learns: bool, lean: Lean | None = None) -> None:
        super().__init__()
        self.bits, self.first_scale, self.first_zero = bits, float(scale), zero
        self.learns = learns and bits <= MOST_LEARNED_BITS
        self.change = torch.nn.Parameter(torch.zeros((), dtype=torch.float64), requires_grad=self.learns)
        self.lean = lean
        self.moved = torch.nn.Parameter(torch.zeros((), dtype=torch.float64), requires_grad=self.learns and zero > 0)

    @property
    def top(self) -> int:
        """The largest code at the start."""
        return (1 << self.bits) - 1

    def bits_now(self) -> Tensor:
        """Whole, float64."""
        start = torch.tensor(float(self.bits), dtype=torch.float64)
        return start if self.lean is None else start + self.lean.whole()

    def top_now(self) -> int | Tensor:
        return self.top if self.lean is None else 2.0 ** self.bits_now() - 1

    def scale(self) -> Tensor:
        """A float32 number in float64, as a plan has it."""
        scale = self.first_scale * torch.exp(self.change)
        if self.lean is not None:
            scale = scale * (self.top / self.top_now())
        return scale.float().double()

    def zero(self) -> Tensor:
        zero = self.first_zero + self.moved
        if self.lean is not None:
            zero = zero * (self.top_now() / self.top)
            return torch.minimum(torch.clamp(rounded(zero), min=0), self.top_now())
        return torch.clamp(rounded(zero), 0, self.top)


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
        return -zero, self.grid.top_now() - zero

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
