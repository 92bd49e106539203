import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from tests.needs import installed
from tests.quant import networks
from tvmsr.adabm_paper.measure import evaluate, prepare, upscaled, windows
from tvmsr.adabm_paper.protocol import Adapt, Protocol, Quirks, WeightStart
from tvmsr.errors import UsageError
from tvmsr.evaluation.dataset import Pair
from tvmsr.graph.analysis import macs_by_node
from tvmsr.graph.model import Colour, Graph, Mark

torch = installed("torch", "pip install tvmsr[torch]")

MODEL = networks.residual()
CROPS = [networks.picture(k, 16, 16) for k in range(4)]
SMALL = Protocol(bits=6, weight_bits=8, crop=16, calibration_batch=2, epochs=3)


def pairs(count: int = 2) -> list[Pair]:
    hr = [np.kron(networks.picture(9 + k, 16, 20), np.ones((2, 2, 1), np.uint8)) for k in range(count)]
    return [Pair(f"p{k}", one[::2, ::2], one) for k, one in enumerate(hr)]


def test_figures_of_every_picture():
    found = evaluate(prepare(MODEL, CROPS, SMALL), pairs())
    assert [row.name for row in found.rows] == ["p0", "p1"]
    for row in found.rows:
        assert {"psnr_y", "ssim_y", "bicubic_psnr_y", "fp32_psnr_y", "fab", "tera_bitops", "bitops_share"} <= set(
            row.figures
        )
        assert 4 <= row.figures["fab"] <= 8
        assert 0 < row.figures["bitops_share"] < 1
    assert set(found.layer_factors) == {"b0a", "b0b", "b1a", "b1b", "b2a", "b2b"}
    assert len(found.pixel_losses) == 3
    json = found.as_json()
    assert json["layer_factors"] == dict(found.layer_factors)
    assert set(json["mean"]) == set(found.rows[0].figures)
    assert any("MACs x weight bits x activation bits" in note for note in json["notes"])


def test_bit_ops_of_fixed_bits():
    prepared = prepare(MODEL, CROPS, replace(SMALL, adapt=Adapt.NONE, epochs=0))
    _, (average, cost) = upscaled(prepared.student, pairs()[0].lr)
    macs = macs_by_node(MODEL.graph)
    body = sum(float(macs[name]) for name in prepared.student.layout.counted)
    rest = sum(float(value) for value in macs.values()) - body
    assert average == 6
    assert cost.quantized == pytest.approx(16 * 20 * body * 8 * 6)
    assert cost.total == pytest.approx(16 * 20 * (body * 48 + rest * 1024))


def test_the_same_seed_gives_the_same_figures():
    one, same, other = (evaluate(prepare(MODEL, CROPS, SMALL, seed=seed), pairs()) for seed in (1, 1, 2))
    assert [row.figures for row in one.rows] == [row.figures for row in same.rows]
    assert [row.figures for row in one.rows] != [row.figures for row in other.rows]


def test_windows_have_bits_of_their_own_and_cover_the_picture():
    assert windows(250, 96) == [(0, 96), (96, 250)]
    assert windows(96, 96) == [(0, 96)]
    assert windows(50, 96) == windows(50, None) == [(0, 50)]
    prepared = prepare(MODEL, CROPS, replace(SMALL, adapt=Adapt.IMAGE, epochs=0, patch=16))
    with torch.no_grad():
        prepared.student.thresholds[0].fill_(5.0)
        prepared.student.thresholds[1].fill_(8.0)
    lr = np.concatenate([np.full((16, 16, 3), 90, np.uint8), networks.picture(3, 16, 16)], axis=1)
    out, (average, cost) = upscaled(prepared.student, lr)
    assert out.shape == (32, 64, 3)
    parts = [upscaled(prepared.student, lr[:, at : at + 16]) for at in (0, 16)]
    assert [part[1][0] for part in parts] == [5, 7]
    assert average == 6
    assert cost.total == pytest.approx(sum(part[1][1].total for part in parts))
    assert np.array_equal(out[:, :32], parts[0][0])
    assert np.array_equal(out[:, 32:], parts[1][0])


