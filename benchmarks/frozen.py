"""What the image factor is worth: plans whose pictures choose, beside the same plans with the factor frozen.

    python benchmarks/frozen.py --json FILE --out FILE                                   # times of adaptive.py --times
    python benchmarks/frozen.py --json FILE --out FILE --cost modelled --weights WEIGHTS --keep FOLDER
    python benchmarks/frozen.py --json FILE --out FILE --cost bits                       # bit operations

FILE of --json, KEEP and WEIGHTS are those of benchmarks/adaptive.py, whose records have every picture through every
choice; nothing is measured again. *by chance*: as many pictures get each choice, but not by what they show, the mean
to be expected and its deviation; *at best*: as many, each where it gives most PSNR, which nobody can know before.
*frozen*: the best mixture of choices without looking whose mean cost is at most that of the pictures' own; *gain*:
own choices beside that. *another plan*: the best of all choices of all plans of the network, all pictures with it,
within that cost. Costs are parts of that of 8 bits, of one size, every picture counting once.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from adapting.measure import Folders
from adapting.mixtures import Mixture, best_dealt, best_within, mixture, own_shares
from adapting.tables import lines
from adapting.ways import NETWORKS, SETS, WAYS, Run, runs

BOTH = "both"
COSTS = ("timed", "modelled", "bits")


@dataclass(frozen=True)
class Plans:
    """Of a network: the records of its ways, and what each of their choices costs beside 8 bits, by way."""

    network: str
    records: Mapping[str, Mapping[str, Any]]
    costs: Mapping[str, Sequence[float]]


def timed(network: str, records: Mapping[str, Any], found: Mapping[str, Any], size: str) -> dict[str, list[float]]:
    """By the median of the runs of adaptive.py --times; ways that were not timed are left out."""
    if f"{network} times" not in records:
        return {}
    times = records[f"{network} times"]["sizes"][size]
    first = {way: [f"{way}|{name}" for name in record["names"]] for way, record in found.items()}
    each = {way: [times[key]["median"] for key in keys] for way, keys in first.items() if set(keys) <= set(times)}
    return _beside(each)


def modelled(network: str, found: Mapping[str, Any], folders: Folders, target: str) -> dict[str, list[float]]:
    """By the cost model of the target's best level."""
    from tvmsr.commands.source import open_model
    from tvmsr.hardware import load_target
    from tvmsr.lower.modelled import modelled_cycles
    from tvmsr.quant.adaptive import bind_choices
    from tvmsr.quant.plan import Plan

    level, model, cycles = load_target(target).levels[0], open_model(folders.weights / f"{network}.safetensors"), {}
    for way in found:
        graphs = bind_choices(model, Plan.load(folders.plan(next(runs([network], [way])))))
        cycles[way] = [sum(modelled_cycles(graph, level).values()) for graph in graphs]
    return _beside(cycles)


def bits(found: Mapping[str, Any]) -> dict[str, list[float]]:
    """By bit operations, as publications count."""
    return _beside({way: record["bit_operations"] for way, record in found.items()})


def _beside(costs: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    base = WAYS[0].name
    return {way: [one / costs[base][0] for one in each] for way, each in costs.items()} if base in costs else {}


def plans_of(network: str, records: Mapping[str, Any], args: argparse.Namespace) -> Plans:
    found = {way.name: records[Run(network, way).key] for way in WAYS if Run(network, way).key in records}
    if not found:
        return Plans(network, {}, {})
    if args.cost == "timed":
        return Plans(network, found, timed(network, records, found, args.size))
    if args.cost == "modelled":
        return Plans(network, found, modelled(network, found, Folders(args.weights, Path(), args.keep), args.target))
    return Plans(network, found, bits(found))


def pictures(record: Mapping[str, Any], group: str) -> list[dict[str, Any]]:
    return [row for row in record["pictures"] if group == BOTH or row["picture"].startswith(f"{group}/")]


def row(plans: Plans, way: str, group: str) -> list[str]:
    """Cells of a way that has choices."""
    record, costs = plans.records[way], plans.costs[way]
    rows = pictures(record, group)
    shares = own_shares(rows)
    budget = sum(share * cost for share, cost in zip(shares, costs, strict=True))
    own = float(np.mean([one["psnr"][one["choice"]] for one in rows]))
    chance, frozen = mixture(rows, shares), best_within(rows, costs, budget)
    order = sorted(range(len(costs)), key=lambda k: record["factors"][k])
    forced = [float(np.mean([one["psnr"][k] for one in rows])) for k in range(len(costs))]
    return [
        plans.network,
        f"`{way}`",
        group,
        " / ".join(f"{record['factors'][k]:+d}" for k in order),
        " / ".join(f"{shares[k]:.0%}" for k in order),
        " / ".join(f"{costs[k]:.3f}" for k in order),
        " / ".join(f"{forced[k]:.3f}" for k in order),
        f"{budget:.3f}",
        f"{own:.3f}",
        f"{chance.psnr:.3f} ± {chance.deviation:.3f}",
        f"{best_dealt(rows):.3f}",
        _mixed(frozen, record["factors"]),
        f"{own - frozen.psnr:+.3f}",
        _another(plans, group, budget),
    ]


def _mixed(found: Mixture, factors: Sequence[int]) -> str:
    words = ", ".join(f"{share:.0%} {factors[k]:+d}" for k, share in enumerate(found.shares) if share > 0)
    return f"{found.psnr:.3f} ({words})"


def _another(plans: Plans, group: str, budget: float) -> str:
    """The best that all pictures alike can have within the budget; the 8 bits themselves among it."""
    every = []
    for way, costs in plans.costs.items():
        record = plans.records[way]
        for k, cost in enumerate(costs):
            if cost <= budget:
                psnr = float(np.mean([one["psnr"][k] for one in pictures(record, group)]))
                every.append((psnr, f"`{way}` {record['factors'][k]:+d}"))
    return "{:.3f} ({})".format(*max(every)) if every else "-"


def table(every: Sequence[Plans], groups: Sequence[str]) -> list[str]:
    """Markdown: a row for each way with choices whose cost is known, and group of pictures."""
    head = [
        "network",
        "bits",
        "pictures",
        "factors",
        "shares",
        "cost",
        "PSNR, all with one",
        "mean cost",
        "own choices",
        "by chance",
        "at best",
        "frozen",
        "gain",
        "another plan",
    ]
    rows = [
        row(plans, way, group)
        for plans in every
        for way, costs in plans.costs.items()
        for group in groups
        if len(costs) > 1
    ]
    return lines(head, rows)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True, help="what adaptive.py measured: read only")
    parser.add_argument("--out", type=Path, required=True, help="the table")
    parser.add_argument("--cost", choices=COSTS, default=COSTS[0])
    parser.add_argument("--size", default="640x360", help="of the times")
    parser.add_argument("--target", default="host", help="of the cost model")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--groups", nargs="+", choices=[*SETS, BOTH], default=[BOTH])
    args = parser.parse_args(arguments)
    if args.cost == "modelled" and (args.weights is None or args.keep is None):
        parser.error("--cost modelled needs --weights and --keep")
    records = {one["key"]: one for one in json.loads(args.json.read_text())}
    every = [plans_of(network, records, args) for network in args.networks]
    args.out.write_text("\n".join(table(every, args.groups)) + "\n")


if __name__ == "__main__":
    main()
