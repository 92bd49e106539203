"""Tencent's ncnn. INT8: our writer's form of its own scheme, as its tools, which its package lacks, would make it."""

from __future__ import annotations

from importlib.metadata import version as version_of

import numpy as np

from peering.runtimes import F32, Files, Job, Opened, channels_last

TITLE = "ncnn"
MODULES = ("ncnn",)
VARIANTS = {"fp32": "FP32", "int8": "INT8: 8 bits, weights of 3x3 in 6 bits for its Winograd"}
HELD: dict[str, str] | None = None
HELD_NOTE = "it chooses its kernels by CPUID alone"


def version() -> str:
    return version_of("ncnn")


def convert(job: Job, variant: str) -> Files:
    if job.file("ncnn.reason").exists():
        raise RuntimeError(job.file("ncnn.reason").read_text())
    stem = "ncnn" if variant == "fp32" else "ncnn-int8"
    return lambda _: [job.file(f"{stem}.param"), job.file(f"{stem}.bin")]


def open_network(files: list[str], variant: str, threads: int, feed: F32) -> Opened:
    import ncnn

    net = ncnn.Net()
    net.opt.use_vulkan_compute = False
    net.opt.num_threads = threads
    if net.load_param(files[0]) or net.load_model(files[1]):
        raise RuntimeError("it does not load the network")
    source = np.ascontiguousarray(feed[0])

    def run() -> F32:
        extractor = net.create_extractor()
        extractor.input("input", ncnn.Mat(source))
        failed, result = extractor.extract("output")
        if failed:
            raise RuntimeError("it does not run the network")
        found = np.array(result)
        return found[None] if found.ndim == 3 else found[None, None]

    return Opened(run, channels_last)
