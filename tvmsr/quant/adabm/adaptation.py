"""How bits are chosen: what the options say, as one value that travels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

from tvmsr.errors import UsageError
from tvmsr.quant.adabm.maps import MOST_KEPT
from tvmsr.quant.adabm.table import Costs, Sensitivity
from tvmsr.quant.plan import AdaptiveMode

#: By what bits are chosen.
MODES: tuple[AdaptiveMode, ...] = ("image", "tile")


class WeightBits(Enum):
    """Of named bits. FIXED: those of the base; LAYER: by layer one more or fewer, in the mean as many."""

    FIXED = "fixed"
    LAYER = "layer"


_Word = TypeVar("_Word", bound=Enum)


@dataclass(frozen=True)
class Adaptation:
    """How bits are chosen. most_kept: share of the multiplications that may stay at 8 bits, 0..1.

    mode: whether each picture has a choice or each tile of it; complexities: of such ones (tvmsr.quant.complexity), the
    crops' own where there are none.
    clipping, layers, pictures: whether ranges are drawn in, layers have factors of their own, and pictures have.
    """

    costs: Costs = Costs.TIME
    sensitivity: Sensitivity = Sensitivity.NOISE
    weight_bits: WeightBits = WeightBits.FIXED
    most_kept: float = MOST_KEPT
    mode: AdaptiveMode = MODES[0]
    complexities: Sequence[int] = ()
    clipping: bool = True
    layers: bool = True
    pictures: bool = True

    @classmethod
    def of(
        cls,
        costs: str,
        mode: str,
        complexities: Sequence[int],
        *,
        keeps: bool,
        kept: float | None = None,
        sensitivity: str = Sensitivity.NOISE.value,
        weight_bits: str = WeightBits.FIXED.value,
    ) -> Adaptation:
        """As options say it. keeps: whether layers may stay at 8 bits; kept: their share, None for MOST_KEPT.

        UsageError for words that are none, shares beyond 0..1, and without PyTorch where gradients are asked for.
        """
        if kept is not None and not 0 <= kept <= 1:
            raise UsageError(f"--kept {kept:g}: expected a share of the multiplications, 0 to 1")
        most = MOST_KEPT if kept is None else kept
        how = cls(
            costs=_word(Costs, costs, "--costs"),
            sensitivity=_word(Sensitivity, sensitivity, "--sensitivity"),
            weight_bits=_word(WeightBits, weight_bits, "--weight-bits"),
            most_kept=most if keeps else 0.0,
            mode=_mode(mode),
            complexities=tuple(complexities),
        )
        if how.sensitivity is Sensitivity.GRADIENT:
            from tvmsr.quant.learned.learn import check_torch

            check_torch(f"--sensitivity {sensitivity}")
        return how


def check_words(costs: str, mode: str, sensitivity: str, weight_bits: str) -> None:
    """UsageError for words that are none, whether or not bits are chosen."""
    _mode(mode)
    for kind, text, option in (
        (Costs, costs, "--costs"),
        (Sensitivity, sensitivity, "--sensitivity"),
        (WeightBits, weight_bits, "--weight-bits"),
    ):
        _word(kind, text, option)


def _mode(text: str) -> AdaptiveMode:
    chosen = next((one for one in MODES if one == text), None)
    if chosen is None:
        raise UsageError(f"--adaptive {text}: expected {' or '.join(MODES)}")
    return chosen


def _word(kind: type[_Word], text: str, option: str) -> _Word:
    words = [str(one.value) for one in kind]
    if text not in words:
        raise UsageError(f"{option} {text}: expected {', '.join(words[:-1])} or {words[-1]}")
    return kind(text)
