"""`.safetensors`: a length, a JSON header, raw tensors."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvmsr.errors import InputFileError

_TYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U8": "u1", "BOOL": "?",
}  # fmt: skip
_HEADER_LIMIT = 100 << 20


def read_safetensors(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Tensors by key, and the file's metadata."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or not 2 <= length <= min(len(data) - 8, _HEADER_LIMIT):
        raise InputFileError(f"{path}: is not a .safetensors file, or is cut off inside its header")
    try:
        header = json.loads(data[8 : 8 + length])
        metadata = {str(k): str(v) for k, v in header.pop("__metadata__", {}).items()}
        tensors = {key: _tensor(path, key, entry, memoryview(data)[8 + length :]) for key, entry in header.items()}
    except (UnicodeDecodeError, json.JSONDecodeError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputFileError(f"{path}: its .safetensors header is damaged ({error})") from error
    return tensors, metadata


def _tensor(path: Path, key: str, entry: dict[str, Any], data: memoryview) -> NDArray[Any]:
    shape, (begin, end), kind = [int(n) for n in entry["shape"]], entry["data_offsets"], entry["dtype"]
    if not 0 <= begin <= end <= len(data):
        raise InputFileError(f"{path}: is cut off: the tensor {key!r} ends at byte {end} of {len(data)}")
    wide = kind == "BF16"
    if not wide and kind not in _TYPES:
        raise InputFileError(f"{path}: the tensor {key!r} has the type {kind}; save it as float32 or float16")
    flat = np.frombuffer(data[begin:end], "<u2" if wide else _TYPES[kind])
    if min(shape, default=0) < 0 or prod(shape) != flat.size:
        raise InputFileError(f"{path}: the tensor {key!r} of shape {shape} does not fill its {end - begin} bytes")
    return bfloat16_to_float32(flat).reshape(shape) if wide else flat.reshape(shape)


def bfloat16_to_float32(raw: NDArray[np.uint16]) -> NDArray[np.float32]:
    """bfloat16 is the upper half of a float32."""
    return (raw.astype(np.uint32) << 16).view(np.float32)
