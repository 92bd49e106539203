"""Small helpers with which families write their networks as Relax."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tvmsr.frontend.state import State, Watched
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
        self.state = state if isinstance(state, Watched) else Watched(state)
        self.input = relax.Var("input", relax.TensorType((1, channels, self._height, self._width), "float32"))
        self._params: dict[str, Any] = {}
        self.constants: dict[str, F32] = {}
        self.names: dict[str, str] = {}  # Relax variable -> wanted name: Relax allows no dots

    def put(self, tensors: State) -> None:
        """Let families find these tensors too, or in place of those of the checkpoint."""
        self.state = self.state.with_tensors(tensors)

    def pass_over(self, *keys: str) -> None:
        """Let tensors count as used that say what others say too."""
        self.state.read.update(keys)

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

    def conv(
        self,
        x: Any,
        key: str,
        *,
        weight: str = "weight",
        bias: str = "bias",
        sep: str = ".",
        stride: int = 1,
        padding: int | None = None,
        dilation: int = 1,
    ) -> Any:
        """Convolution with zero padding that keeps the size unless given; the bias is optional in the checkpoint.

        Groups follow from the shapes. Linear layers over channels, whose weights are matrices, are 1x1 convolutions.
        """
        name = f"{key}{sep}{weight}"
        kernel = self.constants[name] if name in self.constants else self.state[name]
        if kernel.ndim == 2:
            kernel = kernel[:, :, None, None]
        same = (kernel.shape[2] // 2 * dilation, kernel.shape[3] // 2 * dilation)
        around = same if padding is None else (padding, padding)
        groups = self.channels(x) // kernel.shape[1]
        make, weights = self._relax.op.nn.conv2d, self.weight(name, kernel)
        y = self.emit(make(x, weights, strides=stride, padding=around, dilation=dilation, groups=groups))
        return self.shift(y, f"{key}{sep}{bias}") if f"{key}{sep}{bias}" in self.state else y

    def deconv(self, x: Any, key: str, stride: int, *, padding: int, output_padding: int = 0) -> Any:
        """torch.nn.ConvTranspose2d: weights (in, out, KH, KW)."""
        make, weight = self._relax.op.nn.conv2d_transpose, self.weight(f"{key}.weight")
        y = self.emit(make(x, weight, strides=stride, padding=padding, output_padding=output_padding))
        return self.shift(y, f"{key}.bias") if f"{key}.bias" in self.state else y

    def channels(self, x: Any) -> int:
        return int(x.ty.shape[1].value)

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
        """relu, leaky (with a slope), tanh, sigmoid, gelu (exact), silu, mish or none."""
        op = self._relax.op
        if kind == "none":
            return x
        kinds = {
            "relu": op.nn.relu,
            "tanh": op.tanh,
            "sigmoid": op.sigmoid,
            "gelu": op.nn.gelu,
            "silu": op.nn.silu,
            "mish": lambda v: op.multiply(v, self.emit(op.tanh(self.emit(op.nn.softplus(v))))),
            "leaky": lambda v: op.nn.leakyrelu(v, slope),
        }
        return self.emit(kinds[kind](x))

    def layer_norm(self, x: Any, key: str, epsilon: float) -> Any:
        """Over the channels of each pixel; the shift is optional in the checkpoint."""
        gamma = self.state[f"{key}.weight"]
        beta = self.state.get(f"{key}.bias", np.zeros_like(gamma))
        weights = self.weight(f"{key}.weight"), self.weight(f"{key}.bias", beta)
        return self.emit(self._relax.op.nn.layer_norm(x, *weights, axes=[1], epsilon=epsilon))

    def prelu(self, x: Any, key: str) -> Any:
        return self.emit(self._relax.op.nn.prelu(x, self.weight(key), axis=1))

    def add(self, a: Any, b: Any, name: str = "") -> Any:
        return self.emit(self._relax.op.add(a, b), name)

    def mul(self, a: Any, b: Any, name: str = "") -> Any:
        """A product; b may be one value per channel (1, C, 1, 1), or one channel beside all of a's."""
        return self.emit(self._relax.op.multiply(a, b), name)

    def mean(self, x: Any, name: str = "") -> Any:
        """Per channel over the whole picture: (1, C, 1, 1)."""
        return self.emit(self._relax.op.mean(x, [2, 3], keepdims=True), name)

    def deviation(self, x: Any, name: str = "", *, unbiased: bool = False) -> Any:
        """The standard deviation per channel over the whole picture: (1, C, 1, 1); torch.std's is unbiased."""
        if not unbiased:
            return self.emit(self._relax.op.std(x, [2, 3], keepdims=True), name)
        from tvm.ir import StringImm

        says = StringImm(json.dumps({"axis": [2, 3], "keepdims": True, "unbiased": True}))
        made = self._relax.TensorType((1, self.channels(x), 1, 1), "float32")
        return self.emit(self._relax.call_pure_packed("tvmsr.deviation", x, says, ty_args=made), name)

    def max_pool(self, x: Any, kernel: int, stride: int, padding: int = 0) -> Any:
        return self.emit(self._relax.op.nn.max_pool2d(x, kernel, strides=stride, padding=padding))

    def pad(self, x: Any, pixels: int, mode: str = "replicate") -> Any:
        """More pixels on every side: replicate, reflect or constant (zero)."""
        widths = [0, 0, 0, 0, pixels, pixels, pixels, pixels]
        return self.emit(self._relax.op.nn.pad(x, widths, mode))

    def concat(self, parts: Sequence[Any], name: str = "") -> Any:
        return self.emit(self._relax.op.concat(list(parts), axis=1), name)

    def split(self, x: Any, first: int) -> tuple[Any, Any]:
        """The first channels, and the others."""
        pair = self.emit(self._relax.op.split(x, [first], axis=1))
        return self.emit(pair[0]), self.emit(pair[1])

    def repeat(self, x: Any, times: int) -> Any:
        """Every channel `times` times in a row."""
        return self.emit(self._relax.op.repeat(x, times, axis=1))

    def shuffle_channels(self, x: Any, groups: int) -> Any:
        """Channel g * n + d, of `groups` neighbouring groups of n, goes to d * groups + g."""
        op, (_, channels, height, width) = self._relax.op, x.ty.shape
        each = int(channels.value) // groups
        split = self.emit(op.reshape(x, (1, groups, each, height, width)))
        moved = self.emit(op.permute_dims(split, [0, 2, 1, 3, 4]))
        return self.emit(op.reshape(moved, (1, groups * each, height, width)))

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

    def as_large_as(self, x: Any, like: Any) -> Any:
        """X, which is as large as `like` for pictures whose sides are the multiples that this takes; for no others."""
        _, _, height, width = like.ty.shape
        made = self._relax.TensorType((1, self.channels(x), height, width), "float32")
        return self._builder.match_cast(x, made)

    def resize_like(self, x: Any, like: Any, mode: str = "half_pixel", name: str = "") -> Any:
        """Bilinear, to the height and width of another tensor; half_pixel: align_corners false, else align_corners."""
        _, _, height, width = like.ty.shape
        return self._resize(x, (height, width), "linear", mode, name=name)

    def bilinear(self, x: Any, factor: int, mode: str = "half_pixel") -> Any:
        _, _, height, width = x.ty.shape
        return self._resize(x, (height * factor, width * factor), "linear", mode)

    def bicubic(self, x: Any, factor: int, name: str = "bicubic") -> Any:
        """As the field enlarges pictures before a network: Keys' kernel with a = -0.5, pixel centres aligned."""
        _, _, height, width = x.ty.shape
        return self._resize(x, (height * factor, width * factor), "cubic", "half_pixel", -0.5, name)

    def _resize(
        self, x: Any, size: tuple[Any, Any], method: str, mode: str, cubic: float = -0.75, name: str = ""
    ) -> Any:
        make = self._relax.op.image.resize2d
        made = make(x, size, layout="NCHW", method=method, coordinate_transformation_mode=mode, cubic_alpha=cubic)
        return self.emit(made, name)

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
