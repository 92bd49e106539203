from __future__ import annotations

import numpy as np
import pytest

from tests.quant import networks
from tvmsr.cli.options import MaxDrop
from tvmsr.commands.calibrate import Calibration
from tvmsr.commands.source import open_model
from tvmsr.errors import InputFileError, UsageError
from tvmsr.graph.execute import run_fp32
from tvmsr.graph.model import Activation
from tvmsr.imaging.augment import default_calibration
from tvmsr.quant.bind import bind
from tvmsr.quant.bits import Auto, Bits, parse_bits, parse_layer_bits, parse_wish
from tvmsr.quant.calibrate import MAX_DROP, calibrate
from tvmsr.quant.judge import few, make_judge
from tvmsr.quant.methods import DEFAULT_METHOD, METHODS
from tvmsr.quant.ranges import (
    BINS,
    Histogram,
    as_float,
    mse_range,
    observe_channels,
    percentile_range,
)
from tvmsr.quant.reference import run
from tvmsr.quant.representative import DEFAULT_WAY
from tvmsr.quant.streams import find_trunks
from tvmsr.quant.structure import analyse

CROPS = [networks.picture(s) for s in range(6)]


def psnr(model, plan, seed=50):
    image = networks.picture(seed, 40, 36)
    exact = np.clip(run_fp32(model, as_float(image)) * 255, 0, 255)
    error = run(bind(model, plan), image) - exact.astype(np.float64)
    return 10 * np.log10(255**2 / np.mean(error**2))


@pytest.mark.parametrize("name", networks.ALL)
@pytest.mark.parametrize("seed", range(2))
def test_eight_bits_are_near_fp32(name, seed):
    model = networks.ALL[name](seed)
    assert psnr(model, calibrate(model, CROPS)) > 45


@pytest.mark.parametrize("name", networks.ALL)
def test_more_bits_are_nearer(name):
    model = networks.ALL[name]()
    found = [psnr(model, calibrate(model, CROPS, bits=bits)) for bits in ("a4w4", 6, 8)]
    assert found[0] < found[1] < found[2]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_binds(method):
    model = networks.split_concat()
    bits = "auto:a8w8" if METHODS[method].adapts else "8"
    plan = calibrate(model, CROPS, method=method, bits=bits)
    assert plan.method == method
    assert psnr(model, plan) > 30


@pytest.mark.parametrize("activation", [Activation.RELU, Activation.LEAKY, Activation.CLIP])
def test_activations(activation):
    model = networks.plain(activation=activation)
    assert psnr(model, calibrate(model, CROPS)) > 45


def test_equalisation_helps_uneven_channels():
    model = networks.plain(width=16)
    uneven = np.geomspace(1, 1 / 40, 16).astype(np.float32)
    first, second = model.graph.nodes[0], model.graph.nodes[1]
    first.weights["weight"][:] *= uneven
    first.weights["bias"][:] *= uneven
    second.weights["weight"][:] /= uneven[:, None]
    plain = psnr(model, calibrate(model, CROPS, equalise=False, max_drop=None))
    even = psnr(model, calibrate(model, CROPS, max_drop=None))
    assert even > plain + 1


def test_bias_correction_takes_the_mean_error_back():
    model = networks.residual()
    errors = []
    for on in (False, True):
        graph = bind(model, calibrate(model, CROPS, bits="a4w4", bias_correction=on))
        error = [run(graph, c) - 255 * run_fp32(model, as_float(c)).clip(0, 1) for c in CROPS]
        errors.append(np.abs(np.mean([e.mean(axis=(0, 1)) for e in error], axis=0)).max())
    assert errors[1] < errors[0]


def test_wide_tensors_cover_twice_the_range():
    model = networks.residual()
    stats = observe_channels(model.graph, CROPS, lambda: None).stats
    plan = calibrate(model, CROPS, method="minmax")
    high = max(stats[n].high.max() for n in ("head", "b0", "b1", "b2", "long"))
    assert plan.tensors["b1"].high == pytest.approx(2 * high)
    assert plan.tensors["b1a"].high <= stats["b1a"].high.max() * (1 + 1e-6)


