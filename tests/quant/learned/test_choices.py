"""Plans with several choices are learned as one: weights in common, ranges that differ and biases of each."""

import numpy as np
import pytest

from tests.needs import installed
from tests.quant import networks
from tests.quant.adaptive_plans import adaptive_plan, busy, flat
from tests.quant.learned.test_student import check, distances

torch = installed("torch", "pip install 'tvmsr[torch]'")

from tvmsr.quant.adaptive import bind_choices  # noqa: E402
from tvmsr.quant.judge import make_judge  # noqa: E402
from tvmsr.quant.learned import tune  # noqa: E402
from tvmsr.quant.learned.learn import learned, shares_of  # noqa: E402
from tvmsr.quant.learned.student import students  # noqa: E402
from tvmsr.quant.learned.written import written  # noqa: E402

CROPS = [networks.picture(s) for s in range(4)]
HELD = [networks.picture(s) for s in range(10, 12)]
BITS = (3, 4, 5)


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(tune, "MOST_STEPS", 24)
    monkeypatch.setattr(tune, "DRAWN", 6 * tune.SIZE**2)


def without(plan, name):
    """The first choice holds this tensor, or the reading of it, as the plan does."""
    first, *others = plan.adaptive.choices
    parts = {
        field: {key: c for key, c in getattr(first, field).items() if key != name} for field in ("tensors", "reads")
    }
    adaptive = plan.adaptive.model_copy(update={"choices": [first.model_copy(update=parts), *others]})
    return plan.model_copy(update={"adaptive": adaptive})


@pytest.mark.parametrize("name", networks.ALL)
def test_every_choice_has_the_executors_codes_before_and_after(name):
    model = networks.ALL[name](1)
    plan = adaptive_plan(model, BITS, 4)
    made, noise = students(model, plan), torch.Generator().manual_seed(0)
    parameters = dict.fromkeys(p for one in made for p in one.parameters() if p.requires_grad)
    with torch.no_grad():
        for value in parameters:
            value.add_(0.02 * torch.randn(value.shape, generator=noise, dtype=value.dtype))
        for layer in made[0].layers.values():
            layer.latent += torch.randn(layer.latent.shape, generator=noise)
    after = written(made, plan)
    bind_choices(model, after)
    for number, student in enumerate(students(model, plan)):
        check(distances(model, plan.of_choice(number), student, networks.picture(9)))
    for number, student in enumerate(made):
        check(distances(model, after.of_choice(number), student, networks.picture(9)))


def test_what_differs_is_learned_apart():
    model = networks.residual(0)
    plan = without(adaptive_plan(model, BITS, 4), "b0")
    base, low, high = students(model, plan)
    assert all(one.layers["head"].latent is base.layers["head"].latent for one in (low, high))
    assert all(one.layers["head"].change is base.layers["head"].change for one in (low, high))
    assert low.layers["head"].shift is not base.layers["head"].shift
    assert low.grids["b0.read"] is base.grids["b0.read"]
    assert high.grids["b0.read"] is not base.grids["b0.read"]
    assert [one.grids["b1.read"].bits for one in (base, low, high)] == [4, 3, 5]


def test_a_choice_that_says_nothing_of_a_tensor_holds_it_as_the_plan_does(short):
    model = networks.residual(0)
    plan = without(adaptive_plan(model, BITS, 4), "b0")
    made = learned(model, plan, CROPS, HELD)
    assert made.settings["learned"] and made.reads["b0"] != plan.reads["b0"]
    assert "b0" not in made.adaptive.choices[0].reads
    assert made.of_choice(1).reads["b0"] == made.reads["b0"]
    assert made.of_choice(2).reads["b0"].bits == 5


def test_all_choices_lose_less(short):
    model = networks.plain(0)
    plan = adaptive_plan(model, BITS, 4)
    made = learned(model, plan, CROPS, HELD)
    graphs = bind_choices(model, made)
    assert len(graphs) == 3
    judge = make_judge(model, HELD)
    for number in range(3):
        assert judge.noise(made.of_choice(number)) < judge.noise(plan.of_choice(number))
    assert made.adaptive.choices[0].layers["c0"].bias_correction != made.layers["c0"].bias_correction
    assert all(name in made.notes[-1] for name in ("base ", "low ", "high ", "2 crops: "))
    assert learned(model, plan, CROPS, HELD) == made


def test_shares_are_of_pictures_and_none_is_nothing():
    plan = adaptive_plan(networks.plain(0), BITS, 4)
    assert shares_of(plan.of_choice(0), [flat()]) == (1.0,)
    shares = shares_of(plan, [flat(), flat(), busy()])
    assert np.isclose(sum(shares), 1) and shares[1] > shares[2] > shares[0] > 0


def test_steps_go_around():
    wanted = tune.steps_of([0.8, 0.1, 0.1])
    turns = list(tune._turns(wanted, 60))
    assert np.allclose(np.bincount(turns) / 60, wanted, atol=1 / 60)
    assert set(turns[:6]) == {0, 1, 2}
