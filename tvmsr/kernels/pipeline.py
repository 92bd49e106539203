"""From specs to one object of plain C functions: a TIR pipeline without TVM's packed calling convention."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from tvmsr.hardware.target import Level
from tvmsr.kernels.algorithms import ALGORITHMS
from tvmsr.kernels.spec import KernelSpec

_PIPELINE = "tvmsr.plain"


def exported_name(name: str, level: Level) -> str:
    """The symbol of kernel `name` in the object of a level: several levels link into one library."""
    return f"{name}_{level.name}"


def compile_object(specs: Mapping[str, KernelSpec], level: Level, triple: str) -> bytes:
    """One relocatable object with a function exported_name(name, level) for every spec; same input, same bytes."""
    with tempfile.TemporaryDirectory(prefix="tvmsr-") as folder:
        path = Path(folder, "kernels.o")
        build_module(specs, level, triple).write_to_file(str(path))
        return path.read_bytes()


def build_module(specs: Mapping[str, KernelSpec], level: Level, triple: str) -> Any:
    """The built TVM module: its `inspect_source("asm")` shows what the generators became."""
    import tvm

    wrong = [name for name, spec in specs.items() if spec.isa != level.isa]
    if wrong:
        raise ValueError(f"level {level.name} compiles for {level.isa}, not {', '.join(wrong)}")
    _register()
    functions = {}
    for name in sorted(specs):
        exported = exported_name(name, level)
        functions[exported] = generate(specs[name], exported)
    target: dict[str, Any] = {"kind": "llvm", "mtriple": triple, "mcpu": level.cpu}
    if level.features:
        target["mattr"] = list(level.features)
    return tvm.tirx.build(tvm.IRModule(functions), target=tvm.target.Target(target), pipeline=_PIPELINE)


def generate(spec: KernelSpec, name: str) -> Any:
    """The TIR of one kernel."""
    module, _, function = ALGORITHMS[spec.algorithm].generator.partition(":")
    return getattr(import_module(module), function)(spec, name)


@cache
def _register() -> None:
    from tvm.tirx import compilation_pipeline

    compilation_pipeline.register_tir_pipeline(_PIPELINE, _plain_pipeline)


def _plain_pipeline() -> tuple[Any, Any, Any]:
    """TVM's own lowering of s_tir functions, less MakePackedAPI: pointers stay arguments, nothing is checked.

    Left out, too, is what changes no byte of what the generators make and takes a quarter of the time: compaction of
    buffers, removal of what does nothing, intrinsics by rule.
    """
    import tvm
    from tvm import tirx
    from tvm.tirx import compilation_pipeline

    s, t = tvm.s_tir.transform, tirx.transform
    passes = [
        # Blocks and buffers to flat loops
        s.CanonicalizeLoop(),
        s.LowerInitBlock(),
        s.PlanAndUpdateBufferAllocationLocation(),
        s.ConvertBlocksToOpaque(),
        s.LowerMatchBuffer(),
        s.LowerOpaqueBlock(),
        t.FlattenBuffer(),
        # Indices are 32 bits wide: the driver adds what is larger
        t.NarrowDataType(32),
        t.VectorizeLoop(True),
        t.StorageRewrite(),
        t.UnrollLoop(),
        t.StmtSimplify(),
        t.CommonSubexprElim(),
        t.VerifyMemory(),
    ]

    def lower(mod: Any, _context: Any) -> Any:
        return tvm.ir.transform.Sequential(passes)(mod)

    def on_host() -> Any:
        return tvm.ir.transform.Sequential([t.LowerTVMBuiltin()])

    as_pass = tvm.transform.module_pass(lower, opt_level=0)
    return as_pass, on_host, compilation_pipeline.finalize_device_passes
