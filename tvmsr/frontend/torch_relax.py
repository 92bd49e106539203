"""torch.export programs -> Relax: TVM's importer, which asks torch_ops.py first.

What neither converts becomes a call that the walk over the module reports, so that all of it is reported at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from tvmsr.frontend.own_ops import unsupported
from tvmsr.frontend.torch_call import Call, GiveUpError
from tvmsr.frontend.torch_constants import as_constant, constants_of
from tvmsr.frontend.torch_ops import CONVERTERS
from tvmsr.frontend.unsupported import INSTEAD
from tvmsr.frontend.words import without_expressions


class _Table(dict[str, Callable[[Any], Any]]):
    """TVM's table of converters, which has an entry for every operator: ours, TVM's own, or one that gives up."""

    def __init__(self, importer: Any, places: dict[str, str], constants: Mapping[str, Any]) -> None:
        super().__init__(importer.convert_map)
        self._importer, self._places, self._constants = importer, places, constants

    def __contains__(self, name: object) -> bool:
        return True

    def __getitem__(self, name: str) -> Callable[[Any], Any]:
        return lambda node: self._convert(name, node)

    def _convert(self, name: str, node: Any) -> Any:
        if node.name in self._constants:
            return as_constant(self._constants[node.name])
        place = _place(node)
        call = Call(self._importer, node, _arguments(self._importer, node))
        reason, doubted = "is not supported", list[Any]()
        try:
            if name in CONVERTERS:
                return self._noted(CONVERTERS[name](call), place)
            own_converter = dict.get(self, name)
            if own_converter is not None and name.split(".", maxsplit=1)[0] not in INSTEAD:
                return self._noted(own_converter(node), place)
        except GiveUpError as error:
            reason = str(error)
        except Exception as error:  # TVM's converters raise what they like
            reason = f"TVM's frontend fails ({without_expressions(_first_line(error))})"
            doubted = [value for value in call.args.values() if type(value).__name__ in ("Var", "DataflowVar")]
        if "val" not in node.meta:
            raise GiveUpError(f"{name} ({place}): {reason}")
        what = name.split(".", maxsplit=1)[0]
        return call.emit(unsupported(doubted, call.kinds, what, place, _attributes(call), reason))

    def _noted(self, made: Any, place: str) -> Any:
        for value in made if isinstance(made, tuple) else (made,):
            name = getattr(value, "name", None)
            if isinstance(name, str):
                self._places.setdefault(name, place)
        return made


def _arguments(importer: Any, node: Any) -> dict[str, Any]:
    """The arguments of a node by name, defaults among them."""
    schema = getattr(node.target, "_schema", None)
    found = {}
    for i, argument in enumerate(schema.arguments if schema is not None else ()):
        default = argument.default_value if argument.has_default_value() else None
        value = node.args[i] if i < len(node.args) else node.kwargs.get(argument.name, default)
        found[argument.name] = importer._retrieve_args(value)
    return found


def _place(node: Any) -> str:
    """Path and class of the layer, name of the node, and the line of the network's source, as far as they are known."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    layer = f"{stack[-1][0]}, " if stack and stack[-1][0] else ""
    lines = [line.strip() for line in (node.meta.get("stack_trace") or "").splitlines()]
    calls = [code for where, code in pairwise(lines) if where.startswith("File") and code]
    return f"{layer}node {node.name}" + (f", in `{calls[-1][:80]}`" if calls else "")


def _attributes(call: Call) -> str:
    numbers = (int, float, str, bool, list, tuple)
    plain = {
        key: value
        for key, value in call.args.items()
        if isinstance(value, numbers)
        and all(isinstance(v, numbers) for v in (value if isinstance(value, list) else ()))
    }
    return ", ".join(f"{key}={value}" for key, value in plain.items())


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _changes_tensors(program: Any) -> bool:
    """True where an operator writes over its input: what reads that afterwards has to be found first."""
    names = [str(getattr(node.target, "__name__", "")).split(".", maxsplit=1)[0] for node in program.graph.nodes]
    return any(name.endswith("_") and not name.startswith("_") for name in names)


def to_relax(program: Any) -> tuple[Any, dict[str, str]]:
    """The Relax module of an exported program whose sizes are numbers, and where in it its variables come from."""
    from tvm.relax.frontend.torch.exported_program_translator import ExportedProgramImporter

    if _changes_tensors(program):
        program = program.run_decompositions({})
    places: dict[str, str] = {}
    importer = ExportedProgramImporter()
    importer.convert_map = _Table(importer, places, constants_of(program))
    module = importer.from_exported_program(
        program,
        keep_params_as_input=True,
        unwrap_unit_return_tuple=False,
        no_bind_return_tuple=False,
        custom_convert_map=None,
    )
    return module, places
