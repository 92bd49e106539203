"""Every published file reaches the PSNR that is stated for it, from file to picture.

The small networks on all of Set5; the large ones on one picture of it, against what an independent implementation
(torch_published.py, float64) reaches there. `benchmarks/quality.py --fp32` measures all of them on Set5 and Set14.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from tvmsr.evaluation.dataset import Pair, load_pairs
from tvmsr.frontend import load_model
from tvmsr.frontend.families.registry import REGISTRY
from tvmsr.frontend.readers.safetensors_file import read_safetensors
from tvmsr.frontend.state import normalise
from tvmsr.graph.analysis import parameter_count, receptive_radius
from tvmsr.graph.execute import run_fp32
from tvmsr.graph.model import INPUT, Colour, Graph, Model
from tvmsr.imaging.bicubic import imresize


@dataclass(frozen=True)
class Published:
    """A file. set5: the mean stated for it; butterfly: what the independent implementation reaches on that picture."""

    file: str
    family: str
    scale: int
    parameters: int
    set5: float | None = None
    butterfly: float | None = None
    given: bool = False  # the scale, which the file does not tell
    border: int | None = None  # what was cut off for the stated figure, where not `scale`
    radius: int | None = None


PUBLISHED = (
    Published("abpn_x3", "abpn", 3, 42539, 33.53, radius=7),
    Published("espcn_x3", "espcn", 3, 22729, 31.97, 26.4886, radius=4),
    Published("espcn_ycbcr_x2", "espcn", 2, 26796, 36.20, 31.8836),
    Published("espcn_ycbcr_x3", "espcn", 3, 31131, 31.84, 26.4408),
    Published("espcn_ycbcr_x4", "espcn", 4, 37200, 29.15, 23.3351),
    Published("fsrcnn_x2", "fsrcnn", 2, 12809, 37.10, 33.5453),
    Published("fsrcnn_x3", "fsrcnn", 3, 12809, 32.59, 27.8925),
    Published("fsrcnn_x4", "fsrcnn", 4, 12809, 30.50, 25.3827),
    Published("fsrcnn_ycbcr_x2", "fsrcnn", 2, 24647, 35.90, 31.9879),
    Published("fsrcnn_ycbcr_x3", "fsrcnn", 3, 24647, 31.77, 26.1996),
    Published("fsrcnn_ycbcr_x4", "fsrcnn", 4, 24647, 29.04, 23.1865),
    Published("srcnn_x3", "srcnn", 3, 57281, butterfly=27.9142),
    Published("srcnn_ycbcr_915", "srcnn", 2, 20099, butterfly=29.6466, given=True, border=6),
    Published("srcnn_ycbcr_915", "srcnn", 3, 20099, butterfly=25.2684, given=True, border=6),
    Published("srcnn_ycbcr_915", "srcnn", 4, 20099, butterfly=22.5884, given=True, border=6),
    Published("xlsr_x3", "xlsr", 3, 21947, 33.27, 28.8835),
    Published("srvggnetcompact_x4", "srvgg", 4, 621424, 28.25, radius=18),
    Published("imdn_rtc_x2", "imdn_rtc", 2, 20190, 37.31, 33.9382, radius=22),
    Published("imdn_plus_x4", "imdn_plus", 4, 275844, butterfly=28.4022),
    Published("imdn_aim_x4", "imdn_aim", 4, 893936, butterfly=28.7410),
    Published("imdn_x2", "imdn", 2, 694404, butterfly=35.3585),
    Published("imdn_x3", "imdn", 3, 703059, butterfly=30.8876),
    Published("imdn_x4", "imdn", 4, 715176, butterfly=28.5594),
    Published("rfdn_x4", "rfdn", 4, 433448, butterfly=28.6407),
    Published("rlfn_ntire_x4", "rlfn", 4, 317218, butterfly=28.5344),
    Published("rlfn_s_x2", "rlfn", 2, 454620, butterfly=35.5495),
    Published("rlfn_s_x4", "rlfn", 4, 470208, butterfly=28.8472),
    Published("rlfn_x2", "rlfn", 2, 526856, butterfly=35.5797),
    Published("rlfn_x4", "rlfn", 4, 543740, butterfly=28.6919),
    Published("fmen_x4", "fmen", 4, 341066, butterfly=28.4960),
    Published("bsrn_s_x4", "bsrn", 4, 156288, butterfly=28.3326),
    Published("carn_m_x2x3x4", "carn", 2, 414811, butterfly=34.5945, given=True),
    Published("carn_m_x2x3x4", "carn", 3, 414811, butterfly=30.5358, given=True),
    Published("carn_m_x2x3x4", "carn", 4, 414811, butterfly=27.9879, given=True),
    Published("edsr8_x2", "edsr_mxnet", 2, 779017, 37.80, radius=20),
    Published("srresnet_x4", "srresnet_mxnet", 4, 958339, 31.88, radius=24),
)


def luma(x: np.ndarray) -> np.ndarray:
    return 16 + x.astype(np.float64) @ np.asarray([65.481, 128.553, 24.966]) / 255


def psnr(out: np.ndarray, colour: Colour, hr: np.ndarray, border: int) -> float:
    pixels = np.clip(np.round(out.astype(np.float64) * 255), 0, 255)
    y = pixels[:, :, 0] if colour is Colour.Y else luma(pixels)
    inside = slice(border, -border)
    return float(10 * np.log10(255**2 / np.mean((y - luma(hr))[inside, inside] ** 2)))


def reached(model: Model, pair: Pair, border: int) -> float:
    out = run_fp32(model, pair.lr.astype(np.float32) / np.float32(255))
    assert isinstance(out, np.ndarray)
    return psnr(out, model.colour, pair.hr, border)


@pytest.mark.parametrize("case", PUBLISHED, ids=lambda case: f"{case.file}-{case.scale}")
def test_reaches_what_is_stated(shared_data: Path, case: Published):
    given = case.scale if case.given else None
    model = load_model(shared_data / "weights" / f"{case.file}.safetensors", scale=given)
    assert (model.family, model.scale, model.name) == (case.family, case.scale, case.file)
    assert case.radius in (None, receptive_radius(model.graph))
    # Folding changes the count a little: batch norms go, one Y channel becomes three, slopes are one per channel.
    if case.family not in ("carn", "fsrcnn", "srcnn"):  # shared blocks and other scales; phases of a transposed kernel
        assert abs(parameter_count(model.graph) - case.parameters) < 3500
    border = case.scale if case.border is None else case.border
    pairs = load_pairs(shared_data / "images" / "set5", case.scale)
    values = {pair.name: reached(model, pair, border) for pair in pairs if case.set5 or pair.name == "butterfly"}
    if case.set5 is not None:
        assert len(values) == 5 and abs(float(np.mean(list(values.values()))) - case.set5) <= 0.02
    if case.butterfly is not None:
        assert abs(values["butterfly"] - case.butterfly) <= 0.002


def test_every_file_is_of_one_family(shared_data: Path):
    files = sorted((shared_data / "weights").glob("*.safetensors"))
    assert {path.stem for path in files} == {case.file for case in PUBLISHED}
    families = {case.file: case.family for case in PUBLISHED}
    for path in files:
        state = normalise(read_safetensors(path)[0], path.name)
        assert [family.name for family in REGISTRY if family.recognise(state)] == [families[path.stem]]


def test_srcnn_behind_rounded_bicubic(shared_data: Path):
    """The stated 32.63 dB: Y rounded to bytes, enlarged, rounded again, then the network; all in floats gives 32.66."""
    model = load_model(shared_data / "weights" / "srcnn_x3.safetensors")
    enlarged = next(node.name for node in model.graph if node.op == "resize")
    behind = [node for node in model.graph if node.op == "conv" and enlarged in node.inputs]
    start = model.graph.nodes.index(behind[0])
    nodes = [replace(node, inputs=tuple(INPUT if i == enlarged else i for i in node.inputs)) for node in model.graph]
    convolutions = Graph(tuple(nodes[start:]), model.graph.output)
    values = []
    for pair in load_pairs(shared_data / "images" / "set5", 3):
        big = imresize(np.round(luma(pair.lr)).astype(np.uint8), 3)
        out = run_fp32(convolutions, big[:, :, None].astype(np.float32) / np.float32(255))
        assert isinstance(out, np.ndarray)
        values.append(psnr(out, Colour.Y, pair.hr, 3))
    assert abs(float(np.mean(values)) - 32.63) <= 0.02
