"""`.pth` / `.pt`: PyTorch checkpoints, without PyTorch and without running what the pickle asks for.

A pickle is a program. This reader lets it build dictionaries, lists, numbers, strings and tensors, from the short list
of names below; every other name is refused before anything is called.
"""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvmsr.errors import InputFileError
from tvmsr.frontend.readers.safetensors_file import bfloat16_to_float32

_STORAGE_TYPES = {
    "DoubleStorage": "f8", "FloatStorage": "f4", "HalfStorage": "f2", "BFloat16Storage": "bf16", "LongStorage": "i8",
    "IntStorage": "i4", "ShortStorage": "i2", "CharStorage": "i1", "ByteStorage": "u1", "BoolStorage": "?",
}  # fmt: skip
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C


@dataclass(frozen=True)
class _StorageType:
    code: str

    @property
    def item_size(self) -> int:
        return 2 if self.code == "bf16" else np.dtype(self.code).itemsize


@dataclass(frozen=True)
class _Storage:
    """A storage that the pickle refers to: its bytes are elsewhere in the file."""

    kind: _StorageType
    key: str
    count: int


@dataclass(frozen=True)
class _Pending:
    """A tensor whose storage has not been read yet."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def _rebuild_tensor(storage: _Storage, offset: int, size: Any, stride: Any, *_: Any) -> _Pending:
    if not isinstance(storage, _Storage):
        raise pickle.UnpicklingError("a tensor without a storage")
    return _Pending(storage, int(offset), tuple(int(n) for n in size), tuple(int(n) for n in stride))


def _rebuild_parameter(data: Any, *_: Any) -> Any:
    return data


#: Everything that a checkpoint may name.
_ALLOWED: Mapping[tuple[str, str], Callable[..., Any] | _StorageType] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch", "Size"): tuple,
    **{("torch", name): _StorageType(code) for name, code in _STORAGE_TYPES.items()},
}


class _TensorUnpickler(pickle.Unpickler):
    """Builds tensors and plain containers; refuses every other name."""

    def find_class(self, module: str, name: str) -> Any:
        found = _ALLOWED.get((module, name))
        if found is None:
            raise _RefusedError(f"{module}.{name}")
        return found

    def persistent_load(self, pid: Any) -> _Storage:
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage" or not isinstance(pid[1], _StorageType):
            raise pickle.UnpicklingError("an unknown kind of reference")
        return _Storage(pid[1], str(pid[2]), int(pid[4]))


class _RefusedError(pickle.UnpicklingError):
    pass


def read_torch(path: Path) -> dict[str, Any]:
    """The checkpoint as nested dictionaries with numpy arrays for tensors."""
    try:
        if zipfile.is_zipfile(path):
            tree, storages = _read_zip(path)
        else:
            tree, storages = _read_legacy(path)
        built = _resolve(tree, storages)
    except _RefusedError as error:
        raise InputFileError(
            f"{path}: asks for {error}, which is not a tensor, and is refused (it could run code); "
            "save the state dict alone: torch.save(model.state_dict(), ...)"
        ) from None
    except InputFileError:
        raise
    except Exception as error:  # a damaged pickle can raise almost anything
        raise InputFileError(f"{path}: is no PyTorch checkpoint, or is damaged ({error})") from error
    if not isinstance(built, Mapping):
        raise InputFileError(f"{path}: holds a {type(built).__name__}, not a state dict")
    return dict(built)


def _read_zip(path: Path) -> tuple[Any, Callable[[_Storage], bytes]]:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise InputFileError(f"{path}: has compressed members, which PyTorch never writes")
        pickles = [name for name in names if name.endswith("/data.pkl") or name == "data.pkl"]
        if len(pickles) != 1 or any("/code/" in name for name in names):
            raise InputFileError(
                f"{path}: is an archive, but no plain checkpoint (TorchScript?); save the state dict, "
                "or use torch.export (.pt2)"
            )
        root = pickles[0].removesuffix("data.pkl")
        order = archive.read(root + "byteorder") if root + "byteorder" in names else b"little"
        if order != b"little":
            raise InputFileError(f"{path}: was written by a big-endian machine")
        tree = _TensorUnpickler(BytesIO(archive.read(pickles[0]))).load()
        raw = {name: archive.read(name) for name in names if name.startswith(root + "data/")}
    return tree, lambda storage: raw[f"{root}data/{storage.key}"]


def _read_legacy(path: Path) -> tuple[Any, Callable[[_Storage], bytes]]:
    """The format before PyTorch 1.6: five pickles, then each storage as a 64-bit count and its raw values."""
    with path.open("rb") as file:
        if _TensorUnpickler(file).load() != _LEGACY_MAGIC:
            raise pickle.UnpicklingError("no PyTorch magic number")
        for _ in ("protocol version", "system"):
            _TensorUnpickler(file).load()
        tree = _TensorUnpickler(file).load()
        keys = [str(key) for key in _TensorUnpickler(file).load()]
        kinds = {storage.key: storage.kind for storage in _storages(tree)}
        raw = {}
        for key in keys:
            size = int.from_bytes(file.read(8), "little") * (kinds[key].item_size if key in kinds else 0)
            if size > path.stat().st_size:
                raise pickle.UnpicklingError("it is cut off")
            raw[key] = file.read(size)
    return tree, lambda storage: raw[storage.key]


def _storages(tree: Any) -> list[_Storage]:
    if isinstance(tree, _Pending):
        return [tree.storage]
    if isinstance(tree, Mapping):
        return [storage for value in tree.values() for storage in _storages(value)]
    if isinstance(tree, list | tuple):
        return [storage for value in tree for storage in _storages(value)]
    return []


def _resolve(tree: Any, storages: Callable[[_Storage], bytes]) -> Any:
    if isinstance(tree, _Pending):
        return _build(tree, storages(tree.storage))
    if isinstance(tree, Mapping):
        return {key: _resolve(value, storages) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_resolve(value, storages) for value in tree]
    return tree


def _build(pending: _Pending, raw: bytes) -> NDArray[Any]:
    """The array of a tensor, checked against its storage: a few bytes must not claim to be gigabytes."""
    kind = pending.storage.kind
    flat: NDArray[Any] = np.frombuffer(raw, "<u2" if kind.code == "bf16" else np.dtype(kind.code).newbyteorder("<"))
    if kind.code == "bf16":
        flat = bfloat16_to_float32(flat)
    if min((*pending.size, *pending.stride, pending.offset), default=0) < 0 or len(pending.size) != len(pending.stride):
        raise pickle.UnpicklingError("a tensor of impossible shape")
    last = pending.offset + sum((n - 1) * step for n, step in zip(pending.size, pending.stride, strict=True))
    count = int(np.prod(pending.size, dtype=object))
    if count > flat.size or (count and last >= flat.size):
        raise pickle.UnpicklingError("a tensor larger than its data; the file is cut off")
    steps = tuple(step * flat.itemsize for step in pending.stride)
    return np.lib.stride_tricks.as_strided(flat[pending.offset :], pending.size, steps, writeable=False).copy()
