"""Which layers read more bits: the cheapest by the clock that is given, and what the plan says of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.quant import networks
from tvmsr.errors import WorkError
from tvmsr.graph.analysis import macs_by_node
from tvmsr.graph.model import Activation
from tvmsr.hardware import load_target
from tvmsr.lower.modelled import modelled_cycles
from tvmsr.quant import widen
from tvmsr.quant.bind import bind
from tvmsr.quant.calibrate import calibrate
from tvmsr.quant.judge import least_psnr
from tvmsr.quant.verdict import facts, loss_words, missed_words, wider_words
from tvmsr.quant.widen import WIDE, Candidate, Clock

CROPS = [networks.picture(s) for s in range(6)]
LEVEL = load_target("x86-64").levels[0]
MODELLED = Clock("x86_64 some", lambda graph: modelled_cycles(graph, LEVEL))


def dear(layer):
    """A clock by which only this layer's wide inputs take time."""

    def cycles(graph):
        held = {node.name: node.output for node in graph}
        return {n.name: 1 + 100 * (n.name == layer and held[n.inputs[0]].bits > 8) for n in graph if n.op == "conv"}

    return Clock("nowhere", cycles)


def forked():
    """A stream that two convolutions read: what widens one gives it all bits of the stream."""
    b = networks.Builder(4)
    trunk = b.conv("head", "input", 8)
    for i in range(2):
        trunk = b.add(f"b{i}", trunk, b.conv(f"b{i}b", b.conv(f"b{i}a", trunk, 8, activation=Activation.RELU), 8))
    both = b.concat("both", b.conv("left", trunk, 8), b.conv("right", trunk, 8))
    return b.model(b.conv("last", b.shuffle("fine", b.conv("up", both, 32), 2), 3, gain=0.2, bias=0.0))


def wider(model, **how):
    return list(calibrate(model, CROPS, rounding=False, **how).judged.wider.layers)


def test_time_decides_where_it_is_known():
    model = networks.residual()
    usual, found = wider(model, max_drop=0.0), wider(model, max_drop=0.0, clock=dear("last"))
    assert usual[0] == "last" == found[-1] and len(found) > 1
    order = [Candidate("a", 0.4, 0.5, 0.0), Candidate("b", 0.4, 0.1, 0.3)]
    assert order[0].worth > order[1].worth
    assert replace(order[0], slower=None).worth < replace(order[1], slower=None).worth
    assert Candidate("a", 0.4, 0.5, -0.1).worth == order[0].worth


def test_the_plan_says_which_why_and_what_share():
    model = networks.residual(blocks=2)
    plan = calibrate(model, CROPS, max_drop=0.0, clock=MODELLED)
    found = plan.judged
    macs = macs_by_node(model.graph)
    share = sum(macs[name] for name in found.wider.layers) / sum(macs.values())
    assert found.wider.macs == pytest.approx(float(share), abs=1e-4)
    cycles = modelled_cycles(bind(model, plan), LEVEL)
    time = sum(cycles[name] for name in found.wider.layers) / sum(cycles.values())
    assert found.wider.time == pytest.approx(time, abs=1e-4)
    assert found.before[0] < found.psnr and found.before[1] > found.drop and found.wider.slower > 0
    assert f"{100 * found.wider.time:.1f} % of the modelled time on x86_64 some" in plan.notes[-2]
    assert not found.held and found.crops == len(CROPS) and not found.is_missed
    for name in found.wider.layers:
        assert "alone it saves" in plan.layers[name].reason and "modelled time on" in plan.layers[name].reason
    assert calibrate(model, CROPS, max_drop=0.0, clock=MODELLED).to_json() == plan.to_json()


def test_reasons_say_how_many_bits_are_read():
    model = forked()
    plan = calibrate(model, CROPS, max_drop=0.0, rounding=False)
    held = {node.name: node.output for node in bind(model, plan)}
    bits = {node.name: held[node.inputs[0]].bits for node in bind(model, plan) if node.name in plan.judged.wider.layers}
    assert {bits[name] for name in plan.judged.wider.layers} == {WIDE, 16}
    for name, found in plan.judged.wider.layers.items():
        assert found == bits[name] and plan.layers[name].reason.startswith(f"{found} activation bits")
    streams = [name for name, found in plan.judged.wider.layers.items() if found == 16]
    assert all("all that the stream" in plan.layers[name].reason for name in streams)
    assert f"{streams[-1]} {'read' if len(streams) > 1 else 'reads'} 16 bits" in plan.notes[-2]


