"""What a frontier says of itself: reasons of a plan's entries, and its notes."""

from __future__ import annotations

from tvmsr.quant.adabm.frontier import FULL, Frontier, Point
from tvmsr.quant.adabm.sites import Site
from tvmsr.quant.adabm.table import Table
from tvmsr.quant.adabm.words import NOTED, unit
from tvmsr.quant.bits import Bits
from tvmsr.quant.plan import Judged


def option_words(table: Table, site: Site, bits: Bits) -> str:
    """Why a site, or what reads it, has its bits."""
    saved = table.cost[site.name][FULL] - table.cost[site.name][bits]
    what = f"{bits.activations} activation bits, {bits.weights} weight bits"
    return f"{what}: that saves {saved:.2%} of the {unit(table)} at 8 bits"


def within_drop_words(frontier: Frontier, max_drop: float) -> tuple[str, ...]:
    """Notes of a plan that is the cheapest within a drop."""
    if len(frontier.points) == 1:
        return (f"{NOTED}: 8 bits everywhere: fewer bits save no {frontier.unit}",)
    chosen, start = _chosen(frontier), frontier.points[0]
    what = f"{chosen.cost:.1%} of the {frontier.unit} at 8 bits" if chosen is not start else "8 bits everywhere"
    return (f"{NOTED}: the least within {max_drop:g} dB is {what}, of {_looked(frontier)}",)


def missed_words(found: Judged) -> str:
    """Note of a plan of 8 bits that loses more than the drop."""
    return (
        f"{NOTED}: 8 bits everywhere: they lose {found.drop:.3f} dB already, and {found.limit:g} dB were to be kept to,"
        " so that fewer were not tried"
    )


def within_time_words(frontier: Frontier, limit: float, what: str) -> tuple[str, ...]:
    """Notes of a plan that is the best within a time. what: what is timed, and where."""
    chosen = _chosen(frontier)
    took = 0.0 if chosen.milliseconds is None else chosen.milliseconds
    if took > limit:
        missed = (
            f"--max-time {limit:g} was missed: the fastest plan takes {took:.2f} ms for {what}; give a smaller --size, "
            "more time, or a smaller network"
        )
        return (f"{NOTED}: {missed}; of {_looked(frontier)}",)
    return (f"{NOTED}: the best within {limit:g} ms takes {took:.2f} ms for {what}, of {_looked(frontier)}",)


def is_missed(note: str) -> bool:
    """Whether a note says that a time was missed."""
    return note.startswith(f"{NOTED}: --max-time")


def _chosen(frontier: Frontier) -> Point:
    return next((point for point in frontier.points if point.chosen), frontier.points[0])


def _looked(frontier: Frontier) -> str:
    return "; ".join(_point(point) for point in frontier.points)


def _point(point: Point) -> str:
    parts = [f"{point.cost:.1%}"]
    if point.milliseconds is not None:
        parts.append(f"{point.milliseconds:.2f} ms")
    if point.drop is not None:
        parts.append(f"expected drop {point.drop:.3f} dB")
    return " ".join([parts[0], f"({', '.join(parts[1:])})"] if parts[1:] else parts)
