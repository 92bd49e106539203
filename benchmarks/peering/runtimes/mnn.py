"""Alibaba's MNN. INT8: its own offline quantizer (KL activations, largest-magnitude weights)."""

from __future__ import annotations

import json
from importlib.metadata import version as version_of
from pathlib import Path

import numpy as np

from peering.runtimes import F32, Files, Job, Opened, channels_last

TITLE = "MNN"
MODULES = ("MNN",)
VARIANTS = {"fp32": "FP32", "int8": "INT8 by mnnquant"}
HELD: dict[str, str] | None = None
HELD_NOTE = "it chooses its kernels by CPUID alone"

#: Crops that the quantizer looks at.
CROPS = 8


def version() -> str:
    return version_of("MNN")


def convert(job: Job, variant: str) -> Files:
    """Its files are for any size."""
    plain = job.file(f"mnn-{variant}.mnn")
    _tool(
        "mnnconvert",
        plain,
        "-f",
        "ONNX",
        "--modelFile",
        job.file("crop.onnx"),
        "--MNNModel",
        plain,
        "--bizCode",
        "peer",
    )
    if variant == "fp32":
        return lambda _: [plain]
    target, config = job.file("mnn-quantized.mnn"), job.file("mnn.json")
    config.write_text(json.dumps(_config(job)))
    _tool("mnnquant", target, plain, target, config)
    return lambda _: [target]


def _tool(name: str, makes: Path, *words: object) -> None:
    """Called as a function: the program around it installs packages and reports to a server."""
    import _tools

    getattr(_tools, name)([name, *map(str, words)])
    if not makes.exists():
        raise RuntimeError(f"{name} makes no file")


def _config(job: Job) -> dict[str, object]:
    from PIL import Image

    crops = job.calibration[:CROPS]
    folder = job.file("mnn-pictures")
    folder.mkdir(exist_ok=True)
    for i, crop in enumerate(crops):
        pixels = np.rint(crop.transpose(1, 2, 0) * 255).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(folder / f"{i}.png")
    channels, height, width = crops.shape[1:]
    return {
        "format": "GRAY" if channels == 1 else "RGB", "mean": [0.0] * channels, "normal": [1 / 255] * channels,
        "width": width, "height": height, "path": f"{folder}/", "used_image_num": len(crops),
        "feature_quantize_method": "KL", "weight_quantize_method": "MAX_ABS",
    }  # fmt: skip


def open_network(files: list[str], variant: str, threads: int, feed: F32) -> Opened:
    import MNN

    network = MNN.Interpreter(files[0])
    session = network.createSession({"backend": "CPU", "numThread": threads})
    source = network.getSessionInput(session)
    network.resizeTensor(source, feed.shape)
    network.resizeSession(session)
    order, kind = MNN.Tensor_DimensionType_Caffe, MNN.Halide_Type_Float
    given = MNN.Tensor(feed.shape, kind, feed, order)
    result = network.getSessionOutput(session)
    shape = result.getShape()
    found = MNN.Tensor(shape, kind, np.zeros(shape, np.float32), order)

    def run() -> F32:
        source.copyFrom(given)
        network.runSession(session)
        result.copyToHostTensor(found)
        return np.asarray(found.getNumpyData()).reshape(shape)

    return Opened(run, channels_last)
