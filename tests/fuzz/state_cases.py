"""Checkpoints: .safetensors headers with anything wrong in them, .pth archives and pickles."""

from __future__ import annotations

import io
import json
import pickle
import random
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tests.frontend import states, states_published, torch_files
from tests.fuzz import nasty
from tests.fuzz.case import Files
from tests.fuzz.json_values import mutated_json

State = dict[str, np.ndarray]

#: Every function of these modules that makes a state dict.
_SEEDS: tuple[Callable[[], State], ...] = tuple(
    made
    for module in (states, states_published)
    for made in vars(module).values()
    if getattr(made, "__module__", "") == module.__name__
    and getattr(made, "__annotations__", {}).get("return") == "State"
)


@cache
def _state(number: int) -> State:
    return dict(_SEEDS[number]())


def _parts(state: State) -> tuple[dict[str, Any], bytes]:
    header: dict[str, Any] = {"__metadata__": {"license": "MIT", "format": "pt"}}
    raw = b""
    for key, value in state.items():
        header[key] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [len(raw), len(raw) + value.nbytes]}
        raw += value.astype("<f4").tobytes()
    return header, raw


def _values(rng: random.Random, state: State) -> State:
    """Tensors reshaped, emptied, renamed, lost, with values that are no weights; the file itself is well-formed."""
    state = dict(state)
    for _ in range(rng.choice((1, 1, 2, 4))):
        key = rng.choice(list(state))
        value = state[key]
        action = rng.randrange(7)
        if action == 0:
            del state[key]
        elif action == 1:
            state[rng.choice((nasty.text(rng), rng.choice(list(state)), key + ".0"))] = state.pop(key)
        elif action == 2:
            state[key] = np.full_like(value, rng.choice([f for f in nasty.FLOATS if abs(f) < 1e300 or f != f]))
        elif action == 3:
            axis = rng.randrange(value.ndim) if value.ndim else 0
            state[key] = (
                value[(slice(None),) * axis + (slice(0, rng.choice((0, 1, 2, 3, 5))),)] if value.ndim else value
            )
        elif action == 4:
            state[key] = rng.choice((value.ravel(), value[None], value.T, value.ravel()[:1].reshape(())))
        elif action == 5:
            state[key] = np.repeat(value, rng.choice((2, 3)), axis=0) if value.ndim else value
        elif state:
            state[key] = state[rng.choice(list(state))]
        if not state:
            break
    return state


def safetensors_file(rng: random.Random) -> Files:
    state = _state(rng.randrange(len(_SEEDS)))
    kind = rng.random()
    if kind < 0.35:
        state = _values(rng, state)
    header, raw = _parts(state)
    text = mutated_json(rng, header) if kind >= 0.35 else json.dumps(header).encode()
    length = len(text)
    if kind > 0.9:
        length = rng.choice((0, 1, length - 1, length + 1, length + 100, 100 << 20, 2**32, 2**63, 2**64 - 1))
        length = max(length, 0)
    whole = length.to_bytes(8, "little") + text + raw
    if 0.8 < kind < 0.9:
        whole = nasty.mutated_bytes(rng, whole, near=8 + len(text))
    return {"net.safetensors": whole}


#: Steps of a pickle that do not belong into a checkpoint, or ask for too much.
_STEPS = (
    b"cos\nsystem\n", b"cbuiltins\neval\n", b"r\xff\xff\xff\x7f", b"j\xff\xff\xff\x7f", b"\x8b\xff\xff\xff\x7f", b"2",
    b"0", b"\x85" * 300, b"(" * 300, b"R", b"b", b"Q", b"\x81", b"\x94", b"h\0", b"N", b"}", b"]", b")", b"\x88", b"e",
    b"u", b"ctorch\nFloatStorage\n", b"ctorch\nSize\n", b"ccollections\nOrderedDict\n",
    b"(lp0\n" + b"(g0\ng0\nlp0\n" * 40,
    b"X\xff\xff\xff\xff", b"\x8d" + b"\xff" * 8, b"K\x05", b"J\xff\xff\xff\xff", b"L" + b"9" * 5000 + b"L\n",
    b")" + b"2\x86" * 40 + b"K\x01s", b"s",
)  # fmt: skip


def _broken_pickle(rng: random.Random, data: bytes) -> bytes:
    if rng.random() < 0.4:
        return nasty.mutated_bytes(rng, data)
    at = rng.randrange(2, len(data))
    return data[:at] + rng.choice(_STEPS) + data[at + rng.choice((0, 0, 1, 4)) :]


def _body(rng: random.Random, state: State) -> bytes:
    tensors = {}
    for number, (key, value) in enumerate(state.items()):
        size, stride = value.shape, tuple(step // 4 for step in value.strides)
        if rng.random() < 0.05:
            size = tuple(rng.choice([n for n in nasty.INTS if abs(n) < 2**31]) for _ in size)
        if rng.random() < 0.05:
            stride = tuple(rng.choice([n for n in nasty.INTS if abs(n) < 2**31]) for _ in stride)
        tensors[key] = torch_files.tensor(value, str(number), size, stride)
    return torch_files.program(torch_files.dictionary(tensors))


def _archive(rng: random.Random, members: Files) -> bytes:
    stream = io.BytesIO()
    compression = zipfile.ZIP_DEFLATED if rng.random() < 0.1 else zipfile.ZIP_STORED
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def torch_file(rng: random.Random) -> Files:
    state = _state(rng.randrange(len(_SEEDS)))
    body = _body(rng, state)
    if rng.random() < 0.6:
        body = _broken_pickle(rng, body)
    storages = [value.astype("<f4").tobytes() for value in state.values()]
    if rng.random() < 0.3:
        heads = [pickle.dumps(head, 2) for head in (torch_files.MAGIC, 1001, {"little_endian": True})]
        keys = pickle.dumps([str(number) for number in range(len(storages))], 2)
        counted = b"".join((len(raw) // 4).to_bytes(8, "little") + raw for raw in storages)
        whole = b"".join((*heads, body, keys, counted))
    else:
        names = {f"archive/data/{number}": raw for number, raw in enumerate(storages)}
        if rng.random() < 0.1:
            names[rng.choice(("../../evil", "/evil", "archive/data/../x", "archive/data.pkl", "b/data.pkl"))] = b"x"
        whole = _archive(rng, {"archive/data.pkl": body, "archive/byteorder": b"little", **names})
    return {"net.pth": nasty.mutated_bytes(rng, whole) if rng.random() < 0.4 else whole}


def read(path: Path) -> object:
    from tests.fuzz.models import go_on
    from tvmsr.frontend import load_model

    return go_on(load_model(path))
