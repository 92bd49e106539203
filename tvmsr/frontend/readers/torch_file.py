"""`.pth` / `.pt`: PyTorch checkpoints, without PyTorch and without running what the pickle asks for.

A pickle is a program. This reader lets it build dictionaries, lists, numbers, strings and tensors, from the short list
of names below; every other name is refused before anything is called. What is behind those names is made afresh or
cannot be changed, so a pickle leaves nothing behind; and what it makes is no larger than its file by more than a few
times, whatever it claims.
"""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvmsr.errors import InputFileError
from tvmsr.frontend.readers.pickle_limits import check_pickle
from tvmsr.frontend.readers.safetensors_file import bfloat16_to_float32
from tvmsr.frontend.readers.whole_file import read_whole, shown

_STORAGE_TYPES = {
    "DoubleStorage": "f8", "FloatStorage": "f4", "HalfStorage": "f2", "BFloat16Storage": "bf16", "LongStorage": "i8",
    "IntStorage": "i4", "ShortStorage": "i2", "CharStorage": "i1", "ByteStorage": "u1", "BoolStorage": "?",
}  # fmt: skip
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
#: Values in dictionaries and lists, shared ones counted as often as they are met.
_MOST_VALUES = 1_000_000
_MOST_DIMENSIONS = 8
#: How much larger than the file its tensors may be: they may share storages.
_GROWTH, _ALWAYS_FINE = 8, 64 << 20


@dataclass(frozen=True, slots=True)
class _StorageType:
    code: str

    @property
    def item_size(self) -> int:
        return 2 if self.code == "bf16" else np.dtype(self.code).itemsize


@dataclass(frozen=True, slots=True)
class _Storage:
    """A storage that the pickle refers to: its bytes are elsewhere in the file."""

    kind: _StorageType
    key: str
    count: int


@dataclass(frozen=True, slots=True)
class _Pending:
    """A tensor whose storage has not been read yet."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Call:
    """A function that a pickle may call."""

    function: Callable[..., Any]

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)


def _rebuild_tensor(storage: _Storage, offset: int, size: Any, stride: Any, *_: Any) -> _Pending:
    if not isinstance(storage, _Storage):
        raise pickle.UnpicklingError("a tensor without a storage")
    return _Pending(storage, _whole(offset), _size(size), _size(stride))


def _rebuild_parameter(data: Any, *_: Any) -> Any:
    return data


def _whole(value: Any) -> int:
    if type(value) is not int or abs(value) >= 1 << 62:
        raise pickle.UnpicklingError("a size that is no number, or an impossible one")
    return value


def _size(sizes: Any = ()) -> tuple[int, ...]:
    if not isinstance(sizes, (tuple, list)) or len(sizes) > _MOST_DIMENSIONS:
        raise pickle.UnpicklingError("a shape that is none")
    return tuple(_whole(n) for n in sizes)


def _ordered_dict(pairs: Any = ()) -> OrderedDict[Any, Any]:
    """Of Python 2's pickles, which bring the items along; later ones add them to an empty one."""
    if not isinstance(pairs, list) and pairs != ():
        raise pickle.UnpicklingError("an OrderedDict of something else than pairs")
    return OrderedDict(pairs)


#: Everything that a checkpoint may name, but for the types of storages.
_ALLOWED: Mapping[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): _ordered_dict,
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch", "Size"): _size,
}


class _TensorUnpickler(pickle.Unpickler):
    """Builds tensors and plain containers; refuses every other name."""

    def find_class(self, module: str, name: str) -> Any:
        """A new object each time: a pickle can set the attributes, even the slots, of what it names."""
        if module == "torch" and name in _STORAGE_TYPES:
            return _StorageType(_STORAGE_TYPES[name])
        if (module, name) not in _ALLOWED:
            raise _RefusedError(shown(f"{module}.{name}")[1:-1])
        return _Call(_ALLOWED[module, name])

    def persistent_load(self, pid: Any) -> _Storage:
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage" or not isinstance(pid[1], _StorageType):
            raise pickle.UnpicklingError("an unknown kind of reference")
        return _Storage(pid[1], _key(pid[2]), _whole(pid[4]))


def _key(value: Any) -> str:
    """A storage's name: text, a number in very old files."""
    if not isinstance(value, (str, int)):
        raise pickle.UnpicklingError("a storage whose name is no text")
    return str(value)


class _RefusedError(pickle.UnpicklingError):
    pass


def read_torch(path: Path) -> dict[str, Any]:
    """The checkpoint as nested dictionaries with numpy arrays for tensors."""
    data = read_whole(path)
    try:
        tree, storages = (_read_zip if zipfile.is_zipfile(BytesIO(data)) else _read_legacy)(path, data)
        built = _Resolver(storages, max(_GROWTH * len(data), _ALWAYS_FINE)).resolve(tree)
    except _RefusedError as error:
        raise InputFileError(
            f"{path}: asks for {error}, which is not a tensor, and is refused (it could run code); "
            "save the state dict alone: torch.save(model.state_dict(), ...)"
        ) from None
    except InputFileError:
        raise
    except Exception as error:  # a damaged pickle can raise almost anything
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputFileError(f"{path}: is no PyTorch checkpoint, or is damaged ({reason})") from error
    if not isinstance(built, Mapping):
        raise InputFileError(f"{path}: holds a {type(built).__name__}, not a state dict")
    return dict(built)


