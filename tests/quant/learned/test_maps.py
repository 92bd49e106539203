"""Learned bits: offsets cost no more than none, ranges stay, and the codes are the reference executor's."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.needs import installed
from tests.quant import networks

installed("torch", "pip install 'tvmsr[torch]'")

import torch  # noqa: E402

from tvmsr.quant.adabm.figures import figures  # noqa: E402
from tvmsr.quant.adabm.sites import bits_of, sites_of  # noqa: E402
from tvmsr.quant.bind import bind  # noqa: E402
from tvmsr.quant.calibrate import calibrate  # noqa: E402
from tvmsr.quant.judge import make_judge  # noqa: E402
from tvmsr.quant.learned import learn, tune  # noqa: E402
from tvmsr.quant.learned.grids import Grid, Lean  # noqa: E402
from tvmsr.quant.learned.learn import learned  # noqa: E402
from tvmsr.quant.learned.maps import Maps, maps_of, offsets  # noqa: E402
from tvmsr.quant.learned.student import students  # noqa: E402
from tvmsr.quant.learned.written import written  # noqa: E402
from tvmsr.quant.reference import run  # noqa: E402

CROPS = [networks.picture(s) for s in range(4)]
HELD = [networks.picture(s) for s in range(10, 13)]
NUMBERS = st.lists(st.tuples(st.floats(-1, 1), st.floats(0.01, 1)), min_size=1, max_size=9)


@pytest.fixture(scope="module")
def made():
    model = networks.residual(0)
    return model, calibrate(model, CROPS, bits="auto:a4w4", costs="bits", held=HELD, kept=0.0)


def leaning(maps, values):
    for lean, value in zip(maps.leans.values(), values, strict=True):
        with torch.no_grad():
            lean.value.fill_(value)


@given(NUMBERS)
def test_offsets_cost_nothing(pairs):
    leans = {f"t{k}": lean for k, (lean, _) in enumerate(pairs)}
    costs = {f"t{k}": cost for k, (_, cost) in enumerate(pairs)}
    found = offsets(leans, costs)
    assert set(found.values()) <= {-1, 0, 1}
    assert sum(found[name] * costs[name] for name in found) <= 1e-9
    assert all(leans[name] >= 0.25 for name, offset in found.items() if offset > 0)
    assert all(leans[name] < 0 for name, offset in found.items() if offset < 0)


def test_offsets_take_what_can_be_paid_for():
    costs = {"a": 1.0, "b": 1.0, "c": 0.5, "d": 0.5}
    assert offsets({"a": 0.9, "b": -0.8, "c": 0.1, "d": -0.2}, costs) == {"a": 1, "b": -1, "c": 0, "d": 0}
    assert offsets({"a": 0.9, "b": 0.8, "c": -0.5, "d": -0.4}, costs) == {"a": 1, "b": 0, "c": -1, "d": -1}
    assert set(offsets({"a": 0.9, "b": 0.8, "c": 0.5, "d": -0.4}, costs).values()) == {0, 1, -1}
    assert set(offsets({"a": 0.9, "b": 0.8, "c": 0.1, "d": -0.4}, costs).values()) == {0}


@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_a_lean_keeps_the_range(offset):
    lean = Lean()
    grid = Grid(4, 0.5, 6, learns=True, lean=lean)
    with torch.no_grad():
        lean.value.fill_(offset)
    top = 2 ** (4 + offset) - 1
    assert (int(grid.bits_now()), int(grid.top_now())) == (4 + offset, top)
    assert float(grid.scale().detach()) * top == pytest.approx(0.5 * 15, rel=1e-6)
    assert int(grid.zero()) == round(6 * top / 15)
    grid.scale().backward()
    assert float(lean.value.grad) < 0  # more bits, finer steps


def test_levelled_numbers_change_no_cost(made):
    maps = maps_of(*made)
    assert len(maps.leans) > 2
    rng = np.random.default_rng(0)
    leaning(maps, rng.normal(size=len(maps.leans)))
    for lean in maps.leans.values():
        lean.value.grad = torch.tensor(rng.normal(), dtype=torch.float64)
    maps.level_gradients()
    maps.level()
    numbers = [float(lean.value.detach()) for lean in maps.leans.values()]
    for values in (numbers, [float(lean.value.grad) for lean in maps.leans.values()]):
        assert any(values)
        moved = sum(cost * value for cost, value in zip(maps.costs.values(), values, strict=True))
        assert moved == pytest.approx(0, abs=1e-9)


def test_students_of_other_bits_are_the_reference_executor(made):
    """With offsets both ways, in every choice."""
    model, plan = made
    maps = maps_of(model, plan)
    turns = [(lean.low, 0, lean.high)[number % 3] for number, lean in enumerate(maps.leans.values())]
    assert {-1, 1} <= set(turns)
    leaning(maps, turns)
    found = students(model, plan, maps.slots)
    now = written(found, plan)
    own = plan.of_choice(0)
    sites = [site for site in sites_of(model, own) if site.name in maps.leans]
    assert [bits_of(now, site) - bits_of(own, site) for site in sites] == turns
    pictures = torch.tensor(np.stack(CROPS[:2]).astype(np.float32)).permute(0, 3, 1, 2)
    for number, student in enumerate(found):
        with torch.no_grad():
            outputs = student(pictures).permute(0, 2, 3, 1).numpy()
        graph = bind(model, now.of_choice(number))
        assert all(np.array_equal(output, run(graph, crop)) for output, crop in zip(outputs, CROPS, strict=False))


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(tune, "MOST_STEPS", 40)
    monkeypatch.setattr(tune, "DRAWN", 6 * tune.SIZE**2)


def test_bits_that_are_learned_cost_no_more(made, short):
    model, plan = made
    shares = learn.shares_of(plan, [*CROPS, *HELD])
    schedule, maps = tune.schedule_for(model, 0, len(shares)), maps_of(model, plan)
    trial = learn._Trial(make_judge(model, HELD), shares)
    given = tune.lessons(model, CROPS, schedule, tune.insides_of(model, len(CROPS)))
    found = [one for _, one in learn._learning(model, plan, given, trial, schedule, maps) if one is not None]
    assert len(found) == learn.JUDGEMENTS - 1  # in the first quarter bits still move
    last = learn._with_bits_said(model, found[-1].plan, plan)
    moved = last.settings[learn.LEARNED_BITS]
    assert {-1, 1} == set(moved.values())
    assert all(last.tensors[name].bits == plan.tensors[name].bits + moved[name] for name in moved if "." not in name)
    words = r"learned step: learned bits: \d+ more, \d+ fewer; feature average bit \d\.\d\d"
    assert re.match(words, last.notes[-2])
    assert last.notes[-1] == plan.notes[-1]
    for number, _ in enumerate(shares):
        costs = [figures(model, one, number).bit_operations for one in (last, plan)]
        assert costs[0] <= costs[1] + 1e-9


def test_the_better_of_both_is_kept(made, short):
    model, plan = made
    judge, shares = make_judge(model, HELD), learn.shares_of(plan, [*CROPS, *HELD])
    plain, better = learned(model, plan, CROPS, HELD), learned(model, plan, CROPS, HELD, bits=True)

    def noise(one):
        return sum(share * judge.noise(one.of_choice(number)) for number, share in enumerate(shares))

    assert noise(better) <= noise(plain) < noise(plan)
    assert better == learned(model, plan, CROPS, HELD, bits=True)
    assert any(note.startswith(f"{learn.NOTED}, ") for note in better.notes)
    stays = f"{learn.NOTED}: {learn.BITS_STAY}"
    assert (stays in better.notes) is (learn.LEARNED_BITS not in better.settings)
    assert stays not in plain.notes


def test_bits_that_cannot_move_stay():
    """Layers that were given bits by name, and networks whose layers have 8."""
    model = networks.residual(0)
    pins = {"b1a": 6, "up": 6}
    pinned = calibrate(model, CROPS, bits="auto:a4w4", costs="bits", held=HELD, kept=0.0, layer_bits=pins)
    maps, free = maps_of(model, pinned), maps_of(model, calibrate(model, CROPS, bits="a4w4"))
    held = {site.name for site in sites_of(model, pinned.of_choice(0)) if {"b1a", "up"}.intersection(site.readers)}
    assert held
    assert maps is None or not held.intersection(maps.leans)
    assert free is not None and held.issubset(free.leans)
    assert maps_of(model, calibrate(model, CROPS)) is None


def test_maps_settle_on_whole_bits():
    leans = {"a": Lean(), "b": Lean()}
    maps = Maps(leans, {"a": 1.0, "b": 1.0}, leans)
    leaning(maps, [0.6, -0.6])
    maps.settle()
    assert [float(lean.value) for lean in leans.values()] == [1.0, -1.0]
    assert not any(lean.value.requires_grad for lean in leans.values())
