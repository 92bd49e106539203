"""PSNR of networks that LiteRT runs: the field's own files, and what its tools make of calibration data."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from judging.networks import SETS

import tvmsr
from lite.jobs import Job, LiteModel, done
from lite.sets import ORDINARY, WHOLE, Shown, shown_sets
from tvmsr.commands.inputs import CROP_SIZE
from tvmsr.commands.source import open_model
from tvmsr.errors import UsageError
from tvmsr.evaluation.dataset import Pair, load_pairs
from tvmsr.evaluation.metrics import psnr_y
from tvmsr.evaluation.peers.onnx_graph import write_onnx
from tvmsr.graph.model import Colour
from tvmsr.quant.representative import DEFAULT_WAY, WAYS

#: The network that there are files of the field for, and for which all ways of CFQP are tried: scale, and the files.
FIELD, FIELD_SCALE = "abpn_x3", 3
FIELD_FILES = {"ptq": "abpn_x3_int8_ptq.tflite", "qat": "abpn_x3_int8_qat.tflite"}
OURS = {"int8": {}, "strict": {"strict_bits": True}}

#: Without the clip at the network's end, and with it.
FREE, CLIP = "free", "clip"
FP32 = "fp32"

#: Means by test set.
Means = dict[str, float]


@dataclass(frozen=True)
class Places:
    """weights: checkpoints and the field's files; images: set5, set14, train; python: the tools' interpreter."""

    weights: Path
    images: Path
    python: str
    tool: str
    threads: int

    def checkpoint(self, name: str) -> Path:
        return self.weights / f"{name}.safetensors"

    @property
    def train(self) -> Path:
        return self.images / "train"


def field_files(places: Places) -> dict[str, Means]:
    """FP32, ours compiled, and the field's own INT8 files, by name."""
    found: dict[str, Means] = {}
    checkpoint = places.checkpoint(FIELD)
    with tempfile.TemporaryDirectory() as folder:
        for name, how in OURS.items():
            artifact = Path(folder) / f"{name}.so"
            tvmsr.compile(checkpoint, out=artifact, calib=places.train, hr=True, **how)
            means = {one: tvmsr.evaluate(artifact, data=places.images / one, model=checkpoint).mean for one in SETS}
            found[FP32] = {one: mean["fp32_psnr_y"] for one, mean in means.items()}
            found[name] = {one: mean["psnr_y"] for one, mean in means.items()}
    models = [LiteModel(name, str(places.weights / file), white=255.0) for name, file in FIELD_FILES.items()]
    return found | dict(_measured(models, FIELD_SCALE, places))


def converted(name: str, places: Places, sets: int) -> dict[str, Any]:
    """A network by LiteRT: in FP32, and in INT8 by set, ending and data; `sets` sets are of one crop."""
    model = open_model(places.checkpoint(name))
    if model.colour is Colour.Y:
        raise UsageError(f"{name} computes Y alone; only networks of RGB are compared here")
    ways = tuple(WAYS) if name == FIELD else (DEFAULT_WAY,)
    with tempfile.TemporaryDirectory() as folder:
        network = Path(folder) / "network.onnx"
        write_onnx(model, network, CROP_SIZE, CROP_SIZE)
        models = [LiteModel(f"{FP32} {ending}", str(network), ending == CLIP) for ending in (FREE, CLIP)]
        for shown in shown_sets(model, places.train, ways, sets):
            models += models_of(shown, str(network), Path(folder))
        found = dict(_measured(models, model.scale, places))
    return arranged(found)


def models_of(shown: Shown, network: str, folder: Path) -> list[LiteModel]:
    """With each ending, calibrated with each data of a set, which go into the folder."""
    made = []
    for data, pictures in shown.data.items():
        file = folder / f"{shown.name}-{data}.npy"
        np.save(file, pictures)
        for ending in (FREE, CLIP):
            said = [(data, False)] + ([(WHOLE, True)] if data == ORDINARY else [])
            made += [
                LiteModel(f"{shown.name} {ending} {words}", network, ending == CLIP, str(file), whole)
                for words, whole in said
            ]
    return made


def arranged(found: dict[str, Means]) -> dict[str, Any]:
    """By set, then by "ending data"; those in FP32 by ending."""
    fp32 = {name.split()[1]: means for name, means in found.items() if name.startswith(FP32)}
    sets: dict[str, dict[str, Means]] = {}
    for name, means in found.items():
        first, _, rest = name.partition(" ")
        if first != FP32:
            sets.setdefault(first, {})[rest] = means
    return {FP32: fp32, "sets": sets}


def _measured(models: Sequence[LiteModel], scale: int, places: Places) -> Iterable[tuple[str, Means]]:
    """Names and means, as they are measured; what the worker made of pictures is gone afterwards."""
    pairs = {name: list(load_pairs(places.images / name, scale)) for name in SETS}
    with tempfile.TemporaryDirectory(prefix="tvmsr-litert-") as folder:
        files = []
        for number, pair in enumerate(pair for name in SETS for pair in pairs[name]):
            files.append(str(Path(folder) / f"picture-{number}.npy"))
            np.save(files[-1], pair.lr)
        for name in done(places.python, Job(folder, places.tool, places.threads, tuple(files), tuple(models))):
            yield name, _means(Path(folder) / name, pairs, scale)
            shutil.rmtree(Path(folder) / name)


def _means(folder: Path, pairs: dict[str, list[Pair]], scale: int) -> Means:
    number, found = 0, {}
    for name in SETS:
        rows = []
        for pair in pairs[name]:
            rows.append(psnr_y(np.load(folder / f"{number}.npy"), pair.hr, scale))
            number += 1
        found[name] = float(np.mean(rows))
    return found
