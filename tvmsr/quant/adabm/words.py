"""What was chosen and why, in words: reasons of a plan's entries, and its notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tvmsr.graph.model import Model
from tvmsr.quant.adabm.choices import NAMES, Thresholds
from tvmsr.quant.adabm.figures import figures
from tvmsr.quant.adabm.maps import clamped
from tvmsr.quant.adabm.sites import FULL_BITS, Site
from tvmsr.quant.adabm.table import Costs, Table
from tvmsr.quant.bits import Bits
from tvmsr.quant.complexity import as_published
from tvmsr.quant.judge import expected_drop, psnr_of
from tvmsr.quant.plan import Plan

#: What notes begin with.
NOTED = "AdaBM"
IDLE = "8 activation bits: no convolution reads it, so that fewer bits save nothing"
SMALL = "8 weight bits: on a 1x1 map they cost nothing"
KEPT = "kept at 8 bits: it carries more of the noise than it costs"
NO_SITES = f"{NOTED}: nothing can be adapted, as no convolution reads a tensor of at most 8 bits but the picture"
NO_FIT = "left out: its sums would not fit int32 with the weights of the base"
NO_CLOCK = f"{NOTED}: the time of the target cannot be modelled, so bits are the cost"
NO_BETTER = "left out: it has no less noise than the base on the crops held back"


def site_words(table: Table, site: Site, base: Bits, bits: int, factor: int | None) -> str:
    """Why a site has its bits. factor: its own, None where it is kept at 8 bits."""
    weights = FULL_BITS if factor is None else base.weights
    noise, cost = table.noise[site.name][bits], table.cost[site.name][Bits(bits, weights)]
    what = "kept"
    if factor is not None:
        more = bits > clamped(base.activations + factor)
        what = f"base {base.activations}, layer factor {factor:+d}{', more as that costs nothing' if more else ''}"
    alone = f"alone it makes {noise:.3g} of noise, at {cost:.1%} of the {unit(table)} at 8 bits"
    return f"{bits} activation bits: {what}, {alone}"


def weight_words(base: Bits, factor: int) -> str:
    """Why a convolution's weights have their bits, where each layer has its own."""
    return f"{clamped(base.weights + factor)} weight bits: base {base.weights}, layer factor {factor:+d}"


def layered_words(factors: Mapping[str, int]) -> str:
    """Note of what came of weight bits by layer."""
    values = list(factors.values())
    if not values:
        return f"{NOTED}: weight bits by layer are left out: none that costs no more leaves less noise"
    return (
        f"{NOTED}: weights of {values.count(1)} layers have one bit more, of {values.count(-1)} one fewer, and in the"
        " mean no more than the base"
    )


#: What the note of what the plan itself loses begins with.
EXPECTED = f"{NOTED}: expected drop"


def unit(table: Table) -> str:
    return "bit operations" if table.costs is Costs.BITS else f"modelled time on {table.where}"


def base_words(model: Model, plan: Plan, noise: float, kept: Sequence[str], more: int) -> tuple[str, ...]:
    """Notes of the plan itself. noise: of it; more: sites that have more bits than base and factors say."""
    found = figures(model, plan)
    share = sum(found.layers[name].macs for name in kept)
    at_8 = f"{', '.join(kept)} kept at 8 bits, {share:.1%} of the MACs" if kept else "no layer is kept at 8 bits"
    factors = list(plan.settings["adabm"]["layer_factors"].values())
    layers = (
        f"{factors.count(1)} with one bit more, {factors.count(-1)} with one fewer" if factors else "all at the base"
    )
    layers += f"; {more} of them above it, as that costs nothing" if more else ""
    return (
        f"{NOTED}: feature average bit {found.fab:.2f}, {found.adapted_fab:.2f} of the layers that are not kept; "
        f"{found.bit_operations:.0%} of the bit operations at 8 bits; {at_8}; "
        f"layers {layers}",
        f"{EXPECTED} {_drop(model, noise)}",
    )


def expected_again(notes: Sequence[str], model: Model, noise: float) -> list[str]:
    """The notes with the drop that is expected now, where one of them says what was."""
    return [f"{EXPECTED} {_drop(model, noise)}" if note.startswith(EXPECTED) else note for note in notes]


def _drop(model: Model, noise: float) -> str:
    return f"{expected_drop(noise, model.scale):.3f} dB, {psnr_of(noise):.1f} dB against the FP32 output"


def choice_words(factor: int, what: str) -> str:
    pictures = "flat" if factor < 0 else "busy"
    return f"{NOTED}, choice {NAMES[factor]!r} for {pictures} pictures: {what}"


def alone_words(model: Model, alone: Plan, table: Table, cost: float, noise: float) -> str:
    return f"feature average bit {figures(model, alone).fab:.2f}, {cost - 1:+.1%} {unit(table)}, {_drop(model, noise)}"


def nothing_changes(table: Table) -> str:
    if table.costs is Costs.BITS:
        return "left out: no layer can have other bits"
    return f"left out: it changes nothing, as all layers have the most bits that take the same {unit(table)}"


def too_little_gained(table: Table, cost: float) -> str:
    return f"left out: it takes {cost:.2%} of the {unit(table)} of the base"


def too_much_lost(model: Model, noise: float) -> str:
    return f"left out: on the crops held back it loses more than --max-drop allows, {_drop(model, noise)}"


#: What the note of the thresholds begins with, and what comes of it where they are to be fitted.
THRESHOLDS = f"{NOTED}: a picture is flat below"
THRESHOLDS_STAY = f"{NOTED}: thresholds stay as they were, as"
NOT_BETTER = f"{THRESHOLDS_STAY} none of no more cost leave much less noise on the crops held back"
NO_LINES = f"{THRESHOLDS_STAY} the crops are too few, or too much alike, to tell what choices lose"
ONE_SIDED = f"{THRESHOLDS_STAY} with one choice beside the base others cost or lose more"
NO_SPREAD = f"{THRESHOLDS_STAY} so few pictures, or such that are as busy, tell too little"


def fitted_words(now: tuple[float, float], before: tuple[float, float], pictures: int, saved: float) -> str:
    """Where fitted thresholds come from. now, before: shares of the pictures that are flat, and busy.

    saved: of the noise.
    """
    return (
        f"{now[0]:.0%} and {now[1]:.0%} of {pictures} pictures, fitted, in the place of {before[0]:.0%} and "
        f"{before[1]:.0%}: {saved:.1%} less noise to be expected, by the crops held back"
    )


def threshold_words(found: Thresholds) -> str:
    return (
        f"{THRESHOLDS} complexity {found.low} and busy above {found.high} "
        f"({as_published(found.low):.1f} and {as_published(found.high):.1f} as published): {found.words}"
    )
