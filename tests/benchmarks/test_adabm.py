from pathlib import Path

from adabm import WAYS, Run, Settings, runs, settings_of, table

from tvmsr.adabm_paper.protocol import Adapt, Protocol, Scope

SETTINGS = Settings(Path("w"), Path("i"), ["net"], ["a6w8"], [0, 1], ["set5"], Protocol())
FIXED, FEWER, BOTH = WAYS[0], WAYS[3], WAYS[-1]


def result(psnr: float, fab: float, share: float) -> dict:
    return {"sets": {"set5": {"psnr_y": psnr, "fab": fab, "bitops_share": share}}}


def test_ways_change_what_they_say():
    first = SETTINGS.protocol_of(Run("net", "a4w5", FIXED, 0))
    assert (first.bits, first.weight_bits, first.adapt, first.clipping, first.epochs) == (4, 5, Adapt.NONE, False, 0)
    fewer = SETTINGS.protocol_of(Run("net", "a4w5", FEWER, 0))
    assert (fewer.bits, fewer.adapt, fewer.clipping, fewer.epochs) == (3, Adapt.NONE, True, 10)
    assert SETTINGS.protocol_of(Run("net", "a6w8", BOTH, 0)) == Protocol()


def test_one_run_for_each():
    found = list(runs(["a", "b"], ["a6w8"], [0, 1]))
    assert len({run.key for run in found}) == len(found) == 2 * 2 * len(WAYS)
    assert [run.seed for run in found] == sorted(run.seed for run in found)


def test_rows_that_have_every_seed():
    results = {
        Run("net", "a6w8", FIXED, 0).key: result(30.0, 6.0, 0.5),
        Run("net", "a6w8", BOTH, 0).key: result(31.0, 5.5, 0.4),
        Run("net", "a6w8", BOTH, 1).key: result(31.5, 5.7, 0.42),
    }
    lines = table(results, SETTINGS)
    assert lines[0] == "| network | bits | way | set5 PSNR | set5 FAB | BitOPs of FP32 |"
    assert lines[2:] == ["| net | a6w8 | BaC + fine-tuned, both | 31.25 ± 0.25 | 5.60 | 41.0 % |"]


def test_options():
    settings, args = settings_of(["--weights", "w", "--images", "i", "--plan", "--scope", "full", "--crop", "48"])
    assert args.plan
    assert settings.protocol.quirks.scope is Scope.FULL
    assert (settings.protocol.crop, tuple(settings.bits)) == (48, ("a6w8", "a6w6", "a4w4"))
