"""A network in another runtime: written in its form, checked against our FP32 executor, then timed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tvmsr.devices.closing import Closing
from tvmsr.errors import DeviceError, UsageError, WorkError
from tvmsr.evaluation.peers.place import Place, place_for
from tvmsr.graph.model import F32, Model

if TYPE_CHECKING:
    from tvmsr.devices.runner import Device

#: Largest difference from our FP32 executor, of outputs 0..1; the picture on which they are compared (width, height).
TOLERANCE, CHECKED = 1e-3, (64, 48)

#: Seconds that a check and a block of timed runs may take.
_CHECKING, _TIMING = 300.0, 1800.0


def _ort_files(model: Model, width: int, height: int) -> dict[str, bytes]:
    from tvmsr.evaluation.peers.onnx_graph import onnx_bytes

    return {f"{width}x{height}.onnx": onnx_bytes(model, height, width)}


def _ncnn_files(model: Model, width: int, height: int) -> dict[str, bytes]:
    from tvmsr.evaluation.peers.ncnn_graph import ncnn_files

    param, weights = ncnn_files(model)
    return {"model.param": param, "model.bin": weights}


@dataclass(frozen=True)
class Runtime:
    """title: for people; package, module: as pip and Python name it; precision: of the timed runs.

    files: the network for pictures of (width, height), by file name, in the order in which script.py takes them.
    """

    title: str
    package: str
    module: str
    precision: str
    files: Callable[[Model, int, int], dict[str, bytes]]


PEERS = {
    "ort": Runtime("ONNX Runtime", "onnxruntime", "onnxruntime", "float32", _ort_files),
    "ncnn": Runtime("ncnn", "ncnn", "ncnn", "its default: float16 where the CPU computes with it", _ncnn_files),
}


@dataclass(frozen=True)
class PeerTiming:
    """Milliseconds a picture, of the peer and (ours) of the artifact, their runs by turns; ratio: of the medians.

    doubt: why the ratio says little, with what to do; "" for no reason.
    """

    threads: int
    runs: int
    minimum: float
    median: float
    p90: float
    ours: float
    ratio: float
    doubt: str = ""


class Peer(Closing):
    """A runtime with one network on one device. difference: of its output from our FP32 executor's, both in float32."""

    def __init__(self, name: str, place: Place, model: Model, width: int, height: int) -> None:
        self.name = name
        self.runtime = PEERS[name]
        self.version = ""
        self._place = place
        self._size = (width, height)
        self._script = place.put("script.py", Path(__file__).with_name("script.py").read_bytes())
        self.difference = self._checked(model)
        self._files = self._put(model, *self._size)

    def times(self, threads: int, runs: int, warmup: int = 1) -> tuple[float, ...]:
        """Seconds of each of `runs` runs in a process of their own. DeviceError where it fails."""
        width, height = self._size
        answer, _ = self._run(self._files, width, height, threads=threads, runs=runs, warmup=warmup)
        times = answer["times"]
        if len(times) != runs or not all(isinstance(t, (int, float)) and t > 0 for t in times):
            raise DeviceError(f"{self.runtime.title} answered {times!r} in the place of {runs} times")
        return tuple(map(float, times))

    def close(self) -> None:
        """Remove what was copied to the device; the environment with its package stays."""
        self._place.clear()

    def _put(self, model: Model, width: int, height: int) -> list[str]:
        return [self._place.put(name, data) for name, data in self.runtime.files(model, width, height).items()]

    def _checked(self, model: Model) -> float:
        """The largest difference from our own FP32 result. WorkError where it is not the same network there."""
        from tvmsr.graph.execute import run_fp32

        width, height = CHECKED
        picture = np.random.default_rng(1).random((height, width, 3), dtype=np.float32)
        want = run_fp32(model, picture)
        assert isinstance(want, np.ndarray)
        files = self._put(model, width, height)
        source = np.ascontiguousarray(picture.transpose(2, 0, 1), "<f4").tobytes()
        answer, raw = self._run(files, width, height, stdin=source)
        self.version = str(answer["version"])
        got = _picture(answer["shape"], raw, want)
        difference = float(np.max(np.abs(got - want))) if got is not None else float("inf")
        if not difference <= TOLERANCE:
            raise WorkError(
                f"{self.runtime.title} {self.version} makes another picture of this network than our FP32 executor "
                f"(largest difference {difference:.3g} of 1), so its times would not be of the same work"
            )
        return difference

    def _run(
        self,
        files: list[str],
        width: int,
        height: int,
        *,
        stdin: bytes = b"",
        threads: int = 1,
        runs: int = 0,
        warmup: int = 0,
    ) -> tuple[dict[str, Any], bytes]:
        task = {
            "runtime": self.name, "files": files, "width": width, "height": height, "threads": threads, "runs": runs,
            "warmup": warmup, "exact": runs == 0,
        }  # fmt: skip
        command = (self._place.python, self._script, json.dumps(task))
        said = self._place.shell.run(command, stdin=stdin, seconds=_TIMING if runs else _CHECKING)
        line, _, raw = said.partition(b"\n")
        try:
            answer = json.loads(line)
            return {key: answer[key] for key in ("version", "shape", "times")}, raw
        except (ValueError, KeyError, TypeError):
            raise DeviceError(f"{self.runtime.title} answered nonsense: {line[:80]!r}") from None


def ready_peer(name: str, device: Device, model: Model, width: int, height: int) -> Peer:
    """The peer `name` of PEERS on `device` with `model`, checked. Close it afterwards.

    Raises UsageError (no such peer, a device without commands, an operation that it lacks), WorkError or DeviceError.
    """
    if name not in PEERS:
        raise UsageError(f"--peer {name}: no such runtime; known are {', '.join(PEERS)}")
    runtime = PEERS[name]
    runtime.files(model, *CHECKED)  # what it cannot run is said before anything is installed
    place = place_for(device, runtime.package, runtime.module)
    try:
        return Peer(name, place, model, width, height)
    except BaseException:
        place.clear()
        raise


def _picture(shape: Any, raw: bytes, like: F32) -> F32 | None:
    """(C, H, W) or (H, W) of float32 as (H, W, C); None where it has not the form of `like`."""
    count = len(raw) // 4
    if (
        len(raw) % 4
        or count != like.size
        or not isinstance(shape, list)
        or int(np.prod(shape, dtype=np.int64)) != count
    ):
        return None
    values = np.frombuffer(raw, "<f4").astype(np.float32)
    height, width, channels = like.shape
    return values.reshape(channels, height, width).transpose(1, 2, 0)
