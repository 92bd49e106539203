"""PyTorch checkpoints, written without PyTorch: pickles opcode by opcode."""

from __future__ import annotations

import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
KINDS = {"float32": "FloatStorage", "float16": "HalfStorage", "int64": "LongStorage"}


def text(value: str) -> bytes:
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def integer(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def integers(values: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(integer(v) for v in values) + b"t"


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def tensor(
    array: np.ndarray, key: str, size: tuple[int, ...] | None = None, stride: tuple[int, ...] | None = None
) -> bytes:
    size = array.shape if size is None else size
    stride = tuple(s // array.itemsize for s in array.strides) if stride is None else stride
    storage = b"(" + text("storage") + name("torch", KINDS[str(array.dtype)]) + text(key) + text("cpu")
    storage += integer(array.size) + b"tQ"
    arguments = b"(" + storage + integer(0) + integers(size) + integers(stride) + b"\x89"
    return name("torch._utils", "_rebuild_tensor_v2") + arguments + name("collections", "OrderedDict") + b")R" + b"tR"


def dictionary(items: dict[str, bytes]) -> bytes:
    return b"}(" + b"".join(text(k) + v for k, v in items.items()) + b"u"


def program(body: bytes) -> bytes:
    return b"\x80\x02" + body + b"."


def tensors(state: dict[str, np.ndarray]) -> dict[str, bytes]:
    return {key: tensor(value, str(i)) for i, (key, value) in enumerate(state.items())}


def write_zip(path: Path, body: bytes, storages: list[np.ndarray], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", program(body))
        archive.writestr("archive/byteorder", "little")
        for i, array in enumerate(storages):
            archive.writestr(f"archive/data/{i}", array.tobytes())
    return path


def write_legacy(path: Path, body: bytes, storages: list[np.ndarray]) -> Path:
    with path.open("wb") as file:
        for head in (MAGIC, 1001, {"little_endian": True}):
            pickle.dump(head, file, 2)
        file.write(program(body))
        pickle.dump([str(i) for i in range(len(storages))], file, 2)
        for array in storages:
            file.write(struct.pack("<q", array.size) + array.tobytes())
    return path
