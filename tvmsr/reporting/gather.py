"""Measures pictures: what each source makes of them, and the parts that are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tvmsr.reporting.columns import Column, figures, outputs
from tvmsr.reporting.crops import crops
from tvmsr.reporting.facts import ORIGINAL, Measured
from tvmsr.reporting.images import thumbnail
from tvmsr.reporting.words import plain

if TYPE_CHECKING:
    from tvmsr.commands.progress import Progress
    from tvmsr.evaluation.dataset import Pair, Pairs
    from tvmsr.evaluation.metrics import Protocol

#: Pictures whose crops are shown; of more pictures, so many from the flattest to the busiest.
SHOWN = 10


@dataclass(frozen=True, eq=False)
class Bench:
    """What measures. of, against: keys of sources; how much those differ from this says which parts are shown."""

    columns: Sequence[Column]
    scale: int
    measure: Protocol
    of: tuple[str, ...]
    against: str

    def one(self, pair: Pair, *, shown: bool) -> Measured:
        from tvmsr.quant.complexity import complexity

        made = outputs(self.columns, pair.lr)
        found = Measured(
            name=plain(pair.name),
            width=pair.lr.shape[1],
            height=pair.lr.shape[0],
            complexity=complexity(pair.lr),
            figures=figures(made, pair, self.scale, self.measure),
        )
        if not shown:
            return found
        pictures = {ORIGINAL: pair.hr, **{key: one.shown(pair.lr) for key, one in made.items()}}
        return Measured(
            **{**vars(found), "crops": crops(pictures, self.of, self.against), "thumbnail": thumbnail(pair.hr)}
        )


def gathered(bench: Bench, pairs: Pairs, progress: Progress) -> tuple[Measured, ...]:
    """All pictures, each read once, or twice where not all are shown."""
    shown, found = shown_of(pairs), []
    for number, pair in enumerate(pairs):
        progress("pictures", number, len(pairs))
        found.append(bench.one(pair, shown=number in shown))
    progress("pictures", len(pairs), len(pairs))
    return tuple(found)


def shown_of(pairs: Pairs) -> frozenset[int]:
    """Numbers of the pictures that are shown: all, or SHOWN of them, evenly from the least complexity to the most."""
    from tvmsr.quant.complexity import complexity

    count = len(pairs)
    if count <= SHOWN:
        return frozenset(range(count))
    ranked = sorted(range(count), key=[complexity(pair.lr) for pair in pairs].__getitem__)
    return frozenset(ranked[round(place * (count - 1) / (SHOWN - 1))] for place in range(SHOWN))
