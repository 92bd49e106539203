"""The learned step makes plans better by the reference executor's judgement, or leaves them as they are."""

import numpy as np
import pytest

from tests.needs import installed
from tests.quant import networks
from tests.quant.spatial_networks import SPATIAL

installed("torch", "pip install 'tvmsr[torch]'")

import torch  # noqa: E402

import tvmsr  # noqa: E402
from tvmsr.errors import UsageError  # noqa: E402
from tvmsr.graph.execute import run_fp32  # noqa: E402
from tvmsr.quant.calibrate import calibrate  # noqa: E402
from tvmsr.quant.judge import expected_drop, make_judge  # noqa: E402
from tvmsr.quant.learned import learn, operations, tune  # noqa: E402
from tvmsr.quant.learned.learn import learned  # noqa: E402

CROPS = [networks.picture(s) for s in range(4)]
HELD = [networks.picture(s) for s in range(10, 13)]


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(tune, "MOST_STEPS", 40)
    monkeypatch.setattr(tune, "DRAWN", 6 * tune.SIZE**2)


def test_few_bits_lose_less(short):
    model = networks.plain(0)
    plan = calibrate(model, CROPS, bits="a4w4", held=HELD)
    made = learned(model, plan, CROPS, HELD)
    judge = make_judge(model, HELD)
    assert judge.noise(made) < 0.9 * judge.noise(plan)
    assert made.notes[-1].startswith("learned step, 40 steps: noise ")
    assert sum(note.startswith("saturated") for note in made.notes) == 1


def test_the_same_seed_gives_the_same_plan(short):
    model = networks.residual(0)
    plan = calibrate(model, CROPS, bits="a4w4")
    threads = torch.get_num_threads()
    assert learned(model, plan, CROPS, HELD) == learned(model, plan, CROPS, HELD)
    assert learned(model, plan, CROPS, HELD, seed=1) != learned(model, plan, CROPS, HELD)
    assert torch.get_num_threads() == threads


def test_a_judged_plan_says_what_it_loses_now(short):
    model = networks.plain(0)
    plan = calibrate(model, CROPS, held=HELD, max_drop=0.0001)
    made = learned(model, plan, CROPS, HELD)
    if made.settings.get("learned"):
        assert made.judged.psnr > plan.judged.psnr
    assert any(f"expected drop {made.judged.drop:.3f} dB" in note for note in made.notes)
    assert (made.judged.limit, made.judged.wider) == (plan.judged.limit, plan.judged.wider)


def test_what_does_not_help_is_left_out(monkeypatch, short):
    model = networks.plain(0)
    plan = calibrate(model, CROPS, bits="a4w4")
    monkeypatch.setattr(tune, "schedule_for", lambda *_: tune.Schedule(4, rates=tune.Rates(weights=5.0)))
    made = learned(model, plan, CROPS, HELD)
    assert (made.layers, made.tensors) == (plan.layers, plan.tensors)
    assert "did not help and are left out" in made.notes[-1]


def test_interrupted_the_best_so_far_is_kept(short):
    model, kept = networks.plain(0), []
    plan = calibrate(model, CROPS, bits="a4w4")

    def stop(what, step, steps):
        if step == 35:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learned(model, plan, CROPS, HELD, better=kept.append, progress=stop)
    first, again, *better = kept
    assert "not finished" in first.plan.notes[-1] and first.plan == again.plan and first.plan.layers == plan.layers
    noises = [make_judge(model, HELD).noise(one.plan) for one in (again, *better)]
    assert better and noises == sorted(noises, reverse=True)
    assert [one.drop for one in (again, *better)] == [expected_drop(noise, model.scale) for noise in noises]
    assert "of 40 steps" in kept[-1].plan.notes[-1]


