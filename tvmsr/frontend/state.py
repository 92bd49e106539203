"""State dicts as families see them: float32 arrays by key, wrappers and prefixes removed."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping, ValuesView
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvmsr.errors import InputFileError
from tvmsr.frontend.readers.whole_file import is_plain_name, shown
from tvmsr.frontend.surprises import as_input_error
from tvmsr.graph.model import F32

State = Mapping[str, F32]


class MissingTensorError(KeyError):
    """A tensor was looked up that a state does not have."""


class Watched(Mapping[str, F32]):
    """A state that knows which of its tensors were looked up; asking what there is looks up none."""

    def __init__(self, tensors: State, read: set[str] | None = None) -> None:
        self._tensors = tensors
        self.read: set[str] = set() if read is None else read

    def __getitem__(self, key: str) -> F32:
        try:
            value = self._tensors[key]
        except KeyError:
            raise MissingTensorError(key) from None
        self.read.add(key)
        return value

    def __contains__(self, key: object) -> bool:
        return key in self._tensors

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def items(self) -> ItemsView[str, F32]:
        return self._tensors.items()

    def values(self) -> ValuesView[F32]:
        return self._tensors.values()

    def with_tensors(self, more: State) -> Watched:
        """With more tensors, or others in their places; what is looked up there counts here too."""
        return Watched({**self._tensors, **more}, self.read)

    def left(self) -> list[str]:
        """The tensors that nobody has looked up."""
        return [key for key in self._tensors if key not in self.read]


#: Where training codes keep the weights inside a checkpoint; of several, the first one listed is the better.
WRAPPERS = (
    "params_ema", "ema_state_dict", "model_ema", "params", "state_dict", "model_state_dict", "model", "net", "network",
    "generator", "netG", "g", "weights",
)  # fmt: skip
#: Prefixes that DataParallel, torch.compile and Lightning put before every key.
PREFIXES = ("module.", "_orig_mod.", "model.module.", "netG.", "generator.", "net_g.")


def normalise(checkpoint: Mapping[str, Any], source: str) -> State:
    """The float32 state dict inside a checkpoint, whatever it is wrapped in."""
    found = unwrap(checkpoint)
    if not found:
        raise InputFileError(f"{source}: holds no tensors; save the network's state dict")
    for prefix in PREFIXES:
        if all(key.startswith(prefix) for key in found):
            found = {key.removeprefix(prefix): value for key, value in found.items()}
    state = {}
    for key, value in found.items():
        if key.endswith("num_batches_tracked"):
            continue
        array = np.asarray(value)
        if array.dtype.kind == "f":
            state[key] = _checked(key, array, source)
    if not state:
        raise InputFileError(f"{source}: holds no floating-point tensors")
    with as_input_error(source, "the lengths and directions of its weights do not fit together"):
        return without_weight_norm(state)


def _checked(key: str, array: NDArray[Any], source: str) -> F32:
    """A tensor as contiguous float32: named so that it can be shown, not empty, finite also where it was a double."""
    if not is_plain_name(key):
        raise InputFileError(f"{source}: the name {shown(key)} of a tensor is too long or not printable")
    if array.size == 0:
        raise InputFileError(f"{source}: the tensor {key!r} is empty: its shape is {list(array.shape)}")
    with np.errstate(over="ignore"):
        made = np.ascontiguousarray(array, np.float32)
    if not np.all(np.isfinite(made)):
        raise InputFileError(f"{source}: the tensor {key!r} has values that are not finite")
    return made


def unwrap(checkpoint: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """The tensors of the innermost known wrapper, by key."""
    for wrapper in WRAPPERS:
        inner = checkpoint.get(wrapper)
        if isinstance(inner, Mapping):
            return unwrap(inner)
    return {str(key): value for key, value in checkpoint.items() if isinstance(value, np.ndarray)}


#: Keys of a weight-normalised weight: its length and its direction, as torch.nn.utils saves them, now and before.
_WEIGHT_NORM = (
    (".weight_g", ".weight_v"),
    (".parametrizations.weight.original0", ".parametrizations.weight.original1"),
)


def without_weight_norm(state: State) -> State:
    """The state with weights in place of their lengths and directions (Salimans and Kingma, 2016)."""
    plain = dict(state)
    for length, direction in _WEIGHT_NORM:
        for key in [key for key in state if key.endswith(length) and key.removesuffix(length) + direction in state]:
            stem = key.removesuffix(length)
            v = plain.pop(stem + direction).astype(np.float64)
            size = np.sqrt(np.sum(v * v, axis=tuple(range(1, v.ndim)), keepdims=True))
            g = plain.pop(key).reshape(size.shape)
            plain[stem + ".weight"] = (v * (g / np.where(size == 0, 1.0, size))).astype(np.float32)
    return plain


def numbered(state: State, pattern: str) -> list[int]:
    """The numbers n for which `pattern.format(n)` is a key, in order from the first that is missing from 0 on."""
    count = 0
    while pattern.format(count) in state:
        count += 1
    return list(range(count))


def counted(state: State, pattern: str) -> list[int]:
    """As `numbered`, for names that count from 1."""
    count = 1
    while pattern.format(count) in state:
        count += 1
    return list(range(1, count))


def whole_root(channels: int, colours: int) -> int | None:
    """The scale s of a pixel shuffle from `channels` to `colours` channels; None where there is none above 1."""
    scale = round((channels / colours) ** 0.5)
    return scale if scale > 1 and scale * scale * colours == channels else None