def _load(file: BytesIO) -> Any:
    """The next pickle of a file."""
    check_pickle(file)
    try:
        return _TensorUnpickler(file).load()
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # a damaged pickle can raise almost anything
        raise pickle.UnpicklingError(f"its pickle cannot be read: {error}") from error


def _read_zip(path: Path, data: bytes) -> tuple[Any, Callable[[_Storage], bytes]]:
    with zipfile.ZipFile(BytesIO(data)) as archive:
        names = archive.namelist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise InputFileError(f"{path}: has compressed members, which PyTorch never writes")
        if len(set(names)) != len(names) or sum(entry.file_size for entry in archive.infolist()) > len(data):
            raise InputFileError(f"{path}: has members that share a name or bytes, which PyTorch never writes")
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
        tree = _load(BytesIO(archive.read(pickles[0])))
        raw = {name: archive.read(name) for name in names if name.startswith(root + "data/")}
    return tree, lambda storage: raw[f"{root}data/{storage.key}"]


def _read_legacy(path: Path, data: bytes) -> tuple[Any, Callable[[_Storage], bytes]]:
    """The format before PyTorch 1.6: five pickles, then each storage as a 64-bit count and its raw values."""
    file = BytesIO(data)
    if _load(file) != _LEGACY_MAGIC:
        raise pickle.UnpicklingError("no PyTorch magic number")
    for _ in ("protocol version", "system"):
        _load(file)
    tree = _load(file)
    keys = [_key(key) for key in _load(file)]
    kinds = {storage.key: storage.kind for storage in _storages(tree)}
    raw = {}
    for key in keys:
        size = int.from_bytes(file.read(8), "little") * (kinds[key].item_size if key in kinds else 0)
        if size > len(data):
            raise pickle.UnpicklingError("it is cut off")
        raw[key] = file.read(size)
    return tree, lambda storage: raw[storage.key]


def _children(tree: Any) -> Iterator[Any]:
    if isinstance(tree, Mapping):
        yield from tree.values()
    elif isinstance(tree, list | tuple):
        yield from tree


def _storages(tree: Any) -> Iterator[_Storage]:
    """The storages of all tensors; each container is looked into once, however often the pickle refers to it."""
    todo, seen = [tree], {id(tree)}
    while todo:
        value = todo.pop()
        if isinstance(value, _Pending):
            yield value.storage
        for child in _children(value):
            if id(child) not in seen:
                seen.add(id(child))
                todo.append(child)


@dataclass
class _Resolver:
    """Puts arrays in place of tensors that were not read yet."""

    storages: Callable[[_Storage], bytes]
    most_bytes: int
    values: int = 0
    bytes_made: int = 0
    made: dict[_Pending, NDArray[Any]] = field(default_factory=dict)

    def resolve(self, tree: Any) -> Any:
        self.values += 1
        if self.values > _MOST_VALUES:
            raise pickle.UnpicklingError(f"more than {_MOST_VALUES} values")
        if isinstance(tree, _Pending):
            return self.array(tree)
        if isinstance(tree, Mapping):
            return {key: self.resolve(value) for key, value in tree.items()}
        if isinstance(tree, list | tuple):
            return [self.resolve(value) for value in tree]
        return tree

    def array(self, pending: _Pending) -> NDArray[Any]:
        if pending not in self.made:
            self.made[pending] = array = _build(pending, self.storages(pending.storage))
            self.bytes_made += array.nbytes
            if self.bytes_made > self.most_bytes:
                raise pickle.UnpicklingError("tensors that share their data and are many times as large as the file")
        return self.made[pending]


def _build(pending: _Pending, raw: bytes) -> NDArray[Any]:
    """The array of a tensor, checked against its storage: a few bytes must not claim to be gigabytes."""
    kind = pending.storage.kind
    flat: NDArray[Any] = np.frombuffer(raw, "<u2" if kind.code == "bf16" else np.dtype(kind.code).newbyteorder("<"))
    if min((*pending.size, *pending.stride, pending.offset), default=0) < 0 or len(pending.size) != len(pending.stride):
        raise pickle.UnpicklingError("a tensor of impossible shape")
    last = pending.offset + sum((n - 1) * step for n, step in zip(pending.size, pending.stride, strict=True))
    count = int(np.prod(pending.size, dtype=object))
    if count > flat.size or (count and last >= flat.size):
        raise pickle.UnpicklingError("a tensor larger than its data; the file is cut off")
    steps = tuple(step * flat.itemsize for step in pending.stride)
    view: NDArray[Any] = np.lib.stride_tricks.as_strided(flat[pending.offset :], pending.size, steps, writeable=False)
    return bfloat16_to_float32(view) if kind.code == "bf16" else view.copy()
