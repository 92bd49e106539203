"""Families without shared weights: their published definitions in torch, random weights, and what the import makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.needs import installed

torch = installed("torch", "pip install tvmsr[torch]")

from tests.frontend import published_gated as gated  # noqa: E402
from tests.frontend import published_last as last  # noqa: E402
from tests.frontend import published_more as more  # noqa: E402
from tests.frontend import published_networks as plain  # noqa: E402
from tvmsr.errors import UsageError  # noqa: E402
from tvmsr.frontend import load_model  # noqa: E402
from tvmsr.frontend.families.registry import REGISTRY  # noqa: E402
from tvmsr.frontend.state import normalise  # noqa: E402
from tvmsr.graph.analysis import size_rule  # noqa: E402
from tvmsr.graph.execute import run_fp32  # noqa: E402
from tvmsr.graph.model import Colour, Model  # noqa: E402

#: Several processes on few cores wait for one another otherwise.
torch.set_num_threads(1)

_Y = np.asarray([65.481, 128.553, 24.966], np.float32) / 255

#: Family, what builds the network, its hyper-parameters, what its checkpoint cannot tell. Scale: `scale` of either.
CASES: list[tuple[str, Callable[..., Any], dict[str, Any], dict[str, Any]]] = [
    ("ecbsr", plain.ecbsr, {"scale": 2}, {"value_range": 1.0}),
    ("ecbsr", plain.ecbsr, {"scale": 3, "train": False, "blocks": 3, "width": 12}, {"value_range": 1.0}),
    ("ecbsr", plain.ecbsr, {"scale": 4, "colours": 1, "act": "relu"}, {"value_range": 1.0}),
    ("ecbsr", plain.ecbsr, {"scale": 2, "identity": True}, {"value_range": 1.0, "residual_scale": 1.0}),
    ("quicksrnet", plain.quicksrnet, {"scale": 2}, {}),
    ("quicksrnet", plain.quicksrnet, {"scale": 3, "blocks": 5, "width": 6}, {}),
    ("quicksrnet", plain.quicksrnet, {"scale": 4, "anchor": True}, {}),
    ("abpn_torch", plain.abpn_torch, {"scale": 3}, {}),
    ("xlsr", more.xlsr, {"scale": 3}, {}),
    ("sesr", plain.sesr, {"scale": 2}, {}),
    ("sesr", plain.sesr, {"scale": 4, "expanded": False, "blocks": 3}, {}),
    ("sesr", plain.sesr, {"scale": 2, "act": "prelu"}, {}),
    ("vdsr", plain.vdsr, {"scale": 2}, {"scale": 2}),
    ("vdsr", plain.vdsr, {"scale": 3, "style": "conv1"}, {"scale": 3}),
    ("vdsr", plain.vdsr, {"scale": 2, "style": "rgb"}, {"scale": 2}),
    ("drrn", plain.drrn, {"scale": 2}, {"scale": 2}),
    ("rrdb", plain.rrdb, {}, {"scale": 4}),
    ("rrdb", plain.rrdb, {"style": "old"}, {"scale": 4}),
    ("rrdb", plain.rrdb, {"style": "old", "plus": True, "ups": (2,)}, {"scale": 2}),
    ("rrdb", plain.rrdb, {"style": "old", "ups": (3,)}, {"scale": 3}),
    ("rrdb", plain.rrdb, {"style": "trunk", "blocks": 1}, {"scale": 4}),
    ("rrdb", plain.rrdb, {"unshuffle": 2}, {"scale": 2}),
    ("rrdb", plain.rrdb, {"unshuffle": 4}, {"scale": 1}),
    ("span", plain.span, {"scale": 4}, {}),
    ("span", plain.span, {"scale": 2, "deployed": True, "width": 12}, {}),
    ("span", plain.span, {"scale": 3, "norm": False, "blocks": 3}, {}),
    ("spanplus", plain.spanplus, {"scale": 2}, {}),
    ("spanplus", plain.spanplus, {"scale": 4, "deployed": True, "blocks": 4}, {}),
    ("carn", gated.carn, {"scale": 2}, {}),
    ("carn", gated.carn, {"scale": 4, "scales": (2, 3, 4)}, {"scale": 4}),
    ("latticenet", gated.latticenet, {"scale": 2}, {}),
    ("latticenet", gated.latticenet, {"scale": 4, "level": 1.0, "blocks": 3}, {}),
    ("pan", gated.pan, {"scale": 4}, {}),
    ("pan", gated.pan, {"scale": 3}, {"scale": 3}),
    ("a2n", gated.a2n, {"scale": 4}, {}),
    ("a2n", gated.a2n, {"scale": 2}, {"scale": 2}),
    ("rcan", gated.rcan, {"scale": 4}, {}),
    ("rcan", gated.rcan, {"scale": 3, "groups": 1, "level": 1.0}, {}),
    ("rcan", gated.rcan, {"scale": 2, "style": "basicsr", "groups": 3}, {}),
    ("wdsr", gated.wdsr, {"scale": 2}, {}),
    ("wdsr", gated.wdsr, {"scale": 3, "linear": False, "modern": True}, {}),
    ("safmn", more.safmn, {"scale": 2}, {}),
    ("safmn", more.safmn, {"scale": 4, "width": 12, "blocks": 1}, {}),
    ("shufflemixer", gated.shufflemixer, {"scale": 4}, {}),
    ("shufflemixer", gated.shufflemixer, {"scale": 3, "kernel": 3, "bias": True}, {}),
    ("plksr", gated.plksr, {"scale": 2}, {}),
    ("plksr", gated.plksr, {"scale": 4, "mixer": (3, 3), "attention": False}, {}),
    ("plksr", gated.plksr, {"scale": 3, "mixer": (3, 3), "real": True}, {}),
    ("man", more.man, {"scale": 2}, {}),
    ("man", more.man, {"scale": 3, "groups": 2}, {}),
    ("efdn", more.efdn, {"scale": 4}, {}),
    ("efdn", more.efdn, {"scale": 2, "train": False}, {}),
    ("plainusr", more.plainusr, {"scale": 2}, {}),
    ("plainusr", more.plainusr, {"scale": 3, "train": False, "width": 12}, {}),
    ("lapsrn", more.lapsrn, {}, {"scale": 4}),
    ("lapsrn", more.lapsrn, {"levels": 1, "convs": 3}, {"scale": 2}),
    ("srdensenet", more.srdensenet, {}, {"scale": 4}),
    ("swiftsrgan", more.swiftsrgan, {"scale": 4}, {}),
    ("mosr", more.mosr, {"scale": 2}, {}),
    ("rdn", last.rdn, {"scale": 2}, {}),
    ("rdn", last.rdn, {"scale": 4, "style": "lower", "blocks": 3}, {}),
    ("rdn", last.rdn, {"scale": 3, "style": "lower", "layers": 3, "colours": 1}, {}),
    ("dbpn", last.dbpn, {"scale": 2}, {}),
    ("dbpn", last.dbpn, {"scale": 4, "stages": 2}, {}),
    ("r2net", last.r2net, {"scale": 4}, {}),
    ("errn", last.errn, {"scale": 4}, {}),
    ("safmnpp", last.safmnpp, {"scale": 2}, {}),
    ("mosr", more.mosr, {"scale": 3, "geometric": True, "part": 12}, {}),
]


def network(build: Callable[..., Any], shape: dict[str, Any]) -> Any:
    """With weights that matter: slopes, norms and biases are no longer what they are after initialisation."""
    torch.manual_seed(1)
    made = build(**shape).eval()
    with torch.no_grad():
        for name, value in made.named_parameters():
            if name.rsplit(".", 1)[-1] in ("weight", "bias") and value.ndim == 1 and "mean" not in name:
                value.add_(0.2 * torch.rand_like(value))
        for name, value in made.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                value.add_(0.3 * torch.rand_like(value))
    return made


def state_of(made: Any) -> dict[str, np.ndarray]:
    return dict(normalise({key: value.detach().numpy() for key, value in made.state_dict().items()}, "it"))


def ids(case: tuple[str, Any, dict[str, Any], Any]) -> str:
    return "-".join([case[0], *(f"{key}={value}" for key, value in case[2].items())]).replace(" ", "")


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_computes_what_torch_computes(case):
    family, build, shape, options = case
    made = network(build, shape)
    state = state_of(made)
    assert [one.name for one in REGISTRY if one.recognise(state)] == [family], "by one family, and by no other"
    model = load_model(state, **options)
    assert (model.family, model.scale) == (family, shape.get("scale", options.get("scale")))
    step = size_rule(model.graph).multiple
    for height, width in ((24, 16), (32, 40)) if step > 1 or "unshuffle" in shape else ((21, 16), (30, 37)):
        assert np.abs(imported(model, height, width) - expected(made, model, height, width)).max() < 1e-4


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).random((height, width, 3), np.float32)


def imported(model: Model, height: int, width: int) -> np.ndarray:
    y = run_fp32(model, picture(height, width))
    assert isinstance(y, np.ndarray)
    return np.clip(y, 0, 1) if model.clip else y


def expected(made: Any, model: Model, height: int, width: int) -> np.ndarray:
    x = picture(height, width)
    if model.colour is Colour.Y:
        x = (x @ _Y + 16 / 255)[:, :, None].astype(np.float32)
    with torch.no_grad():
        y = made(torch.from_numpy(np.ascontiguousarray(x.transpose(2, 0, 1))[None]))
    return y[0].numpy().transpose(1, 2, 0)


@pytest.mark.parametrize(
    ("build", "shape", "options", "says"),
    [
        (plain.ecbsr, {}, {}, r"--range \(255 as its authors train it, 1 as BasicSR does\)"),
        (plain.vdsr, {}, {}, r"--scale \(2, 3 or 4\)"),
        (plain.drrn, {}, {}, "--scale"),
        (plain.rrdb, {}, {"scale": 2}, "contradicts"),
        (gated.pan, {"scale": 2}, {}, r"--scale \(2 or 3\)"),
        (gated.carn, {"scales": (2, 3, 4)}, {}, r"--scale \(2, 3, 4\)"),
    ],
)
def test_asks_rather_than_guesses(build, shape, options, says):
    with pytest.raises(UsageError, match=says):
        load_model(state_of(network(build, shape)), **options)


def test_assumptions_are_recorded():
    span = load_model(state_of(network(plain.span, {"blocks": 2})))
    assert any("less its mean" in said for said in span.assumed)
    assert not load_model(state_of(network(plain.span, {"blocks": 2, "norm": False}))).assumed


def test_branches_cost_nothing():
    """Training forms become as many convolutions as deployed ones have."""
    for build, trained, deployed, options in (
        (plain.ecbsr, {}, {"train": False}, {"value_range": 1.0}),
        (plain.span, {}, {"deployed": True}, {}),
        (plain.sesr, {}, {"expanded": False}, {}),
        (more.plainusr, {}, {"train": False}, {}),
    ):
        sizes = []
        for shape in (trained, deployed):
            graph = load_model(state_of(network(build, shape)), **options).graph
            sizes.append(sorted(node.weights["weight"].size for node in graph if node.op == "conv"))
        assert sum(sizes[0]) <= sum(sizes[1]) * 1.1


@pytest.mark.parametrize(("build", "shape"), [(more.safmn, {}), (last.safmnpp, {})])
def test_sizes_that_are_cut_into_eighths(build, shape):
    assert size_rule(load_model(state_of(network(build, shape))).graph).multiple == 8
