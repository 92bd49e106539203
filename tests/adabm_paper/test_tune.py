from dataclasses import replace

import pytest

from tests.needs import installed
from tests.quant import networks
from tvmsr.adabm_paper.layers import Role
from tvmsr.adabm_paper.protocol import Adapt, Draw, Grouping, Keep, Order, Protocol, Quirks, Scope

torch = installed("torch", "pip install tvmsr[torch]")

from tvmsr.adabm_paper import tune as tune_module  # noqa: E402
from tvmsr.adabm_paper.calibrate import calibrate  # noqa: E402
from tvmsr.adabm_paper.data import Crops  # noqa: E402
from tvmsr.adabm_paper.student import Student, student_of  # noqa: E402
from tvmsr.adabm_paper.tune import Group, ordered, parameters_of, schedule, tune  # noqa: E402

W, A, M = Group.WEIGHTS, Group.ACTIVATIONS, Group.MAPS
MODEL = networks.residual()
SMALL = Protocol(bits=4, weight_bits=4, crop=12, calibration_batch=4, epochs=4)


def quiet(_stage: str, _done: int, _total: int) -> None:
    pass


def ready(protocol: Protocol = SMALL, seed: int = 0) -> tuple[Student, Crops]:
    crops = Crops([networks.picture(k, 14, 14) for k in range(6)], protocol, MODEL.graph, seed)
    student = student_of(MODEL, protocol, next(iter(crops.batches(0, 2))))
    calibrate(student, crops.batches(0, protocol.calibration_batch))
    return student, crops


def values(student: Student) -> dict[str, float]:
    return {name: float(value.detach()) for name, value in student.parameters().items()}


def test_schedule():
    assert schedule(Protocol()) == [(W,), (A,), (M,)] * 3 + [(W,)]
    assert schedule(Protocol(adapt=Adapt.NONE)) == [(W, A)] * 10
    assert schedule(Protocol(adapt=Adapt.NONE, grouping=Grouping.CYCLIC, epochs=3)) == [(W,), (A,), (W,)]
    assert schedule(Protocol(grouping=Grouping.JOINT, epochs=2)) == [(W, A, M)] * 2
    assert schedule(Protocol(epochs=0)) == []


def test_groups_and_their_rates():
    full = replace(SMALL, rate_weights=1.0, rate_activations=2.0, rate_layers=3.0, rate_image=4.0)
    student, _ = ready(replace(full, quirks=Quirks(scope=Scope.FULL)))

    def sizes(group: Group) -> list[tuple[int, float]]:
        return [(len(parameters), rate) for parameters, rate in parameters_of(student, group)]

    layers, adaptive = len(student.layers), len(student.layout.named(Role.ADAPTIVE))
    assert (layers, adaptive) == (10, 7)
    assert sizes(W) == [(layers, 1.0)]
    assert sizes(A) == [(2 * layers, 2.0)]
    assert sizes(M) == [(adaptive, 3.0), (2, 4.0)]
    by_layer, _ = ready(replace(full, adapt=Adapt.LAYER))
    assert [rate for _, rate in parameters_of(by_layer, M)] == [3.0]
    by_image, _ = ready(replace(full, adapt=Adapt.IMAGE))
    assert [rate for _, rate in parameters_of(by_image, M)] == [4.0]


@pytest.mark.parametrize(("epochs", "keys"), [(1, {"bound"}), (2, {"bound", "lower", "upper"})])
def test_an_epoch_changes_its_group_alone(epochs: int, keys: set[str]):
    student, crops = ready(replace(SMALL, epochs=epochs))
    before = values(student)
    tune(student, crops, quiet)
    after = values(student)
    changed = {name.rpartition(".")[2] for name in after if after[name] != before[name]}
    assert changed == keys
    assert before["image.lower"] == after["image.lower"]


def test_maps_are_trained_in_the_third_epoch():
    student, crops = ready(replace(SMALL, epochs=3))
    before = values(student)
    history = tune(student, crops, quiet)
    after = values(student)
    assert [epoch.groups for epoch in history.epochs] == [(W,), (A,), (M,)]
    assert after["image.lower"] != before["image.lower"]
    assert any(after[name] != before[name] for name in after if name.endswith("measure"))


def test_rates_fall_after_a_groups_own_epochs():
    student, crops = ready(replace(SMALL, epochs=7))
    rates = [epoch.rate for epoch in tune(student, crops, quiet).epochs]
    assert rates == pytest.approx([0.01, 0.01, 0.01, 0.009, 0.009, 0.009, 0.0081])


