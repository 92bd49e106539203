"""The networks that are compared, and what each needs for the peers: graphs, calibration, a real picture, FP32."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from peering.runtimes import Size
from tvmsr.commands.calibrate import Calibration
from tvmsr.commands.inputs import CROP_SIZE, CROPS, crops_for
from tvmsr.commands.source import open_model
from tvmsr.errors import UsageError
from tvmsr.evaluation.peers.luma import on_luma
from tvmsr.evaluation.peers.ncnn_graph import ncnn_files
from tvmsr.evaluation.peers.onnx_graph import write_onnx
from tvmsr.frontend.choices import Overrides
from tvmsr.graph.analysis import macs_per_pixel
from tvmsr.graph.execute import run_fp32
from tvmsr.graph.model import F32, Colour, Model
from tvmsr.imaging.files import read_picture
from tvmsr.imaging.picture import demo_picture

U8 = NDArray[np.uint8]

#: Of a picture RGB 0..1: Y 0..1, in the range of 16 to 235.
LUMA, BLACK = np.array([65.481, 128.553, 24.966]) / 255, 16 / 255

GRAY = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class Network:
    """weights: the file without its suffix, or default:xN; "" where `judge` lends its layers.

    judge: says what low bits cost. scale: where the file does not tell it.
    """

    name: str
    weights: str
    judge: str
    scale: int | None = None


NETWORKS = {
    n.name: n
    for n in (
        Network("ESPCN x3", "espcn_x3", "espcn_x3"),
        Network("FSRCNN x3", "fsrcnn_x3", "fsrcnn_x3"),
        Network("ABPN x3", "abpn_x3", "abpn_x3"),
        Network("SRVGGNetCompact x4", "srvggnetcompact_x4", "srvggnetcompact_x4"),
        Network("IMDN x4", "imdn_x4", "imdn_x4"),
        Network("RFDN x4", "rfdn_x4", "rfdn_x4"),
        Network("RLFN x4", "rlfn_x4", "rlfn_x4"),
        # Nothing trained of the published size: a smaller one of the same family lends its layers.
        Network("EDSR-baseline x4", "", "edsr8_x2"),
    )
}
#: Crops that ncnn's ranges come from.
NCNN_CROPS = 8

EDSR_BLOCKS, EDSR_SCALE = 16, 4


@dataclass(frozen=True)
class Sources:
    """Where weights and pictures are. images: a folder with set5, set14 and train, or None for the bundled picture."""

    weights: Path
    images: Path | None
    work: Path

    def weights_of(self, network: Network) -> Path:
        """The checkpoint; it is made of the judge's where there is none. UsageError where a file is missing."""
        return self.checkpoint(network.weights) if network.weights else self._enlarged(self.checkpoint(network.judge))

    def checkpoint(self, name: str) -> Path:
        if name.startswith("default:"):
            return Path(name)
        path = self.weights / f"{name}.safetensors"
        if not path.is_file():
            raise UsageError(f"{path}: no such file")
        return path

    def _enlarged(self, trained: Path) -> Path:
        path = self.work / "edsr_baseline_x4.safetensors"
        if not path.is_file():
            save_file(_edsr(load_file(trained)), path)
        return path

    @property
    def calibration(self) -> Calibration:
        folder = self.images / "train" if self.images else None
        return Calibration(calib=folder, hr=folder is not None)


