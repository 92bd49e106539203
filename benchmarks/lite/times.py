"""The time of the clip: LiteRT with and without it, FP32 and INT8, by turns with ours."""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median

import numpy as np
from peering.measure import say
from peering.networks import Network, Prepared, Sources, prepare
from peering.runtimes import Size
from peering.turns import Column, Task, take_turns

from lite.jobs import Job, LiteModel, done
from lite.quality import CLIP, FP32, FREE, Places
from lite.sets import ORDINARY, shown_sets
from tvmsr.commands.calibrate import Calibration
from tvmsr.commands.comparison.making import make_all
from tvmsr.commands.comparison.variants import CLIPS, STUDY
from tvmsr.commands.progress import silent
from tvmsr.quant.representative import DEFAULT_WAY

INT8 = "int8"
#: What each of LiteRT's columns is calibrated with.
_DATA = {FREE: DEFAULT_WAY, CLIP: ORDINARY}


def times(
    name: str, places: Places, sizes: list[Size], threads: list[int], rounds: int
) -> dict[str, dict[str, list[float]]]:
    """By "size threads" and column: least and median ms. Columns: litert fp32-free, ..., tvmsr absent, ..."""
    found: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory(prefix="tvmsr-litert-") as work:
        folder = Path(work)
        prepared = prepare(Network(name, name, name), sizes, Sources(places.weights, places.images, folder), folder)
        lite = _lite_files(prepared, places)
        ours = _our_files(prepared, places)
        for size in sizes:
            for count in threads:
                tasks = [*_lite_tasks(lite, prepared, size, count, places), *_our_tasks(ours, prepared, size, count)]
                columns, _ = take_turns(tasks, folder, rounds, float("inf"))
                for column, of in columns.items():
                    if of.reason:
                        say(f"{name}, {size}, {count} threads: {column}: {of.reason}")
                found[f"{size} {count}"] = {column: _milliseconds(of) for column, of in columns.items() if of.times}
    return found


def _lite_tasks(kinds: list[str], prepared: Prepared, size: Size, threads: int, places: Places) -> list[Task]:
    source = str(prepared.input_file(size))
    files = {kind: str(prepared.folder / f"{kind}-{size}.tflite") for kind in kinds}
    return [Task("litert", kind, (file,), source, threads, places.python) for kind, file in files.items()]


def _our_tasks(files: dict[str, Path], prepared: Prepared, size: Size, threads: int) -> list[Task]:
    picture, source = str(prepared.picture_file(size)), str(prepared.input_file(size))
    return [Task("tvmsr", how, (str(file), picture, ""), source, threads) for how, file in files.items()]


def _milliseconds(column: Column) -> list[float]:
    """Least and median."""
    return [1e3 * min(column.times), 1e3 * median(column.times)]


def _lite_files(prepared: Prepared, places: Places) -> list[str]:
    """FP32 and INT8 files with and without the clip, for each size; the names of what there is."""
    folder = prepared.folder
    shown = next(iter(shown_sets(prepared.model, places.train, (DEFAULT_WAY,), 0)))
    made: list[str] = []
    models = []
    for data, pictures in shown.data.items():
        np.save(folder / f"{data}.npy", pictures)
    for precision in (FP32, INT8):
        for ending, data in _DATA.items():
            made.append(f"{precision}-{ending}")
            calibration = str(folder / f"{data}.npy") if precision == INT8 else ""
            models += [
                LiteModel(
                    f"{made[-1]}-{size}", str(folder / f"{size}.onnx"), ending == CLIP, calibration,
                    save=str(folder / f"{made[-1]}-{size}.tflite"),
                )
                for size in prepared.pictures
            ]  # fmt: skip
    list(done(places.python, Job(str(folder), places.tool, 1, (), tuple(models))))
    return made


def _our_files(prepared: Prepared, places: Places) -> dict[str, Path]:
    """Artifacts by how the clip is done."""
    ways = {variant: how for how, variant in CLIPS.items()}
    chosen = [variant for variant in STUDY if variant.name in ways]
    shared = Calibration(calib=places.train, hr=True)
    return {
        ways[one.variant.name]: one.path for one in make_all(prepared.model, chosen, shared, prepared.folder, silent)
    }
