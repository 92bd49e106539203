"""ONNX files with something wrong in their graph, their tensors, their bytes or the files beside them."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from tests.fuzz import nasty
from tests.fuzz.case import Files
from tests.fuzz.onnx_fields import change_any_field
from tests.fuzz.onnx_seeds import SEEDS
from tests.fuzz.onnx_subtle import SUBTLE

Graph = onnx.GraphProto


@cache
def _seed(number: int) -> bytes:
    return SEEDS[number]().SerializeToString()


@cache
def _operators() -> tuple[str, ...]:
    return tuple(sorted({schema.name for schema in onnx.defs.get_all_schemas() if schema.domain == ""}))


def _dims(rng: random.Random, graph: Graph) -> None:
    tensor = rng.choice(graph.initializer)
    if tensor.dims and rng.random() < 0.7:
        tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(nasty.INTS)
    else:
        tensor.dims.extend([rng.choice(nasty.INTS)] * rng.choice((1, 2, 60)))


def _data(rng: random.Random, graph: Graph) -> None:
    tensor = rng.choice(graph.initializer)
    raw = tensor.raw_data
    tensor.raw_data = rng.choice(
        (b"", raw[:-1], raw[4:], raw * 2, b"\xff" * len(raw), b"\0\0\x80\x7f" * (len(raw) // 4))
    )
    if rng.random() < 0.3:
        tensor.float_data.extend([rng.choice(nasty.FLOATS[:8])] * 3)


def _kind(rng: random.Random, graph: Graph) -> None:
    rng.choice(graph.initializer).data_type = rng.choice((0, 1, 2, 6, 7, 8, 9, 10, 11, 14, 16, 17, 21, 25, 99, -1))


def _values(rng: random.Random, graph: Graph) -> None:
    """A constant, most often one of sizes or axes, says something else."""
    tensor = rng.choice([t for t in graph.initializer if t.data_type == TensorProto.INT64] or graph.initializer)
    count = len(tensor.raw_data) // 8
    numbers = [rng.choice(nasty.INTS) if rng.random() < 0.5 else 1 for _ in range(count)]
    tensor.raw_data = b"".join(n.to_bytes(8, "little", signed=True) for n in numbers)


def _rename_tensor(rng: random.Random, graph: Graph) -> None:
    rng.choice(graph.initializer).name = rng.choice((nasty.text(rng), graph.initializer[0].name, "x", "y", "n0"))


def _external(rng: random.Random, graph: Graph) -> None:
    tensor = rng.choice(graph.initializer)
    place = rng.choice(("net.data", "net.data", "../net.data", "/etc/passwd", "/dev/zero", "", ".", "sub/../net.data",
                        "link", "missing", "a\0b", "C:\\x", "..\\x", "net.onnx"))  # fmt: skip
    tensor.data_location = rng.choice((TensorProto.EXTERNAL, TensorProto.DEFAULT))
    tensor.external_data.add(key="location", value=place)
    for key in ("offset", "length"):
        if rng.random() < 0.6:
            value = rng.choice(("0", "-1", "4", str(2**63), "1e3", "x", str(len(tensor.raw_data))))
            tensor.external_data.add(key=key, value=value)
    tensor.ClearField("raw_data")


def _operator(rng: random.Random, graph: Graph) -> None:
    node = rng.choice(graph.node)
    node.op_type = rng.choice((*_operators(), nasty.text(rng)))
    if rng.random() < 0.3:
        del node.attribute[:]


def _edge(rng: random.Random, graph: Graph) -> None:
    """An input comes from elsewhere: cycles, weights for pictures, nothing."""
    node = rng.choice(graph.node)
    names = [name for other in graph.node for name in other.output] + [t.name for t in graph.initializer] + ["x", ""]
    if node.input and rng.random() < 0.8:
        node.input[rng.randrange(len(node.input))] = rng.choice((*names, nasty.text(rng)))
    elif node.input and rng.random() < 0.5:
        del node.input[-1]
    else:
        node.input.extend([rng.choice(names)] * rng.choice((1, 2, 50)))


def _output(rng: random.Random, graph: Graph) -> None:
    node = rng.choice(graph.node)
    names = [name for other in graph.node for name in other.output] + ["x", "", graph.initializer[0].name]
    if node.output and rng.random() < 0.7:
        node.output[rng.randrange(len(node.output))] = rng.choice(names)
    elif node.output and rng.random() < 0.5:
        del node.output[-1]
    else:
        node.output.append(rng.choice((*names, "extra")))


def _nodes(rng: random.Random, graph: Graph) -> None:
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in graph.node]
    action = rng.randrange(4)
    if action == 0:
        rng.shuffle(nodes)
    elif action == 1:
        del nodes[rng.randrange(len(nodes))]
    elif action == 2:
        nodes.append(rng.choice(nodes))
    else:
        nodes = nodes[: rng.randrange(len(nodes) + 1)]
    del graph.node[:]
    graph.node.extend(nodes)


def _attribute(rng: random.Random, graph: Graph) -> None:
    node = rng.choice([n for n in graph.node if n.attribute] or graph.node)
    if not node.attribute or rng.random() < 0.2:
        name = rng.choice(("axis", "axes", "perm", "pads", "strides", "group", "to", "value", "mode", nasty.text(rng)))
        value = rng.choice((rng.choice(nasty.INTS), rng.choice(nasty.FLOATS), "text", [1, 2], [0.5], [-1] * 9))
        node.attribute.append(helper.make_attribute(name, value))
        return
    attribute = rng.choice(node.attribute)
    action = rng.randrange(5)
    if action == 0:
        attribute.type = rng.choice((0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13))
    elif action == 1:
        node.attribute.remove(attribute)
    elif action == 2:
        attribute.f = rng.choice(nasty.FLOATS[:8])
    elif attribute.ints:
        attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(nasty.INTS)
        attribute.ints.extend([1] * rng.choice((0, 0, 1, 30)))
    elif attribute.s:
        attribute.s = rng.choice((b"", b"linear", b"cubic", b"reflect", b"edge", b"\xff\xfe", b"VALID", b"DCR"))
    else:
        attribute.i = rng.choice(nasty.INTS)


def _ends(rng: random.Random, graph: Graph) -> None:
    value = rng.choice((*graph.input, *graph.output))
    action = rng.randrange(5)
    dims = value.type.tensor_type.shape.dim
    if action == 0 and dims:
        rng.choice(dims).dim_value = rng.choice(nasty.INTS)
    elif action == 1:
        value.type.tensor_type.elem_type = rng.choice((0, 1, 7, 8, 10, 11, 99))
    elif action == 2:
        value.name = nasty.text(rng)
    elif action == 3:
        rng.choice((graph.input, graph.output)).append(value)
    elif rng.random() < 0.5:
        value.ClearField("type")
    else:
        del dims[-1:]


def _nested(rng: random.Random, graph: Graph) -> None:
    inner = helper.make_graph([helper.make_node("Identity", ["x"], ["z"])], "inner", [], [graph.output[0]])
    node = rng.choice(graph.node)
    if rng.random() < 0.5:
        node.op_type = rng.choice(("If", "Loop", "Scan"))
    for name in ("then_branch", "else_branch", "body")[: rng.choice((1, 2, 3))]:
        node.attribute.append(helper.make_attribute(name, inner))
    if rng.random() < 0.3:
        graph.sparse_initializer.add().values.CopyFrom(graph.initializer[0])


_ON_GRAPH: tuple[Callable[[random.Random, Graph], None], ...] = (
    _dims, _data, _kind, _values, _values, _rename_tensor, _external, _operator, _operator, _edge, _edge, _output,
    _nodes, _attribute, _attribute, _attribute, _ends, _nested,
)  # fmt: skip


def _versions(rng: random.Random, model: onnx.ModelProto) -> None:
    if rng.random() < 0.7:
        if not model.opset_import:
            model.opset_import.add()  # an earlier change took it away
        model.opset_import[0].version = rng.choice((*range(1, 30), *nasty.INTS))
    else:
        model.ir_version = rng.choice(nasty.INTS)
    if rng.random() < 0.2:
        model.opset_import.add(domain=rng.choice(("", "com.microsoft", "x")), version=rng.choice(nasty.INTS))


def onnx_file(rng: random.Random) -> Files:
    model = onnx.ModelProto.FromString(_seed(rng.randrange(len(SEEDS))))
    if rng.random() < 0.6:
        for _ in range(rng.choice((1, 1, 2, 3))):
            rng.choice(SUBTLE)(rng, model.graph)
        if rng.random() < 0.2:
            model.opset_import[0].version = rng.randrange(9, 24)
        return _beside(model.SerializeToString())
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        choice = rng.random()
        if choice < 0.75 and model.graph.node and model.graph.initializer:
            rng.choice(_ON_GRAPH)(rng, model.graph)
        elif choice < 0.85:
            _versions(rng, model)
        else:
            change_any_field(rng, model)
    data = model.SerializeToString()
    if rng.random() < 0.15:
        data = nasty.mutated_bytes(rng, data)
    return _beside(data)


def _beside(data: bytes) -> Files:
    """The file, and one beside it that its tensors may lie in."""
    return {"net.onnx": data, "net.data": b"\0\0\x80\x3f" * 500}


def read(path: Path) -> object:
    from tests.fuzz.models import go_on
    from tvmsr.frontend import load_model

    return go_on(load_model(path))
