"""What is done to an ONNX graph before TVM's frontend sees it: sizes become numbers, some nodes simpler ones.

TVM's frontend (0.27) fails on shapes that are computed from the picture's size, and turns Clip, Tile and Pad into
kernels that nobody can recognise any more. The canonical graph does not depend on the picture's size, so a dynamic one
is fixed here, and everything that does not depend on pixel values is computed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import onnx

Array = NDArray[Any]

#: Height and width that stand in for dynamic ones: primes, so that they are not mistaken for channels.
STAND_IN = (61, 67)
_ROUNDS = 10


def prepare(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of the model with fixed sizes, constants folded and disguises removed."""
    import onnx

    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    _fix_sizes(fixed)
    for _ in range(_ROUNDS):
        if not _fold_constants(fixed):
            break
    _rewrite(fixed)
    return fixed


def picture_inputs(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """The inputs that are not weights (old files list weights as inputs, too)."""
    weights = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in weights]


def _fix_sizes(model: onnx.ModelProto) -> None:
    for value in picture_inputs(model.graph):
        dims = value.type.tensor_type.shape.dim
        for dim, stand_in in zip(dims, (1, 3, *STAND_IN), strict=False):
            if dim.dim_value <= 0:
                dim.dim_value = stand_in
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]


def _fold_constants(model: onnx.ModelProto) -> bool:
    """Compute the nodes that read constants or sizes only; True where there were any."""
    import onnx
    from onnx import numpy_helper

    graph = model.graph
    shapes = _shapes(onnx.shape_inference.infer_shapes(model, data_prop=True))
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    kept, folded = [], False
    for node in graph.node:
        values = _evaluate(model, node, constants, shapes)
        if values is None:
            kept.append(node)
            continue
        constants.update(zip(node.output, values, strict=False))
        folded = True
    used = {name for node in kept for name in node.input} | {value.name for value in graph.output}
    del graph.node[:], graph.initializer[:]
    graph.node.extend(kept)
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items() if name in used)
    return folded


def _shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Every tensor whose shape is known in numbers."""
    known = {}
    for value in (*model.graph.input, *model.graph.value_info, *model.graph.output):
        kind = value.type.tensor_type
        if kind.HasField("shape") and all(dim.HasField("dim_value") for dim in kind.shape.dim):
            known[value.name] = tuple(dim.dim_value for dim in kind.shape.dim)
    return known


def _evaluate(
    model: onnx.ModelProto, node: onnx.NodeProto, constants: dict[str, Array], shapes: dict[str, tuple[int, ...]]
) -> list[Array] | None:
    """The outputs of a node that does not depend on pixel values; None for any other."""
    from onnx import helper
    from onnx.reference import ReferenceEvaluator

    names = [name for name in node.input if name]
    if node.op_type in ("Shape", "Size") and names and names[0] in shapes:
        shape = np.asarray(shapes[names[0]], np.int64)
        attrs = {a.name: a.i for a in node.attribute}
        return [
            shape[attrs.get("start", 0) : attrs.get("end", len(shape))] if node.op_type == "Shape" else shape.prod()
        ]
    if not all(name in constants for name in names) or node.op_type.startswith("Random"):
        return None
    if not names and node.op_type != "Constant":
        return None
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(constants[name].dtype), None)
        for name in set(names)
    ]
    outputs = [helper.make_empty_tensor_value_info(name) for name in node.output if name]
    single = helper.make_model(helper.make_graph([node], "one", inputs, outputs), opset_imports=model.opset_import)
    return [np.asarray(v) for v in ReferenceEvaluator(single).run(None, {name: constants[name] for name in names})]


def _rewrite(model: onnx.ModelProto) -> None:
    """Clip -> Max, Min; Tile -> Concat; zero Pad and auto_pad -> the pads of the convolution."""
    import onnx
    from onnx import numpy_helper

    graph = model.graph
    shapes = _shapes(onnx.shape_inference.infer_shapes(model))
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    readers: dict[str, int] = {value.name: 1 for value in graph.output}
    for node in graph.node:
        for name in node.input:
            readers[name] = readers.get(name, 0) + 1
    pads: dict[str, tuple[str, list[int]]] = {}
    out: list[Any] = []
    for node in graph.node:
        if (
            node.op_type == "Pad"
            and readers[node.output[0]] == 1
            and (amount := _zero_pad(node, constants)) is not None
        ):
            pads[node.output[0]] = (node.input[0], amount)
            out.append(node)  # goes below, where a convolution took it in
        elif node.op_type == "Clip":
            out.extend(_clip(node))
        elif node.op_type == "Tile":
            out.extend(_tile(node, constants, shapes))
        elif node.op_type == "Conv":
            out.append(_conv(node, constants, pads, out))
        else:
            out.append(node)
    del graph.node[:]
    graph.node.extend([*_integers_as_constants(graph), *out])


def _integers_as_constants(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Sizes, axes and bounds become Constant nodes: some of the frontend's converters do not see parameters' values."""
    from onnx import helper, numpy_helper

    weights, made = [], []
    for tensor in graph.initializer:
        value = numpy_helper.to_array(tensor)
        if value.dtype.kind == "f" and value.ndim:
            weights.append(tensor)
        else:
            made.append(helper.make_node("Constant", [], [tensor.name], value=tensor))
    del graph.initializer[:]
    graph.initializer.extend(weights)
    return made


