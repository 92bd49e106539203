"""What lite.worker is told to do, and how it is asked: it has the interpreter with TensorFlow and LiteRT."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from peering.turns import environment, last_words


@dataclass(frozen=True)
class LiteModel:
    """A file for LiteRT that is made, and what is done with it.

    source: an ONNX file of a fixed size, or a .tflite that is taken as it is. clip: a minimum and a ReLU at its end.
    calibration: .npy of float32 (N, H, W, C), 0..1, "" for FP32. whole: the input's range is 0..1, whatever was shown.
    white: the number that it takes and gives for white. save: where the file goes, "" for nowhere.
    """

    name: str
    source: str
    clip: bool = False
    calibration: str = ""
    whole: bool = False
    white: float = 1.0
    save: str = ""


@dataclass(frozen=True)
class Job:
    """tool: a row of lite.worker.TOOLS. pictures: .npy of RGB bytes (H, W, 3), which every model enlarges.

    folder: where NAME/PLACE.npy, the bytes that a model gives for a picture, appear.
    """

    folder: str
    tool: str
    threads: int
    pictures: tuple[str, ...]
    models: tuple[LiteModel, ...]

    @staticmethod
    def read(path: Path) -> Job:
        values = json.loads(path.read_text())
        models = tuple(LiteModel(**one) for one in values.pop("models"))
        return Job(**{**values, "pictures": tuple(values["pictures"]), "models": models})


class LiteError(Exception):
    """The worker could not do a model; the words say why."""


def done(python: str, job: Job) -> Iterator[str]:
    """The names of the models, each as soon as its pictures are there. LiteError where one cannot be made or run."""
    folder = Path(job.folder)
    description, log = folder / "job.json", folder / "worker.log"
    description.write_text(json.dumps(asdict(job)))
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [python, "-m", "lite.worker", str(description)],
            stdout=subprocess.PIPE, stderr=errors, text=True, env=environment(job.threads, {}),
        )  # fmt: skip
    with process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                answer = json.loads(line)
                if "reason" in answer:
                    raise LiteError(f"{answer['name']}: {answer['reason']}")
                yield answer["name"]
        finally:
            process.kill()
    if process.returncode > 0:
        raise LiteError(f"{python} -m lite.worker ended with exit code {process.returncode}: {last_words(log)}")


def versions(python: str, packages: Sequence[str]) -> str:
    """Of these packages, as that interpreter has them, in words."""
    program = (
        "import sys\nfrom importlib.metadata import PackageNotFoundError, version\n"
        "for name in sys.argv[1:]:\n"
        "    try:\n        print(name, version(name))\n    except PackageNotFoundError:\n        pass\n"
    )
    answer = subprocess.run([python, "-c", program, *packages], capture_output=True, text=True, check=True)
    return ", ".join(answer.stdout.splitlines())
