"""ONNX Runtime. INT8: its static QDQ, u8 activations, s8 weights per channel; reduced range avoids saturation."""

from __future__ import annotations

from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

import numpy as np

from peering.runtimes import F32, Files, Job, Opened, Size, channels_last

TITLE = "ONNX Runtime"
MODULES = ("onnxruntime",)
VARIANTS = {"fp32": "FP32", "int8": "INT8 u8s8", "int8-reduced": "INT8 u8s8, weights of 7 bits"}
HELD: dict[str, str] | None = None
HELD_NOTE = "its kernels have no switch"


def version() -> str:
    return version_of("onnxruntime")


def convert(job: Job, variant: str) -> Files:
    """INT8 is calibrated on crops, with sizes open, and then given each size."""
    if variant == "fp32":
        return lambda size: [job.file(f"{size}.onnx")]
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.items = iter([{"input": crop[None]} for crop in job.calibration])

        def get_next(self) -> Any:
            return next(self.items, None)

    target = job.file(f"ort-{variant}.onnx")
    quantize_static(
        str(job.file("any.onnx")), str(target), Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, reduce_range=variant == "int8-reduced",
    )  # fmt: skip

    def sized(size: Size) -> list[Path]:
        whole, fixed = onnx.load(str(target)), onnx.load(str(job.file(f"{size}.onnx")))
        del whole.graph.value_info[:]
        for values, of in ((whole.graph.input, fixed.graph.input), (whole.graph.output, fixed.graph.output)):
            values[0].type.CopyFrom(of[0].type)
        path = job.file(f"ort-{variant}-{size}.onnx")
        onnx.save(whole, str(path))
        return [path]

    return sized


def open_network(files: list[str], variant: str, threads: int, feed: F32) -> Opened:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(files[0], options, providers=["CPUExecutionProvider"])
    return Opened(lambda: np.asarray(session.run(None, {"input": feed})[0]), channels_last)
