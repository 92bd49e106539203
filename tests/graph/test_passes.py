"""Every rule: finds its pattern, and computes the same afterwards."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.graph.networks import (
    activate,
    add,
    affine,
    assert_same,
    concat,
    conv,
    gather,
    graph,
    leaky,
    ops,
    random_affine,
    rewritten,
    shuffle,
)
from tvmsr.graph.model import Activation, ConvAttrs, Node
from tvmsr.graph.passes import activation, branches, last, pointwise, simplify, spellings, upsample
from tvmsr.graph.passes import affine as affines
from tvmsr.graph.passes import gather as gathers
from tvmsr.graph.passes.clip import remove_final_clip
from tvmsr.graph.workspace import apply_rules

RNG = np.random.default_rng(7)


def first(**kwargs) -> Node:
    return conv(RNG, "c", "input", 3, 8, **kwargs)


class TestSimplify:
    def test_neutral_nodes(self):
        g = graph(first(), gather("g", "c", range(8)), affine("a", "g", [1] * 8, [0] * 8), shuffle("s", "a", 1))
        assert ops(rewritten(g, (simplify.drop_neutral,))) == ["conv"]

    def test_gathers(self):
        g = graph(gather("a", "input", [2, 1, 0, 0]), gather("b", "a", [3, 0]))
        after = rewritten(g, (simplify.merge_gathers,))
        assert [node.attrs.channels for node in after] == [(0, 2)]

    def test_affines(self):
        g = graph(random_affine(RNG, "a", "input", 3), random_affine(RNG, "b", "a", 3))
        assert ops(rewritten(g, (simplify.merge_affines,))) == ["affine"]

    @pytest.mark.parametrize(
        ("bounds", "wanted"),
        [
            ([(0.0, np.inf), (-np.inf, 0.5)], (Activation.CLIP, 0.0, 0.5)),
            ([(-0.25, 0.5), (0.0, 1.0)], (Activation.CLIP, 0.0, 0.5)),
            ([(-0.5, np.inf), (0.0, np.inf)], (Activation.RELU, 0.0, np.inf)),
            ([(0.5, 0.75), (0.0, 0.25)], (Activation.CLIP, 0.25, 0.25)),
        ],
    )
    def test_clips(self, bounds, wanted):
        g = graph(
            *(activate(f"a{i}", f"a{i - 1}" if i else "input", Activation.CLIP, *b) for i, b in enumerate(bounds))
        )
        (node,) = rewritten(g, (simplify.merge_clips,))
        assert (node.attrs.activation, node.attrs.low, node.attrs.high) == wanted

    def test_clip_into_conv_with_relu(self):
        relu = first(attrs=ConvAttrs((1, 1, 1, 1), activation=Activation.RELU))
        g = graph(relu, activate("m", "c", Activation.CLIP, -np.inf, 0.5))
        (node,) = rewritten(g, (simplify.merge_clips,))
        assert (node.attrs.activation, node.attrs.low, node.attrs.high) == (Activation.CLIP, 0.0, 0.5)

    def test_silu(self):
        g = graph(activate("s", "input", Activation.SIGMOID), Node("m", "mul", ("s", "input")))
        (node,) = rewritten(g, (spellings.recognise_gates,))
        assert node.attrs.activation is Activation.SILU

    def test_concat_of_one_tensor(self):
        g = graph(gather("g", "input", [2]), concat("c", "input", "g", "input"))
        (node,) = rewritten(g, (simplify.merge_concat_of_one,))
        assert node.attrs.channels == (0, 1, 2, 2, 0, 1, 2)

    def test_twins(self):
        g = graph(gather("a", "input", [0, 0]), gather("b", "input", [0, 0]), add("s", "a", "b"))
        assert ops(rewritten(g, (simplify.merge_twins,))) == ["gather", "add"]


class TestAffine:
    @pytest.mark.parametrize("groups", [1, 2])
    def test_after_conv(self, groups):
        attrs = ConvAttrs((1, 1, 1, 1), groups=groups)
        g = graph(first(), conv(RNG, "d", "c", 8, 4, attrs=attrs), random_affine(RNG, "a", "d", 4))
        assert ops(rewritten(g, (affines.conv_then_affine,))) == ["conv", "conv"]

    @pytest.mark.parametrize("kind", [Activation.RELU, Activation.LEAKY])
    def test_scale_after_activation(self, kind):
        attrs = ConvAttrs((1, 1, 1, 1), activation=kind)
        g = graph(first(attrs=attrs, slope=True), random_affine(RNG, "a", "c", 8, shift=False))
        assert ops(rewritten(g, (affines.conv_then_affine,))) == ["conv"]

    def test_shift_after_relu_stays(self):
        g = graph(first(attrs=ConvAttrs((1, 1, 1, 1), activation=Activation.RELU)), random_affine(RNG, "a", "c", 8))
        assert ops(rewritten(g, affines.RULES)) == ["conv", "affine"]

    @pytest.mark.parametrize("groups", [1, 2, 4])
    def test_before_padded_conv(self, groups):
        attrs = ConvAttrs((1, 2, 0, 1), groups=groups)
        g = graph(
            gather("g", "input", [0, 1, 2, 0]), random_affine(RNG, "a", "g", 4), conv(RNG, "d", "a", 4, 8, attrs=attrs)
        )
        assert ops(rewritten(g, (affines.affine_then_conv,))) == ["gather", "conv"]

    def test_zero_scale_before_padded_conv_stays(self):
        g = graph(affine("a", "input", [1, 0, 1], [0, 1, 0]), conv(RNG, "d", "a", 3, 4))
        assert ops(rewritten(g, (affines.affine_then_conv,))) == ["affine", "conv"]

    def test_into_every_conv_that_reads_it(self):
        g = graph(
            random_affine(RNG, "a", "input", 3),
            conv(RNG, "d", "a", 3, 4),
            conv(RNG, "e", "a", 3, 4),
            add("s", "d", "e"),
        )
        assert ops(rewritten(g, affines.RULES)) == ["conv", "conv", "add"]

    def test_through_shuffle_and_activation(self):
        g = graph(
            first(), leaky("l", "c", RNG.random(8)), shuffle("s", "l"), random_affine(RNG, "a", "s", 2, shift=False)
        )
        assert ops(rewritten(g, affines.RULES)) == ["conv", "activate", "depth_to_space"]

    def test_through_clip(self):
        g = graph(first(), activate("k", "c", Activation.CLIP, 0, 255), affine("a", "k", [1 / 255] * 8, [0] * 8))
        after = rewritten(g, affines.RULES)
        assert ops(after) == ["conv", "activate"]
        assert (after.nodes[-1].attrs.low, after.nodes[-1].attrs.high) == (0.0, 1.0)

    def test_through_add_where_all_operands_take_it(self):
        g = graph(first(), conv(RNG, "d", "input", 3, 8), add("s", "c", "d"), random_affine(RNG, "a", "s", 8))
        assert ops(rewritten(g, affines.RULES)) == ["conv", "conv", "add"]

    def test_not_through_add_of_a_stream(self):
        g = graph(
            first(),
            conv(RNG, "d", "c", 8, 8),
            add("s", "d", "c"),
            random_affine(RNG, "a", "s", 8),
            conv(RNG, "e", "c", 8, 8),
            add("t", "a", "e"),
        )
        assert ops(rewritten(g, affines.RULES)).count("affine") == 1

    def test_through_gather(self):
        g = graph(first(), gather("g", "c", [3, 1, 0, 7, 2]), random_affine(RNG, "a", "g", 5))
        assert ops(rewritten(g, affines.RULES)) == ["conv", "gather"]

    def test_ends_cancel_in_a_global_skip(self):
        g = graph(
            affine("r", "input", [255] * 3, [0] * 3),
            conv(RNG, "d", "r", 3, 12),
            gather("g", "r", [0, 1, 2] * 4),
            add("s", "d", "g"),
            shuffle("p", "s"),
            affine("b", "p", [1 / 255] * 3, [0] * 3),
        )
        after = rewritten(g, (*simplify.RULES, *affines.RULES))
        assert sorted(ops(after)) == ["add", "conv", "depth_to_space", "gather"]

    def test_sigmoid_from_tanh(self):
        g = graph(first(), activate("t", "c", Activation.TANH), affine("a", "t", [0.5] * 8, [0.5] * 8))
        after = rewritten(g, affines.RULES)
        assert ops(after) == ["conv", "activate"] and after.nodes[-1].attrs.activation is Activation.SIGMOID

    def test_what_is_left_becomes_a_conv(self):
        g = graph(random_affine(RNG, "a", "input", 3))
        assert ops(rewritten(g, (last.affine_to_conv,))) == ["conv"]


class TestPointwise:
    def test_diagonal_conv_is_affine(self):
        shift = conv(RNG, "m", "input", 3, 3, (1, 1))
        shift = replace(shift, weights={**shift.weights, "weight": np.diag([1, 2, 3])[None, None].astype(np.float32)})
        assert ops(rewritten(graph(shift), (pointwise.diagonal_to_affine,))) == ["affine"]

    @pytest.mark.parametrize("colours", [1, 2, 3])
    def test_colour_transform_keeps_the_border(self, colours):
        mix, after = conv(RNG, "m", "input", 3, colours, (1, 1)), conv(RNG, "d", "m", colours, 4, (5, 5))
        colour = np.full(3, 0.5) @ mix.weights["weight"][0, 0] + mix.weights["bias"]
        after = replace(after, weights={**after.weights, "pad": colour.astype(np.float32)})
        assert ops(rewritten(graph(mix, after), (pointwise.colour_then_conv,))) == ["conv"]

    def test_y_pads_all_channels_alike(self):
        y = conv(RNG, "m", "input", 3, 1, (1, 1))
        matrix = np.asarray([65.481, 128.553, 24.966], np.float32).reshape(1, 1, 3, 1) / 255
        y = replace(y, weights={**y.weights, "weight": matrix, "bias": np.full(1, 16 / 255, np.float32)})
        d = conv(RNG, "d", "m", 1, 4)
        d = replace(d, weights={**d.weights, "pad": np.zeros(1, np.float32)})
        (after,) = rewritten(graph(y, d), (pointwise.colour_then_conv,))
        assert np.allclose(after.weights["pad"], -16 / 219)

    def test_no_padding_value_exists(self):
        g = graph(conv(RNG, "m", "input", 3, 4, (1, 1)), conv(RNG, "d", "m", 4, 4))
        assert ops(rewritten(g, (pointwise.colour_then_conv,))) == ["conv", "conv"]


class TestActivation:
    def test_into_conv(self):
        g = graph(first(), leaky("l", "c", RNG.random(8)))
        assert ops(rewritten(g, activation.RULES)) == ["conv"]

    def test_through_shuffle(self):
        g = graph(first(), shuffle("s", "c"), leaky("l", "s", RNG.random(2)))
        assert ops(rewritten(g, activation.RULES)) == ["conv", "depth_to_space"]

    def test_not_where_another_reads_the_conv(self):
        g = graph(first(), activate("r", "c", Activation.RELU), add("s", "r", "c"))
        assert ops(rewritten(g, activation.RULES)) == ["conv", "activate", "add"]


class TestGather:
    @pytest.mark.parametrize("channels", [[7, 6, 5, 4, 3, 2, 1, 0], [2, 4]])
    def test_into_conv(self, channels):
        attrs = ConvAttrs((1, 1, 1, 1), activation=Activation.LEAKY)
        g = graph(first(attrs=attrs, slope=True), gather("g", "c", channels))
        assert ops(rewritten(g, gathers.RULES)) == ["conv"]

    def test_copies_are_not_computed_twice(self):
        g = graph(first(), gather("g", "c", [0, 0]))
        assert ops(rewritten(g, gathers.RULES)) == ["conv", "gather"]

    def test_copies_into_the_conv_that_reads_them(self):
        reader = conv(RNG, "d", "g", 6, 4)
        pad = RNG.random(3, np.float32)
        reader = replace(reader, weights={**reader.weights, "pad": np.concatenate([pad, pad])})
        after = rewritten(graph(gather("g", "input", [0, 1, 2, 0, 1, 2]), reader), gathers.RULES)
        assert ops(after) == ["conv"] and after.nodes[0].weights["weight"].shape == (3, 3, 3, 4)

    def test_copies_with_different_padding_stay(self):
        g = graph(gather("g", "input", [0, 1, 2, 0]), conv(RNG, "d", "g", 4, 4))
        assert ops(rewritten(g, gathers.RULES)) == ["gather", "conv"]

    def test_slice_is_a_view(self):
        g = graph(
            first(), gather("g", "c", [0, 1]), conv(RNG, "d", "g", 2, 3), conv(RNG, "e", "c", 8, 3), add("s", "d", "e")
        )
        assert "gather" in ops(rewritten(g, gathers.RULES))

    def test_through_add_activation_and_shuffle(self):
        order = [3, 0, 1, 2, 7, 6, 5, 4]
        g = graph(
            first(),
            conv(RNG, "d", "input", 3, 8),
            leaky("l", "d", RNG.random(8)),
            add("s", "c", "l"),
            gather("g", "s", order),
            shuffle("p", "g"),
            gather("h", "p", [1, 0]),
        )
        after = rewritten(g, (*simplify.RULES, *gathers.RULES))
        assert sorted(ops(after)) == ["activate", "add", "conv", "conv", "depth_to_space"]

    def test_within_one_operand_of_concat(self):
        g = graph(first(), concat("k", "input", "c"), gather("g", "k", [4, 3, 5]))
        assert "concat" not in ops(rewritten(g, gathers.RULES))


class TestUpsample:
    def test_sum_of_shuffles(self):
        g = graph(
            conv(RNG, "c", "input", 3, 12),
            gather("n", "input", [0, 1, 2] * 4),
            shuffle("p", "c"),
            shuffle("q", "n"),
            add("s", "p", "q"),
        )
        assert ops(rewritten(g, upsample.RULES)).count("depth_to_space") == 1

    def test_different_blocks_stay(self):
        g = graph(conv(RNG, "c", "input", 3, 12), shuffle("p", "c"), conv(RNG, "d", "p", 3, 3), add("s", "p", "d"))
        assert ops(rewritten(g, upsample.RULES)) == ["conv", "depth_to_space", "conv", "add"]


class TestBranches:
    def block(self, *, identity: bool, pad: np.ndarray | None = None):
        pad = RNG.random(8, np.float32) if pad is None else pad
        wide, tall = conv(RNG, "w", "c", 8, 8), conv(RNG, "t", "c", 8, 8, (3, 1))
        wide, tall = (replace(n, weights={**n.weights, "pad": pad}) for n in (wide, tall))
        nodes = [first(), wide, tall, conv(RNG, "o", "c", 8, 8, (1, 1)), random_affine(RNG, "b", "c", 8)]
        names = ["w", "t", "o", "b", *(["c"] if identity else [])]
        nodes.append(add("s0", *names[:2]))
        nodes.extend(add(f"s{i}", f"s{i - 1}", name) for i, name in enumerate(names[2:], 1))
        return graph(*nodes)

    @pytest.mark.parametrize("identity", [False, True])
    def test_block_is_one_conv(self, identity):
        after = rewritten(self.block(identity=identity), branches.RULES)
        assert ops(after) == ["conv", "conv"]

    def test_with_a_residual_from_elsewhere(self):
        g = graph(conv(RNG, "c", "input", 3, 8), conv(RNG, "d", "c", 8, 8, (1, 1)), conv(RNG, "e", "d", 8, 8, (1, 1)),
                  conv(RNG, "f", "d", 8, 8), add("s", "e", "c"), add("u", "s", "f"))  # fmt: skip
        assert ops(rewritten(g, branches.RULES)).count("conv") == 3

    def test_plain_residual_stays(self):
        g = graph(first(), conv(RNG, "d", "c", 8, 8), add("s", "d", "c"))
        assert apply_rules(g, branches.RULES) is g

    def test_different_padding_values_stay(self):
        g = graph(first(), conv(RNG, "d", "c", 8, 8), conv(RNG, "e", "c", 8, 8), add("s", "d", "e"))
        assert apply_rules(g, branches.RULES) is g

    def test_activated_branch_stays(self):
        active = conv(RNG, "d", "c", 8, 8, attrs=ConvAttrs((1, 1, 1, 1), activation=Activation.RELU))
        g = graph(first(), active, conv(RNG, "e", "c", 8, 8, (1, 1)), add("s", "d", "e"))
        assert apply_rules(g, branches.RULES) is g


class TestClip:
    def test_is_removed_and_reported(self):
        g = graph(conv(RNG, "c", "input", 3, 12), activate("k", "c", Activation.CLIP), shuffle("p", "k"))
        after, clipped = remove_final_clip(g)
        assert clipped and ops(after) == ["conv", "depth_to_space"]

    def test_fused_one_too(self):
        g = graph(first(attrs=ConvAttrs((1, 1, 1, 1), activation=Activation.CLIP, low=-1.0, high=1.0)))
        after, clipped = remove_final_clip(g)
        assert clipped and after.nodes[0].attrs.activation is Activation.NONE

    @pytest.mark.parametrize("bounds", [(0.1, 1.0), (0.0, 0.9)])
    def test_narrower_one_stays(self, bounds):
        g = graph(first(), activate("k", "c", Activation.CLIP, *bounds))
        assert remove_final_clip(g) == (g, False)

    def test_inner_one_stays(self):
        g = graph(first(), activate("k", "c", Activation.CLIP), conv(RNG, "d", "k", 8, 3), add("s", "d", "input"))
        assert remove_final_clip(g)[1] is False
        assert_same(g, remove_final_clip(g)[0])
