"""OpenVINO. INT8: NNCF's quantization after training."""

from __future__ import annotations

from importlib.metadata import version as version_of
from pathlib import Path

import numpy as np

from peering.runtimes import F32, Files, Job, Opened, Size, channels_last

TITLE = "OpenVINO"
MODULES = ("openvino",)
VARIANTS = {"fp32": "FP32", "bf16": "FP32 in bfloat16, its default where the CPU has it", "int8": "INT8 by NNCF"}
HELD: dict[str, str] | None = {"ONEDNN_MAX_CPU_ISA": "AVX2"}
HELD_NOTE = "ONEDNN_MAX_CPU_ISA=AVX2"

_PRECISION = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}


def version() -> str:
    return f"{version_of('openvino')}, NNCF {version_of('nncf')}"


def convert(job: Job, variant: str) -> Files:
    import openvino

    model = openvino.Core().read_model(str(job.file("any.onnx")))
    if variant == "int8":
        import nncf

        crops = [crop[None] for crop in job.calibration]
        preset = nncf.QuantizationPreset.MIXED
        model = nncf.quantize(model, nncf.Dataset(crops), subset_size=len(crops), preset=preset)

    def sized(size: Size) -> list[Path]:
        model.reshape({0: [1, job.calibration.shape[1], size.height, size.width]})
        path = job.file(f"openvino-{variant}-{size}.xml")
        openvino.save_model(model, str(path), compress_to_fp16=False)
        return [path]

    return sized


def open_network(files: list[str], variant: str, threads: int, feed: F32) -> Opened:
    import openvino

    core = openvino.Core()
    if variant == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise RuntimeError("this CPU has no bfloat16")
    how = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": _PRECISION[variant],
    }
    request = core.compile_model(files[0], "CPU", how).create_infer_request()
    return Opened(lambda: np.asarray(request.infer({0: feed})[0]), channels_last)
