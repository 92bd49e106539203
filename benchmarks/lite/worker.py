"""Quantizes networks by the field's tools and runs them in LiteRT: `python -m lite.worker JOB.json`.

See lite.jobs. One line of JSON on standard output for each model that is done: its name, and why where it is not.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from peering.runtimes import F32
from peering.runtimes.litert import codes, values

from lite.jobs import Job, LiteModel


def _tensorflow(data: bytes, pictures: F32, whole: bool) -> bytes:
    """What tf.lite.TFLiteConverter does with a representative dataset; bytes in and out."""
    import tensorflow as tf
    from tensorflow.lite.python.convert import mlir_quantize
    from tensorflow.lite.python.optimize import calibrator

    seen = calibrator.Calibrator(calibrator.add_intermediate_tensors(data))
    measured = seen.calibrate(lambda: ([one[None]] for one in pictures))
    if whole:
        measured = _whole(measured)
    return mlir_quantize(measured, input_data_type=tf.uint8, output_data_type=tf.uint8)


def _whole(measured: bytes) -> bytes:
    """The same with 0..1 for the range of the input, and of what passes it on as it is."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(measured, 0))
    graph = model.subgraphs[0]
    first = graph.tensors[graph.inputs[0]].quantization
    low, high = first.min[0], first.max[0]
    for tensor in graph.tensors:
        of = tensor.quantization
        if of is not None and of.min is not None and len(of.min) and (of.min[0], of.max[0]) == (low, high):
            of.min, of.max = [0.0], [1.0]
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _ai_edge(data: bytes, pictures: F32, whole: bool) -> bytes:
    """LiteRT's newer tool, its static scheme: a moving average of ranges; what it does not know stays FP32."""
    from ai_edge_quantizer import quantizer, recipe

    tool = quantizer.Quantizer(data, recipe.static_wi8_ai8())
    ranges = tool.calibrate({"serving_default": [{"input": one[None]} for one in pictures]}, num_threads=2)
    if whole:
        first = ranges["input"]
        low, high = float(np.min(first["min"])), float(np.max(first["max"]))
        for of in ranges.values():
            if (float(np.min(of["min"])), float(np.max(of["max"]))) == (low, high):
                of["min"], of["max"] = np.zeros_like(of["min"]), np.ones_like(of["max"])
    return bytes(tool.quantize(ranges).quantized_model)


#: A file of FP32, pictures, and whether the input's range is 0..1 anyway; to a file of INT8.
TOOLS: Mapping[str, Callable[[bytes, F32, bool], bytes]] = {"tensorflow": _tensorflow, "ai-edge": _ai_edge}


def _file(model: LiteModel, tool: str) -> bytes:
    from peering.lite_graph import lite

    source = Path(model.source)
    if source.suffix == ".tflite":
        return source.read_bytes()
    plain = lite(source, clip=model.clip).data
    return TOOLS[tool](plain, np.load(model.calibration), model.whole) if model.calibration else plain


def _enlarged(data: bytes, model: LiteModel, job: Job) -> None:
    """Every picture by the network, as bytes, into the job's folder. A file of one size is given each picture's."""
    from ai_edge_litert.interpreter import Interpreter

    network = Interpreter(model_content=data, num_threads=job.threads)
    place = network.get_input_details()[0]["index"]
    for number, file in enumerate(job.pictures):
        picture = np.load(file).astype(np.float32)[None] * np.float32(model.white / 255)
        network.resize_tensor_input(place, picture.shape)
        network.allocate_tensors()
        network.set_tensor(place, codes(picture, network.get_input_details()[0]))
        network.invoke()
        result = network.get_output_details()[0]
        made = values(network.get_tensor(result["index"]), result)[0].astype(np.float64) * (255 / model.white)
        np.save(Path(job.folder) / model.name / f"{number}.npy", np.clip(np.rint(made), 0, 255).astype(np.uint8))


def main() -> None:
    job = Job.read(Path(sys.argv[1]))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the tools print does not belong among the answers
    for model in job.models:
        answer = {"name": model.name}
        try:
            data = _file(model, job.tool)
            if model.save:
                Path(model.save).write_bytes(data)
            (Path(job.folder) / model.name).mkdir()
            _enlarged(data, model, job)
        except Exception as error:  # whatever a tool raises is told
            answer["reason"] = f"{type(error).__name__}: {error}"
        print(json.dumps(answer), file=answers, flush=True)
    os._exit(0)  # not every tool ends well


if __name__ == "__main__":
    main()
