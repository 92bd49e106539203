"""The weight scales that `bind` had to coarsen, written into the plan."""

from __future__ import annotations

from tvmsr.graph.model import Model
from tvmsr.quant.bind import bind
from tvmsr.quant.plan import Plan


def with_coarsening(model: Model, plan: Plan) -> Plan:
    """The plan with the weight scales that `bind` had to coarsen, so that it says what is used."""
    coarsened = bind(model, plan).extra["coarsened"]
    layers = dict(plan.layers)
    for name, channels in coarsened.items():
        layer = layers[name]
        scales = list(layer.weight_scales or ())
        for channel, (_, used) in channels.items():
            scales[channel] = used
        reason = f"{layer.reason}; scales of {len(channels)} channels coarsened so that their sums fit int32"
        layers[name] = layer.model_copy(update={"weight_scales": scales, "reason": reason})
    return plan.model_copy(update={"layers": layers})