def test_adam_moves_by_its_rate_at_first():
    """The first step is the rate in the direction of the gradient: units and step are as published."""
    student, _ = ready(replace(SMALL, epochs=1))
    one = Crops([networks.picture(0, 14, 14)], SMALL, MODEL.graph, 0)
    before = values(student)
    tune(student, one, quiet)
    moves = [abs(values(student)[name] - before[name]) for name in before if name.endswith("bound")]
    assert moves == pytest.approx([0.01] * len(moves), rel=1e-2)


@pytest.mark.parametrize("factor", [0.4, 2.5])
def test_training_mends_bounds(factor: float):
    """Too narrow ones clip, too wide ones round coarsely: both get nearer to where they were."""
    protocol = replace(SMALL, adapt=Adapt.NONE, weight_bits=8, epochs=12, rate_weights=0.0, rate_activations=4.0)
    student, crops = ready(protocol)
    first = {name: float(layer.upper) for name, layer in student.layers.items()}
    with torch.no_grad():
        for layer in student.layers.values():
            layer.lower.mul_(factor)
            layer.upper.mul_(factor)
    losses = [epoch.pixels for epoch in tune(student, crops, quiet).epochs]
    assert losses[-1] < 0.97 * losses[0]
    nearer = [
        abs(float(layer.upper) - first[name]) < abs(factor - 1) * first[name] for name, layer in student.layers.items()
    ]
    assert sum(nearer) >= 5


def test_a_seed_gives_the_same_and_another_another():
    found = []
    for seed in (1, 1, 2):
        student, crops = ready(seed=seed)
        tune(student, crops, quiet)
        found.append(values(student))
    assert found[0] == found[1]
    assert found[0] != found[2]


@pytest.mark.parametrize("draw", list(Draw))
def test_what_is_kept_of_the_teacher_changes_nothing(monkeypatch, draw: Draw):
    protocol = replace(SMALL, quirks=Quirks(draw=draw))
    found = []
    for kept in (tune_module.KEPT_BYTES, 0):
        monkeypatch.setattr(tune_module, "KEPT_BYTES", kept)
        student, crops = ready(protocol)
        tune(student, crops, quiet)
        found.append(values(student))
    assert found[0] == found[1]


def test_weights_of_the_network_stay():
    student, crops = ready()
    before = student.constants["b0a"]["weight"].clone()
    tune(student, crops, quiet)
    assert torch.equal(student.constants["b0a"]["weight"], before)


def test_progress_and_ctrl_c():
    student, crops = ready()
    calls = []

    def stop(stage: str, done: int, total: int) -> None:
        calls.append((stage, done, total))
        if done == 5:
            raise KeyboardInterrupt

    before = values(student)
    history = tune(student, crops, stop)
    assert calls == [("fine-tune", k, 12) for k in range(1, 6)]
    assert history.interrupted
    assert len(history.epochs) == history.kept == 1
    assert values(student) != before
    assert not any(value.requires_grad for value in student.parameters().values())
    assert torch.isfinite(student.quantized(next(iter(crops.batches(1, 2)))).output).all()


def test_the_best_epoch_is_kept():
    """Rates that ruin everything: what was there before training is the best."""
    quirks = Quirks(keep=Keep.BEST, held=2)
    protocol = replace(SMALL, rate_weights=5.0, rate_activations=500.0, quirks=quirks, epochs=2)
    student, crops = ready(protocol)
    before = values(student)
    history = tune(student, crops, quiet)
    assert history.kept == 0
    assert values(student) == before
    last, crops = ready(replace(protocol, quirks=Quirks(held=2)))
    assert tune(last, crops, quiet).kept == 2
    assert values(last) != before


def test_order_is_kept_where_asked_for():
    student, _ = ready()
    with torch.no_grad():
        student.thresholds[0].fill_(50.0)
        student.layers["b0a"].upper.fill_(-1e9)
        student.layers["b0b"].bound.fill_(-1.0)
    ordered(student)
    assert student.thresholds[1] > student.thresholds[0]
    assert student.layers["b0a"].upper > student.layers["b0a"].lower
    assert student.layers["b0b"].bound > 0
    wild = replace(SMALL, rate_activations=1e6, rate_image=1e6, epochs=3, quirks=Quirks(order=Order.KEPT))
    kept, crops = ready(wild)
    tune(kept, crops, quiet)
    assert all(layer.upper > layer.lower for layer in kept.layers.values())
    assert kept.thresholds[1] > kept.thresholds[0]


def test_pictures_that_are_all_flat():
    crops = Crops([networks.picture(0, 14, 14) * 0 + 90 for _ in range(4)], SMALL, MODEL.graph, 0)
    student = student_of(MODEL, SMALL, next(iter(crops.batches(0, 2))))
    calibrate(student, crops.batches(0, 4))
    tune(student, crops, quiet)
    assert all(torch.isfinite(value) for value in student.parameters().values())
