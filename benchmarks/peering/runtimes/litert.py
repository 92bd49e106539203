"""LiteRT, that is TensorFlow Lite, with XNNPACK. INT8: ai-edge-quantizer's static scheme."""

from __future__ import annotations

import re
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from peering.runtimes import F32, Files, Job, Opened, Size

TITLE = "LiteRT"
MODULES = ("ai_edge_litert.interpreter",)
VARIANTS = {"fp32": "FP32, XNNPACK", "int8": "INT8 by ai-edge-quantizer, XNNPACK"}
HELD: dict[str, str] | None = None
HELD_NOTE = "XNNPACK chooses its kernels by CPUID alone"


def version() -> str:
    return f"{version_of('ai-edge-litert')}, quantizer {version_of('ai-edge-quantizer')}"


def convert(job: Job, variant: str) -> Files:
    """INT8 is calibrated on crops, whose tensors have the names of the whole picture's.

    Convolutions of a single pixel stay FP32: XNNPACK 2.3 crashes on them in INT8.
    """
    from peering.lite_graph import lite

    def plain(size: Size) -> list[Path]:
        path = job.file(f"litert-{size}.tflite")
        path.write_bytes(lite(job.file(f"{size}.onnx")).data)
        return [path]

    if variant == "fp32":
        return plain
    from ai_edge_quantizer import quantizer, recipe

    crop, small = lite(job.file("crop.onnx")), job.file("litert-crop.tflite")
    small.write_bytes(crop.data)
    how: list[dict[str, Any]] = recipe.static_wi8_ai8()
    how += [
        {"regex": f".*{re.escape(n)}.*", "operation": "CONV_2D", "algorithm_key": "no_quantize", "op_config": {}}
        for n in crop.tiny
    ]
    crops = [{"input": np.ascontiguousarray(one.transpose(1, 2, 0)[None])} for one in job.calibration]
    ranges = quantizer.Quantizer(str(small), how).calibrate({"serving_default": crops}, num_threads=2)

    def quantized(size: Size) -> list[Path]:
        path = job.file(f"litert-int8-{size}.tflite")
        path.write_bytes(quantizer.Quantizer(str(plain(size)[0]), how).quantize(ranges).quantized_model)
        return [path]

    return quantized


def open_network(files: list[str], variant: str, threads: int, feed: F32) -> Opened:
    from ai_edge_litert.interpreter import Interpreter

    network = Interpreter(model_path=files[0], num_threads=threads)
    network.allocate_tensors()
    source, result = network.get_input_details()[0], network.get_output_details()[0]
    picture = codes(feed.transpose(0, 2, 3, 1), source)

    def run() -> NDArray[Any]:
        network.set_tensor(source["index"], picture)
        network.invoke()
        return np.asarray(network.get_tensor(result["index"]))

    return Opened(run, lambda output: values(output, result)[0])


def codes(picture: F32, of: dict[str, Any]) -> NDArray[Any]:
    """The picture as the network takes it: float32, or bytes of its own scale."""
    scale, zero = of["quantization"]
    if of["dtype"] == np.float32:
        return np.ascontiguousarray(picture)
    limits = np.iinfo(of["dtype"])
    return np.clip(np.rint(picture / scale) + zero, limits.min, limits.max).astype(of["dtype"])


def values(output: NDArray[Any], of: dict[str, Any]) -> NDArray[Any]:
    """What codes of the network stand for."""
    scale, zero = of["quantization"]
    return output if of["dtype"] == np.float32 else (output.astype(np.float32) - zero) * scale
