"""Plans that are read and bound to their network; manifests and plans inside artifacts, for Linux and macOS."""

from __future__ import annotations

import copy
import json
import random
import struct
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from tests.fuzz import nasty
from tests.fuzz.case import Files
from tests.fuzz.json_values import mutated_json
from tests.quant import networks
from tvmsr.artifact.manifest import Manifest
from tvmsr.artifact.plan_text import pack_plan
from tvmsr.graph.model import Model
from tvmsr.quant.calibrate import calibrate
from tvmsr.runtime.folding import fold_layers

_NETWORKS = tuple(networks.ALL)


@cache
def _model(name: str) -> Model:
    return networks.ALL[name]()


@cache
def _plan(name: str) -> dict[str, Any]:
    bits = "6" if name == "residual" else "8"
    plan = calibrate(_model(name), [networks.picture()], bits=bits, max_drop=None)
    return json.loads(plan.to_json())


def plan_file(rng: random.Random) -> Files:
    name = rng.choice(_NETWORKS)
    text = mutated_json(rng, _plan(name))
    return {f"{name}.json": nasty.mutated_bytes(rng, text) if rng.random() < 0.1 else text}


def read_plan(path: Path) -> object:
    """As `tvmsr inspect` and `tvmsr compile --plan` do."""
    from tvmsr.commands.inspect import inspect
    from tvmsr.quant.bind import bind
    from tvmsr.quant.plan import Plan

    found = inspect(path)
    json.dumps(found.as_json())
    plan = Plan.load(path)
    plan.to_json().encode()
    return bind(_model(path.stem), plan)


@cache
def _manifest() -> dict[str, Any]:
    layer = {"name": "c0", "nodes": ["c0"], "bits": "8", "kernel": "conv3x3", "algorithm": "direct", "tile": [4, 8],
             "macs_per_pixel": 216.0, "weights_bytes": 216, "reason": "the fastest of 3",
             "stored": [{"tensor": "c0", "first": 0, "channels": 8}]}  # fmt: skip
    level = {"name": "avx2", "isa": "avx2", "cpu": "haswell", "needs": ["avx2"], "buffers": 3, "layers": [layer]}
    manifest = Manifest.model_validate(
        {
            "abi": 1, "tvmsr": "0.1.0", "model": "netz", "family": "plain_anchor", "model_checksum": "0" * 64,
            "weights_licence": "MIT", "assumed": ["value range 1"], "scale": 2, "colour": "rgb", "receptive_radius": 4,
            "minimum_width": 1, "minimum_height": 1, "macs_per_pixel": 10.0, "bits": "8", "method": "minmax",
            "plan_checksum": "1" * 64, "choices": ["default"], "target": "host", "triple": "x86_64-linux-gnu",
            "link_triple": "x86_64-linux-gnu.2.17", "prefix": "tvmsr", "levels": [level], "weights_size": 8,
            "data_size": 8, "data_checksum": "2" * 64, "linked_code": [{"name": "tvmsr", "licence": "Apache-2.0"}],
            "checks": [{"seed": 1, "width": 9, "height": 7, "choice": 0, "checksum": "0" * 16}], "tools": {"zig": "1"},
        }
    )  # fmt: skip
    return manifest.model_dump(mode="json")


def elf(sections: dict[str, bytes]) -> bytes:
    """The smallest ELF file with such sections, 64 bits, for x86-64."""
    names, bodies, headers = b"\0", b"", [bytes(64)]
    for name, data in {**sections, ".shstrtab": b""}.items():
        at = len(names)
        names += name.encode() + b"\0"
        content = names if name == ".shstrtab" else data
        headers.append(struct.pack("<IIQQQQIIQQ", at, 1, 0, 0, 64 + len(bodies), len(content), 0, 0, 1, 0))
        bodies += content
    head = b"\x7fELF\x02\x01\x01" + bytes(9)
    head += struct.pack(
        "<HHIQQQIHHHHHH", 3, 62, 1, 0, 0, 64 + len(bodies), 0, 64, 0, 0, 64, len(headers), len(headers) - 1
    )
    return head + bodies + b"".join(headers)


def macho(sections: dict[str, bytes]) -> bytes:
    """The smallest Mach-O file with such sections, for AArch64."""
    start = 32 + 72 + 80 * len(sections)
    table, bodies = b"", b""
    for name, data in sections.items():
        own = f"__{name.removeprefix('.').replace('.', '_')}".encode()
        table += struct.pack("<16s16s2Q8I", own, b"__TEXT", 0, len(data), start + len(bodies), *[0] * 7)
        bodies += data
    size = start + len(bodies)
    segment = struct.pack("<2I16s4Q4I", 0x19, 72 + len(table), b"__TEXT", 0, size, 0, size, 5, 5, len(sections), 0)
    return (
        struct.pack("<4s7I", b"\xcf\xfa\xed\xfe", 0x0100000C, 0, 6, 1, 72 + len(table), 0, 0) + segment + table + bodies
    )


def _packed(rng: random.Random, text: bytes) -> bytes:
    packed = pack_plan(text.decode())
    if rng.random() < 0.1:
        packed = zlib.compress(bytes(1 << 24), 9)  # more than it looks
    elif rng.random() < 0.3:
        packed = zlib.compress(nasty.mutated_bytes(rng, zlib.decompress(packed)))
    return nasty.mutated_bytes(rng, packed) if rng.random() < 0.3 else packed


def artifact_file(rng: random.Random) -> Files:
    manifest = copy.deepcopy(_manifest())
    if rng.random() < 0.5:
        manifest = fold_layers(manifest)
    text = mutated_json(rng, manifest) if rng.random() < 0.7 else json.dumps(manifest).encode()
    sections = {".tvmsr.manifest": text + b"\0", ".tvmsr.plan": _packed(rng, json.dumps(_plan("plain")).encode())}
    make: Callable[[dict[str, bytes]], bytes] = elf if rng.random() < 0.7 else macho
    data = make(sections)
    if rng.random() < 0.3:
        head, tail = data[:-200], data[-200:]
        data = (
            nasty.mutated_bytes(rng, head, near=200) + tail
            if rng.random() < 0.5
            else head + nasty.mutated_bytes(rng, tail)
        )
    return {"net.so": data}


def read_artifact(path: Path) -> object:
    """As `tvmsr inspect --plan` and the first steps of opening a session do."""
    from tvmsr.commands.inspect import inspect
    from tvmsr.quant.plan import Plan
    from tvmsr.runtime.sections import manifest_values, read_library

    found = inspect(path, plan=path.with_suffix(".json"))
    json.dumps(found.as_json())
    manifest_values(read_library(path))
    return Plan.load(path.with_suffix(".json"))


def plan_or_artifact(rng: random.Random) -> Files:
    return (plan_file if rng.random() < 0.5 else artifact_file)(rng)


def read(path: Path) -> object:
    return read_artifact(path) if path.suffix == ".so" else read_plan(path)