def _edsr(trained: dict[str, F32]) -> dict[str, F32]:
    """EDSR-baseline x4 of the published shape, with the trained layers of EDSR-8 x2 (edsr_mxnet), each block twice.

    Nothing trained of that shape is at hand. How fast it may be done depends on weights: transforms of weights that are
    spread evenly, as a fresh network has them, leave int32 where those of trained ones do not.
    """
    last = 2 * EDSR_BLOCKS // 2 + 1
    numbers = {"head.0": 0, f"body.{EDSR_BLOCKS}": last, "tail.1": last + 2}
    numbers |= {f"body.{n}.body.{k}": 2 * n % (last - 1) + 1 + k // 2 for n in range(EDSR_BLOCKS) for k in (0, 2)}
    numbers |= {f"tail.0.{2 * n}": last + 1 for n in range(EDSR_SCALE // 2)}
    state: dict[str, F32] = {}
    for key, number in numbers.items():
        state[f"{key}.weight"] = trained[f"arg:convolution{number}_weight"]
        state[f"{key}.bias"] = trained[f"arg:convolution{number}_bias"]
    # That file's pictures are 0..1, this one's 0..255.
    state["head.0.weight"] = state["head.0.weight"] / np.float32(255)
    for key in ("tail.1.weight", "tail.1.bias"):
        state[key] = state[key] * np.float32(255)
    for key, sign in (("sub_mean", -1), ("add_mean", 1)):
        state[f"{key}.weight"] = np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1)
        state[f"{key}.bias"] = sign * 255 * trained["arg:DIV2K_mean"].reshape(3)
    return state


@dataclass(frozen=True)
class Prepared:
    """One network. folder: with what the peers read (see runtimes.Job), and the pictures."""

    network: Network
    model: Model
    weights: Path
    folder: Path
    pictures: dict[Size, U8]

    @property
    def is_luma(self) -> bool:
        return self.model.colour is Colour.Y

    def gmacs(self, size: Size) -> float:
        return float(macs_per_pixel(self.model.graph)) * size.width * size.height / 1e9

    def input_file(self, size: Size) -> Path:
        return self.folder / f"input-{size}.npy"

    def picture_file(self, size: Size, *, gray: bool = False) -> Path:
        return self.folder / f"{'gray' if gray else 'picture'}-{size}.npy"

    @property
    def job(self) -> Path:
        """What convert.py is given."""
        return self.folder / "job.json"


def planes(pictures: list[U8], model: Model) -> F32:
    """(N, C, H, W) float32 as peers take it: RGB 0..1, or the Y of a Y network."""
    rgb = np.stack(pictures).astype(np.float64) / 255
    if model.colour is Colour.Y:
        rgb = BLACK + (rgb @ LUMA)[..., None]
    return np.ascontiguousarray(rgb.transpose(0, 3, 1, 2), np.float32)


def picture_of(sources: Sources, size: Size) -> U8:
    """The middle of a photograph of the test set; of the bundled picture, repeated, where there is no folder."""
    width, height = size.width, size.height
    found = read_picture(sources.images / "set14" / "monarch.png").pixels if sources.images else demo_picture()
    lacks = (max(0, height - found.shape[0]), max(0, width - found.shape[1]))
    found = np.pad(found, ((0, lacks[0]), (0, lacks[1]), (0, 0)), mode="reflect")
    top, left = (found.shape[0] - height) // 2, (found.shape[1] - width) // 2
    return np.ascontiguousarray(found[top : top + height, left : left + width])


def prepare(network: Network, sizes: Sequence[Size], sources: Sources, folder: Path) -> Prepared:
    """Write the graphs, the calibration and the pictures into `folder`."""
    weights = sources.weights_of(network)
    model = open_model(weights, Overrides(scale=network.scale))
    peers_model = on_luma(model) if model.colour is Colour.Y else model
    prepared = Prepared(network, model, weights, folder, {size: picture_of(sources, size) for size in sizes})
    write_onnx(peers_model, folder / "crop.onnx", CROP_SIZE, CROP_SIZE)
    write_onnx(peers_model, folder / "any.onnx", None, None)
    for size, picture in prepared.pictures.items():
        write_onnx(peers_model, folder / f"{size}.onnx", size.height, size.width)
        np.save(prepared.input_file(size), planes([picture], model))
        np.save(prepared.picture_file(size), picture)
        np.save(prepared.picture_file(size, gray=True), to_bytes(picture @ GRAY / 255))
    crops = [c for c in crops_for(model, sources.calibration).used if c.shape[:2] == (CROP_SIZE, CROP_SIZE)][:CROPS]
    calibration = planes(crops, model)
    np.save(folder / "calibration.npy", calibration)
    _write_ncnn(peers_model, calibration, folder)
    prepared.job.write_text(json.dumps({"folder": str(folder), "sizes": [str(size) for size in sizes]}))
    return prepared


def _write_ncnn(model: Model, calibration: F32, folder: Path) -> None:
    """ncnn.* and ncnn-int8.*, or ncnn.reason where it lacks an operation."""
    try:
        plain = ncnn_files(model)
    except UsageError as error:
        (folder / "ncnn.reason").write_text(str(error))
        return
    most: dict[str, float] = {}

    def visit(name: str, value: F32) -> None:
        most[name] = max(most.get(name, 0.0), float(np.max(np.abs(value))))

    for crop in calibration[:NCNN_CROPS]:
        run_fp32(model, crop.transpose(1, 2, 0), visit=visit)
    for name, files in (("ncnn", plain), ("ncnn-int8", ncnn_files(model, most))):
        (folder / f"{name}.param").write_bytes(files[0])
        (folder / f"{name}.bin").write_bytes(files[1])


def fp32_bytes(prepared: Prepared, size: Size) -> NDArray[Any]:
    """What the network makes of the picture in FP32, in bytes: RGB (H, W, 3), or the Y of a Y network (H, W, 1)."""
    picture = prepared.pictures[size].astype(np.float32) / np.float32(255)
    return to_bytes(cast(F32, run_fp32(prepared.model, picture)))


def to_bytes(values: NDArray[Any]) -> U8:
    """0..1 to bytes."""
    return np.clip(np.rint(values.astype(np.float64) * 255), 0, 255).astype(np.uint8)


def psnr(found: NDArray[Any], wanted: NDArray[Any], *, luma: bool) -> float | None:
    """dB between two pictures in bytes; None where they are the same. luma: `found` may be RGB, of which Y counts."""
    values = found.astype(np.float64)
    if luma and found.shape[-1] == 3:
        values = 255 * BLACK + (values @ LUMA)[..., None]
    error = float(np.mean((values - wanted.astype(np.float64)) ** 2))
    return 10 * np.log10(255**2 / error) if error > 0 else None
