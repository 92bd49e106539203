"""Cases are the same wherever they are made, whole files are read, and a slice of all kinds gets results or errors.

All of them: `python -m tests.fuzz KIND --count 2000 --seed 0`.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fuzz import onnx_cases, onnx_seeds, picture_cases, plan_cases, state_cases
from tests.fuzz.case import Kind, rng_of
from tests.fuzz.kinds import KINDS
from tests.fuzz.run import run
from tests.fuzz.wrong import WRONG
from tvmsr.errors import InputFileError, TvmsrError, UsageError

#: Cases of each kind that every run of the tests tries, of a seed that no search for faults was made with.
SLICE, SEED = 60, 1000


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_slice(kind: Kind) -> None:
    report = run(kind.name, SEED, range(SLICE))
    assert not report.findings, str(report)
    assert report.outcomes["read"] + report.outcomes["refused"] == SLICE


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_case_follows_from_its_numbers(kind: Kind) -> None:
    made = [kind.make(rng_of(kind.name, SEED, index)) for index in (0, 1, 0)]
    assert made[0] == made[2] != made[1]


@pytest.mark.parametrize("make", onnx_seeds.SEEDS)
def test_networks_that_are_broken_later_are_whole(tmp_path: Path, make) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(make().SerializeToString())
    try:
        assert onnx_cases.read(path) == "bound"
    except InputFileError as error:
        assert "unsupported operation" in str(error)


def test_other_files_that_are_broken_later_are_whole(tmp_path: Path) -> None:
    for number in range(len(state_cases._SEEDS)):
        header, raw = state_cases._parts(state_cases._state(number))
        text = json.dumps(header).encode()
        path = tmp_path / f"{number}.safetensors"
        path.write_bytes(len(text).to_bytes(8, "little") + text + raw)
        try:
            state_cases.read(path)
        except UsageError as error:  # of several scales
            assert "--scale" in str(error)
    for name in plan_cases._NETWORKS:
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(plan_cases._plan(name)))
        plan_cases.read(path)
    manifest, plan = json.dumps(plan_cases._manifest()).encode(), json.dumps(plan_cases._plan("plain")).encode()
    for make in (plan_cases.elf, plan_cases.macho):
        path = tmp_path / "net.so"
        path.write_bytes(make({".tvmsr.manifest": manifest, ".tvmsr.plan": plan_cases.zlib.compress(plan)}))
        plan_cases.read(path)


def test_pictures_that_are_broken_later_are_whole(tmp_path: Path) -> None:
    refused = []
    for number, (suffix, data) in enumerate(picture_cases._seeds()):
        path = tmp_path / f"{number}.{suffix}"
        path.write_bytes(data)
        try:
            picture_cases.read(path)
        except TvmsrError:
            refused.append(suffix)
    assert not {"png", "jpg"} & set(refused)


@pytest.mark.parametrize("name", [name for name in WRONG if name != "wrong-unmade"])
def test_what_is_found(name: str) -> None:
    """The runner tells every kind of finding, goes on after it, and says how to see it again."""
    report = run(name, SEED, range(2), hang=1.0)
    outcome = name.removeprefix("wrong-")
    assert report.outcomes == {outcome: 2}, str(report)
    assert f"{outcome} (python -m tests.fuzz {name} --seed {SEED} --index 1)" in str(report)


def test_a_maker_that_fails_is_no_result() -> None:
    report = run("wrong-unmade", SEED, range(1))
    assert [finding.outcome for finding in report.findings] == ["unmade"]
