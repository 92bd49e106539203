"""What our converters write into Relax where it has no operator: a call of tvmsr.NAME, its attributes as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

#: Before the name of such an operation.
PREFIX = "tvmsr."


def own(name: str, tensors: Sequence[Any], kinds: Sequence[tuple[Sequence[int], str]], **attributes: Any) -> Any:
    """A Relax expression of an operation of ours; kinds: shape and type of each tensor that it makes."""
    from tvm import ir, relax

    types = [relax.TensorType([int(n) for n in shape], dtype) for shape, dtype in kinds]
    kind = types[0] if len(types) == 1 else relax.TupleType(types)
    return relax.call_pure_packed(PREFIX + name, *tensors, ir.StringImm(json.dumps(attributes)), ty_args=kind)


def unsupported(
    doubted: Sequence[Any],
    kinds: Sequence[tuple[Sequence[int], str]],
    what: str,
    place: str,
    attributes: str,
    reason: str,
) -> Any:
    """Stands for an operation of a model that is not supported; the walk over the module reports it.

    doubted: what it reads that may be why: where one of these is not known, the operation itself is not reported.
    """
    return own("unsupported", doubted, kinds, what=what, place=place, attributes=attributes, reason=reason)
