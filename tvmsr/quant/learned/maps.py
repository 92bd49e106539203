"""Bits of layers, learned: a number for each site whose rounding is its bit offset, the mean cost held where it was.

Published AdaBM learns its layer factors so, with a second loss that holds the average bit; here gradients and numbers
are kept level instead: what they would change of the cost (bits times shares of the multiplications) is taken off. In
the end offsets are chosen so that the cost is no more than it was: those that lean up most, as far as those that lean
down most pay for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from tvmsr.graph.model import Model
from tvmsr.quant.adabm.sites import FULL_BITS, LEAST_BITS, Site, bits_of, sites_of
from tvmsr.quant.adaptive import choosing_of
from tvmsr.quant.learned.gradients import Tensor
from tvmsr.quant.learned.grids import Lean
from tvmsr.quant.plan import Plan
from tvmsr.quant.structure import READ_SUFFIX
from tvmsr.quant.widen import macs_shares

#: A site that leans up by less than so much of a bit has no more bits; any that leans down may pay for others.
LEAST_LEAN = 0.25
_NOTHING = 1e-9


@dataclass(frozen=True, eq=False)
class Maps:
    """leans: by site. costs: what a bit of each costs, in any unit. slots: leans by slot, as grids are found."""

    leans: Mapping[str, Lean]
    costs: Mapping[str, float]
    slots: Mapping[str, Lean]

    def level_gradients(self) -> None:
        """Take what would change the cost off the gradients."""
        values = [lean.value for lean in self.leans.values()]
        gradients = [torch.zeros_like(value) if value.grad is None else value.grad for value in values]
        for value, gradient in zip(values, self._levelled(torch.stack(gradients)), strict=True):
            value.grad = gradient.clone()

    def level(self) -> None:
        """The same of the numbers."""
        with torch.no_grad():
            values = torch.stack([lean.within(lean.value) for lean in self.leans.values()])
            for lean, value in zip(self.leans.values(), self._levelled(values), strict=True):
                lean.value.copy_(value)

    def settle(self) -> None:
        """Make the numbers the offsets, and learn them no more."""
        with torch.no_grad():
            values = {name: float(lean.within(lean.value)) for name, lean in self.leans.items()}
            for name, offset in offsets(values, self.costs).items():
                self.leans[name].value.fill_(offset)
        for lean in self.leans.values():
            lean.value.requires_grad_(False)
            lean.value.grad = None

    def _levelled(self, values: Tensor) -> Tensor:
        costs = torch.tensor(list(self.costs.values()), dtype=torch.float64)
        return values - costs * (values @ costs) / (costs @ costs)


def maps_of(model: Model, plan: Plan) -> Maps | None:
    """One lean for each site of fewer than 8 bits that convolutions read, within 2 to 8 bits in every choice.

    None where no two of them could pay for each other. Layers that were given bits by name keep them.
    """
    own, shares, pinned = plan.of_choice(0), macs_shares(model), plan.settings.get("layer_bits")
    pins = set(pinned) if isinstance(pinned, dict) else set()
    sites = [site for site in sites_of(model, own, pins) if site.readers and bits_of(own, site) < FULL_BITS]
    leans = {site.name: _lean(plan, site) for site in sites}
    if not any(a is not b and a.low < 0 < b.high for a in leans.values() for b in leans.values()):
        return None
    weights = {name: layer.weight_bits for name, layer in own.layers.items()}
    costs = {site.name: sum(shares[name] * weights[name] for name in site.readers) for site in sites}
    return Maps(leans, costs, {slot: leans[site.name] for site in sites for slot in site.slots})


def _lean(plan: Plan, site: Site) -> Lean:
    """As far as 2 to 8 bits allow in all choices."""
    bits = []
    for number, _ in enumerate(choosing_of(plan).names):
        one = plan.of_choice(number)
        codes = {**one.tensors, **{name + READ_SUFFIX: code for name, code in one.reads.items()}}
        bits += [codes[slot].bits for slot in site.slots]
    return Lean(-1 if min(bits) > LEAST_BITS else 0, 1 if max(bits) < FULL_BITS else 0)


def offsets(leans: Mapping[str, float], costs: Mapping[str, float]) -> dict[str, int]:
    """-1, 0 or 1 by site, of no more cost than none: those that lean up most, paid for by those that lean down most."""
    found = dict.fromkeys(leans, 0)
    for name in sorted(leans, key=lambda name: -leans[name]):
        if leans[name] < LEAST_LEAN:
            break
        payers, spent = [], costs[name] + sum(found[one] * costs[one] for one in found)
        for payer in sorted(leans, key=lambda name: leans[name]):
            if spent > _NOTHING and leans[payer] < 0 and found[payer] == 0:
                payers.append(payer)
                spent -= costs[payer]
        if spent <= _NOTHING:
            found |= {name: 1, **dict.fromkeys(payers, -1)}
    return found
