"""`.safetensors`: a length, a JSON header, raw tensors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvmsr.errors import InputFileError
from tvmsr.frontend.readers.whole_file import is_plain_name, read_whole, shown

_TYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U8": "u1", "BOOL": "?",
}  # fmt: skip
_HEADER_LIMIT = 100 << 20
_MOST_TENSORS = 100_000
_MOST_DIMENSIONS = 8
_LARGEST_SIZE = 1 << 48


def read_safetensors(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Tensors by key, and the file's metadata. No two tensors share a byte, so they are not larger than the file."""
    data = read_whole(path)
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or not 2 <= length <= min(len(data) - 8, _HEADER_LIMIT):
        raise InputFileError(f"{path}: is not a .safetensors file, or is cut off inside its header")
    try:
        header = json.loads(data[8 : 8 + length], object_pairs_hook=_no_key_twice)
        metadata = _metadata(header)
        entries = _entries(header)
        _check_overlap(entries)
    except (ValueError, RecursionError) as error:  # of JSON and Unicode, too
        raise InputFileError(f"{path}: its .safetensors header is damaged ({_reason(error)})") from error
    raw = memoryview(data)[8 + length :]
    return {key: _tensor(path, key, entry, raw) for key, entry in entries.items()}, metadata


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands in it twice")
    return found


def _reason(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())[:200]


def _metadata(header: Any) -> dict[str, str]:
    if not isinstance(header, dict):
        raise ValueError("it is no object")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("its metadata are not texts by name")
    return metadata


#: What a header says of a tensor: type, shape, first byte and the one behind the last.
_Entry = tuple[str, list[int], int, int]


def _entries(header: Mapping[str, Any]) -> dict[str, _Entry]:
    if len(header) > _MOST_TENSORS:
        raise ValueError(f"{len(header)} tensors, more than {_MOST_TENSORS}")
    return {key: _entry(key, entry) for key, entry in header.items()}


def _entry(key: str, entry: Any) -> _Entry:
    if not is_plain_name(key):
        raise ValueError(f"the name {shown(key)} is too long or not printable")
    if not isinstance(entry, dict):
        raise ValueError(f"{key!r} is described by no object")
    kind, shape, offsets = entry.get("dtype"), _sizes(entry.get("shape")), _sizes(entry.get("data_offsets"))
    if not isinstance(kind, str) or shape is None or offsets is None or len(offsets) != 2:
        raise ValueError(f"{key!r} needs a dtype, a shape and two data_offsets, none below 0")
    return kind, shape, offsets[0], offsets[1]


def _sizes(values: Any) -> list[int] | None:
    """A list of possible sizes, or None."""
    if not isinstance(values, list) or len(values) > _MOST_DIMENSIONS:
        return None
    return values if all(type(n) is int and 0 <= n < _LARGEST_SIZE for n in values) else None


def _check_overlap(entries: Mapping[str, _Entry]) -> None:
    end = 0
    for key, (_, _, begin, behind) in sorted(entries.items(), key=lambda item: item[1][2:]):
        if not end <= begin <= behind:
            raise ValueError(f"the bytes of {key!r} are those of another tensor, too, or end before they begin")
        end = behind


def _tensor(path: Path, key: str, entry: _Entry, data: memoryview) -> NDArray[Any]:
    kind, shape, begin, end = entry
    if end > len(data):
        raise InputFileError(f"{path}: is cut off: the tensor {key!r} ends at byte {end} of {len(data)}")
    wide = kind == "BF16"
    if not wide and kind not in _TYPES:
        raise InputFileError(f"{path}: the tensor {key!r} has the type {shown(kind)}; save it as float32 or float16")
    stored = np.dtype("<u2" if wide else _TYPES[kind])
    if prod(shape) * stored.itemsize != end - begin:
        raise InputFileError(f"{path}: the tensor {key!r} of shape {shape} does not fill its {end - begin} bytes")
    flat: NDArray[Any] = np.frombuffer(data[begin:end], stored)
    return bfloat16_to_float32(flat).reshape(shape) if wide else flat.reshape(shape)


def bfloat16_to_float32(raw: NDArray[np.uint16]) -> NDArray[np.float32]:
    """bfloat16 is the upper half of a float32."""
    return (raw.astype(np.uint32, order="C") << 16).view(np.float32)
