"""State dicts as families see them: float32 arrays by key, wrappers and prefixes removed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvmsr.errors import InputFileError
from tvmsr.graph.model import F32

State = Mapping[str, F32]

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
            if not np.all(np.isfinite(array)):
                raise InputFileError(f"{source}: the tensor {key!r} has values that are not finite")
            state[key] = np.ascontiguousarray(array, np.float32)
    if not state:
        raise InputFileError(f"{source}: holds no floating-point tensors")
    return state


def unwrap(checkpoint: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """The tensors of the innermost known wrapper, by key."""
    for wrapper in WRAPPERS:
        inner = checkpoint.get(wrapper)
        if isinstance(inner, Mapping):
            return unwrap(inner)
    return {str(key): value for key, value in checkpoint.items() if isinstance(value, np.ndarray)}


def numbered(state: State, pattern: str) -> list[int]:
    """The numbers n for which `pattern.format(n)` is a key, in order from the first that is missing from 0 on."""
    count = 0
    while pattern.format(count) in state:
        count += 1
    return list(range(count))


def whole_root(channels: int, colours: int) -> int | None:
    """The scale s of a pixel shuffle from `channels` to `colours` channels; None where there is none above 1."""
    scale = round((channels / colours) ** 0.5)
    return scale if scale > 1 and scale * scale * colours == channels else None