def test_pinned_layer_reads_the_stream_itself():
    model = networks.residual()
    plan = calibrate(model, CROPS, layer_bits={"up": 16}, max_drop=None)
    found = {node.name: node for node in bind(model, plan)}
    assert found["up"].inputs == ("long",)
    assert "pinned" in plan.layers["up"].reason
    plan = calibrate(model, CROPS, layer_bits={"b0b": 16}, max_drop=None)
    assert plan.tensors["b0a"].bits == 16
    plan = calibrate(model, CROPS, layer_bits={"b0a": 5, "b1b": 5}, max_drop=None)
    assert plan.reads["head"].bits == 5
    assert plan.tensors["b1a"].bits == 5


def test_pinned_layer_leaves_other_readers_narrow():
    b = networks.Builder()
    x = b.conv("c0", "input", 8, activation=Activation.RELU)
    y = b.concat("both", b.conv("c1", x, 6), b.conv("c2", x, 6))
    model = b.model(b.shuffle("out", y, 2))
    plan = calibrate(model, CROPS, layer_bits={"c1": 12}, max_drop=None)
    found = {node.name: node for node in bind(model, plan)}
    assert found["c0"].output.bits == 12
    assert found["c1"].inputs == ("c0",)
    assert found["c2"].inputs == ("c0.read",)
    with pytest.raises(UsageError, match="reads too"):
        calibrate(model, CROPS, layer_bits={"c1": 6})


def test_pins_that_change_nothing_or_disagree():
    model = networks.residual()
    assert calibrate(model, CROPS, bits=12, layer_bits={"b0b": 12}).tensors["b0a"].bits == 12
    assert bind(model, calibrate(model, CROPS, bits=12, layer_bits={"b0a": 7}))
    b = networks.Builder()
    x = b.conv("c0", "input", 12)
    y = b.activate("t", x, Activation.TANH)
    z = b.concat("both", y, b.conv("c1", x, 12), b.conv("c2", x, 12))
    other = b.model(b.shuffle("out", b.conv("c3", z, 12), 2))
    with pytest.raises(UsageError, match="another reads"):
        calibrate(other, CROPS, layer_bits={"c1": 5, "c2": 6})


@pytest.mark.parametrize(
    ("pins", "message"), [({"nobody": 16}, "no such layer"), ({"head": 16}, "picture itself"), ({"b0": 16}, "no such")]
)
def test_pins_that_cannot_be(pins, message):
    with pytest.raises(UsageError, match=message):
        calibrate(networks.residual(), CROPS, layer_bits=pins)


def test_widening_says_so():
    model = networks.residual(blocks=2)
    plan = calibrate(model, CROPS, max_drop=0.0)
    assert [note.split()[0] for note in plan.notes] == ["pictures", "expected", "wider", "saturated:"]
    assert not any("expected" in note for note in calibrate(model, CROPS, max_drop=None).notes)


def test_progress_and_mistakes():
    seen = []
    calibrate(networks.plain(), CROPS, progress=lambda what, done, total: seen.append((what, done, total)))
    assert ("ranges", 6, 6) in seen
    assert any(what == "weights" for what, _, _ in seen)
    with pytest.raises(InputFileError):
        calibrate(networks.plain(), [])
    with pytest.raises(UsageError, match="method"):
        calibrate(networks.plain(), CROPS, method="magic")


def test_trunks():
    assert find_trunks(analyse(networks.residual().graph)) == (frozenset({"head", "b0", "b1", "b2", "long"}),)
    assert find_trunks(analyse(networks.plain().graph)) == ()


def test_observed_in_pieces_is_observed_as_a_whole():
    model = networks.tables()
    stats = observe_channels(model.graph, CROPS, lambda: None).stats
    assert {"c0#table", "c0", "input", "out"} <= set(stats)
    stacked = np.concatenate([run_fp32(model, as_float(c), keep=["c0"])["c0"].reshape(-1, 8) for c in CROPS])
    assert np.allclose(stats["c0"].low, stacked.min(axis=0))
    assert np.allclose(stats["c0"].high, stacked.max(axis=0))
    assert np.allclose(stats["c0"].square, (stacked.astype(np.float64) ** 2).mean(axis=0))


