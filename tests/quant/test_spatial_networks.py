"""Networks with attention, skips, norms and paddings: from a Model to a plan, an IntegerGraph and its pictures."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.quant import networks, slow, spatial_networks
from tests.quant.test_bind import bound, nodes
from tvmsr.errors import UsageError
from tvmsr.graph.analysis import SizeRule, TileRule, size_rule, tensor_types, tile_rule
from tvmsr.graph.model import Activation, Resampling, Statistic
from tvmsr.quant import bind_spatial
from tvmsr.quant.bind import bind
from tvmsr.quant.calibrate import calibrate
from tvmsr.quant.held import Held
from tvmsr.quant.integer import Code, Term
from tvmsr.quant.picture import fitted, fp32_picture, upscale_picture
from tvmsr.quant.plan import Plan, PlanError
from tvmsr.quant.ranges import as_float, observe_channels
from tvmsr.quant.reference import execute, run_tensors
from tvmsr.quant.streams import find_trunks
from tvmsr.quant.structure import analyse

SPATIAL = spatial_networks.SPATIAL
CROPS = [networks.picture(s, 32, 30) for s in range(6)]

#: PSNR of the executor to FP32 at 8 bits, in dB: what the worst of some seeds has, less 1.5.
NEAR = {
    "esa": 58, "cca": 51, "squeeze": 58, "bicubic_skip": 54, "normed": 53, "span": 56, "padded": 58, "halved": 58,
}  # fmt: skip


def psnr(model, plan, seed=50):
    image = networks.picture(seed, 41, 36)
    exact = np.clip(fp32_picture(model, as_float(image)).astype(np.float64) * 255, 0, 255)
    return 10 * np.log10(255**2 / np.mean((upscale_picture(bind(model, plan), image) - exact) ** 2))


@pytest.mark.parametrize("name", SPATIAL)
@pytest.mark.parametrize("seed", range(2))
def test_eight_bits_are_near_fp32(name, seed):
    model = SPATIAL[name](seed)
    assert psnr(model, calibrate(model, CROPS)) > NEAR[name]


@pytest.mark.parametrize("name", SPATIAL)
def test_more_bits_are_nearer(name):
    model = SPATIAL[name]()
    found = [psnr(model, calibrate(model, CROPS, bits=bits, max_drop=None)) for bits in ("a4w4", 6, 8)]
    assert found[0] < found[1] < found[2]


@pytest.mark.parametrize("name", SPATIAL)
@pytest.mark.parametrize("bits", ["a6w6", 16])
def test_networks_node_by_node(name, bits):
    model = SPATIAL[name](width=4)
    graph = bind(model, calibrate(model, CROPS[:2], bits=bits, max_drop=None))
    least = graph.sizes.minimum
    forms = {"input": graph.input} | {node.name: node.output for node in graph}
    for image in (networks.picture(9, 5, 6), spatial_networks.extremes(1, least, least)):
        seen = fitted(image, graph.sizes)
        tensors = run_tensors(graph, seen)
        for node in graph:
            want = slow.execute(node, [tensors[i] for i in node.inputs], [forms[i] for i in node.inputs])
            assert np.array_equal(tensors[node.name].astype(object), want), node.name
            assert tensors[node.name].shape[:2] == (node.rows(seen.shape[0]), node.columns(seen.shape[1]))


@pytest.mark.parametrize("name", SPATIAL)
def test_sizes_and_rules(name):
    model = SPATIAL[name]()
    graph, types = bound(model)[1], tensor_types(model.graph)
    assert (graph.sizes, graph.tiles) == (size_rule(model.graph), tile_rule(model.graph))
    for node in graph:
        assert (node.rows, node.columns) == types[node.name.removesuffix(".read")].size


def test_a_network_that_halves_wants_even_sides():
    assert bound(SPATIAL["halved"]())[1].sizes == SizeRule(4, 2)


def test_rules_have_defaults():
    graph = bound(networks.plain())[1]
    assert dataclasses.replace(graph, sizes=SizeRule(1, 1)).sizes == graph.sizes
    assert graph.tiles == TileRule(3, 1, ())


# Bits and groups -------------------------------------------------------------------------------------------------


def test_maps_of_one_pixel_are_wide_and_read_as_they_are():
    model = SPATIAL["cca"]()
    plan, graph = bound(model)
    found = nodes(graph)
    for name in ("b0d", "b0m", "b0s", "b0g0", "b0g1"):
        assert found[name].output.bits == 15
    assert found["b0g0"].inputs == ("b0s",)
    assert found["b0y"].output.bits == 8
    assert "b0s" not in plan.reads
    assert bound(model, bits="a6w4")[0].tensors["b1g1"].bits == 15
    assert nodes(bound(model, layer_bits={"b0g0": 16})[1])["b0s"].output.bits == 16
    with pytest.raises(UsageError, match="1x1 map of 15 bits"):
        calibrate(model, CROPS, layer_bits={"b0g0": 8})


def test_a_stream_may_be_gated_with_all_its_bits():
    b = networks.Builder()
    x = b.conv("head", "input", 8)
    for i in range(2):
        x = b.add(f"a{i}", x, b.conv(f"c{i}", x, 8, gain=0.3))
    gate = b.conv("gate", b.statistic("mean", x, Statistic.MEAN), 8, k=1, activation=Activation.SIGMOID)
    model = b.model(b.shuffle("out", b.conv("last", b.mul("gated", x, gate), 12, gain=0.3, bias=0.3), 2))
    found = nodes(bound(model)[1])
    assert (found["a1"].output.bits, found["gate"].output.bits) == (16, 15)
    b.mul("squared", x, x)
    squared = b.model(b.shuffle("out2", b.conv("last2", "squared", 12, gain=0.3, bias=0.3), 2))
    assert nodes(bound(squared)[1])["a1"].output.bits == 15


def test_pools_and_resizes_hold_the_codes_of_their_operand():
    plan, graph = bound(SPATIAL["esa"]())
    found = nodes(graph)
    for name, source in (("pooled", "small"), ("wide", "e1")):
        assert name not in plan.tensors
        ours, theirs = found[name].output, found[source].output
        assert (ours.bits, ours.scale, ours.zero) == (theirs.bits, theirs.scale, theirs.zero)
        assert np.array_equal(ours.equal, theirs.equal)
    assert found["wide"].inputs == ("e1", "c1")
    assert found["wide"].reads == ("e1",)


def test_a_narrow_reading_of_what_a_move_made_of_a_wide_tensor():
    b = networks.Builder()
    x = b.conv("c0", "input", 8)
    y = b.mul("product", x, b.conv("c1", "input", 8))
    pooled = b.max_pool("pooled", x, 2, 2)
    z = b.resize("back", b.conv("c2", pooled, 8), Resampling.NEAREST, like=x)
    model = b.model(b.shuffle("out", b.conv("c3", b.concat("both", y, z), 12, gain=0.3, bias=0.3), 2))
    plan, graph = bound(model)
    assert plan.reads["pooled"].bits == 8
    assert nodes(graph)["c2"].inputs == ("pooled.read",)


def test_trunks_do_not_cross_sizes():
    assert find_trunks(analyse(SPATIAL["esa"]().graph)) == ()
    b = networks.Builder()
    x = b.conv("c0", "input", 4)
    small = b.conv("c1", b.max_pool("pool", x, 2, 2), 4)
    small = b.add("s0", small, b.conv("c2", small, 4))
    wide = b.resize("wide", small, Resampling.LINEAR, like=x)
    y = b.add("s1", x, wide)
    y = b.add("s2", y, b.statistic("mean", x, Statistic.MEAN))
    model = b.model(b.shuffle("out", b.conv("c3", y, 12), 2))
    assert find_trunks(analyse(model.graph)) == (frozenset({"c0", "s1", "s2"}),)


@pytest.mark.parametrize(
    ("activation", "trunk"), [(Activation.LEAKY, {"c0", "a0", "l0", "a1", "l1"}), (Activation.TANH, None)]
)
def test_trunks_go_on_after_an_activation(activation, trunk):
    """RFDN: two roundings a residual at 8 bits cost it 0.36 dB."""
    b = networks.Builder()
    x = b.conv("c0", "input", 4)
    for i in range(2):
        x = b.activate(f"l{i}", b.add(f"a{i}", x, b.conv(f"r{i}", x, 4)), activation)
    model = b.model(b.shuffle("out", b.conv("c1", x, 12, gain=0.3, bias=0.3), 2))
    assert find_trunks(analyse(model.graph)) == (() if trunk is None else (frozenset(trunk),))
    assert psnr(model, calibrate(model, CROPS)) > 54


def test_terms_have_the_size_of_their_sum():
    found = nodes(bound(SPATIAL["squeeze"]())[1])
    assert isinstance(found["spread"].output, Code)
    b = networks.Builder()
    x = b.conv("c0", "input", 8)
    gate = b.conv("gate", b.statistic("mean", x, Statistic.MEAN), 8, k=1)
    model = b.model(b.shuffle("out", b.conv("c1", b.add("sum", x, gate), 12), 2))
    assert isinstance(nodes(bound(model)[1])["gate"].output, Code)


@pytest.mark.parametrize(("activation", "term"), [(Activation.NONE, True), (Activation.RELU, False)])
def test_factors_of_a_sum(activation, term):
    b = networks.Builder()
    x = b.conv("c0", "input", 8, activation=Activation.RELU)
    y = b.conv("c1", x, 8, activation=activation)
    model = b.model(b.shuffle("out", b.conv("c2", b.add("sum", x, y, factors={1: -0.25}), 12, gain=0.3, bias=0.3), 2))
    found = nodes(bound(model, equalise=False)[1])
    assert isinstance(found["c1"].output, Term) is term
    m = found["c1"].params["m"] / found["c1"].step if term else found["sum"].params["m1"]
    assert np.all(m < 0)
    assert psnr(model, calibrate(model, CROPS)) > 55


def test_a_factor_leaves_no_shared_grid():
    b = networks.Builder()
    x = b.conv("head", "input", 8)
    for i in range(2):
        x = b.add(f"a{i}", x, b.conv(f"c{i}", x, 8, gain=0.3), factors={0: 0.5})
    model = b.model(b.shuffle("out", b.conv("last", x, 12, gain=0.3, bias=0.3), 2))
    found = nodes(bound(model)[1])
    assert found["a0"].fraction == 5
    assert np.all(found["a0"].params["m0"] == 0.5 * 2**5)


# What only moves codes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weight_bits", range(2, 9))
@pytest.mark.parametrize("bits", [2, 8, 12, 15, 16])
def test_selections_keep_every_code(bits, weight_bits):
    b = networks.Builder()
    x = b.conv("c0", "input", 4, activation=Activation.LEAKY)
    y = b.chosen("moved", x, [2, 0, 3])
    model = b.model(b.shuffle("out", b.conv("c1", y, 12, gain=0.3, bias=0.3), 2))
    plan = calibrate(model, CROPS, bits=f"a{bits}w{weight_bits}", max_drop=None)
    assert "moved" not in plan.tensors
    graph = bind(model, plan)
    node = nodes(graph)["moved"]
    every = np.arange(1 << bits).astype(np.uint8 if bits <= 8 else np.uint16)
    got = execute(node, (Held(np.repeat(every[:, None, None], 4, axis=2), nodes(graph)["c0"].output),)).values
    assert np.array_equal(got, np.repeat(every[:, None, None], 3, axis=2))
    free = {**plan.layers, "moved": plan.layers["moved"].model_copy(update={"weight_scales": None})}
    again = nodes(bind(model, plan.model_copy(update={"layers": free})))["moved"]
    assert np.array_equal(again.params["weight"], node.params["weight"])


def test_selections_read_the_wide_codes_and_are_not_corrected():
    plan, graph = bound(SPATIAL["padded"]())
    found = nodes(graph)
    assert (found["continued"].output.bits, found["continued"].output.scale) == (8, np.float32(1 / 255))
    assert (found["up"].output.scale, found["up"].output.zero) == (np.float32(1 / 255), 0)
    assert plan.layers["continued"].bias_correction is None
    assert plan.layers["c0"].bias_correction is not None
    assert set(plan.tensors) == {"c0", "c1", "up"}
    image = networks.picture(3, 9, 8)
    tensors = run_tensors(graph, image)
    assert np.array_equal(tensors["continued"], np.pad(image, ((3, 3), (3, 3), (0, 0)), mode="edge"))
    assert np.array_equal(tensors["out"], tensors["wide"][2:-2, 2:-2])
    with pytest.raises(UsageError, match="only moves codes"):
        calibrate(SPATIAL["padded"](), CROPS, layer_bits={"continued": 16})


def test_selections_of_a_stream():
    b = networks.Builder()
    x = b.conv("head", "input", 4)
    for i in range(2):
        x = b.add(f"a{i}", x, b.conv(f"c{i}", x, 4, gain=0.3))
    packed = b.put_unshuffle("packed", x, 2)
    back = b.shuffle("back", b.conv("inner", packed, 16), 2)
    model = b.model(b.shuffle("out", b.conv("last", back, 12, gain=0.3, bias=0.3), 2))
    plan, graph = bound(model)
    found = nodes(graph)
    assert found["packed"].inputs == ("a1",)
    assert found["packed"].output.bits == 16
    assert found["inner"].inputs == ("packed.read",)
    assert "a1" not in plan.reads
    tensors = run_tensors(graph, networks.picture(3, 8, 10))
    for dy, dx in np.ndindex(2, 2):
        phase = tensors["packed"][:, :, (dy * 2 + dx) * 4 :][:, :, :4]
        assert np.array_equal(phase, tensors["a1"][dy::2, dx::2])


# Calibration -----------------------------------------------------------------------------------------------------


def test_corrections_are_measured_over_pixels_only():
    plan = bound(SPATIAL["cca"]())[0]
    assert plan.layers["b0g0"].bias_correction is None
    assert plan.layers["b0a"].bias_correction is not None


def test_a_maximum_has_room_for_whole_pictures():
    model = SPATIAL["squeeze"]()
    stats = observe_channels(model.graph, CROPS, lambda: None).stats
    assert bound(model)[0].tensors["most"].high > 3 * stats["most"].high.max()


def test_ranges_of_tables_are_seen_after_their_gain():
    model = SPATIAL["span"]()
    tensor = calibrate(model, CROPS, max_drop=None).tensors["b0t"]
    low, high = tensor.low, tensor.high
    assert low < 0 < high
    stats = observe_channels(model.graph, CROPS, lambda: None).stats
    assert stats["b0t"].low.min() >= -1
    assert low == pytest.approx(2 * stats["b0t"].low.min())


def test_small_crops_are_continued():
    model = SPATIAL["esa"]()
    plan = calibrate(model, [networks.picture(s, 9, 11) for s in range(3)])
    assert plan.calibration.crop_size == "15x15"
    assert psnr(model, plan) > 40


def test_norms_read_wide_codes_without_factors():
    found = nodes(bound(SPATIAL["normed"]())[1])
    assert found["b0n"].inputs == ("head",)
    assert found["head"].output.bits == 16
    assert np.all(found["b0n"].output.equal == 1)
    b = networks.Builder()
    x = b.layer_norm("norm", b.conv("c0", "input", 8, activation=Activation.RELU))
    model = b.model(b.shuffle("out", b.conv("c1", x, 12, gain=0.3, bias=0.3), 2))
    assert bound(model)[0].tensors["c0"].bits == 15


# What cannot be --------------------------------------------------------------------------------------------------


def changed(plan: Plan, name: str, **values) -> Plan:
    return plan.model_copy(update={"tensors": {**plan.tensors, name: plan.tensors[name].model_copy(update=values)}})


@pytest.mark.parametrize("coefficient", [-0.3, -1.5, 0.25])
def test_other_cubics_are_refused(coefficient):
    b = networks.Builder()
    b.conv("c0", "input", 12, gain=0.2)
    skip = b.resize("skip", "input", Resampling.CUBIC, factor=2, cubic=coefficient)
    model = b.model(b.add("sum", b.shuffle("up", "c0", 2), skip))
    with pytest.raises(PlanError, match="cubic coefficient is a multiple of 1/256"):
        bound(model)


def test_what_a_norm_cannot_hold_is_refused(monkeypatch):
    model = SPATIAL["normed"]()
    plan, _ = bound(model)
    with pytest.raises(PlanError, match="equal"):
        bind(model, changed(plan, "b0n", equal=[0.5] * 8))
    with pytest.raises(PlanError, match="beta is beyond"):
        bind(model, changed(plan, "b0n", scale=1e-9))
    with pytest.raises(PlanError, match="epsilon is beyond"):
        bind(model, changed(plan, "head", scale=1e-12))
    monkeypatch.setattr(bind_spatial, "NORMAL_CHANNELS", 4)
    with pytest.raises(PlanError, match="8 channels"):
        bind(model, plan)


def test_what_a_statistic_cannot_hold_is_refused():
    model = SPATIAL["squeeze"]()
    plan, _ = bound(model)
    with pytest.raises(PlanError, match="its epsilon of"):
        bind(model, changed(plan, "c0", scale=1e-9))


def test_statistics_take_factors():
    b = networks.Builder()
    x = b.conv("c0", "input", 8, activation=Activation.RELU)
    mean = b.statistic("mean", x, Statistic.MEAN)
    spread = b.statistic("spread", x, Statistic.DEVIATION, 1e-6)
    y = b.add("sum", b.conv("c1", x, 8), b.conv("c2", b.add("both", mean, spread), 8, k=1))
    model = b.model(b.shuffle("out", b.conv("c3", y, 12, gain=0.3, bias=0.3), 2))
    plan, graph = bound(model, equalise=False)
    even = changed(plan, "c0", equal=[0.5] * 8)
    before, after = nodes(graph), nodes(bind(model, even))
    assert np.array_equal(after["mean"].params["m"], before["mean"].params["m"] / 2)
    assert np.array_equal(after["spread"].params["eps"], np.rint(before["spread"].params["eps"] * 4.0)) or np.allclose(
        after["spread"].params["eps"], before["spread"].params["eps"] * 4.0, atol=4
    )
    uneven = np.geomspace(1, 1 / 30, 8).astype(np.float32)
    first, second = model.graph.nodes[0], model.graph.node("c1")
    first.weights["weight"][:] *= uneven
    first.weights["bias"][:] *= uneven
    second.weights["weight"][:] /= uneven[:, None]
    assert bound(model)[0].tensors["c0"].equal is not None
    assert psnr(model, calibrate(model, CROPS)) > 50
