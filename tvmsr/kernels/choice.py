"""The choice among algorithms and tiles: what lowering asks. Nothing in this file needs tvm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

import numpy as np

from tvmsr.kernels.algorithms import ALGORITHMS, Algorithm
from tvmsr.kernels.cost import storage_cycles
from tvmsr.kernels.isa import ISAS, Isa, Primitive
from tvmsr.kernels.legality import NO_PRIMITIVE, NOT_3X3, Weight
from tvmsr.kernels.spec import Conv, Epilogue, Form, KernelSpec, Load, Operand, Store, Tile

#: Why a map of one pixel has no transform, and no pixels in the lanes.
ONE_PIXEL = "its grid is one pixel"
#: Predictions are no better than this.
_CLEARLY = 0.97
#: Choices that are remembered: to plan a network is to lower it many times, each time with one layer changed.
_MOST_KNOWN = 4096


@dataclass(frozen=True)
class Candidate:
    """An algorithm with its best tile, and what that is predicted to cost."""

    algorithm: str
    primitive: str  # "" of a pointwise pass
    tile: Tile
    cycles_per_pixel: float  # of one core, of the isa's reference CPU

    def __str__(self) -> str:
        with_what = f" with {self.primitive}" if self.primitive else ""
        return f"{self.algorithm}{with_what}, tile {self.tile}: {self.cycles_per_pixel:.0f} cycles a pixel predicted"


@dataclass(frozen=True)
class Choice:
    """A complete spec, and what else there was: the other legal algorithms, cheapest first, and why some are not."""

    spec: KernelSpec
    best: Candidate
    others: tuple[Candidate, ...]
    refused: tuple[str, ...]

    @property
    def cycles_per_pixel(self) -> float:
        return self.best.cycles_per_pixel

    @property
    def reason(self) -> str:
        """Which, what the next best would have cost, and what is not exact."""
        words = [str(self.best)]
        if self.others:
            more = 100 * (self.others[0].cycles_per_pixel / self.best.cycles_per_pixel - 1)
            words.append(f"next best {self.others[0]} ({more:+.0f} %)")
        return "; ".join([*words, *self.refused])


def accepted_forms(isa: str, bits: int) -> tuple[Form, ...]:
    """Forms in which convolutions of this isa can read codes of up to `bits` bits, the best first."""
    if bits <= 8:
        return (ISAS[isa].byte_form, Form.S16, Form.U16)
    if bits <= 15 or isa == "portable":
        return (Form.S16, Form.U16)
    return (Form.S16,)


def wanted_form(isa: str, bits: int, readers: Sequence[tuple[Conv, Weight]] = ()) -> Form:
    """The form in which convolutions want their input stored; `bits`: the widest of its choices.

    Codes of up to 8 bits are stored in 16 where that makes `readers` (convolutions and their weights; the form of their
    x is not looked at) clearly cheaper, bytes included: see `cost.storage_cycles`.
    """
    forms = accepted_forms(isa, bits)
    if bits > 8 or not readers:
        return forms[0]
    channels = max(conv.inputs for conv, _ in readers)

    def cycles(form: Form) -> float:
        return storage_cycles(channels, form) + sum(_read_cycles(isa, form, *reader) for reader in readers)

    return Form.S16 if cycles(Form.S16) < _CLEARLY * cycles(forms[0]) else forms[0]


def _read_cycles(isa: str, form: Form, conv: Conv, weight: Weight) -> float:
    """Predicted cycles, per pixel of x, of a convolution that reads x in this form."""
    source = replace(conv, x=Operand(form, -(-conv.inputs * form.bytes // 4) * 4))
    plain = Epilogue((Store(Form.U8, conv.outputs, conv.outputs),))
    return choose(source, plain, isa, weight).cycles_per_pixel / conv.stride**2


def choose(
    source: Conv | Load, epilogue: Epilogue, isa: str, weight: Weight | None = None, *, one_pixel: bool = False
) -> Choice:
    """The cheapest exact algorithm and tile for one step on one isa; `weight`: its codes, where there are any.

    one_pixel: the grid is one pixel for every picture, and so is the tile: wider ones would be code that never runs.
    Raises ValueError where no algorithm computes the source. What was chosen lately is remembered, by these values.
    """
    key = (source, epilogue, isa, one_pixel, _digest(weight))
    found = _known.get(key)
    if found is None:
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        found = _known[key] = _choose(source, epilogue, isa, weight, one_pixel)
    return found


#: By everything that a choice depends on; of weights a digest, as they are large.
_known: dict[tuple[Conv | Load, Epilogue, str, bool, bytes], Choice] = {}


def _digest(weight: Weight | None) -> bytes:
    if weight is None:
        return b""
    found = blake2b(repr((weight.shape, weight.dtype.str)).encode(), digest_size=16)
    found.update(np.ascontiguousarray(weight).data)
    return found.digest()


def _choose(source: Conv | Load, epilogue: Epilogue, isa: str, weight: Weight | None, one_pixel: bool) -> Choice:
    row, found, why_not = ISAS[isa], [], []
    for algorithm in ALGORITHMS.values():
        primitive = algorithm.primitive(source, row)
        problem = algorithm.legal(source, primitive, weight)
        if one_pixel and not problem and (algorithm.granule != (1, 1) or algorithm.across):
            problem = ONE_PIXEL
        if problem:
            why_not.append((algorithm, problem))
            continue
        tiles = algorithm.tiles(source, row, primitive, weight)
        if one_pixel:
            tiles = tuple(dict.fromkeys(tile._replace(pixels=1) for tile in tiles))
        found.append(_cheapest(algorithm, source, epilogue, row, primitive, tiles))
    if not found:
        reasons = "; ".join(f"{algorithm.name}: {problem}" for algorithm, problem in why_not)
        raise ValueError(f"no algorithm of {isa} computes {source}: {reasons}")
    best, *others = sorted(found, key=lambda candidate: candidate.cycles_per_pixel)
    spec = KernelSpec(source, epilogue, isa, best.algorithm, best.tile)
    return Choice(spec, best, tuple(others), tuple(_worth_saying(source, why_not)))


def _cheapest(
    algorithm: Algorithm,
    source: Conv | Load,
    epilogue: Epilogue,
    isa: Isa,
    primitive: Primitive | None,
    tiles: Sequence[Tile],
) -> Candidate:
    name = primitive.name if primitive else ""
    costs = ((algorithm.cycles(source, epilogue, isa, primitive, tile), tile) for tile in tiles)
    cycles, tile = min(costs, key=lambda cost: cost[0])
    return Candidate(algorithm.name, name, tile, cycles)


def _worth_saying(source: Conv | Load, why_not: Sequence[tuple[Algorithm, str]]) -> Iterator[str]:
    """Of algorithms that this kind of convolution could have had, and the bits or the weights forbid."""
    for algorithm, problem in why_not:
        if isinstance(source, Conv) and algorithm.told and NO_PRIMITIVE not in problem and problem != NOT_3X3:
            yield f"{algorithm.name}: {problem}"
