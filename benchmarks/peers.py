"""Time artifacts beside ONNX Runtime FP32 and INT8 on the same network, in one run.

    python benchmarks/peers.py MODEL [MODEL ...] --size 640x360 --threads 1,2 [--json FILE]

Every peer lives in a process of its own; runs are interleaved (tvmsr, FP32, INT8, tvmsr, ...) after a warm-up, so that
a noisy machine is noisy for all, and whoever does not run is stopped. Reported: minimum and median in ms, and the ratio
of the medians of the peers, FP32 and the better one, to ours.
INT8 is onnxruntime.quantization's static QDQ, per channel, u8 activations and s8 weights, min-max over four crops.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing as mp
import os
import signal
import statistics
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from tvmsr.evaluation.peers.onnx_graph import write_onnx

ROUNDS, CROP = 9, 96


def _serve(pipe: Connection, kind: str, file: str, width: int, height: int, threads: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    if kind == "tvmsr":
        import tvmsr

        start = time.perf_counter()
        session = tvmsr.load(file, threads=threads)
        opened = time.perf_counter() - start
        run = lambda: session.upscale(picture)  # noqa: E731
    else:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        start = time.perf_counter()
        peer = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        opened = time.perf_counter() - start
        feed = {"input": np.ascontiguousarray(picture.transpose(2, 0, 1)[None].astype(np.float32) / 255)}
        run = lambda: peer.run(None, feed)  # noqa: E731
    run()
    pipe.send(opened)
    while pipe.recv():
        start = time.perf_counter()
        run()
        pipe.send(time.perf_counter() - start)


def _quantize(model: Any, target: Path, width: int, height: int) -> None:
    """INT8 of `model`: calibrated on small crops, then given the size of the run."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    from tvmsr.imaging.augment import default_calibration

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            crops = default_calibration(4, CROP, 0)
            self.items = iter([{"input": c.transpose(2, 0, 1)[None].astype(np.float32) / 255} for c in crops])

        def get_next(self) -> Any:
            return next(self.items, None)

    small = target.with_suffix(".small.onnx")
    write_onnx(model, small, CROP, CROP)
    quantize_static(
        str(small), str(target), Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip
    whole = onnx.load(str(target))
    del whole.graph.value_info[:]
    for value, scale in ((whole.graph.input[0], 1), (whole.graph.output[0], model.scale)):
        for dim, size in zip(value.type.tensor_type.shape.dim[2:], (height * scale, width * scale), strict=True):
            dim.dim_value = size
    onnx.save(whole, str(target))


def _interleaved(files: dict[str, Path], width: int, height: int, threads: int) -> dict[str, dict[str, float]]:
    context = mp.get_context("spawn")
    workers = {}
    for kind, file in files.items():
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, kind, str(file), width, height, threads))
        process.start()
        workers[kind] = (process, ours, ours.recv())
        os.kill(process.pid, signal.SIGSTOP)
    times: dict[str, list[float]] = {kind: [] for kind in files}
    for _ in range(ROUNDS):
        for kind, (process, pipe, _) in workers.items():
            os.kill(process.pid, signal.SIGCONT)
            pipe.send(True)
            times[kind].append(pipe.recv())
            os.kill(process.pid, signal.SIGSTOP)  # some peers' threads go on spinning after a run
    for process, pipe, _ in workers.values():
        os.kill(process.pid, signal.SIGCONT)
        pipe.send(False)
        process.join()
    return {
        kind: {
            "minimum": 1e3 * min(t),
            "median": 1e3 * statistics.median(t),
            "open": 1e3 * workers[kind][2],
        }
        for kind, t in times.items()
    }


def measure(model: str, width: int, height: int, threads: list[int]) -> list[dict[str, Any]]:
    """Rows for one network, one a thread count."""
    import tvmsr
    from tvmsr.commands.source import open_model, short_name

    rows = []
    with tempfile.TemporaryDirectory() as folder:
        files = {"tvmsr": Path(folder, "a.so"), "ort fp32": Path(folder, "a.onnx"), "ort int8": Path(folder, "q.onnx")}
        tvmsr.compile(model, out=files["tvmsr"])
        network = open_model(model)
        write_onnx(network, files["ort fp32"], height, width)
        _quantize(network, files["ort int8"], width, height)
        for count in threads:
            found = _interleaved(files, width, height, count)
            best = min(found["ort fp32"]["median"], found["ort int8"]["median"])
            ratios = {
                "ratio_fp32": found["ort fp32"]["median"] / found["tvmsr"]["median"],
                "ratio_best": best / found["tvmsr"]["median"],
            }
            rows.append({"model": short_name(model), "size": f"{width}x{height}", "threads": count, **ratios, **found})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    width, height = map(int, args.size.split("x"))
    rows = []
    print(
        "| network | size | threads | tvmsr ms (min / median) | open ms | ORT fp32 | ORT int8 | fp32/ours | best/ours |"
    )
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|")
    for model in args.models:
        for row in measure(model, width, height, [int(t) for t in args.threads.split(",")]):
            cells = [f"{row[k]['minimum']:.1f} / {row[k]['median']:.1f}" for k in ("tvmsr", "ort fp32", "ort int8")]
            cells.insert(1, f"{row['tvmsr']['open']:.1f}")
            ratios = f"{row['ratio_fp32']:.2f} | {row['ratio_best']:.2f}"
            print(f"| {row['model']} | {row['size']} | {row['threads']} | {' | '.join(cells)} | {ratios} |", flush=True)
            rows.append(row)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
