import re
from dataclasses import replace

import pytest

from tests.quant import networks, spatial_networks
from tvmsr.adabm_paper.layers import FAMILY_ROLES, Layout, Role, layout_of
from tvmsr.adabm_paper.protocol import Scope
from tvmsr.errors import UsageError
from tvmsr.graph.model import Activation

BODY_OF_RESIDUAL = ("b0a", "b0b", "b1a", "b1b", "b2a", "b2b")


def test_edsr_as_published_without_its_ends():
    layout = layout_of(networks.residual(), Scope.BODY)
    assert layout.named(Role.ADAPTIVE) == BODY_OF_RESIDUAL
    assert layout.named(Role.FLOAT) == ("head", "close", "up", "last")
    assert layout.features == ("b0", "b1", "b2")


def test_edsr_as_published_fully_quantized():
    layout = layout_of(networks.residual(), Scope.FULL)
    assert layout.named(Role.ADAPTIVE) == (*BODY_OF_RESIDUAL, "close")
    assert layout.named(Role.EIGHT) == ("head", "up", "last")
    assert layout.named(Role.FLOAT, Role.FIXED) == ()
    assert layout.features == ("b0", "b1", "b2")
    assert layout.counted == layout.named(Role.ADAPTIVE)


def srresnet(blocks: int = 2, steps: int = 2):
    """Published SRResNet in small: 9x9 ends, PReLU, two shuffles; batch normalisation is folded."""
    b = networks.Builder(0)
    first = y = b.conv("head", "input", 8, k=9, activation=Activation.LEAKY)
    for i in range(blocks):
        inner = b.conv(f"b{i}a", y, 8, activation=Activation.LEAKY)
        y = b.add(f"b{i}", b.conv(f"b{i}b", inner, 8), y)
    y = b.add("body", b.conv("close", y, 8), first)
    for s in range(steps):
        y = b.activate(f"act{s}", b.shuffle(f"shuffle{s}", b.conv(f"up{s}", y, 32), 2), Activation.LEAKY)
    return b.model(b.conv("tail", y, 3, k=9), 2**steps)


def test_srresnet_as_published():
    layout = layout_of(srresnet(), Scope.FULL)
    assert layout.named(Role.EIGHT) == ("head", "up0", "up1", "tail")
    assert layout.named(Role.ADAPTIVE) == ("b0a", "b0b", "b1a", "b1b", "close")
    body = layout_of(srresnet(), Scope.BODY)
    assert body.named(Role.ADAPTIVE) == ("b0a", "b0b", "b1a", "b1b")


def test_one_block_is_not_taken_for_the_end_of_the_body():
    b = networks.Builder(0)
    head = b.conv("head", "input", 8)
    block = b.add("block", b.conv("b", b.conv("a", head, 8), 8), head)
    model = b.model(b.conv("last", b.shuffle("s", b.conv("up", b.conv("more", block, 8), 32), 2), 3))
    assert layout_of(model, Scope.BODY).named(Role.ADAPTIVE) == ("a", "b", "more")


def test_plain_networks_compare_what_convolutions_make():
    layout = layout_of(networks.plain(), Scope.FULL)
    assert layout.named(Role.EIGHT) == ("c0", "c2")
    assert layout.features == layout.named(Role.ADAPTIVE) == ("c1",)


def test_maps_of_one_pixel_stay():
    """Gates of blocks work on one pixel. Blocks end with sums where no convolution closes the body, too."""
    layout = layout_of(spatial_networks.cca(), Scope.FULL)
    assert layout.named(Role.FLOAT) == ("b0g0", "b0g1", "b1g0", "b1g1")
    assert layout.named(Role.ADAPTIVE) == ("b0a", "b0c", "b1a", "b1c")
    assert layout.features == ("b0", "b1")


def test_moves_stay_and_are_seen_through():
    layout = layout_of(spatial_networks.padded(), Scope.FULL)
    assert layout.named(Role.FLOAT) == ("continued", "out")
    assert layout.named(Role.EIGHT) == ("c0", "up")


def test_rdn_keeps_its_fusions_at_the_base_bits():
    patterns = dict(FAMILY_ROLES["rdn"])
    (fusion, shallow) = patterns
    assert patterns[fusion] is Role.FIXED
    assert patterns[shallow] is Role.EIGHT
    assert re.fullmatch(fusion, "RDBs.15.LFF")
    assert re.fullmatch(fusion, "rdbs.0.lff")
    assert not re.fullmatch(fusion, "GFF.0")
    b = networks.Builder(0)
    first = b.conv("SFENet1", "input", 8)
    x = b.conv("SFENet2", first, 8)
    y = b.concat("cat", x, b.conv("RDBs.0.convs.0.conv.0", x, 8))
    x = b.add("block0.add", b.conv("RDBs.0.LFF", y, 8, k=1), x)
    x = b.add("long", b.conv("GFF.1", b.conv("GFF.0", x, 8, k=1), 8), first)
    model = replace(b.model(b.conv("last", b.shuffle("s", b.conv("UPNet.0", x, 32), 2), 3)), family="rdn")
    layout = layout_of(model, Scope.FULL)
    assert layout.named(Role.FIXED) == ("RDBs.0.LFF",)
    assert layout.named(Role.EIGHT) == ("SFENet1", "SFENet2", "UPNet.0", "last")
    assert layout.named(Role.ADAPTIVE) == ("RDBs.0.convs.0.conv.0", "GFF.0", "GFF.1")
    assert layout.counted == ("RDBs.0.convs.0.conv.0", "RDBs.0.LFF", "GFF.0", "GFF.1")


def test_a_network_without_a_body_says_so():
    b = networks.Builder(0)
    model = b.model(b.shuffle("out", b.conv("only", "input", 12), 2))
    with pytest.raises(UsageError, match="between the first and the last"):
        layout_of(model, Scope.FULL)


def test_layouts_know_what_counts():
    layout = Layout({"a": Role.FLOAT, "b": Role.FIXED, "c": Role.EIGHT, "d": Role.ADAPTIVE}, ())
    assert layout.counted == ("b", "d")
    assert layout.quantized == ("b", "c", "d")
