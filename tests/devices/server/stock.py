"""TVM's own Python client, and a library that TVM compiled."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import tvm
from tvm.script import tirx as T

from tests.devices.server.conftest import Program
from tvmsr.artifact.zig import run_tool, zig_command

rpc = pytest.importorskip("tvm.rpc", reason="needs TVM's RPC: pip install cloudpickle psutil", exc_type=ImportError)

_TARGETS = {
    "native": {"mtriple": f"{platform.machine()}-linux-gnu"},
    "aarch64": {"mtriple": "aarch64-linux-gnu"},
    "arm": {"mtriple": "armv7-unknown-linux-gnueabihf", "mattr": ["+neon", "+vfp3"]},
}


@contextmanager
def client(port: int, key: str = "", seconds: int = 0) -> Iterator[Any]:
    """TVM's client, that hangs up at the end: by itself it does when nothing refers to its session any more."""
    remote = rpc.connect("127.0.0.1", port, key=key, session_timeout=seconds)
    hang_up = remote.get_function("CloseRPCConnection")
    try:
        yield remote
    finally:
        hang_up()


def last_line(error: pytest.ExceptionInfo[BaseException]) -> str:
    return str(error.value).strip().splitlines()[-1]


def tripling(program: Program, folder: Path) -> Path:
    """A library whose `main` multiplies 1000 float32 by 3, in parallel."""

    @T.prim_func(s_tir=True)
    def main(a: T.Buffer((1000,), "float32"), b: T.Buffer((1000,), "float32")):
        T.func_attr({"global_symbol": "main", "tir.noalias": True})
        for i in T.parallel(1000):
            b[i] = a[i] * T.float32(3)

    def link(out: str, objects: list[str], **_: object) -> None:
        run_tool([*zig_command("cc"), "-target", program.triple, "-shared", "-fPIC", *objects, "-o", out], "linking")

    path = folder / "triple.so"
    target = tvm.target.Target({"kind": "llvm", **_TARGETS.get(program.kind, _TARGETS["native"])})
    tvm.compile(tvm.IRModule({"main": main}), target=target).export_library(str(path), fcompile=link)
    return path
