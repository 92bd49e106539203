"""What an ONNX file must be before the C++ of onnx and TVM sees it: whole, acyclic, of plain tensors that have values.

`read_onnx` reads the file once; whoever needs something of it takes it from the ModelProto that comes back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvmsr.errors import InputFileError
from tvmsr.frontend.onnx_budget import check_growth
from tvmsr.frontend.onnx_order import put_in_order
from tvmsr.frontend.onnx_tensors import check_tensor, stored_bytes
from tvmsr.frontend.readers.external_data import External
from tvmsr.frontend.readers.whole_file import MAX_BYTES, in_words, is_plain_name, read_whole, shown

if TYPE_CHECKING:
    import onnx

MAX_NODES = 50_000
MAX_TENSORS = 100_000
#: Inputs and outputs of one node.
MAX_EDGES = 10_000
#: Height and width, where the file fixes them. No network computes with them: the canonical graph has any size.
MAX_SIDE = 1 << 16
#: Operators that hold graphs of their own.
_CONTROL_FLOW = ("If", "Loop", "Scan", "SequenceMap")


def read_onnx(path: Path) -> onnx.ModelProto:
    """The model of a file, external data inside.

    Nodes are in an order in which each reads only what was made before, every name is made once, no graph is nested,
    every tensor has as many values as it says, and all are finite. InputFileError of one line where it cannot be so.
    """
    source = str(path)
    data = read_whole(path)
    model = _parsed(data, source)
    for check in _BEFORE_DATA:
        check(model, source)
    external = External(path, MAX_BYTES - len(data))
    for tensor in _tensors(model):
        external.take_in(tensor)
        check_tensor(tensor, source)
    put_in_order(model.graph, source)
    check_growth(model.graph, source)
    return model


def _parsed(data: bytes, source: str) -> onnx.ModelProto:
    import onnx

    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except Exception as error:  # protobuf's DecodeError, which lives elsewhere in each version
        raise InputFileError(f"{source}: is not a valid ONNX file (it is cut off, or no protobuf)") from error
    if not model.HasField("graph") or not model.graph.node:
        raise InputFileError(f"{source}: is not a valid ONNX file (it holds no graph)")
    model.ClearField("training_info")  # how it was trained, and for which backends it was quantized: nobody asks
    del model.graph.quantization_annotation[:]
    texts = [entry for entry in model.metadata_props if is_plain_name(entry.key) and isinstance(entry.value, str)]
    del model.metadata_props[:]
    model.metadata_props.extend(texts)
    return model


def _attributes(model: onnx.ModelProto) -> Iterator[tuple[onnx.NodeProto, onnx.AttributeProto]]:
    for node in model.graph.node:
        for attribute in node.attribute:
            yield node, attribute


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """All tensors with values: initialisers, and those in attributes."""
    yield from model.graph.initializer
    for node, attribute in _attributes(model):
        for tensor in (attribute.t, *attribute.tensors) if attribute.HasField("t") else attribute.tensors:
            if not tensor.name:  # messages want to name it
                tensor.name = node.output[0] if node.output else node.name
            yield tensor


def _check_counts(model: onnx.ModelProto, source: str) -> None:
    graph = model.graph
    counts = (("nodes", len(graph.node), MAX_NODES), ("tensors", len(graph.initializer), MAX_TENSORS))
    for what, count, most in counts:
        if count > most:
            raise InputFileError(f"{source}: has {count} {what}; networks of up to {most} are read")
    for node in graph.node:
        if max(len(node.input), len(node.output)) > MAX_EDGES:
            raise InputFileError(f"{source}: {_place(node)} has {len(node.input)} inputs; up to {MAX_EDGES} are read")


def _check_nested(model: onnx.ModelProto, source: str) -> None:
    """No graphs in nodes, no functions, no sparse tensors."""
    for node, attribute in _attributes(model):
        if attribute.HasField("g") or attribute.graphs or node.op_type in _CONTROL_FLOW:
            raise InputFileError(
                f"{source}: {_place(node)} holds a graph of its own (control flow), which is not supported; "
                "export the network for pictures of any size without conditions and loops"
            )
        if attribute.HasField("sparse_tensor") or attribute.sparse_tensors:
            raise InputFileError(f"{source}: {_place(node)} holds a sparse tensor; export the network with dense ones")
        if attribute.ref_attr_name:
            raise InputFileError(f"{source}: {_place(node)} takes an attribute from a function that is not there")
    if model.functions:
        names = ", ".join(shown(function.name) for function in model.functions[:3])
        raise InputFileError(
            f"{source}: has functions of its own ({names}); write them out with onnx.inliner.inline_local_functions"
        )
    if model.graph.sparse_initializer:
        name = shown(model.graph.sparse_initializer[0].values.name)
        raise InputFileError(f"{source}: the tensor {name} is sparse; export the network with dense ones")


def _check_names(model: onnx.ModelProto, source: str) -> None:
    graph = model.graph
    names = [name for node in graph.node for name in (node.name, node.op_type, node.domain, *node.input, *node.output)]
    names += [tensor.name for tensor in graph.initializer]
    names += [value.name for value in (*graph.input, *graph.output)]
    names += [attribute.name for _, attribute in _attributes(model)]
    for name in names:
        if not is_plain_name(name):
            raise InputFileError(f"{source}: the name {shown(name)} in it is too long or not printable")


def _check_sizes(model: onnx.ModelProto, source: str) -> None:
    """What tensors say of their sizes, before one byte of them is read."""
    total = 0
    for tensor in _tensors(model):
        total += stored_bytes(tensor, source)
        if total > MAX_BYTES:
            raise InputFileError(
                f"{source}: its weights take more than {in_words(MAX_BYTES)}; that is the most that is read"
            )


def _check_inputs(model: onnx.ModelProto, source: str) -> None:
    import onnx

    weights = {tensor.name for tensor in model.graph.initializer}
    for value in (*model.graph.input, *model.graph.output):
        if value.type.tensor_type.elem_type not in onnx.TensorProto.DataType.values():
            raise InputFileError(
                f"{source}: {shown(value.name)} has the unknown type {value.type.tensor_type.elem_type}"
            )
    for value in model.graph.input:
        if value.name in weights:
            continue
        dims = [dim.dim_value if dim.HasField("dim_value") else None for dim in value.type.tensor_type.shape.dim]
        for position, size in enumerate(dims):
            if size is None or (size <= 0 and position != 1):  # old writers say 0 or -1 for any size
                continue
            if not 0 < size <= MAX_SIDE:
                raise InputFileError(f"{source}: its input {shown(value.name)} has the impossible shape {dims}")


def _check_numbers(model: onnx.ModelProto, source: str) -> None:
    """Attributes: finite numbers."""
    import numpy as np

    for node, attribute in _attributes(model):
        if not np.all(np.isfinite([attribute.f, *attribute.floats])):
            raise InputFileError(f"{source}: {_place(node)}: {shown(attribute.name)} is not finite")


def _place(node: onnx.NodeProto) -> str:
    return f"{shown(node.op_type)} (node {shown(node.name) if node.name else 'without a name'})"


#: What does not need the values of external data; in this order, as later ones rely on earlier ones.
_BEFORE_DATA: tuple[Callable[[Any, str], None], ...] = (
    _check_counts,
    _check_nested,
    _check_names,
    _check_inputs,
    _check_sizes,
    _check_numbers,
)
