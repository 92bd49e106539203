"""What is done to an ONNX graph before it becomes Relax: sizes become numbers, and so does what is computed of them.

The canonical graph does not depend on the picture's size, so a dynamic one is fixed here, and everything that does not
depend on pixel values is computed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tvmsr.frontend.onnx_budget import check_cost
from tvmsr.frontend.quantized import QUANTIZING, folded

if TYPE_CHECKING:
    import onnx

Array = NDArray[Any]

_ROUNDS = 10
#: Constants of more values are left as they are: those of a picture's size, which repeat few.
_LARGEST_CONSTANT = 1 << 20
_GROWING = ("Expand", "Tile", "ConstantOfShape")


def prepare(model: onnx.ModelProto, height: int, width: int) -> onnx.ModelProto:
    """A copy of the model with fixed sizes and constants folded; these stand in for dynamic height and width."""
    import onnx

    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    _fix_sizes(fixed, height, width)
    for _ in range(_ROUNDS):
        if not _fold_constants(fixed):
            break
    _prune(fixed.graph)
    return fixed


def shapes_of(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Every tensor of a prepared model whose shape is known."""
    import onnx

    return _shapes(onnx.shape_inference.infer_shapes(model, data_prop=True))


def fixed_size(graph: onnx.GraphProto) -> tuple[int | None, int | None]:
    """Height and width of the picture; None where they are dynamic."""
    dims = picture_inputs(graph)[0].type.tensor_type.shape.dim
    height, width = (dim.dim_value if dim.dim_value > 0 else None for dim in dims[2:4])
    return height, width


def _prune(graph: onnx.GraphProto) -> None:
    """Nodes that the output does not need go."""
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed & set(node.output):
            needed.update(name for name in node.input if name)
            kept.append(node)
    del graph.node[:]
    graph.node.extend(reversed(kept))


def picture_inputs(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """The inputs that are not weights (old files list weights as inputs, too)."""
    weights = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in weights]


def _fix_sizes(model: onnx.ModelProto, height: int, width: int) -> None:
    for value in picture_inputs(model.graph):
        dims = value.type.tensor_type.shape.dim
        for dim, stand_in in zip(dims, (1, 3, height, width), strict=False):
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
    if node.op_type in _GROWING and np.prod(shapes.get(node.output[0], (1,))) > _LARGEST_CONSTANT:
        return None
    check_cost(node, constants)
    if node.op_type in QUANTIZING:
        return [folded(node, [constants[name] for name in names])]
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(constants[name].dtype), None)
        for name in set(names)
    ]
    outputs = [helper.make_empty_tensor_value_info(name) for name in node.output if name]
    single = helper.make_model(helper.make_graph([node], "one", inputs, outputs), opset_imports=model.opset_import)
    return [np.asarray(v) for v in ReferenceEvaluator(single).run(None, {name: constants[name] for name in names})]
