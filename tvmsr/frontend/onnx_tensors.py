"""One tensor of an ONNX file: its type is one of numbers, its values are as many as its shape says, and finite."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from tvmsr.errors import InputFileError
from tvmsr.frontend.readers.whole_file import shown

if TYPE_CHECKING:
    import onnx

MAX_DIMENSIONS = 8
#: TensorProto.DataType: bytes of a value, the field that holds values where `raw_data` does not.
_TYPES: Mapping[int, tuple[int, str]] = {
    1: (4, "float_data"),  # FLOAT
    2: (1, "int32_data"),  # UINT8
    3: (1, "int32_data"),  # INT8
    4: (2, "int32_data"),  # UINT16
    5: (2, "int32_data"),  # INT16
    6: (4, "int32_data"),  # INT32
    7: (8, "int64_data"),  # INT64
    9: (1, "int32_data"),  # BOOL
    10: (2, "int32_data"),  # FLOAT16
    11: (8, "double_data"),  # DOUBLE
    12: (4, "uint64_data"),  # UINT32
    13: (8, "uint64_data"),  # UINT64
    16: (2, "int32_data"),  # BFLOAT16
}
_FLOATS = (1, 10, 11, 16)
_FIELDS = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data")


def stored_bytes(tensor: onnx.TensorProto, source: str) -> int:
    """Bytes of a tensor by its type and shape alone; InputFileError where these are impossible."""
    if tensor.data_type not in _TYPES:
        raise InputFileError(
            f"{source}: the tensor {shown(tensor.name)} has the type {_type_name(tensor.data_type)}; "
            "export the network in float32"
        )
    dims = list(tensor.dims)
    if len(dims) > MAX_DIMENSIONS or min(dims, default=0) < 0:
        raise InputFileError(f"{source}: the tensor {shown(tensor.name)} has the impossible shape {dims[:12]}")
    if tensor.data_type in _FLOATS and len(dims) > 1 and 0 in dims:
        raise InputFileError(f"{source}: the tensor {shown(tensor.name)} is empty: its shape is {dims}")
    return prod(dims) * _TYPES[tensor.data_type][0]


def check_tensor(tensor: onnx.TensorProto, source: str) -> None:
    """Raise InputFileError unless the values are there, once, as many as the shape says, and finite.

    A single number may be infinite: bounds are.
    """
    size, field = _TYPES[tensor.data_type]
    count = prod(tensor.dims)
    filled = [name for name in _FIELDS if len(getattr(tensor, name))]
    if tensor.HasField("segment") or len(filled) + bool(tensor.raw_data) > 1 or filled not in ([], [field]):
        raise InputFileError(f"{source}: the values of the tensor {shown(tensor.name)} are not where its type has them")
    stored = len(getattr(tensor, field)) if filled else len(tensor.raw_data) / size
    if stored != count:
        raise InputFileError(
            f"{source}: the tensor {shown(tensor.name)} of shape {list(tensor.dims)} has {stored:g} values, not {count}"
        )
    if tensor.data_type in _FLOATS:
        _check_finite(tensor, count, source)


def _check_finite(tensor: onnx.TensorProto, count: int, source: str) -> None:
    from onnx import numpy_helper

    try:
        values = numpy_helper.to_array(tensor).astype(np.float64 if tensor.data_type == 11 else np.float32)
    except Exception as error:  # halves are stored as int32, of which not all are halves
        raise InputFileError(f"{source}: the tensor {shown(tensor.name)} has values that are no numbers") from error
    limit = np.finfo(np.float32).max
    beyond = np.isnan(values) if count == 1 else ~(np.abs(values) <= limit)
    if np.any(beyond):
        raise InputFileError(f"{source}: the tensor {shown(tensor.name)} has values that are not finite")


def _type_name(number: int) -> str:
    import onnx

    names = {value: name for name, value in onnx.TensorProto.DataType.items()}
    return names.get(number, str(number))
