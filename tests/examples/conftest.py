"""Two small networks as artifacts for this machine, and a picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.examples.cmake import Stub, make_stub
from tests.quant.networks import picture, plain
from tvmsr.artifact.build import build
from tvmsr.hardware import load_target
from tvmsr.hardware.target import Target
from tvmsr.lower.pipeline import lower
from tvmsr.quant.bind import bind
from tvmsr.quant.calibrate import calibrate
from tvmsr.quant.integer import IntegerGraph
from tvmsr.quant.picture import upscale_picture


class Network:
    """A small network that is compiled on demand."""

    def __init__(self, seed: int) -> None:
        self.model = plain(seed)
        self.plan = calibrate(self.model, [picture(seed, 32, 32)], bits="8")
        self.graph: IntegerGraph = bind(self.model, self.plan)

    def compiled(self, target: Target, out: Path, prefix: str = "tvmsr") -> Path:
        """A library of the kind that its name says."""
        programs = [lower(self.graph, level) for level in target.levels]
        emit = "static" if out.suffix == ".a" else "so"
        return build(programs, self.graph, self.model, self.plan, target, out, prefix=prefix, emit=emit).path


@dataclass(frozen=True)
class Ppm:
    """A picture as a file and as (height, width, 3) bytes."""

    path: Path
    pixels: np.ndarray


def read_ppm(path: Path) -> np.ndarray:
    """The pixels of a file that the examples wrote."""
    kind, size, _, rest = path.read_bytes().split(b"\n", 3)
    assert kind == b"P6"
    width, height = map(int, size.split())
    return np.frombuffer(rest, np.uint8).reshape(height, width, 3)


@pytest.fixture(scope="session")
def networks() -> tuple[Network, Network]:
    return Network(0), Network(5)


@pytest.fixture(scope="session")
def ppm(tmp_path_factory: pytest.TempPathFactory) -> Ppm:
    pixels = picture(3, 21, 34)
    path = tmp_path_factory.mktemp("picture") / "in.ppm"
    path.write_bytes(b"P6\n# a comment\n34 21\n255\n" + pixels.tobytes())
    return Ppm(path, pixels)


@pytest.fixture(scope="session")
def expected(networks: tuple[Network, Network], ppm: Ppm) -> tuple[np.ndarray, np.ndarray]:
    """What the reference executor makes of the picture."""
    return upscale_picture(networks[0].graph, ppm.pixels), upscale_picture(networks[1].graph, ppm.pixels)


@pytest.fixture(scope="session")
def libraries(networks: tuple[Network, Network], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Artifacts for this machine: sr.so and sr.a of the first network, one.a and two.a with prefixes of both."""
    folder, host = tmp_path_factory.mktemp("libraries"), load_target("host")
    first, second = networks
    return {
        "sr.so": first.compiled(host, folder / "sr.so"),
        "sr.a": first.compiled(host, folder / "sr.a"),
        "one.a": first.compiled(host, folder / "one.a", "one"),
        "two.a": second.compiled(host, folder / "two.a", "two"),
    }


@pytest.fixture
def stub(libraries: dict[str, Path], tmp_path: Path) -> Stub:
    return make_stub(tmp_path / "stub", libraries)
