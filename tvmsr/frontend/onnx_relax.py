"""ONNX graphs -> Relax: TVM's importer, which asks onnx_ops.py first.

What nothing converts becomes a call that the walk over the module reports, so that all of it is reported at once.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tvmsr.frontend.onnx_call import Call, GiveUpError, LostError
from tvmsr.frontend.onnx_ops import CONVERTERS, TRUSTED
from tvmsr.frontend.own_ops import unsupported
from tvmsr.frontend.unsupported import INSTEAD, Problem
from tvmsr.frontend.words import without_expressions

if TYPE_CHECKING:
    import onnx


#: Domains of ONNX itself, and what to do about others.
_OWN = ("", "ai.onnx")
_FOREIGN = "operators of ONNX's own domain"


def place_of(node: onnx.NodeProto) -> str:
    return f"node {node.name or 'without a name'}, makes {', '.join(node.output)}"


def attributes_of(node: onnx.NodeProto) -> str:
    from onnx import helper

    values = {a.name: helper.get_attribute_value(a) for a in node.attribute if a.type not in (4, 5)}
    return ", ".join(f"{k}={v.decode() if isinstance(v, bytes) else v}" for k, v in values.items())


def problem_of(node: onnx.NodeProto, reason: str = "is not supported") -> Problem:
    what = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
    instead = INSTEAD.get(node.op_type, "") if node.domain in _OWN else _FOREIGN
    return Problem(what, place_of(node), attributes_of(node), reason, instead)


class _Conversion:
    """The conversion of one graph: TVM's importer asks it for every node, in order."""

    def __init__(self, model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]], opset: int) -> None:
        from tvm.relax.frontend.onnx.onnx_frontend import ONNXGraphImporter

        self.nodes = list(model.graph.node)
        self.shapes, self.opset = shapes, opset
        self.places: dict[str, str] = {}
        self.importer = ONNXGraphImporter({}, "float32", keep_params_in_input=True)
        self._by_tvm = self.importer._convert_operator
        self.importer._convert_operator = self._convert
        self.importer._check_for_unsupported_ops = lambda graph: None
        self._next = iter(self.nodes)

    def _convert(self, name: str, inputs: Sequence[Any], attrs: dict[str, Any], opset: int) -> Any:
        node = next(self._next)
        given = list(inputs)
        call = Call(self.importer, given, attrs, self.shapes.get(node.output[0]), len(node.output), self.opset)
        reason, doubted = "is not supported", list[Any]()
        try:
            if name in CONVERTERS:
                return self._noted(node, self.importer.bb.normalize(CONVERTERS[name](call)))
            if name in TRUSTED:
                return self._noted(node, self._by_tvm(name, inputs, attrs, opset))
        except GiveUpError as error:
            reason = str(error)
        except Exception as error:  # TVM raises what it likes
            reason = f"TVM's frontend fails ({without_expressions(first_line(error))})"
            doubted = [value for value in given if type(value).__name__ in ("Var", "DataflowVar")]
        return self._given_up(node, doubted, reason)

    def _given_up(self, node: onnx.NodeProto, doubted: Sequence[Any], reason: str) -> Any:
        names = [name for name in node.output if name]
        if any(name not in self.shapes for name in names):
            raise LostError(problem_of(node, reason))
        kinds = [(self.shapes[name], "float32") for name in names]
        found = problem_of(node, reason)
        return self.importer.bb.emit(unsupported(doubted, kinds, found.what, found.place, found.attributes, reason))

    def _noted(self, node: onnx.NodeProto, made: Any) -> Any:
        """Bind what was made to a variable, whose place is known then."""
        kind = type(made).__name__
        if kind not in ("Call", "Var", "DataflowVar"):
            return made
        variable = self.importer.bb.emit(made) if kind == "Call" else made
        self.places.setdefault(variable.name, place_of(node))
        return variable


def to_relax(model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]]) -> tuple[Any, dict[str, str]]:
    """The Relax module of a prepared model, and where in it its variables come from."""
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    conversion = _Conversion(model, shapes, opset)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        return conversion.importer.from_onnx(model.graph, opset), conversion.places


def first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines and "Traceback" in lines[0] else (lines[0] if lines else type(error).__name__)
