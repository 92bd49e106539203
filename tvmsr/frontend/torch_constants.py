"""What an exported program computes of its parameters and constants alone: computed here, by torch itself.

Weight norm, spectral norm, tensors that `forward` makes: TVM has converters for few of these, and none is a layer.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from tvmsr.frontend.torch_operators import COMPUTED, VIEWS

_log = logging.getLogger(__name__)

#: Values of a constant; no layer has more.
_MOST_VALUES = 1 << 24


def base_name(target: Any) -> str:
    """aten.mul.Tensor -> mul."""
    return str(getattr(target, "__name__", target)).split(".", maxsplit=1)[0]


def constants_of(program: Any) -> dict[str, Any]:
    """The tensors that nodes make without the picture, by the names of the nodes."""
    import torch

    known = _given(program)
    views = set(known)  # what the walk follows to a parameter without help
    for node in program.graph.nodes:
        name = base_name(node.target)
        if node.op != "call_function" or name not in COMPUTED:
            continue
        if any(n.name not in known for n in node.all_input_nodes):
            continue
        args, kwargs = (torch.fx.map_arg(part, lambda n: known[n.name]) for part in (node.args, node.kwargs))
        try:
            if not _is_small(node.target, args, kwargs):
                continue
            with torch.no_grad():
                known[node.name] = node.target(*args, **kwargs)
        except Exception as error:  # a kernel says what it likes; TVM's converters may know it
            _log.debug("%s is not computed: %s", node.name, error)
            continue
        if name in VIEWS and node.all_input_nodes and all(n.name in views for n in node.all_input_nodes):
            views.add(node.name)
    return {name: value for name, value in known.items() if name not in views}


def _is_small(target: Any, args: Any, kwargs: Any) -> bool:
    """True where an operator makes one tensor, and not a huge one, whatever a file says of it; nothing is computed."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        made = target(*args, **kwargs)
    return isinstance(made, torch.Tensor) and made.numel() <= _MOST_VALUES


def _given(program: Any) -> dict[str, Any]:
    """Parameters, buffers and constants by the names of their nodes."""
    signature = program.graph_signature
    targets: Mapping[str, str] = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    values = {**program.state_dict, **program.constants}
    return {name: values[target].detach() for name, target in targets.items() if target in values}


def as_constant(value: Any) -> Any:
    """A tensor as a constant of Relax."""
    from tvm import relax

    array = value.detach().cpu().contiguous().numpy()
    return relax.const(array, str(array.dtype))
