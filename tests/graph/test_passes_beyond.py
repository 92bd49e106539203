"""Rules for padding, crops, tables, statistics and resizes: find their pattern, and compute the same afterwards."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from tests.graph.networks import (
    activate,
    add,
    affine,
    conv,
    graph,
    ops,
    random_affine,
    rewritten,
    shuffle,
)
from tvmsr.frontend import linear
from tvmsr.graph.execute import run_fp32
from tvmsr.graph.model import (
    ActivateAttrs,
    Activation,
    ConvAttrs,
    LayerNormAttrs,
    Node,
    PadMode,
    ResizeAttrs,
    StatisticAttrs,
)
from tvmsr.graph.passes import activation, branches, last, padding, spellings, upsample
from tvmsr.graph.passes import affine as affines
from tvmsr.graph.workspace import apply_rules

RNG = np.random.default_rng(7)


def first(**kwargs) -> Node:
    return conv(RNG, "c", "input", 3, 8, **kwargs)


def padded(name: str, source: str, amounts: tuple[int, int, int, int], mode: PadMode = PadMode.CONSTANT) -> Node:
    attrs, weights = linear.padded(3, amounts, mode, 0.3)
    return Node(name, "conv", (source,), attrs, weights)


class TestPadding:
    @pytest.mark.parametrize("mode", list(PadMode))
    def test_pad_goes_into_the_conv(self, mode):
        after = conv(RNG, "c", "p", 3, 4, attrs=ConvAttrs())
        (node,) = rewritten(graph(padded("p", "input", (1, 2, 0, 1), mode), after), padding.RULES)
        assert (node.attrs.padding, node.attrs.mode) == ((1, 2, 0, 1), mode)

    def test_crop_goes_into_the_conv(self):
        after = conv(RNG, "c", "p", 3, 4)
        g = graph(padded("p", "input", (-1, 0, 0, -2)), replace(after, attrs=ConvAttrs((0, 1, 1, 0))))
        (node,) = rewritten(g, padding.RULES)
        assert node.attrs.padding == (-1, 1, 1, -2)

    def test_two_paddings_of_one_kind_add_up(self):
        pad = padded("p", "input", (1, 1, 1, 1))
        after = conv(RNG, "c", "p", 3, 4, attrs=ConvAttrs((1, 1, 1, 1)))
        alike = replace(after, weights={**after.weights, "pad": pad.weights["pad"]})
        (node,) = rewritten(graph(pad, alike), padding.RULES)
        assert node.attrs.padding == (2, 2, 2, 2)
        replicated = padded("p", "input", (1, 1, 1, 1), PadMode.REPLICATE)
        both = graph(replicated, replace(after, attrs=replace(after.attrs, mode=PadMode.REPLICATE)))
        assert [n.attrs.padding for n in rewritten(both, padding.RULES)] == [(2, 2, 2, 2)]

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ((1, 1, 1, 1), ConvAttrs((1, 1, 1, 1))),  # another value
            ((1, 1, 1, 1), ConvAttrs((1, 1, 1, 1), mode=PadMode.REFLECT)),
            ((-1, -1, -1, -1), ConvAttrs((1, 1, 1, 1))),  # what is cropped is no padding
        ],
    )
    def test_other_paddings_stay(self, first, second):
        g = graph(padded("p", "input", first), conv(RNG, "c", "p", 3, 4, attrs=second))
        assert ops(rewritten(g, padding.RULES)) == ["conv", "conv"]

    def test_two_reflections_stay(self):
        g = graph(
            padded("p", "input", (1, 1, 1, 1), PadMode.REFLECT),
            conv(RNG, "c", "p", 3, 4, attrs=ConvAttrs((1, 1, 1, 1), mode=PadMode.REFLECT)),
        )
        assert ops(rewritten(g, padding.RULES)) == ["conv", "conv"]

    @pytest.mark.parametrize("stride", [1, 2])
    def test_what_is_cropped_is_not_computed(self, stride):
        before = conv(RNG, "c", "input", 3, 3, (5, 5), ConvAttrs((2, 2, 2, 2), stride=stride))
        (node,) = rewritten(graph(before, padded("p", "c", (-1, 0, -1, -1))), padding.RULES)
        assert node.attrs.padding == (2 - stride, 2, 2 - stride, 2 - stride)

    def test_crop_before_a_shuffle(self):
        g = graph(conv(RNG, "c", "input", 3, 12), shuffle("s", "c"), padded("p", "s", (-2, 0, -2, -4)))
        assert ops(rewritten(g, padding.RULES)) == ["conv", "depth_to_space"]
        odd = graph(conv(RNG, "c", "input", 3, 12), shuffle("s", "c"), padded("p", "s", (-1, 0, 0, 0)))
        assert ops(rewritten(odd, padding.RULES)) == ["conv", "depth_to_space", "conv"]

    @pytest.mark.parametrize("block", [2, 3])
    def test_unshuffle_and_conv_are_one(self, block):
        attrs, weights = linear.space_to_depth(3, block, RNG.permutation(3 * block**2).tolist())
        inner = Node("u", "conv", ("input",), attrs, weights)
        after = conv(RNG, "c", "u", 3 * block**2, 4)
        after = replace(after, weights={**after.weights, "pad": np.zeros(3 * block**2, np.float32)})
        before = graph(inner, after)
        merged = apply_rules(before, padding.RULES)
        (node,) = merged
        assert (node.attrs.stride, node.weights["weight"].shape) == (block, (3 * block, 3 * block, 3, 4))
        x = RNG.random((4 * block, 3 * block, 3), np.float32)
        assert np.abs(run_fp32(before, x) - run_fp32(merged, x)).max() < 1e-4

    def test_unshuffle_stays_where_pictures_may_have_any_size(self):
        attrs, weights = linear.space_to_depth(3, 2)
        after = conv(RNG, "c", "u", 12, 3)
        after = replace(after, weights={**after.weights, "pad": np.zeros(12, np.float32)})
        back = Node("r", "resize", ("c", "input"), ResizeAttrs())
        g = graph(Node("u", "conv", ("input",), attrs, weights), after, back)
        assert ops(rewritten(g, padding.RULES)) == ["conv", "conv", "resize"]

    def test_transposed_convolutions(self):
        """Against the sum over pixels that defines them."""
        for kernel, stride, before, more in ((2, 2, 0, 0), (4, 2, 1, 0), (3, 2, 1, 1), (5, 3, 0, 0), (3, 1, 1, 0)):
            weight = RNG.standard_normal((3, 4, kernel, kernel)).astype(np.float32)
            made = linear.transposed(weight, stride, (before,) * 4, (more, more))
            x = RNG.random((5, 6, 3), np.float32)
            whole = np.zeros((5 * stride + kernel + more, 6 * stride + kernel + more, 4))
            for y, c in np.ndindex(5, 6):
                place = whole[y * stride : y * stride + kernel, c * stride : c * stride + kernel]
                place += np.einsum("i,iohw->hwo", x[y, c], weight)
            rows, columns = ((n - 1) * stride - 2 * before + kernel + more for n in (5, 6))
            wanted = whole[before : before + rows, before : before + columns]
            nodes = [Node("c", "conv", ("input",), *made.conv), shuffle("s", "c", stride)]
            crop = linear.padded(4, made.crop)
            got = run_fp32(graph(*nodes, Node("p", "conv", ("s",), *crop)), x)
            assert got.shape == wanted.shape and np.abs(got - wanted).max() < 1e-4


class TestLast:
    def test_gain_and_offset_of_a_table(self):
        g = graph(activate("t", "input", Activation.SIGMOID), affine("a", "t", [2, 2, 2], [-1, -1, -1]))
        (node,) = rewritten(g, (last.affine_into_table,))
        assert (node.attrs.gain, node.attrs.offset) == (2.0, -1.0)
        uneven = graph(activate("t", "input", Activation.SIGMOID), affine("a", "t", [1, 2, 2], [0, 0, 0]))
        assert ops(rewritten(uneven, (last.affine_into_table,))) == ["activate", "affine"]

    def test_factor_of_a_sum(self):
        g = graph(activate("r", "input", Activation.RELU), affine("a", "r", [2, 3, 4], [0] * 3), add("s", "input", "a"))
        after = rewritten(g, (last.affine_into_add,))
        assert ops(after) == ["activate", "add"]
        assert after.node("s").weights["factor1"].tolist() == [2, 3, 4]

    def test_gain_moves_with_its_activation(self):
        table = replace(activate("t", "c", Activation.TANH), attrs=ActivateAttrs(Activation.TANH, gain=2.0, offset=0.5))
        (node,) = rewritten(graph(first(), table), activation.RULES)
        assert (node.attrs.gain, node.attrs.offset) == (2.0, 0.5)


class TestSpellings:
    def test_gain_is_no_gate(self):
        gate = replace(activate("s", "input", Activation.SIGMOID), attrs=ActivateAttrs(Activation.SIGMOID, gain=2.0))
        assert ops(rewritten(graph(gate, Node("m", "mul", ("s", "input"))), spellings.RULES)) == ["activate", "mul"]

    @pytest.mark.parametrize(
        ("scale", "bound", "after", "wanted"),
        [(1.0, 6.0, 1.0, 6.0), (1.0, 6.0, 1 / 6, 1.0), (1 / 6, 1.0, 1.0, 1.0)],
    )
    def test_hard_swish(self, scale, bound, after, wanted):
        g = graph(
            affine("a", "input", [scale] * 3, [bound / 2] * 3),
            activate("c", "a", Activation.CLIP, 0.0, bound),
            affine("d", "c", [after] * 3, [0] * 3),
            Node("m", "mul", ("input", "d")),
        )
        swish, scaled = rewritten(g, spellings.RULES)
        assert swish.attrs.activation is Activation.HARD_SWISH
        assert scaled.weights["scale"] == pytest.approx([wanted] * 3)

    def test_another_clip_is_no_hard_swish(self):
        g = graph(
            affine("a", "input", [1.0] * 3, [2.0] * 3),
            activate("c", "a", Activation.CLIP, 0.0, 6.0),
            Node("m", "mul", ("input", "c")),
        )
        assert ops(rewritten(g, spellings.RULES)) == ["affine", "activate", "mul"]


class TestBeyondConvolution:
    def gate(self, source: str) -> tuple[Node, Node]:
        return Node("mean", "statistic", (source,), StatisticAttrs()), activate("gate", "mean", Activation.SIGMOID)

    def test_scale_of_a_product_goes_into_its_conv(self):
        g = graph(
            first(), *self.gate("c"), Node("m", "mul", ("c", "gate")), random_affine(RNG, "a", "m", 8, shift=False)
        )
        assert "affine" in ops(rewritten(g, affines.RULES)), "the convolution is read twice"
        alone = graph(
            first(), *self.gate("input"), conv(RNG, "g", "gate", 3, 8, (1, 1), ConvAttrs()),
            Node("m", "mul", ("c", "g")), random_affine(RNG, "a", "m", 8, shift=False),
        )  # fmt: skip
        assert "affine" not in ops(rewritten(alone, affines.RULES))

    @pytest.mark.parametrize("factor", [Fraction(2), Fraction(1, 2)])
    def test_affine_moves_before_a_resize(self, factor):
        resize = Node("r", "resize", ("c",), ResizeAttrs(factor=factor))
        g = graph(first(), resize, random_affine(RNG, "a", "r", 8))
        assert ops(rewritten(g, affines.RULES)) == ["conv", "resize"]

    def test_size_of_another_hinders_no_folding(self):
        half = first(attrs=ConvAttrs((1, 1, 1, 1), stride=2))
        g = graph(
            half,
            random_affine(RNG, "a", "c", 8),
            activate("r", "a", Activation.RELU),
            Node("mean", "statistic", ("r",), StatisticAttrs()),
            Node("up", "resize", ("mean", "c"), ResizeAttrs()),
            add("s", "r", "up"),
        )
        after = rewritten(g, (*upsample.RULES, *affines.RULES, *activation.RULES))
        assert ops(after) == ["conv", "statistic", "resize", "add"]
        assert after.node("up").inputs == ("mean", "c")

    def test_affine_after_a_norm(self):
        weights = {"gamma": np.ones(3, np.float32), "beta": np.zeros(3, np.float32)}
        norm = Node("n", "layer_norm", ("input",), LayerNormAttrs(1e-3), weights)
        assert ops(rewritten(graph(norm, random_affine(RNG, "a", "n", 3)), affines.RULES)) == ["layer_norm"]

    def test_maps_stay_maps(self):
        """Sums with 1x1 maps are no re-parameterised blocks, and their scalings are their own."""
        g = graph(first(), *self.gate("c"), add("s", "c", "gate"), random_affine(RNG, "a", "s", 8))
        rewritten(g, (*affines.RULES, *branches.RULES))

    @pytest.mark.parametrize("mode", [PadMode.REPLICATE, PadMode.REFLECT])
    def test_affine_before_a_conv_that_reads_no_padding_value(self, mode):
        after = conv(RNG, "c", "a", 3, 4, attrs=ConvAttrs((1, 1, 1, 1), mode=mode))
        g = graph(affine("a", "input", [0, 1, 2], [0.3, 0.2, 0.1]), after)
        assert ops(rewritten(g, affines.RULES)) == ["conv"]

    def test_branches_of_other_borders_stay(self):
        one = conv(RNG, "x", "input", 3, 4, attrs=ConvAttrs((1, 1, 1, 1), mode=PadMode.REPLICATE))
        other = conv(RNG, "y", "input", 3, 4, attrs=ConvAttrs((1, 1, 1, 1), mode=PadMode.REFLECT))
        assert len(ops(rewritten(graph(one, other, add("s", "x", "y")), branches.RULES))) == 3
        same = replace(other, attrs=one.attrs)
        (node,) = rewritten(graph(one, same, add("s", "x", "y")), branches.RULES)
        assert node.attrs.mode is PadMode.REPLICATE
