"""Artifacts with several bit choices: each, forced or chosen by the picture, has the reference executor's bytes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest

from tests.integration.artifacts import LEVELS, TARGET, one_level
from tests.lower.networks import gated, imdn
from tests.quant.adaptive_plans import HIGH, LOW, adaptive_plan, between, busy, flat
from tests.quant.networks import residual
from tvmsr.artifact.build import Built, build
from tvmsr.artifact.manifest import read_plan_text
from tvmsr.errors import WorkError
from tvmsr.graph.model import Model
from tvmsr.hardware.target import Target
from tvmsr.kernels.layout import plain_weights
from tvmsr.kernels.pipeline import compile_object
from tvmsr.lower.emit import emit
from tvmsr.lower.pipeline import lower, lower_choices
from tvmsr.quant.adaptive import bind_choices, choosing_of
from tvmsr.quant.checks import code_checksum
from tvmsr.quant.complexity import complexity
from tvmsr.quant.integer import IntegerGraph
from tvmsr.quant.picture import fitted, upscale_picture
from tvmsr.quant.plan import Plan
from tvmsr.quant.reference import run_tensors
from tvmsr.runtime import load

NAMES = ("base", "low", "high")
PICTURES = (flat(), between(), busy(), busy(1, 1), flat(3, 70), between(40, 33))


@dataclass(frozen=True, eq=False)
class Made:
    built: Built
    plan: Plan
    graphs: tuple[IntegerGraph, ...]
    levels: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        return self.built.path

    @cached_property
    def wanted(self) -> list[list[np.ndarray]]:
        """What the executor makes of each of PICTURES, by choice."""
        return [[upscale_picture(graph, image) for graph in self.graphs] for image in PICTURES]


def make(model: Model, plan: Plan, out: Path, target: Target = TARGET) -> Made:
    graphs = bind_choices(model, plan)
    names = choosing_of(plan).names
    programs = [program for level in target.levels for program in lower_choices(graphs, names, level)]
    built = build(programs, graphs, model, plan, target, out)
    return Made(built, plan, graphs, tuple(level.name for level in target.levels))


@pytest.fixture(scope="module", params=["residual", "imdn", "gated"])
def made(request, tmp_path_factory) -> Made:
    """A chain with a stream, slices and a concat, gates; activations of 4, 6 and 8 bits, weights of 4 or 8."""
    network = {"residual": residual, "imdn": imdn, "gated": gated}[request.param]()
    plan = adaptive_plan(network, weight_bits=4 if request.param == "imdn" else 8)
    target = {"residual": TARGET, "imdn": one_level(0), "gated": one_level(1)}[request.param]
    return make(network, plan, tmp_path_factory.mktemp("choices") / "sr.so", target)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_each_choice_and_the_picture_s_own(made, threads):
    """At every level that is in the file: all of them for one of the networks, as to build takes half a minute."""
    for level in made.levels:
        with load(made.path, level=level, threads=threads) as session:
            assert session.info.choices == NAMES
            assert each_and_own(session, made) == {0, 1, 2}
            session.check()


def each_and_own(session, made) -> set[int]:
    """The choices that the pictures get."""
    choosing, seen = choosing_of(made.plan), set()
    for image, wanted in zip(PICTURES, made.wanted, strict=True):
        for choice, want in enumerate(wanted):
            session.force_choice(choice)
            np.testing.assert_array_equal(session.upscale(image), want, f"{choice}")
            assert session.last().choice == choice
        session.force_choice(None)
        own = choosing.of(image)
        assert session.predict_choice(image) == own
        np.testing.assert_array_equal(session.upscale(image), wanted[own])
        assert session.last().choice == own
        seen.add(own)
    return seen


def test_in_strips(made):
    image = busy(90, 40)
    with load(made.path, threads=2) as session:
        whole = session.workspace(40, 90)
    strips = []
    for part in (0.75, 0.5, 0.35):
        with load(made.path, threads=2, memory=whole * part / 2**20) as session:
            for choice, graph in enumerate(made.graphs):
                session.force_choice(choice)
                try:
                    got = session.upscale(image)
                except WorkError as error:
                    assert "the limit is" in str(error)
                    continue
                np.testing.assert_array_equal(got, upscale_picture(graph, image))
                strips.append(session.last().strips)
    assert max(strips) > 1


def test_trace_is_of_what_ran(made):
    with load(made.path, threads=3) as session:
        for image, choice in ((flat(), 1), (between(), 0), (busy(), 2)):
            tensors = run_tensors(made.graphs[choice], fitted(image, made.graphs[choice].sizes))
            _, sums = session.traced(image)
            assert {found.step.split(":")[0] for found in sums} == {NAMES[choice]}
            for found in sums:
                codes = tensors[found.tensor][:, :, found.first : found.first + found.channels]
                assert found.sum == code_checksum(codes), found


def test_profile_has_the_cost_of_choosing(made):
    with load(made.path, threads=1) as session:
        session.profiling(True)
        session.upscale(busy())
        rows = session.profile()
        assert [rows[0].name, rows[1].name, rows[-1].name] == ["choice", "input", "output"]
        assert rows[0].calls == 1 and rows[0].seconds > 0
        assert {row.name.split(":")[0] for row in rows[2:-1] if row.calls} == {"high"}
        known = {layer.name for level in made.built.manifest.levels for layer in level.layers}
        assert {row.name for row in rows[2:-1]} <= known
        assert all(row.macs_per_pixel >= 0 and row.kernel for row in rows[2:-1])


def test_what_the_file_says(made):
    manifest = made.built.manifest
    assert manifest.choices == list(NAMES)
    assert manifest.adaptive is not None
    assert (manifest.adaptive.factors, manifest.adaptive.low, manifest.adaptive.high) == ([0, -1, 1], LOW, HIGH)
    assert Counter(check.choice for check in manifest.checks) == {0: 3, 1: 3, 2: 3}
    assert Plan.from_json(read_plan_text(made.path)) == made.plan
    for level in manifest.levels:
        names = [layer.name for layer in level.layers]
        assert len(set(names)) == len(names)
        assert {layer.choice for layer in level.layers} == set(NAMES)
        assert all(layer.name.startswith(f"{layer.choice}:") for layer in level.layers)


def test_weights_lie_in_the_file_once(made):
    """Two more choices cost parameters and what they have of kernels for themselves, not weights."""
    names = choosing_of(made.plan).names
    programs = [p for level in LEVELS for p in lower_choices(made.graphs, names, level)]
    several = emit(programs, LEVELS, made.graphs[0], choosing=choosing_of(made.plan))
    alone = emit([lower(made.graphs[0], level) for level in LEVELS], LEVELS, made.graphs[0])
    for layer in {s.layer.name: s.layer for p in programs for s in p.steps if s.layer is not None}.values():
        assert several.data.count(plain_weights(layer.weight, layer.bits)) == 1
    assert all(specs.items() >= alone.kernels[name].items() for name, specs in several.kernels.items())


def test_edges_of_thresholds(tmp_path, monkeypatch):
    """Pictures at the thresholds themselves have the factor 0. Kernels, in which no threshold is, are compiled once."""
    compiled = {}

    def once(specs, level, triple):
        key = repr((sorted(specs.items()), level, triple))
        if key not in compiled:
            compiled[key] = compile_object(specs, level, triple)
        return compiled[key]

    monkeypatch.setattr("tvmsr.kernels.pipeline.compile_object", once)
    model = residual(blocks=1)
    low, high = flat(8, 9), busy(8, 9)
    adaptive = adaptive_plan(model).adaptive
    assert adaptive is not None
    for below, above, wanted in ((0, 0, (0, 0)), (1, 0, (1, 0)), (0, -1, (0, 2))):
        limits = {"low": complexity(low) + below, "high": complexity(high) + above}
        plan = adaptive_plan(model).model_copy(update={"adaptive": adaptive.model_copy(update=limits)})
        made = make(model, plan, tmp_path / f"{below}{above}.so", one_level(0))
        with load(made.path, threads=2) as session:
            assert (session.predict_choice(low), session.predict_choice(high)) == wanted
    assert len(compiled) == 1
