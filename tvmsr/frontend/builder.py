"""Small helpers with which families write their networks as Relax."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tvmsr.frontend.state import State
from tvmsr.graph.model import F32

if TYPE_CHECKING:
    import tvm


class NetBuilder:
    """Builds `main(input, weights...)` of a Relax module; tensors are (1, C, H, W) float32 with symbolic H and W.

    Weights become parameters named by their checkpoint keys; `constants` has their values.
    """

    def __init__(self, state: State, channels: int) -> None:
        from tvm import relax, tirx

        self._relax: Any = relax
        self._builder = relax.BlockBuilder()
        self._height, self._width = tirx.Var("height", "int64"), tirx.Var("width", "int64")
        self.state = state
        self.input = relax.Var("input", relax.TensorType((1, channels, self._height, self._width), "float32"))
        self._params: dict[str, Any] = {}
        self.constants: dict[str, F32] = {}
        self.names: dict[str, str] = {}  # Relax variable -> wanted name: Relax allows no dots

    def weight(self, key: str, value: F32 | None = None) -> Any:
        """The parameter of a checkpoint key; `value` where its layout had to change."""
        if key not in self._params:
            array = self.state[key] if value is None else np.ascontiguousarray(value, np.float32)
            self._params[key] = self._relax.Var(key, self._relax.TensorType(array.shape, "float32"))
            self.constants[key] = array
        return self._params[key]

    def emit(self, expression: Any, name: str = "") -> Any:
        variable = self._builder.emit(expression, name_hint=name.replace(".", "_"))
        if name:
            self.names[variable.name] = name
        return variable

    def conv(self, x: Any, key: str, *, weight: str = "weight", bias: str = "bias", sep: str = ".") -> Any:
        """Convolution with zero padding that keeps the size; the bias is optional in the checkpoint."""
        name = f"{key}{sep}{weight}"
        kernel = self.constants[name] if name in self.constants else self.state[name]
        y = self.emit(
            self._relax.op.nn.conv2d(x, self.weight(name), padding=(kernel.shape[2] // 2, kernel.shape[3] // 2))
        )
        return self.shift(y, f"{key}{sep}{bias}") if f"{key}{sep}{bias}" in self.state else y

    def shift(self, x: Any, key: str) -> Any:
        """X plus a value per channel."""
        flat = self.emit(self._relax.op.reshape(self.weight(key), (1, -1, 1, 1)))
        return self.emit(self._relax.op.add(x, flat))

    def affine(self, x: Any, scale: float | F32, shift: float | F32) -> Any:
        """X * scale + shift, each a number or a vector per channel."""
        op = self._relax.op
        return self.emit(op.add(self.emit(op.multiply(x, self._constant(scale))), self._constant(shift)))

    def _constant(self, value: float | F32) -> Any:
        array = np.asarray(value, np.float32)
        return self._relax.const(array.reshape(1, -1, 1, 1) if array.ndim else array, "float32")

    def batch_norm(self, x: Any, gamma: str, beta: str, mean: str, variance: str, epsilon: float = 1e-5) -> Any:
        keys = (self.weight(key) for key in (gamma, beta, mean, variance))
        return self.emit(self._relax.op.nn.batch_norm(x, *keys, axis=1, epsilon=epsilon, training=False))[0]

    def activate(self, x: Any, kind: str, slope: float = 0.0) -> Any:
        """relu, leaky (with a slope), tanh or none."""
        op = self._relax.op
        if kind == "none":
            return x
        made = {"relu": op.nn.relu, "tanh": op.tanh, "leaky": lambda v: op.nn.leakyrelu(v, slope)}[kind](x)
        return self.emit(made)

    def prelu(self, x: Any, key: str) -> Any:
        return self.emit(self._relax.op.nn.prelu(x, self.weight(key), axis=1))

    def add(self, a: Any, b: Any, name: str = "") -> Any:
        return self.emit(self._relax.op.add(a, b), name)

    def concat(self, parts: Sequence[Any], name: str = "") -> Any:
        return self.emit(self._relax.op.concat(list(parts), axis=1), name)

    def split(self, x: Any, first: int) -> tuple[Any, Any]:
        """The first channels, and the others."""
        pair = self.emit(self._relax.op.split(x, [first], axis=1))
        return self.emit(pair[0]), self.emit(pair[1])

    def repeat(self, x: Any, times: int) -> Any:
        """Every channel `times` times in a row."""
        return self.emit(self._relax.op.repeat(x, times, axis=1))

    def pixel_shuffle(self, x: Any, block: int, name: str = "") -> Any:
        """torch.nn.PixelShuffle: channel c*block^2 + dy*block + dx."""
        return self.emit(self._relax.op.nn.pixel_shuffle(x, block), name)

    def depth_to_space(self, x: Any, block: int, name: str = "") -> Any:
        """TensorFlow's order: channel (dy*block + dx)*C + c."""
        op, (_, channels, height, width) = self._relax.op, x.ty.shape
        out = int(channels.value) // block**2
        split = self.emit(op.reshape(x, (1, block, block, out, height, width)))
        moved = self.emit(op.permute_dims(split, [0, 3, 4, 1, 5, 2]))
        return self.emit(op.reshape(moved, (1, out, height * block, width * block)), name)

    def nearest(self, x: Any, block: int) -> Any:
        """Every pixel as a square of block x block."""
        _, _, height, width = x.ty.shape
        return self.emit(
            self._relax.op.image.resize2d(
                x,
                (height * block, width * block),
                layout="NCHW",
                method="nearest_neighbor",
                coordinate_transformation_mode="asymmetric",
                rounding_method="floor",
            )
        )

    def clip(self, x: Any, low: float, high: float) -> Any:
        return self.emit(self._relax.op.clip(x, low, high))

    def module(self, write: Any) -> tvm.IRModule:
        """The module whose output is `write(self.input)`."""
        builder = self._builder
        with builder.function("main"):
            with builder.dataflow():
                output = builder.emit_output(write(self.input))
            builder.emit_func_output(output, params=[self.input, *self._params.values()])
        return builder.get()