def _clip(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    from onnx import helper

    source, made = node.input[0], []
    bounds = list(node.input[1:3])
    last = max((i for i, name in enumerate(bounds) if name), default=None)
    if last is None:
        return [helper.make_node("Identity", [source], list(node.output), name=node.name)]
    for i, (op, bound) in enumerate(zip(("Max", "Min"), bounds, strict=False)):
        if bound:
            target = node.output[0] if i == last else f"{node.output[0]}_low"
            made.append(helper.make_node(op, [source, bound], [target], name=f"{node.name}_{op}"))
            source = target
    return made


def _tile(
    node: onnx.NodeProto, constants: dict[str, Array], shapes: dict[str, tuple[int, ...]]
) -> list[onnx.NodeProto]:
    """Repeats along channels are a Concat; repeats of a dimension of size 1 are an Expand."""
    from onnx import helper

    times, shape = constants.get(node.input[1]), shapes.get(node.input[0])
    if times is None or shape is None:
        return [node]
    if len(times) == 4 and list(times[[0, 2, 3]]) == [1, 1, 1]:
        return [helper.make_node("Concat", [node.input[0]] * int(times[1]), list(node.output), name=node.name, axis=1)]
    if all(count == 1 or size == 1 for count, size in zip(times, shape, strict=True)):
        target = f"{node.output[0]}_shape"
        size = helper.make_tensor(target, 7, [len(shape)], [int(c) * n for c, n in zip(times, shape, strict=True)])
        return [
            helper.make_node("Constant", [], [target], value=size),
            helper.make_node("Expand", [node.input[0], target], list(node.output), name=node.name),
        ]
    return [node]


def _attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    from onnx import helper

    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)


def _zero_pad(node: onnx.NodeProto, constants: dict[str, Array]) -> list[int] | None:
    """Top, left, bottom, right of a Pad with zeros around the picture; None for any other Pad."""
    amounts = constants.get(node.input[1]) if len(node.input) > 1 else None
    value = constants.get(node.input[2]) if len(node.input) > 2 and node.input[2] else np.zeros(())
    axes = len(node.input) > 3 and node.input[3] != ""
    if _attribute(node, "mode", b"constant") != b"constant" or amounts is None or value is None or axes:
        return None
    if len(amounts) != 8 or np.any(value != 0) or np.any(amounts < 0) or np.any(amounts[[0, 1, 4, 5]] != 0):
        return None
    return [int(v) for v in amounts[[2, 3, 6, 7]]]


def _conv(
    node: onnx.NodeProto, constants: dict[str, Array], pads: dict[str, tuple[str, list[int]]], out: list[Any]
) -> onnx.NodeProto:
    from onnx import helper

    weight = constants.get(node.input[1])
    if weight is None or weight.ndim != 4:
        return node
    amount = list(_attribute(node, "pads", [0, 0, 0, 0]))
    auto = _attribute(node, "auto_pad", b"NOTSET")
    if auto in (b"SAME_UPPER", b"SAME_LOWER"):
        if set(_attribute(node, "strides", [1])) != {1}:
            return node
        dilations = _attribute(node, "dilations", [1, 1])
        total = [(k - 1) * d for k, d in zip(weight.shape[2:], dilations, strict=True)]
        small, large = [t // 2 for t in total], [t - t // 2 for t in total]
        amount = [*small, *large] if auto == b"SAME_UPPER" else [*large, *small]
    source = node.input[0]
    if source in pads:
        before, extra = pads[source]
        out[:] = [other for other in out if source not in other.output]
        source, amount = before, [a + b for a, b in zip(amount, extra, strict=True)]
    kept = {a.name: helper.get_attribute_value(a) for a in node.attribute if a.name not in ("pads", "auto_pad")}
    return helper.make_node("Conv", [source, *node.input[1:]], list(node.output), name=node.name, pads=amount, **kept)
