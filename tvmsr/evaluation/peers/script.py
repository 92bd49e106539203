"""Runs one network in another runtime: copied to a device and run there, nothing of tvmsr, from Python 3.9 on.

One argument: a JSON object with runtime, files, width, height, threads, runs, warmup, exact. With runs 0 it reads one
picture from standard input, float32 (3, H, W), and writes after its answer what the network makes of it; else it times
runs on noise. The answer is one line of JSON: version, shape, times in seconds.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

Task = dict[str, Any]
Opened = tuple[str, Callable[[Any], Any]]  # the runtime's version, and what makes an output of a picture


def open_ort(task: Task) -> Opened:
    """ONNX Runtime on the CPU."""
    onnxruntime = importlib.import_module("onnxruntime")

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = task["threads"]
    session = onnxruntime.InferenceSession(task["files"][0], options, providers=["CPUExecutionProvider"])
    return onnxruntime.__version__, lambda picture: session.run(None, {"input": picture[None]})[0][0]


def open_ncnn(task: Task) -> Opened:
    """Ncnn on the CPU, with its own defaults unless the task wants exact float32."""
    ncnn = importlib.import_module("ncnn")

    net = ncnn.Net()
    net.opt.use_vulkan_compute = False
    net.opt.num_threads = task["threads"]
    if task["exact"]:
        net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
        net.opt.use_bf16_storage = False
    if net.load_param(task["files"][0]) or net.load_model(task["files"][1]):
        raise SystemExit("ncnn does not load the network")

    def run(picture: Any) -> Any:
        extractor = net.create_extractor()
        extractor.input("input", ncnn.Mat(picture))
        failed, result = extractor.extract("output")
        if failed:
            raise SystemExit("ncnn does not run the network")
        return result

    return ncnn.__version__, run


def main() -> None:
    """Do the task of the command line."""
    task = json.loads(sys.argv[1])
    version, run = {"ort": open_ort, "ncnn": open_ncnn}[task["runtime"]](task)
    shape = (3, task["height"], task["width"])
    if not task["runs"]:
        picture = np.frombuffer(sys.stdin.buffer.read(), "<f4").reshape(shape)
        result = np.ascontiguousarray(np.array(run(picture)), "<f4")
        answer = {"version": version, "shape": result.shape, "times": []}
        sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n" + result.tobytes())
        return
    noise = np.random.default_rng(0).integers(0, 256, shape[1:] + shape[:1], dtype=np.uint8)
    picture = np.ascontiguousarray(noise.transpose(2, 0, 1).astype(np.float32) / 255)
    times = []
    for _ in range(task["warmup"] + task["runs"]):
        start = time.perf_counter()
        run(picture)
        times.append(time.perf_counter() - start)
    answer = {"version": version, "shape": [], "times": times[task["warmup"] :]}
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    main()
