"""What can be had without looking at the pictures: the image factor of a plan frozen, at equal mean cost."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

#: Of a budget, for sums of floats.
_ROUNDING = 1 + 1e-9


@dataclass(frozen=True)
class Mixture:
    """Shares of the pictures that get each choice, whatever they show, and the mean PSNR to be expected of it, in dB.

    deviation: of that mean, when it is drawn which pictures get what, each alone.
    """

    shares: tuple[float, ...]
    psnr: float
    deviation: float


def mixture(rows: Sequence[Mapping[str, Any]], shares: Sequence[float]) -> Mixture:
    """Exactly, of pictures whose "psnr" are by choice: nothing is drawn."""
    each, weights = np.array([row["psnr"] for row in rows]), np.array(shares)
    expected = each @ weights
    variance = (each**2) @ weights - expected**2
    deviation = math.sqrt(max(float(variance.sum()), 0.0)) / len(rows)
    return Mixture(tuple(float(one) for one in shares), float(expected.mean()), deviation)


def own_shares(rows: Sequence[Mapping[str, Any]]) -> list[float]:
    """Of the pictures, each with its own choice."""
    return [sum(row["choice"] == k for row in rows) / len(rows) for k in range(len(rows[0]["psnr"]))]


def best_within(rows: Sequence[Mapping[str, Any]], costs: Sequence[float], budget: float) -> Mixture:
    """The mixture of largest expected PSNR whose mean cost is at most the budget; ValueError where none is.

    A linear problem with two conditions: one choice, or two on both sides of the budget, are the best there is.
    """
    unit = np.eye(len(costs))
    found = [unit[k] for k, cost in enumerate(costs) if cost <= budget * _ROUNDING]
    for one, two in combinations(range(len(costs)), 2):
        low, high = sorted((one, two), key=lambda k: costs[k])
        if costs[low] < budget < costs[high]:
            part = (budget - costs[low]) / (costs[high] - costs[low])
            found.append((1 - part) * unit[low] + part * unit[high])
    if not found:
        raise ValueError(f"no choice costs at most {budget:g}: {', '.join(f'{cost:g}' for cost in costs)}")
    return max((mixture(rows, list(one)) for one in found), key=lambda one: one.psnr)


def best_dealt(rows: Sequence[Mapping[str, Any]]) -> float:
    """The largest mean PSNR when as many pictures get each choice as now, whichever they are."""
    wanted = Counter(row["choice"] for row in rows)
    best: dict[tuple[int, ...], float] = {(0,) * len(rows[0]["psnr"]): 0.0}  # by how many have got each choice
    for row in rows:
        found: dict[tuple[int, ...], float] = {}
        for given, total in best.items():
            for k, psnr in enumerate(row["psnr"]):
                if given[k] < wanted[k]:
                    now = (*given[:k], given[k] + 1, *given[k + 1 :])
                    found[now] = max(found.get(now, -math.inf), total + psnr)
        best = found
    return max(best.values()) / len(rows)