def test_networks_of_luma():
    b = networks.Builder(0)
    x = b.conv("c1", b.conv("c0", "input", 8), 8)
    luma = replace(b.model(b.shuffle("out", b.conv("c2", x, 4), 2)), colour=Colour.Y)
    out, _ = upscaled(prepare(luma, CROPS, SMALL).student, pairs()[0].lr)
    assert out.shape == (32, 40)


def test_many_bits_measure_as_the_network_does():
    whole = Quirks(weight_start=WeightStart.ABSOLUTE)
    many = replace(SMALL, bits=12, weight_bits=12, epochs=0, clipping=False, quirks=whole)
    few = replace(many, bits=3, weight_bits=3, adapt=Adapt.NONE)

    def error(protocol: Protocol) -> float:
        prepared = prepare(MODEL, CROPS, protocol)
        picture = torch.tensor(CROPS[0].transpose(2, 0, 1)[None]).float() / 255
        return float((prepared.student.exact(picture).output - prepared.student.quantized(picture).output).abs().mean())

    assert error(many) < error(few) / 20


def test_figures_of_fp32_are_the_networks_own():
    from tvmsr.commands.evaluate import fp32_upscaler
    from tvmsr.evaluation.evaluate import measure_one
    from tvmsr.evaluation.metrics import protocol_named

    found = evaluate(prepare(MODEL, CROPS, replace(SMALL, epochs=0)), pairs())
    for row, pair in zip(found.rows, pairs(), strict=True):
        want = measure_one(pair, fp32_upscaler(MODEL), 2, protocol_named("y"), None).figures
        assert row.figures["fp32_psnr_y"] == pytest.approx(want["psnr_y"], abs=0.02)
    without = evaluate(prepare(MODEL, CROPS, replace(SMALL, epochs=0)), pairs(), fp32=False)
    assert "fp32_psnr_y" not in without.rows[0].figures


def test_ctrl_c_keeps_the_pictures_that_are_done():
    def stop(stage: str, done: int, _total: int) -> None:
        if stage == "evaluate" and done == 1:
            raise KeyboardInterrupt

    found = evaluate(prepare(MODEL, CROPS, replace(SMALL, epochs=0)), pairs(3), progress=stop)
    assert [row.name for row in found.rows] == ["p0"]
    assert any("1 of 3 pictures" in note for note in found.notes)


def test_ctrl_c_in_training_is_said():
    def stop(stage: str, done: int, _total: int) -> None:
        if stage == "fine-tune" and done == 3:
            raise KeyboardInterrupt

    found = evaluate(prepare(MODEL, CROPS, SMALL, progress=stop), pairs())
    assert any("fine-tuned for 1 of 3 epochs" in note for note in found.notes)


def test_nothing_to_measure_and_quantized_files():
    with pytest.raises(UsageError, match="test set is empty"):
        evaluate(prepare(MODEL, CROPS, replace(SMALL, epochs=0)), [])
    marked = replace(MODEL, graph=Graph(MODEL.graph.nodes, MODEL.graph.output, {"b0a": Mark(8, 0.1, 0)}))
    with pytest.raises(UsageError, match="FP32 file"):
        prepare(marked, CROPS, SMALL)


def test_without_torch_the_extra_is_named():
    code = """
import sys
sys.modules["torch"] = None
from tests.adabm_paper.test_layers import srresnet
from tests.quant import networks
from tvmsr.adabm_paper.measure import prepare
from tvmsr.adabm_paper.protocol import Protocol
from tvmsr.errors import UsageError
try:
    prepare(srresnet(), [networks.picture()], Protocol())
except UsageError as error:
    print(error)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install tvmsr[torch]" in found.stdout