def test_range_methods():
    counts = np.zeros(BINS)
    counts[:1024] = 1000
    counts[-1] = 1
    histogram = Histogram(0.0, 2.0, counts)
    low, high = percentile_range(histogram, 8, {"percentile": 99.9})
    assert low < 0.01
    assert 0.9 < high < 1.1
    assert mse_range(histogram, 4, {})[1] < 1.5
    assert percentile_range(Histogram(0.0, 0.0, np.zeros(BINS)), 8, {"percentile": 99.9}) == (0.0, 0.0)


def test_parse_bits():
    assert parse_bits("8") == parse_bits(8) == Bits(8, 8)
    assert parse_bits("a6w4") == Bits(6, 4)
    assert parse_bits("12") == Bits(12, 8)
    assert str(Bits(6, 4)) == "a6w4"
    assert str(Bits(8, 8)) == "8"
    for wrong in ("0", "17", "a6w9", "eight", "", "a1w4"):
        with pytest.raises(UsageError):
            parse_bits(wrong)
    with pytest.raises(UsageError, match="--bits auto: bits are the same everywhere here"):
        parse_bits("auto")
    assert parse_wish("AUTO:A6W4") == parse_wish(Auto(Bits(6, 4))) == Auto(Bits(6, 4))
    assert parse_wish(" auto ") == Auto() and parse_wish("6") == parse_wish(6) == Bits(6, 6)
    assert (str(Auto()), str(Auto(Bits(8, 8)))) == ("auto", "auto:a8w8")
    for wrong in ("auto:", "auto:a4", "auto:6", "auto:a9w8", "auto:a1w4", "auto:a6w9", "automatic", "auto a6w4"):
        with pytest.raises(UsageError, match="--bits "):
            parse_wish(wrong)
    assert parse_layer_bits(["a=b=16"]) == {"a=b": 16}
    for wrong in ("x", "x=", "=8", "x=17", "x=1"):
        with pytest.raises(UsageError):
            parse_layer_bits([wrong])


def test_weights_are_not_fitted_to_pictures_that_are_all_alike():
    """What was learned from a sky would lose everything else."""
    rows = np.linspace(90, 220, 32)[:, None, None] * np.ones((1, 32, 3))
    sky = [np.clip(np.rint(rows + np.random.default_rng(s).normal(0, 1, rows.shape)), 0, 255) for s in range(4)]
    model = open_model("default:x2")
    crops = [crop.astype(np.uint8) for crop in sky]
    plan = calibrate(model, crops, max_drop=None)
    assert any("too alike" in note for note in plan.notes)
    judge = make_judge(model, few(default_calibration(8, 48, seed=99)))
    nearest = judge.noise(calibrate(model, crops, max_drop=None, rounding=False))
    assert judge.noise(plan) < 1.2 * nearest
    varied = calibrate(model, default_calibration(4, 48), max_drop=None)
    assert not any("too alike" in note for note in varied.notes)


def test_the_options_begin_where_calibration_does():
    """Two places, as options are shown without loading what calibrates."""
    options = Calibration()
    assert (options.method, options.way, options.max_drop) == (DEFAULT_METHOD, DEFAULT_WAY, None)
    assert MaxDrop.__metadata__[0].help.endswith(f"[default: {MAX_DROP}]")


def test_codes_that_a_wider_input_overflows_do_not_end_the_search():
    b = networks.Builder(3)
    x = b.conv("c0", "input", 64, activation=Activation.RELU)
    b.conv("c1", x, 12, k=5, gain=0.1)
    b.nodes[-1].weights["weight"][..., 0] = 0.01
    model = b.model(b.shuffle("out", "c1", 2))
    assert bind(model, calibrate(model, CROPS, max_drop=0.0, equalise=False))


@pytest.mark.parametrize(
    "wrong",
    [{"max_drop": -1.0}, {"max_drop": float("nan")}, {"max_drop": float("inf")}, {"way": "no", "method": "minmax"}],
)
def test_wrong_numbers_and_ways(wrong):
    with pytest.raises(UsageError, match=r"expected a number|known are"):
        calibrate(networks.residual(), CROPS, **wrong)


def test_the_first_plan_is_there_before_it_is_judged(monkeypatch):
    """Ctrl-C while it is judged keeps it."""

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("tvmsr.quant.calibrate.make_judge", stop)
    told = []
    with pytest.raises(KeyboardInterrupt):
        calibrate(networks.plain(), CROPS[:1], better=told.append)
    assert [one.drop for one in told] == [None] and told[0].plan.notes