def test_interrupted_before_the_first_judgement_the_plan_is_kept(monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    model, kept = networks.plain(0), []
    plan = calibrate(model, CROPS, bits="a4w4")
    monkeypatch.setattr(learn, "make_judge", stop)
    with pytest.raises(KeyboardInterrupt):
        learned(model, plan, CROPS, HELD, better=kept.append)
    assert [one.plan.layers for one in kept] == [plan.layers]


def test_networks_that_cannot_be_learned_keep_their_plan(monkeypatch):
    monkeypatch.delitem(operations.OPERATIONS, "layer_norm")
    b = networks.Builder(0)
    x = b.layer_norm("norm", b.conv("c0", "input", 8))
    model = b.model(b.shuffle("out", b.conv("c1", x, 12), 2))
    plan = calibrate(model, CROPS)
    made = learned(model, plan, CROPS, HELD)
    assert made.notes == [*plan.notes, "learned step: left out, it cannot learn through layer_norm yet"]
    assert made.layers == plan.layers


def test_a_measured_end_is_left_alone():
    model = networks.plain(0)
    made = learned(model, calibrate(model, CROPS, method="free-minmax"), CROPS, HELD)
    assert "measured range" in made.notes[-1]


def test_without_torch_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(learn.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'tvmsr\[torch\]'"):
        tvmsr.calibrate("default:x2", learn=True, out=tmp_path / "plan.json")
    assert not (tmp_path / "plan.json").exists()


def test_a_torch_that_cannot_be_loaded(monkeypatch):
    def broken(name):
        raise OSError("libc10.so: cannot open shared object file")

    monkeypatch.setattr(learn.importlib, "import_module", broken)
    with pytest.raises(UsageError, match=r"--learn: PyTorch is installed but cannot be loaded \(libc10"):
        learn.check_torch()


def test_a_command_says_what_came_of_it(tmp_path):
    made = tvmsr.calibrate("default:x2", method="cfqp-paper", learn=True, out=tmp_path / "plan.json")
    assert any(note.startswith("learned step: left out") and "measured range" in note for note in made.notes)


def test_steps_follow_from_the_networks_size():
    small, large = networks.plain(0), networks.residual(0, blocks=40, width=96)
    assert tune.schedule_for(small).steps == tune.MOST_STEPS
    assert tune.LEAST_STEPS <= tune.schedule_for(large).steps < tune.MOST_STEPS


def test_windows_are_larger_where_a_picture_counts_as_a_whole():
    small, whole = tune.schedule_for(networks.plain(0)), tune.schedule_for(SPATIAL["cca"]())
    assert whole.size > small.size and small.size**2 * small.per_crop >= whole.size**2 * whole.per_crop


def test_windows_are_pictures_with_the_networks_own_outputs():
    model = networks.plain(0)
    found = tune.lessons(model, CROPS, tune.Schedule(1, size=16))
    assert found.pictures.shape == (len(CROPS) * tune.DRAWN // 16**2, 3, 16, 16)
    assert found.outputs.shape == (len(CROPS) * tune.DRAWN // 16**2, 3, 32, 32)
    assert float(found.outputs.min()) >= 0 and float(found.outputs.max()) <= 255
    assert np.array_equal(found.pictures, tune.lessons(model, CROPS, tune.Schedule(1, size=16)).pictures)


def test_the_networks_sums_are_compared_too():
    assert tune.insides_of(networks.plain(0), 4) == ()
    assert tune.insides_of(SPATIAL["cca"](), 4) == ("b0", "b1", "long")
    model = networks.residual(0)
    names = tune.insides_of(model, 4)
    assert names == ("b0", "b1", "b2", "long")
    found = tune.lessons(model, CROPS, tune.Schedule(1, size=16), names)
    window = found.pictures[3].permute(1, 2, 0).numpy() / 255
    exact = run_fp32(model, window.astype(np.float32), keep=names)
    for name in names:
        values = found.insides[name][3].permute(1, 2, 0).float().numpy()
        assert np.allclose(values * found.units[name], exact[name], rtol=2e-3, atol=2e-3 * found.units[name])


def test_of_many_tensors_some_are_compared_the_last_among_them(monkeypatch):
    monkeypatch.setattr(tune, "INSIDE_BYTES", 2 * 2 * 8 * tune.DRAWN * 4)
    assert tune.insides_of(networks.residual(0), 4) == ("b1", "long")