def test_a_pin_that_gets_all_of_a_stream():
    plan = calibrate(forked(), CROPS, layer_bits={"left": 12, "right": 16, "up": 12}, max_drop=None)
    assert plan.layers["left"].reason.startswith("pinned to 12: 16 activation bits, all that the stream 'b1' has")
    assert plan.layers["right"].reason.startswith("pinned to 16 activation bits")
    assert plan.layers["up"].reason.startswith("pinned to 12 activation bits")


def test_without_a_clock_that_can_be_asked():
    def cannot(_graph):
        raise WorkError("cannot be compiled")

    model, how = networks.residual(), {"max_drop": 0.0, "rounding": False}
    plan = calibrate(model, CROPS, clock=Clock("nowhere", cannot), **how)
    assert plan.to_json() == calibrate(model, CROPS, **how).to_json()
    assert plan.judged.wider.time is None and "time" not in plan.notes[-2]


def test_a_layer_that_no_kernel_reads_wide_stays_as_it_is():
    model, how = networks.residual(), {"max_drop": 0.0, "rounding": False}

    def cycles(graph):
        held = {node.name: node.output for node in graph}
        found = {node.name: held[node.inputs[0]].bits for node in graph if node.op == "conv" and node.name == "last"}
        if found["last"] > 8:
            raise WorkError("'last' cannot be compiled")
        return {"last": 1.0}

    layers = calibrate(model, CROPS, clock=Clock("nowhere", cycles), **how).judged.wider.layers
    assert "last" in calibrate(model, CROPS, **how).judged.wider.layers and layers and "last" not in layers


@pytest.mark.parametrize(
    ("noises", "enough", "expected"),
    [((9, 9, 5, 3), 4, 4), ((9, 4, 3, 2), 4, 2), ((4, 3, 2, 1), 4, 1), ((9, 9, 9, 9), 3, 3), ((4,), 1, 1)],
)
def test_fewer_layers_do_once_weights_know_of_them(noises, enough, expected):
    count, found = widen.fewest_adjusted(lambda n: widen.Widened(n, noises[n - 1]), enough, lambda one: one.noise <= 4)
    assert (count, found.plan, found.noise) == (expected, expected, noises[expected - 1])


def test_a_missed_limit_where_no_layer_gains():
    b = networks.Builder(0)
    model = b.model(b.shuffle("out", b.conv("only", "input", 12), 2))
    found = calibrate(model, CROPS, max_drop=1e-3).judged.model_copy(update={"drop": 0.5})
    assert found.wider is None and "no layer gains by reading more bits" in missed_words(found)


def test_both_figures_are_said_and_a_missed_limit_too(monkeypatch):
    monkeypatch.setattr(widen, "LEAST_SAVED", 0.5)
    model = networks.residual()
    plan = calibrate(model, CROPS, max_drop=1e-4, rounding=False)
    found = plan.judged
    assert found.least_psnr == pytest.approx(least_psnr(1e-4, model.scale), abs=1e-3)
    for figure in (f"{found.drop:.3f} dB", f"{found.psnr:.1f} dB", f"{found.least_psnr:.1f} dB"):
        assert figure in loss_words(found) and loss_words(found) in plan.notes
    assert found.is_missed and "--max-drop 0.0001 was missed" in missed_words(found)
    assert [label for label, _ in facts(found)] == ["loss", "wider layers"]
    kept = calibrate(model, CROPS, max_drop=5.0).judged
    assert not kept.is_missed and missed_words(kept) is None and wider_words(kept) is None
    assert [label for label, _ in facts(kept)] == ["loss"] and facts(None) == ()
    assert missed_words(calibrate(model, CROPS, max_drop=0.0).judged) is None
