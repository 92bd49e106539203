"""How operations that are not supported are reported: all of them at once, on one line where there is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tvmsr.errors import InputFileError

_LOCAL = "convolutions: attention over windows of pixels is out of reach"
_NO_SOFTMAX = "attention without softmax: gates made of pooling, sigmoid or layer norm"

#: What could stand in place of operators that SR networks use and that are not supported (yet), by their names in
#: Relax, ONNX and torch.
INSTEAD: Mapping[str, str] = {
    **dict.fromkeys(("softmax", "Softmax", "_softmax", "log_softmax", "LogSoftmax"), _NO_SOFTMAX),
    **dict.fromkeys(("attention", "Attention", "scaled_dot_product_attention"), _NO_SOFTMAX),
    **dict.fromkeys(("einsum", "Einsum", "bmm", "mm", "baddbmm", "addmm"), "a 1x1 convolution, or " + _LOCAL),
    **dict.fromkeys(("roll", "Roll", "unfold", "im2col", "fold", "col2im", "Col2Im"), _LOCAL),
    **dict.fromkeys(
        ("instance_norm", "InstanceNormalization", "group_norm", "native_group_norm", "GroupNormalization"),
        "batch norm, or layer norm over channels",
    ),
    **dict.fromkeys(("conv1d", "conv3d", "conv1d_transpose", "conv3d_transpose"), "a 2-d convolution"),
    **dict.fromkeys(("grid_sample", "grid_sampler_2d", "GridSample"), "interpolate, or a transposed convolution"),
    **dict.fromkeys(("deform_conv2d", "DeformConv"), "a convolution"),
    **dict.fromkeys(("celu", "Celu", "selu", "Selu", "log", "Log", "sin", "Sin", "cos", "Cos"), "another activation"),
    **dict.fromkeys(("topk", "TopK"), "a mean over channels, or the maximum of the whole picture"),
    **dict.fromkeys(("flip", "Flip"), "flips of the picture outside of the network (self-ensemble is a way to run it)"),
    **dict.fromkeys(("_weight_norm", "_weight_norm_interface"), "torch.nn.utils.remove_weight_norm before the export"),
    **dict.fromkeys(("sort", "argmax", "ArgMax", "NonZero", "nonzero"), "gates"),
    **dict.fromkeys(("If", "Loop", "Scan", "cond", "while_loop"), "a network without control flow"),
    **dict.fromkeys(
        ("QLinearConv", "QuantizeLinear", "DequantizeLinear", "ConvInteger", "QLinearMatMul", "DynamicQuantizeLinear"),
        "the FP32 network, which tvmsr quantizes itself, or its QDQ form with a scale a tensor",
    ),
    **dict.fromkeys(("fft_fft2", "fft_rfft2", "_fft_r2c", "DFT"), "convolutions"),
    **dict.fromkeys(("linalg_vector_norm", "norm", "ReduceL2"), "a standard deviation"),
}


@dataclass(frozen=True)
class Problem:
    """One operation that is not supported, or one use of it."""

    what: str
    place: str
    attributes: str
    reason: str
    instead: str

    @staticmethod
    def of(what: str, place: str, error: Exception, attributes: str = "") -> Problem:
        reason, instead = getattr(error, "reason", str(error)), getattr(error, "instead", "")
        return Problem(what, place, attributes, reason, instead)

    def __str__(self) -> str:
        where = ", ".join(part for part in (self.place, self.attributes) if part)
        where = f" ({where})" if where else ""
        return f"{self.what}{where}: {self.reason}" + (f"; use {self.instead}" if self.instead else "")


class UnsupportedFileError(InputFileError):
    """A model with operations that are not supported; `problems` are all of them."""

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        super().__init__(report(source, [str(problem) for problem in problems]))
        self.problems = tuple(problems)


def report(source: str, problems: Sequence[str]) -> str:
    """`source` has these unsupported operations, each described with its place."""
    if len(problems) == 1:
        return f"{source}: 1 unsupported operation: {problems[0]}"
    return "\n  ".join([f"{source}: {len(problems)} unsupported operations:", *problems])
