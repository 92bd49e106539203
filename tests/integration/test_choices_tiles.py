"""Artifacts whose pictures choose in tiles: the bytes of the reference's definition."""

from __future__ import annotations

import numpy as np
import pytest

from tests.integration.artifacts import one_level
from tests.integration.test_choices import Made, make
from tests.lower.networks import gated
from tests.quant.adaptive_plans import adaptive_plan, between, busy, flat
from tests.quant.networks import residual
from tests.quant.spatial_networks import halved
from tests.quant.test_representative import luma
from tvmsr.artifact.manifest import read_manifest, read_plan_text
from tvmsr.commands.proofs import ReferenceProof
from tvmsr.errors import StatusError, WorkError
from tvmsr.graph.model import Model
from tvmsr.imaging.colour import gray_of_rgb
from tvmsr.quant.adaptive import Choosing, choosing_of
from tvmsr.quant.picture import upscale_picture
from tvmsr.quant.plan import Plan
from tvmsr.quant.tiles import blend, repeated, upscale_tiles
from tvmsr.runtime import load

TILE = 17
BOARD = np.array([[0, 1, 2], [1, 2, 0], [2, 2, 1]], np.uint8)


def tiled(model: Model) -> Plan:
    plan = adaptive_plan(model)
    assert plan.adaptive is not None
    return plan.model_copy(update={"adaptive": plan.adaptive.model_copy(update={"mode": "tile", "tile": TILE})})


def patchwork(height: int = 75, width: int = 110) -> np.ndarray:
    """Flat, between and busy parts."""
    parts = [flat(height, width // 3), between(height, width // 3), busy(height, width - 2 * (width // 3))]
    return np.roll(np.concatenate(parts, axis=1), 20, axis=0)


@pytest.fixture(scope="module", params=[residual, luma, halved, gated], ids=lambda network: network.__name__)
def made(request, tmp_path_factory) -> Made:
    """A chain, one of Y, one on half the size whose pieces begin at even pixels, one that sees the whole picture."""
    model = request.param()
    return make(model, tiled(model), tmp_path_factory.mktemp("tiles") / "sr.so", one_level(0))


@pytest.fixture(scope="module")
def choosing(made) -> Choosing:
    return choosing_of(made.plan)


@pytest.mark.parametrize("threads", [1, 3])
def test_the_pictures_own_tiles(made, choosing, threads):
    with load(made.path, threads=threads) as session:
        for image in (patchwork(), patchwork(34, 51), busy(40, 40), flat(9, 60), between(3, 5)):
            choices = choosing.of_tiles(image)
            np.testing.assert_array_equal(session.tiles(image), choices)
            np.testing.assert_array_equal(session.upscale(image), upscale_tiles(made.graphs, choosing, image))
            np.testing.assert_array_equal(session.tiles(), choices)
            assert session.last().tiles == tuple(np.bincount(choices.reshape(-1), minlength=3))
        session.check()


def test_forced_maps(made):
    """A map of every choice, repeated; all formats; one choice for all."""
    image = patchwork(61, 70)
    choices = repeated(BOARD, image, TILE)
    results = {choice: upscale_picture(graph, image) for choice, graph in enumerate(made.graphs)}
    want = blend(results, choices, TILE, made.graphs[0].scale)
    with load(made.path, threads=2) as session:
        session.force_tiles(BOARD)
        np.testing.assert_array_equal(session.upscale(image), want)
        alpha = np.dstack([image, image[:, :, 1]])
        np.testing.assert_array_equal(session.upscale(alpha)[:, :, :3], want)
        opaque = session.upscale(alpha)[:, :, 3]
        session.force_choice(2)
        np.testing.assert_array_equal(session.upscale(image), results[2])
        np.testing.assert_array_equal(session.upscale(alpha)[:, :, 3], opaque)
        session.force_choice(None)
        gray = image[:, :, 0]
        three = np.repeat(gray[:, :, None], 3, axis=2)
        each = {choice: upscale_picture(graph, three) for choice, graph in enumerate(made.graphs)}
        want = gray_of_rgb(blend(each, choices, TILE, made.graphs[0].scale))
        np.testing.assert_array_equal(session.upscale(np.ascontiguousarray(gray)), want)


def test_within_limits(made, choosing):
    image = patchwork(120, 60)
    want = upscale_tiles(made.graphs, choosing, image)
    with load(made.path, threads=2) as session:
        whole = session.workspace(60, 120)
    for part in (1.0, 0.8, 0.55, 0.35):
        with load(made.path, threads=2, memory=whole * part / 2**20) as session:
            try:
                assert session.workspace(60, 120) <= whole * part
            except StatusError:
                with pytest.raises(WorkError, match="the limit is"):
                    session.upscale(image)
                assert part < 1
                continue
            np.testing.assert_array_equal(session.upscale(image), want)


def test_what_the_file_says(made):
    adaptive = read_manifest(made.path).adaptive
    assert adaptive is not None and adaptive.tile == TILE
    assert Plan.from_json(read_plan_text(made.path)) == made.plan


def test_verify_looks_at_pictures_of_several_tiles(made, choosing):
    proof = ReferenceProof(made.graphs, choosing, read_manifest(made.path), seed=1)
    mixed = [sample for sample in proof.samples if sample.mixed]
    assert mixed
    with load(made.path) as session:
        for sample in mixed:
            assert sample.wrong(session.upscale(sample.picture)) == "" and session.last().choice == sample.choice
    assert "several choices" in proof.explain(mixed[0], [])
